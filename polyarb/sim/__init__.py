"""
A stand-in for the exchange: exact on the wire, verifying everything, failing on demand.

`polyarb exchange` serves it on a port; `InProcessVenue` is the same without sockets. A request goes

    server | inprocess → exchange → router → rest gamma data_api relayer rpc balances admin …
        → auth, intake (signatures) → venue → matching, ledger → feeds → streams → sockets

and everything that happens by itself waits in the venue's queue: settlements, delays, heartbeats,
`participants` (makers, fair values, a rival), `faults` (their kinds: mishaps, spoil), the `chain`.
What trades comes from `universe` (made from a seed) or `recorded` (Gamma JSON); `mispricing` keeps
the score. Nothing here imports what it is there to judge.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polyarb.sim.inprocess import InProcessVenue as InProcessVenue

__all__ = ["InProcessVenue"]


def __getattr__(name: str) -> Any:
    """Import the venue when it is asked for: whoever wants one part need not wait for all."""
    if name != "InProcessVenue":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from polyarb.sim.inprocess import InProcessVenue  # noqa: PLC0415

    return InProcessVenue
