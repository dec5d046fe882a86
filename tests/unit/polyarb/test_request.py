"""The prepared request gives what the general way gives, and refuses what that refuses."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest

from polyarb import errors
from polyarb.core.account import Account
from polyarb.core.arena import Arena, ArenaConfig
from polyarb.core.request import Post, Request, Token
from polyarb.domain.order import Generation, Order, OrderType, Side
from polyarb.exchange.auth import Credentials, l2_headers
from polyarb.exchange.orders import batch_body
from polyarb.exchange.signing import OrderSigner

KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
WALLET = "0x9983A9EF289ebAdf562fD8F558870DA9FA06cd6b"
CREDENTIALS = Credentials(
    "e5544f82-62cb-9e11-2b0a-eb7a3f2d3427", "3v8QXlT6ohXEGZiG_GVJ8FEW5DX_1bDV9mzzLB6KUjM=", "phrase"
)
NOW_MS = 1790000000123
TOKENS = [
    Token(token_id=10**76 + 1),
    Token(token_id=2, neg_risk=True),
    Token(token_id=2**256 - 1, generation=Generation.V3),
]


@pytest.fixture
def account() -> Account:
    account = Account(Arena.create(None, config=ArenaConfig(histogram_count=1)))
    account.stamps.begin(77)
    return account


def signer_of(signature_type: int) -> OrderSigner:
    return OrderSigner(
        KEY, signature_type=signature_type, funder=WALLET if signature_type else None,
        backend="native",
    )  # fmt: skip


def account_order(signer: OrderSigner, **changes: Any) -> Order:
    values: dict[str, Any] = {
        "salt": 0, "maker": signer.funder, "token_id": 0, "maker_amount": 0, "taker_amount": 0,
        "signer": signer.funder if signer.signature_type == 3 else signer.address,
        "side": "BUY", "signature_type": signer.signature_type,
    }  # fmt: skip
    return Order(**{**values, **changes})


def request_of(signer: OrderSigner, account: Account, **changes: Any) -> Request:
    native, domains = signer.core
    assert native is not None
    arguments: dict[str, Any] = {
        "signer": native, "domains": domains, "hmac": CREDENTIALS.hmac,
        "account_order": account_order(signer), "tokens": TOKENS,
        "owner": CREDENTIALS.api_key, "stamps": account.stamps,
    }  # fmt: skip
    return Request(**{**arguments, **changes})


@pytest.mark.parametrize("flavour", ["plain", "address"])
def test_what_is_passed_to_the_library_holds_in_c(
    c_program: Callable[..., str], flavour: str
) -> None:
    assert "request: ok" in c_program("unit/csrc/test_request.c", flavour)


@pytest.mark.parametrize("signature_type", range(4))
@pytest.mark.parametrize("count", [1, 2, 3, 15])
def test_bytes_equal_the_general_way(account: Account, signature_type: int, count: int) -> None:
    signer = signer_of(signature_type)
    builder = "0x" + "5a" * 32
    request = request_of(signer, account, account_order=account_order(signer, builder=builder))
    for i in range(count):
        request.put_leg(
            i, i % 3, (Side.BUY, Side.SELL)[i % 2], 10**6 * (i + 1), 2**64 - 1 - i,
            order_type=OrderType.GTD, expiration_s=1790000600 + i, post_only=i % 2 == 0,
        )  # fmt: skip
    body = bytes(request.build(count, NOW_MS))
    sent = [item["order"] for item in json.loads(body)]
    orders = [
        account_order(
            signer, builder=builder, salt=order["salt"], token_id=order["tokenId"],
            maker_amount=order["makerAmount"], taker_amount=order["takerAmount"],
            side=order["side"], timestamp=order["timestamp"], expiration=order["expiration"],
            neg_risk=TOKENS[i % 3].neg_risk, generation=TOKENS[i % 3].generation,
        )
        for i, order in enumerate(sent)
    ]  # fmt: skip
    signed = signer.sign(orders)
    parts = [
        batch_body([one], owner=CREDENTIALS.api_key, order_type="GTD", post_only=i % 2 == 0)[1:-1]
        for i, one in enumerate(signed)
    ]
    assert body == b"[" + b",".join(parts) + b"]"
    assert [one.order_id for one in signed] == [request.order_id(i) for i in range(count)]
    headers = l2_headers(CREDENTIALS, "POST", "/orders", body, NOW_MS // 1000, signer.address)
    assert headers["POLY_SIGNATURE"] == request.signature
    assert headers["POLY_TIMESTAMP"] == request.timestamp
    assert request.first_ms == NOW_MS
    assert [int(order["timestamp"]) for order in sent] == [NOW_MS + i for i in range(count)]
    assert all(order["salt"] < 2**53 and order["salt"] & 4095 == 77 for order in sent)
    assert len({order["salt"] for order in sent}) == count


def test_a_shorter_build_leaves_nothing_of_a_longer_one(account: Account) -> None:
    request = request_of(signer_of(0), account)
    for i in range(15):
        request.put_leg(i, 0, Side.SELL, 2**63, 2**63, order_type=OrderType.GTD, expiration_s=2**40)
    long = len(request.build(15, NOW_MS))
    request.put_leg(0, 1, Side.BUY, 1, 2)
    body = bytes(request.build(1, NOW_MS))
    assert len(body) < long / 10
    [item] = json.loads(body)
    assert item["order"]["expiration"] == "0"
    assert (item["orderType"], item["order"]["side"], item["order"]["tokenId"]) == (
        "FAK",
        "BUY",
        "2",
    )


def test_timestamps_rise_even_if_the_clock_does_not(account: Account) -> None:
    request = request_of(signer_of(0), account)
    firsts = []
    for now_ms in (NOW_MS, NOW_MS, NOW_MS - 3_600_000, NOW_MS + 10):
        request.put_leg(0, 0, Side.BUY, 1, 2)
        request.build(1, now_ms)
        firsts.append(request.first_ms)
        assert request.timestamp == str(now_ms // 1000)
    assert firsts == [NOW_MS, NOW_MS + 1, NOW_MS + 2, NOW_MS + 10]


@pytest.mark.parametrize(
    ("position", "change", "exception", "says"),
    [
        (0, 15, errors.RangeError, r"index 15 is outside 0\.\.14"),
        (0, -1, errors.RangeError, "index -1"),
        (1, 3, errors.RangeError, r"token 3 is outside 0\.\.2"),
        (1, -1, errors.RangeError, "token -1"),
        (2, "buy", errors.ArgumentTypeError, "side 'buy'"),
        (2, None, errors.ArgumentTypeError, "side None"),
        (3, -1, errors.RangeError, r"maker_amount -1 is outside 0\.\."),
        (3, 2**64, errors.RangeError, "maker_amount 18446744073709551616"),
        (3, 1.0, errors.ArgumentTypeError, "maker_amount must be an int, not float"),
        (4, None, errors.ArgumentTypeError, "taker_amount must be an int, not NoneType"),
    ],
)
def test_bad_legs_are_named(
    account: Account, position: int, change: Any, exception: type[Exception], says: str
) -> None:
    request = request_of(signer_of(0), account)
    arguments: list[Any] = [0, 0, Side.BUY, 1, 2]
    arguments[position] = change
    with pytest.raises(exception, match=says):
        request.put_leg(*arguments)


@pytest.mark.parametrize(
    ("change", "exception", "says"),
    [
        ({"order_type": "IOC"}, errors.ArgumentTypeError, "order_type 'IOC'"),
        ({"expiration_s": -1}, errors.RangeError, "expiration_s -1"),
        ({"post_only": 2}, errors.ArgumentTypeError, "post_only 2"),
        ({"post_only": True}, errors.RangeError, "goes with GTC and GTD"),
    ],
)
def test_bad_terms_of_a_leg_are_named(
    account: Account, change: dict[str, Any], exception: type[Exception], says: str
) -> None:
    with pytest.raises(exception, match=says):
        request_of(signer_of(0), account).put_leg(0, 0, Side.BUY, 1, 2, **change)


@pytest.mark.parametrize(
    ("count", "now_ms", "exception", "says"),
    [
        (0, NOW_MS, errors.RangeError, r"count 0 is outside 1\.\.15"),
        (16, NOW_MS, errors.RangeError, "count 16"),
        (-1, NOW_MS, errors.RangeError, "count -1"),
        (None, NOW_MS, errors.ArgumentTypeError, "count must be an int"),
        (1, NOW_MS // 1000, errors.RangeError, "now_ms 1790000000 is outside 1577836800000"),
        (1, NOW_MS * 1000, errors.RangeError, "now_ms"),
        (1, 1.5, errors.ArgumentTypeError, "now_ms must be an int, not float"),
    ],
)
def test_bad_builds_are_named(
    account: Account, count: Any, now_ms: Any, exception: type[Exception], says: str
) -> None:
    request = request_of(signer_of(0), account)
    request.put_leg(0, 0, Side.BUY, 1, 2)
    with pytest.raises(exception, match=says):
        request.build(count, now_ms)
    assert account.stamps.last_ms == 0


def test_what_a_request_is_made_of_is_checked(account: Account) -> None:
    signer = signer_of(0)
    v1 = account_order(signer, generation="v1")
    with pytest.raises(errors.RangeError, match="request of a v1 account"):
        request_of(signer, account, account_order=v1)
    with pytest.raises(errors.RangeError, match="owner has 65 bytes"):
        request_of(signer, account, owner="x" * 65)
    with pytest.raises(errors.RangeError, match="token_id"):
        request_of(signer, account, tokens=[dataclasses.replace(TOKENS[0], token_id=2**256)])
    with pytest.raises(errors.RangeError, match="generation v1 of a token"):
        request_of(signer, account, tokens=[Token(token_id=1, generation=Generation.V1)])


def test_it_shows_no_secret_and_stops_with_its_signer(account: Account) -> None:
    signer = signer_of(0)
    request = request_of(signer, account)
    assert repr(request) == "Request(<secret>, 3 tokens)"
    native, _ = signer.core
    assert native is not None
    native.wipe()
    request.put_leg(0, 0, Side.BUY, 1, 2)
    with pytest.raises(errors.KeyMaterialError, match="PA_E_KEY"):
        request.build(1, NOW_MS)


def test_a_leg_is_sent_by_one_build_only(account: Account) -> None:
    request = request_of(signer_of(0), account)
    request.put_leg(0, 0, Side.BUY, 1, 2)
    with pytest.raises(errors.RangeError, match="build of 2 legs, but put were 0b1"):
        request.build(2, NOW_MS)
    request.build(1, NOW_MS)
    with pytest.raises(errors.RangeError, match="build of 1 legs, but put were 0b0"):
        request.build(1, NOW_MS)
    assert account.stamps.last_ms == NOW_MS


@pytest.mark.parametrize("value", [2**70, 10**5000, -(10**5000)], ids=["70 bits", "+", "-"])
def test_huge_numbers_are_refused_like_others(account: Account, value: int) -> None:
    request = request_of(signer_of(0), account)
    for arguments in ((value, 0, Side.BUY, 1, 2), (0, value, Side.BUY, 1, 2)):
        with pytest.raises(errors.RangeError, match="is outside"):
            request.put_leg(*arguments)


HEAD = b"T: " + b"." * 10 + b"\r\nS: " + b"." * 44 + b"\r\nL: " + b"." * 6 + b"\r\n\r\n"
SLOTS = {"time_at": 3, "signature_at": 18, "length_at": 67}


@pytest.mark.parametrize("count", [1, 2, 15])
def test_a_post_is_its_head_with_the_slots_filled_and_the_body(
    account: Account, count: int
) -> None:
    signer, post = signer_of(3), Post(HEAD, **SLOTS)
    request = request_of(signer, account)
    for turn in (count, 1):  # a shorter one leaves nothing of a longer one
        for i in range(turn):
            request.put_leg(i, i % 3, Side.BUY, 10**6 + i, 2 * 10**6)
        whole = bytes(request.build_post(post, turn, NOW_MS))
        head, body = whole[: post.head_bytes], whole[post.head_bytes :]
        assert len(json.loads(body)) == turn
        headers = l2_headers(CREDENTIALS, "POST", "/orders", body, NOW_MS // 1000, signer.address)
        assert head.decode() == (
            f"T: {headers['POLY_TIMESTAMP']}\r\nS: {headers['POLY_SIGNATURE']}\r\n"
            f"L: {len(body):>6}\r\n\r\n"
        )
        assert headers["POLY_SIGNATURE"] == request.signature


def test_a_post_refuses_what_a_build_refuses(account: Account) -> None:
    request, post = request_of(signer_of(0), account), Post(HEAD, **SLOTS)
    for count, now_ms, exception, says in (
        (0, NOW_MS, errors.RangeError, r"count 0 is outside 1\.\.15"),
        (1, 1.5, errors.ArgumentTypeError, "now_ms must be an int"),
        (2, NOW_MS, errors.RangeError, "build of 2 legs, but put were 0b1"),
    ):
        request.put_leg(0, 0, Side.BUY, 1, 2)
        with pytest.raises(exception, match=says):
            request.build_post(post, count, now_ms)  # type: ignore[arg-type]
    assert account.stamps.last_ms == 0
    request.touch()


@pytest.mark.parametrize("name", sorted(SLOTS))
def test_slots_are_within_the_head(name: str) -> None:
    for at in (-1, len(HEAD) - 5):
        with pytest.raises(errors.RangeError, match=f"{name} {at}"):
            Post(HEAD, **{**SLOTS, name: at})
