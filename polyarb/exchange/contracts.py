"""Contracts: those that verify orders (protocol.md sections 6 to 8), and those of positions."""

from dataclasses import dataclass
from typing import Final

from polyarb import errors

EXCHANGES: Final[dict[int, tuple[str, str, str, str, str]]] = {  # in the core's order
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


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionContracts:
    """
    Where a wallet's position calls go; each an address (protocol.md section 24.2).

    Attributes:
        collateral: pUSD.
        legacy_collateral: USDC.e, which pUSD is wrapped from.
        tokens: The Conditional Tokens of V1 and V2 markets.
        adapter, neg_risk_adapter: Collateral adapters; the second one converts as well.
        onramp, offramp: They wrap and unwrap.
        position_manager, router: Tokens and operations of V3 markets.
        multisend: What a Safe delegates to when it makes several calls at once.
        relay_hub: Takes the relay requests of proxies.
    """

    collateral: str
    legacy_collateral: str
    tokens: str
    adapter: str
    neg_risk_adapter: str
    onramp: str
    offramp: str
    position_manager: str
    router: str
    multisend: str
    relay_hub: str


POLYGON: Final = PositionContracts(
    collateral="0xC011a7E12a19f7B1f670d46F03B03f3342E82DFB",
    legacy_collateral="0x2791Bca1f2de4661ED88A30C99A7a9449Aa84174",
    tokens="0x4D97DCd97eC945f40cF65F87097ACe5EA0476045",
    adapter="0xAdA100Db00Ca00073811820692005400218FcE1f",
    neg_risk_adapter="0xadA2005600Dec949baf300f4C6120000bDB6eAab",
    onramp="0x93070a847efEf7F70739046A929D47a521F5B8ee",
    offramp="0x2957922Eb93258b93368531d39fAcCA3B4dC5854",
    position_manager="0x006F54F7f9A22e0000CC2AB60031000000ae9fEF",
    router="0x12121212006e4CD160D18e3f00711DA5c3372600",
    multisend="0xA238CBeb142c10Ef7Ad8442C6D1f9E89e07e7761",
    relay_hub="0xD216153c06E857cD7f72665E0aF1d7D82172F494",
)
"""Chain 137; the last two from polymarket-client 0.14.0."""
