"""The core against its slow twins, on generated input."""

import json
from typing import Any

import pytest
from conftest import SANITIZED
from hypothesis import given, settings
from hypothesis import strategies as st
from orders import random_orders
from reference import eip712, fixed
from reference.hmac_sha256 import hmac_sha256
from reference.keccak import keccak256 as twin_keccak256

from polyarb import errors
from polyarb.core import keccak256
from polyarb.core.base import format_fixed, kernels, parse_fixed, select_kernel
from polyarb.core.digest import Domains, HmacKey, OrderBatch
from polyarb.domain.order import SIDE_CODE, Generation, Order, SignedOrder
from polyarb.exchange.contracts import EXCHANGES, exchange_contracts
from polyarb.exchange.orders import batch_body

DOMAINS = Domains(137, exchange_contracts(137))
ROWS = {("v1", False): 0, ("v1", True): 1, ("v2", False): 2, ("v2", True): 3}
NAMES = {
    "salt": "salt", "maker": "maker", "signer": "signer", "taker": "taker", "tokenId": "token_id",
    "makerAmount": "maker_amount", "takerAmount": "taker_amount", "expiration": "expiration",
    "nonce": "nonce", "feeRateBps": "fee_rate_bps", "timestamp": "timestamp",
    "metadata": "metadata", "builder": "builder",
}  # fmt: skip

decimal_text = st.one_of(
    st.from_regex(r"[0-9]{0,22}\.?[0-9]{0,22}", fullmatch=True),
    st.text("0123456789.+-eE _", max_size=24),
    st.text(max_size=12),
)


@pytest.fixture(params=["scalar", "avx2", "avx512"])
def kernel(request: pytest.FixtureRequest) -> Any:
    """Run a test under each kernel; one that this machine lacks is a visible skip."""
    if request.param not in kernels():
        pytest.skip(f"kernel {request.param} cannot run on this machine")
    yield select_kernel(request.param)
    select_kernel(None)


@settings(max_examples=2000, deadline=None)
@given(decimal_text, st.integers(0, 18))
def test_decimal_text_equals_the_slow_twin(text: str, decimals: int) -> None:
    expected = fixed.verdict(text, decimals)
    if isinstance(expected, int):
        assert parse_fixed(text, decimals) == expected
        return
    exception = {"malformed": errors.MalformedError, "range": errors.RangeError}[expected]
    with pytest.raises(exception):
        parse_fixed(text, decimals)


@settings(max_examples=1000, deadline=None)
@given(st.integers(0, 2**63 - 1), st.integers(0, 18))
def test_formatted_integers_are_parsed_back(value: int, decimals: int) -> None:
    text = format_fixed(value, decimals)
    assert parse_fixed(text, decimals) == value
    assert not (("." in text) and text.endswith(("0", ".")))


@pytest.mark.usefixtures("kernel")
@pytest.mark.skipif(SANITIZED, reason="pycryptodome's dlopen flags and the sanitizers exclude")
def test_keccak_equals_pycryptodome_at_every_length() -> None:
    from Crypto.Hash import keccak as crypto_keccak

    for length in range(3 * 136 + 2):
        data = bytes((7 * i + length) & 255 for i in range(length))
        assert keccak256(data) == crypto_keccak.new(digest_bits=256, data=data).digest()


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=300))
def test_keccak_equals_the_slow_twin(data: bytes) -> None:
    assert keccak256(data) == twin_keccak256(data)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.lists(st.binary(max_size=300), max_size=8))
def test_hmac_equals_the_slow_twin(key: bytes, parts: list[bytes]) -> None:
    import base64

    expected = base64.urlsafe_b64encode(hmac_sha256(key, b"".join(parts)))
    assert HmacKey(key).sign(*parts).encode() == expected


def twin_hashes(order: Order) -> tuple[bytes, bytes, bytes]:
    """Struct hash, digest and what is signed, as the slow twin has them."""
    fields: dict[str, Any] = {name: getattr(order, attribute) for name, attribute in NAMES.items()}
    fields |= {"side": SIDE_CODE[order.side], "signatureType": int(order.signature_type)}
    number = int(order.generation[1])
    struct_hash = eip712.order_struct_hash(number, fields)
    row = ROWS.get((str(order.generation), order.neg_risk), 4)
    separator = eip712.domain_separator(number, 137, EXCHANGES[137][row])
    digest = twin_keccak256(b"\x19\x01" + separator + struct_hash)
    if order.signature_type != 3:
        return struct_hash, digest, digest
    words = [
        twin_keccak256(eip712_outer_type().encode()),
        struct_hash,
        twin_keccak256(b"DepositWallet"),
        twin_keccak256(b"1"),
        (137).to_bytes(32, "big"),
        int(order.signer, 16).to_bytes(32, "big"),
        bytes(32),
    ]
    outer = twin_keccak256(b"".join(words))
    return struct_hash, digest, twin_keccak256(b"\x19\x01" + separator + outer)


def eip712_outer_type() -> str:
    order_type = eip712.encode_type("Order", eip712.ORDER_V2)
    outer = ",".join(f"{kind} {name}" for kind, name in eip712.TYPED_DATA_SIGN)
    return f"TypedDataSign({outer}){order_type}"


@pytest.mark.usefixtures("kernel")
def test_hashes_of_any_batch_equal_the_slow_twin() -> None:
    @settings(max_examples=12, deadline=None)
    @given(st.lists(random_orders(), min_size=1, max_size=15))
    def holds(orders: list[Order]) -> None:
        batch = OrderBatch(orders)
        batch.hash(DOMAINS)
        for i, order in enumerate(orders):
            assert (batch.struct_hash(i), batch.digest(i), batch.to_sign(i)) == twin_hashes(order)

    holds()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(random_orders(), min_size=1, max_size=15),
    st.sampled_from(["GTC", "GTD", "FOK", "FAK"]),
    st.booleans(),
    st.text("0123456789abcdef-", min_size=1, max_size=64),
)
def test_bodies_are_json_of_the_orders(
    orders: list[Order], order_type: str, defer: bool, owner: str
) -> None:
    """Read back with a JSON parser of big integers, every member says what the order says."""
    signed = [
        SignedOrder(
            order=order,
            digest=bytes(32),
            signature="0x" + "ab" * (317 if order.signature_type == 3 else 65),
        )
        for order in orders
    ]
    body = batch_body(signed, owner=owner, order_type=order_type, defer_exec=defer)
    assert b" " not in body
    for item, one in zip(json.loads(body), signed, strict=True):
        order, sent = one.order, item["order"]
        v1 = order.generation is Generation.V1
        assert item["owner"] == owner
        assert item["orderType"] == order_type
        assert item["postOnly"] is False
        assert item.get("deferExec", False) is defer
        assert ("deferExec" in item) == (defer or not v1)
        assert sent.pop("signature") == one.signature
        assert sent.pop("side") == order.side
        assert sent.pop("signatureType") == order.signature_type
        assert sent.pop("salt") == order.salt
        for name, value in sent.items():
            assert str(value) == str(getattr(order, NAMES[name])), name
        only = {"taker", "nonce", "feeRateBps"} if v1 else {"timestamp", "metadata", "builder"}
        assert only < set(sent)
        assert len(sent) == 9
