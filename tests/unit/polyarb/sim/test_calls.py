"""Position calls: what the SDK encodes is understood; anything a byte off is refused."""

import contextlib
import dataclasses
import random
from typing import Any

import pytest
from conftest import vectors

from polyarb.errors import MalformedError
from polyarb.sim import calls
from polyarb.sim.signatures import RawCall

CASES = vectors("sim_relayer")
CALLS = [case for case in CASES if case["kind"] == "call"]
BY_NAME = {case["id"].removeprefix("call-"): case for case in CALLS}
OTHER = "0x" + "11" * 20
WORD = "00" * 31

HOSTILE: list[Any] = [None, True, 5, "", "0x", "0xz", "0x" + " 1" * 20, [], {}, [{}], [None], b""]

# protocol.md section 24.3
SELECTORS = {
    "approve": "095ea7b3",
    "setApprovalForAll": "a22cb465",
    "splitPosition": "72ce4275",
    "mergePositions": "9e7212ad",
    "redeemPositions": "01b7037c",
    "convertPositions": "c64748c4",
    "wrap": "62355638",
    "unwrap": "8cc7104f",
    "split": "82d3b9f1",
    "merge": "5b63685e",
    "redeem": "d217a3cc",
}


def by_id(case: dict[str, Any]) -> str:
    return case["id"]


def data_of(case: dict[str, Any]) -> bytes:
    return bytes.fromhex(case["data"][2:])


def refused(name: str, data: bytes, says: str | None = None, target: str | None = None) -> None:
    with pytest.raises(MalformedError, match=says):
        calls.decode_call(target or BY_NAME[name]["target"], data)


def test_selectors_are_those_of_the_protocol():
    found = {
        f.signature.partition("(")[0]: calls.selector(f.signature).hex() for f in calls.FUNCTIONS
    }
    assert found == SELECTORS


@pytest.mark.parametrize("case", CALLS, ids=by_id)
def test_calls_of_the_sdk_are_understood(case):
    call = calls.decode_call(case["target"], data_of(case))
    assert type(call).__name__ == case["operation"]
    found = dataclasses.asdict(call)
    given = case["arguments"]
    token = {"token": case["target"].lower()} if "token" in found else {}
    assert {k: str(v) if type(v) is int else v for k, v in found.items()} == given | token


@pytest.mark.parametrize("case", CALLS, ids=by_id)
def test_every_truncation_and_every_extension_is_refused(case):
    data = data_of(case)
    for cut in range(len(data)):
        refused(case["id"].removeprefix("call-"), data[:cut])
    for extra in (b"\0", bytes(31), bytes(32), bytes(64)):
        refused(case["id"].removeprefix("call-"), data + extra)


@pytest.mark.parametrize("case", CALLS, ids=by_id)
def test_a_contract_that_lacks_the_function_is_refused(case):
    name = case["id"].removeprefix("call-")
    refused(name, data_of(case), "is none of", OTHER)
    for target in HOSTILE:
        with pytest.raises(MalformedError):
            calls.decode_call(target, data_of(case))


