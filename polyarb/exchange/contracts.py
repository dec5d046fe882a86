"""Verifying contracts of each chain (protocol.md sections 6 to 8), in the core's order."""

from typing import Final

from polyarb import errors

EXCHANGES: Final[dict[int, tuple[str, str, str, str, str]]] = {
    137: (
        "0x4bFb41d5B3570DeFd03C39a9A4D8dE6Bd8B8982E",  # V1
        "0xC5d563A36AE78145C45a50134d48A1215220f80a",  # V1 neg-risk
        "0xE111180000d2663C0091e4f400237545B87B996B",  # V2
        "0xe2222d279d744050d28e00520010520000310F59",  # V2 neg-risk
        "0xe3333700cA9d93003F00f0F71f8515005F6c00Aa",  # V3
    ),
    80002: (
        "0xdFE02Eb6733538f8Ea35D585af8DE5958AD99E40",
        "0xd91E80cF2E7be2e162c6513ceD06f1dD0dA35296",
        "0xE111180000d2663C0091e4f400237545B87B996B",
        "0xe2222d279d744050d28e00520010520000310F59",
        "0x9fE6e61422AdB6F610d8597F9684b16912D50C3D",
    ),
}


def exchange_contracts(chain_id: int) -> list[bytes]:
    """
    Return the five exchange contracts of a chain, 20 bytes each.

    Raises:
        RangeError: A chain the venue does not run on.
    """
    if type(chain_id) is not int or chain_id not in EXCHANGES:
        allowed = ", ".join(map(str, EXCHANGES))
        raise errors.RangeError(f"chain_id {chain_id!r} is none of {allowed}")
    return [bytes.fromhex(address[2:]) for address in EXCHANGES[chain_id]]
