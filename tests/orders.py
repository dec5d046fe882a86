"""Orders of the vectors, and random ones, as `Order` objects."""

from typing import Any

from hypothesis import strategies as st

from polyarb.domain.order import Generation, Order, Side, SignatureType

GENERATIONS = {"v1": "v1_orders", "v2": "v2_orders", "v3": "v3_orders"}
_FIELDS = {
    "salt": "salt",
    "maker": "maker",
    "signer": "signer",
    "token_id": "tokenId",
    "maker_amount": "makerAmount",
    "taker_amount": "takerAmount",
}
_V1_FIELDS = {
    "taker": "taker", "expiration": "expiration", "nonce": "nonce", "fee_rate_bps": "feeRateBps"
}  # fmt: skip


def order_of(generation: str, case: dict[str, Any]) -> Order:
    """Return the order of a case of ``v1_orders``, ``v2_orders`` or ``v3_orders``."""
    message, sent = case["message"], case["payload"]["order"]
    values = {name: message[field] for name, field in _FIELDS.items()}
    if generation == "v1":
        values |= {name: message[field] for name, field in _V1_FIELDS.items()}
    else:
        values |= {name: sent[name] for name in ("metadata", "builder", "expiration")}
        values["timestamp"] = message["timestamp"]
    return Order(
        generation=Generation(generation),
        neg_risk=case["inputs"]["neg_risk"],
        side=Side(case["inputs"]["side"]),
        signature_type=SignatureType(case["inputs"]["signature_type"]),
        **values,
    )


uint256 = st.one_of(
    st.integers(0, 2**256 - 1), st.sampled_from([0, 1, 2**64 - 1, 2**64, 2**256 - 1])
)
addresses = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
bytes32 = st.integers(0, 2**256 - 1).map(lambda n: f"0x{n:x}")


@st.composite
def random_orders(draw: st.DrawFn) -> Order:
    """Draw any order the domain allows, extremes included."""
    generation = draw(st.sampled_from(list(Generation)))
    v1 = generation is Generation.V1
    own: dict[str, Any]
    if v1:
        own = {"taker": draw(addresses), "nonce": draw(uint256), "fee_rate_bps": draw(uint256)}
    else:
        own = {
            "timestamp": draw(uint256), "metadata": draw(bytes32), "builder": draw(bytes32)
        }  # fmt: skip
    return Order(
        generation=generation,
        neg_risk=draw(st.booleans()),
        salt=draw(uint256),
        maker=draw(addresses),
        signer=draw(addresses),
        token_id=draw(uint256),
        maker_amount=draw(uint256),
        taker_amount=draw(uint256),
        side=draw(st.sampled_from(list(Side))),
        signature_type=SignatureType(draw(st.integers(0, 2 if v1 else 3))),
        expiration=draw(uint256),
        **own,
    )
