"""Position calls byte for byte as polymarket-client builds them, and what is refused."""

import pytest
from conftest import vectors
from reference.keccak import keccak256

from polyarb.domain.settlement import Convert, Merge, Redeem
from polyarb.errors import MalformedError, RangeError
from polyarb.exchange import calls
from polyarb.exchange.contracts import POLYGON
from polyarb.exchange.wallets import parse_address

CONDITION = "0x" + "ab" * 32
V3_CONDITION = "0x01" + "cd" * 30
OWNER = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


def built(case: dict) -> calls.Call:
    """Return the call of a vector, made with our builders."""
    given, name = case["arguments"], case["operation"]
    amount = int(given.get("amount_e6", given.get("amount", 0)))
    condition = given.get("condition_id", "")
    neg_risk = bool(given.get("neg_risk"))
    match name:
        case "Approve":
            legacy = given["token"] == POLYGON.legacy_collateral.lower()
            return (calls.approve_legacy if legacy else calls.approve)(given["spender"], amount)
        case "SetApprovalForAll":
            v3 = given["token"] == POLYGON.position_manager.lower()
            return calls.approve_tokens(given["operator"], given["approved"], v3=v3)
        case "Split":
            return calls.split(condition, amount, neg_risk=neg_risk)
        case "RouterSplit":
            return calls.split(condition, amount, v3=True)
        case "Wrap":
            return calls.wrap(given["to"], amount)
        case "Unwrap":
            return calls.unwrap(given["to"], amount)
    step = {
        "Merge": lambda: merge(amount, condition_id=condition, neg_risk=neg_risk),
        "RouterMerge": lambda: merge(amount, condition_id=condition, v3=True),
        "Redeem": lambda: redeem((1, 1), condition_id=condition, neg_risk=neg_risk),
        "RouterRedeem": lambda: redeem(
            (0, amount) if int(given["outcome"]) else (amount, 0), condition_id=condition, v3=True
        ),
        "Convert": lambda: Convert(
            neg_risk_id=given["market_id"], index_set=int(given["index_set"]), amount_e6=amount
        ),
    }[name]()
    (call,) = calls.position_calls([step])
    return call


def merge(amount: int, **changes) -> Merge:
    return Merge(
        **({"condition_id": CONDITION, "neg_risk": False, "v3": False} | changes), amount_e6=amount
    )


def redeem(amounts: tuple[int, int], **changes) -> Redeem:
    return Redeem(
        **({"condition_id": CONDITION, "neg_risk": False, "v3": False} | changes),
        amounts_e6=amounts,
    )


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, id=c["id"]) for c in vectors("sim_relayer") if c["kind"] == "call"],
)
def test_calls_are_those_of_the_official_client(case):
    call = built(case)
    assert call.target == case["target"]
    assert "0x" + call.data.hex() == case["data"]


@pytest.mark.parametrize(("signature", "selector"), calls.SIGNATURES.items())
def test_selectors_are_the_hashes_of_their_signatures(signature, selector):
    assert keccak256(signature.encode())[:4] == selector


def test_every_contract_has_its_checksum():
    for name in POLYGON.__slots__:
        assert len(parse_address(name, getattr(POLYGON, name))) == 20


def test_a_v3_redeem_is_a_call_for_each_outcome_that_is_held():
    both = calls.redeem(redeem((5, 7), condition_id=V3_CONDITION, v3=True))
    assert [call.data[36:] for call in both] == [
        (0).to_bytes(32, "big") + (5).to_bytes(32, "big"),
        (1).to_bytes(32, "big") + (7).to_bytes(32, "big"),
    ]
    assert len(calls.redeem(redeem((5, 0), condition_id=V3_CONDITION, v3=True))) == 1


def test_a_v3_condition_may_carry_the_zero_that_gamma_puts_behind_it():
    short = merge(5, condition_id=V3_CONDITION, v3=True)
    long = merge(5, condition_id=V3_CONDITION + "00", v3=True)
    assert calls.merge(short) == calls.merge(long)
    with pytest.raises(MalformedError, match="does not end in 00"):
        calls.merge(merge(5, condition_id=V3_CONDITION + "01", v3=True))


def test_an_eoa_gets_its_call_as_a_transaction_without_coin():
    call = calls.merge(merge(5))
    sent = calls.transaction(OWNER, call)
    assert sent == {
        "from": OWNER,
        "to": POLYGON.adapter,
        "value": "0x0",
        "data": "0x" + call.data.hex(),
    }


@pytest.mark.parametrize("amount", [0, -1, 2**256])
def test_an_amount_that_is_none_is_refused(amount):
    with pytest.raises(RangeError, match="amount_e6"):
        calls.merge(merge(amount))
    with pytest.raises(RangeError, match="amount_e6"):
        calls.convert(Convert(neg_risk_id=CONDITION, index_set=1, amount_e6=amount))


@pytest.mark.parametrize("index_set", [0, -1, 2**256])
def test_a_set_of_no_market_or_of_too_many_is_refused(index_set):
    with pytest.raises(RangeError, match="index_set"):
        calls.convert(Convert(neg_risk_id=CONDITION, index_set=index_set, amount_e6=1))


@pytest.mark.parametrize("condition", ["", "0x", "0x" + "ab" * 31, "ab" * 32, "0x" + "zz" * 32])
def test_a_condition_that_is_none_is_refused(condition):
    with pytest.raises(MalformedError, match="condition_id"):
        calls.merge(merge(5, condition_id=condition))
