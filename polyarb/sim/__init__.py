"""
A stand-in for the exchange: exact on the wire, verifying everything, failing on demand.

`polyarb exchange` serves it on a port; `InProcessVenue` is the same without sockets.
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
