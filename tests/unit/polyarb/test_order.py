"""What an order accepts, and how it says no."""

import dataclasses
from decimal import Decimal
from typing import Any

import pytest

from polyarb import errors
from polyarb.domain.order import Generation, Order, Side, SignatureType, SignedOrder

EOA = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
GOOD: dict[str, Any] = {
    "salt": 1, "maker": EOA, "signer": EOA, "token_id": 2, "maker_amount": 3, "taker_amount": 4,
    "side": "BUY",
}  # fmt: skip


def make(**changes: Any) -> Order:
    return Order(**{**GOOD, **changes})


def test_values_are_brought_to_one_form() -> None:
    order = make(side=1, salt="12", generation="v3", signature_type=3, metadata=b"\x01" * 32)
    assert order.side is Side.SELL
    assert order.salt == 12
    assert order.generation is Generation.V3
    assert order.signature_type is SignatureType.POLY_1271
    assert order.metadata == "0x" + "01" * 32


def test_spellings_are_kept_as_they_are_sent() -> None:
    order = make(maker=EOA.lower(), metadata="0x01")
    assert order.maker == EOA.lower()
    assert order.metadata == "0x01"


def test_an_order_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        make().salt = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "exception", "says"),
    [
        ({"salt": -1}, errors.RangeError, r"salt -1 is outside 0\.\.2\*\*256 - 1"),
        ({"salt": 2**256}, errors.RangeError, "salt 11579208923731619"),
        ({"salt": 10**5000}, errors.RangeError, "salt of over 80 digits"),
        ({"salt": 1.0}, errors.ArgumentTypeError, "salt must be an int or decimal text, not float"),
        ({"salt": True}, errors.ArgumentTypeError, "not bool"),
        ({"salt": None}, errors.ArgumentTypeError, "not NoneType"),
        ({"salt": "-1"}, errors.MalformedError, "salt '-1' is not 1..78 decimal digits"),
        ({"salt": "1e3"}, errors.MalformedError, "salt '1e3'"),
        ({"salt": "١"}, errors.MalformedError, "salt"),
        ({"salt": "9" * 79}, errors.MalformedError, "salt"),
        ({"maker_amount": Decimal(1)}, errors.ArgumentTypeError, "maker_amount .* not Decimal"),
        ({"maker": None}, errors.ArgumentTypeError, "maker must be a str, not NoneType"),
        ({"maker": EOA[:-1]}, errors.MalformedError, 'maker \'0xf39.* is not "0x" and 40'),
        ({"signer": EOA[2:]}, errors.MalformedError, "signer"),
        ({"signer": EOA + '"'}, errors.MalformedError, "signer"),
        ({"signer": EOA + "\n"}, errors.MalformedError, "signer"),
        ({"side": "buy"}, errors.RangeError, "side 'buy' is none of BUY, SELL"),
        ({"side": 2}, errors.RangeError, "side 2 is neither 0"),
        ({"side": None}, errors.ArgumentTypeError, "side must be one of BUY, SELL, not NoneType"),
        ({"generation": "v4"}, errors.RangeError, "generation 'v4' is none of v1, v2, v3"),
        ({"generation": 2}, errors.ArgumentTypeError, "generation must be one of"),
        ({"neg_risk": 1}, errors.ArgumentTypeError, "neg_risk must be a bool, not int"),
        ({"signature_type": 4}, errors.RangeError, r"signature_type 4 is outside 0\.\.3"),
        ({"signature_type": -1}, errors.RangeError, "signature_type -1"),
        ({"signature_type": True}, errors.ArgumentTypeError, "signature_type must be an int"),
        ({"metadata": "0x"}, errors.MalformedError, "metadata '0x' is not"),
        ({"metadata": "0x" + "1" * 65}, errors.MalformedError, "metadata"),
        ({"builder": b"short"}, errors.RangeError, "builder has 5 bytes, not 32"),
        ({"nonce": 1}, errors.RangeError, "nonce 1: v2 orders have no nonce"),
        ({"taker": EOA}, errors.RangeError, "v2 orders have no taker"),
        ({"fee_rate_bps": 10}, errors.RangeError, "v2 orders have no fee_rate_bps"),
        ({"generation": "v1", "timestamp": 5}, errors.RangeError, "v1 orders have no timestamp"),
        ({"generation": "v1", "signature_type": 3}, errors.RangeError, r"0\.\.2 for v1 orders"),
        ({"generation": "v1", "builder": "0x01"}, errors.RangeError, "v1 orders have no builder"),
    ],
)
def test_bad_values_are_named_with_what_is_allowed(
    change: dict[str, Any], exception: type[Exception], says: str
) -> None:
    with pytest.raises(exception, match=says):
        make(**change)


def test_the_order_id_is_the_digest() -> None:
    signed = SignedOrder(order=make(), digest=bytes(range(32)), signature="0x")
    assert signed.order_id == "0x" + bytes(range(32)).hex()