@pytest.mark.parametrize("case", CALLS, ids=by_id)
def test_a_flipped_bit_is_refused_or_changes_the_operation(case):
    data = data_of(case)
    original = calls.decode_call(case["target"], data)
    for bit in range(8 * len(data)):
        raw = bytearray(data)
        raw[bit // 8] ^= 1 << bit % 8
        with contextlib.suppress(MalformedError):
            assert calls.decode_call(case["target"], bytes(raw)) != original


@pytest.mark.parametrize(
    ("name", "at", "value", "says"),
    [
        ("approve", 4, 1, "is not a padded address"),
        ("set_approval", 4 + 63, 2, "bool 2 is not below 2"),
        ("split", 4 + 31, 1, "collateral is 0x"),
        ("split", 4 + 32 + 31, 1, "parent collection is 0x"),
        ("split", 4 + 96 + 31, 0xC0, "array at 192, expected at 160"),
        ("split", 4 + 160 + 31, 1, "32 bytes follow|partition"),
        ("split", 4 + 160 + 31, 3, "an array of 3 passes the end"),
        ("split", 4 + 160, 0xFF, "passes the end"),
        ("merge", 4 + 192 + 31, 2, r"partition is \(2, 2\), not \(1, 2\)"),
        ("redeem", 4 + 192 + 31, 3, r"index sets is \(1, 3\)|index sets is \(3, 2\)"),
        ("wrap", 4 + 31, 0, "asset is 0x"),
        ("router_split", 4 + 31, 1, "is not a padded bytes31"),
        ("router_redeem", 4 + 63, 2, "outcome 2 is not below 2"),
    ],
)
def test_the_refusal_of_a_call_says_why(name, at, value, says):
    raw = bytearray(data_of(BY_NAME[name]))
    assert raw[at] != value
    raw[at] = value
    refused(name, bytes(raw), says)


@pytest.mark.parametrize("data", [b"", b"\1\2\3", b"\0" * 4, bytes(100), None, "0x095ea7b3", 5])
def test_data_without_a_known_selector_is_refused(data):
    refused("approve", data, "selector")


def test_random_arguments_never_raise_anything_else():
    draw = random.Random(11)
    for case in CALLS:
        data = data_of(case)
        for _ in range(200):
            raw = bytearray(data)
            for _ in range(draw.randrange(1, 6)):
                raw[draw.randrange(4, len(raw))] = draw.choice((0, 1, 2, 32, 64, 160, 255))
            with contextlib.suppress(MalformedError):
                calls.decode_call(case["target"], bytes(raw))


def test_a_position_call_sends_no_coin():
    case = BY_NAME["split"]
    raw = RawCall(target=case["target"], value=0, data=data_of(case))
    assert calls.decode_raw(raw) == calls.decode_call(case["target"], data_of(case))
    with pytest.raises(MalformedError, match="value 1 with a position call"):
        calls.decode_raw(dataclasses.replace(raw, value=1))


# Batches


def names_of(raw: tuple[RawCall, ...]) -> list[tuple[str, bytes]]:
    return [(call.target, call.data) for call in raw]


def expected(case: dict[str, Any]) -> list[tuple[str, bytes]]:
    return [(BY_NAME[n]["target"].lower(), data_of(BY_NAME[n])) for n in case["operations"]]


@pytest.mark.parametrize("case", [c for c in CASES if c["kind"] == "wallet"], ids=by_id)
def test_a_deposit_wallets_batch_is_read(case):
    raw = calls.read_calls(case["payload"]["depositWalletParams"]["calls"])
    assert names_of(raw) == expected(case)
    assert all(calls.decode_raw(call) for call in raw)


@pytest.mark.parametrize("value", HOSTILE, ids=repr)
def test_hostile_batches_are_malformed(value):
    case = next(c for c in CASES if c["kind"] == "wallet")
    good = case["payload"]["depositWalletParams"]["calls"][0]
    with pytest.raises(MalformedError):
        calls.read_calls(value)
    for name in good:
        if (name, value) in (("data", "0x"), ("value", 5)):  # a call without data, five wei
            continue
        with pytest.raises(MalformedError):
            calls.read_calls([good | {name: value}])
        with pytest.raises(MalformedError):
            calls.read_calls([{k: v for k, v in good.items() if k != name}])
    with pytest.raises(MalformedError):
        calls.read_calls([good] * (calls.CALL_COUNT_MAX + 1))
    assert calls.read_data("0x") == b""


@pytest.mark.parametrize("case", [c for c in CASES if c["kind"] == "safe"], ids=by_id)
def test_a_safes_multisend_is_unpacked(case):
    sent = case["payload"]
    data = bytes.fromhex(sent["data"][2:])
    if len(case["operations"]) == 1:
        assert [(sent["to"].lower(), data)] == expected(case)
        with pytest.raises(MalformedError, match="no call of multiSend"):
            calls.unpack_multisend(data)
        return
    assert sent["to"].lower() == calls.MULTISEND
    assert sent["signatureParams"]["operation"] == "1"
    assert names_of(calls.unpack_multisend(data)) == expected(case)


@pytest.mark.parametrize("case", [c for c in CASES if c["kind"] == "proxy"], ids=by_id)
def test_a_proxys_calls_are_unpacked(case):
    data = bytes.fromhex(case["payload"]["data"][2:])
    assert names_of(calls.unpack_proxy(data)) == expected(case)


def packed(kind: str, operations: int) -> bytes:
    case = next(c for c in CASES if c["kind"] == kind and len(c["operations"]) == operations)
    return bytes.fromhex(case["payload"]["data"][2:])


UNPACK = {"safe": calls.unpack_multisend, "proxy": calls.unpack_proxy}


@pytest.mark.parametrize("kind", UNPACK)
def test_every_truncated_or_extended_package_is_refused(kind):
    data = packed(kind, 3)
    for cut in range(len(data)):
        with pytest.raises(MalformedError):
            UNPACK[kind](data[:cut])
    for extra in (b"\0", bytes(32)):
        with pytest.raises(MalformedError):
            UNPACK[kind](data + extra)
    for value in HOSTILE:
        with pytest.raises(MalformedError):
            UNPACK[kind](value)


@pytest.mark.parametrize("kind", UNPACK)
def test_a_flipped_bit_in_a_package_is_refused_or_changes_the_calls(kind):
    data = packed(kind, 3)
    original = UNPACK[kind](data)
    for bit in range(8 * len(data)):
        raw = bytearray(data)
        raw[bit // 8] ^= 1 << bit % 8
        with contextlib.suppress(MalformedError):
            assert UNPACK[kind](bytes(raw)) != original


def test_a_multisend_may_not_delegate():
    data = bytearray(packed("safe", 3))
    assert data[4 + 64] == 0
    data[4 + 64] = 1
    with pytest.raises(MalformedError, match=r"operation 1 is not 0 \(call\)"):
        calls.unpack_multisend(bytes(data))


def test_a_package_holds_one_call_or_more():
    empty = calls.selector("multiSend(bytes)") + bytes.fromhex(WORD + "20" + WORD + "00")
    with pytest.raises(MalformedError, match="0 calls are none of 1 to 256"):
        calls.unpack_multisend(empty)
    one = bytes(85)
    count = 85 * (calls.CALL_COUNT_MAX + 1)
    flood = count.to_bytes(32, "big") + one * (calls.CALL_COUNT_MAX + 1) + bytes(-count % 32)
    data = calls.selector("multiSend(bytes)") + bytes.fromhex(WORD + "20") + flood
    with pytest.raises(MalformedError, match="257 calls"):
        calls.unpack_multisend(data)
    selector = calls.selector("proxy((uint8,address,uint256,bytes)[])")
    with pytest.raises(MalformedError, match="an array of 0"):
        calls.unpack_proxy(selector + bytes.fromhex(WORD + "20" + WORD + "00"))
    with pytest.raises(MalformedError, match="an array of"):
        calls.unpack_proxy(selector + bytes.fromhex(WORD + "20" + "ff" * 32))
