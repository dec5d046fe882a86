"""Wallet addresses by CREATE2 as the unified SDK derives them; addresses and their checksum."""

import dataclasses
import json

import pytest
from conftest import VECTORS, vectors
from reference.keccak import keccak256

from polyarb.core.digest import checksum_address
from polyarb.errors import ArgumentTypeError, MalformedError
from polyarb.exchange.wallets import (
    POLYGON,
    deposit_wallet_beacon,
    deposit_wallet_uups,
    parse_address,
    proxy_wallet,
    safe_wallet,
    wrap_session_signature,
)

FILE = json.loads((VECTORS / "wallets.json").read_text())
OWNER = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
DERIVATIONS = [
    ("proxy", proxy_wallet),
    ("safe", safe_wallet),
    ("deposit_wallet_uups", deposit_wallet_uups),
    ("deposit_wallet_beacon", deposit_wallet_beacon),
]


def cases(name):
    return [pytest.param(case, id=case["id"]) for case in vectors(name)]


def test_the_contracts_are_those_of_the_vectors():
    ours = dataclasses.asdict(POLYGON)
    assert ours == {
        name.replace("deposit_wallet", "deposit"): value
        for name, value in FILE["meta"]["config"].items()
    }


@pytest.mark.parametrize("case", cases("wallets"))
@pytest.mark.parametrize(("kind", "derive"), DERIVATIONS, ids=[kind for kind, _ in DERIVATIONS])
def test_an_owners_wallets_are_where_the_factories_put_them(case, kind, derive):
    assert derive(case["owner"]) == case[kind]
    assert derive(case["owner"].lower()) == case[kind]


@pytest.mark.parametrize(("kind", "derive"), DERIVATIONS, ids=[kind for kind, _ in DERIVATIONS])
def test_another_factory_puts_them_elsewhere(kind, derive):
    elsewhere = dataclasses.replace(
        POLYGON, proxy_factory=OWNER, safe_factory=OWNER, deposit_factory=OWNER
    )
    assert derive(OWNER, elsewhere) != derive(OWNER)
    with pytest.raises(MalformedError, match="owner"):
        derive(OWNER[:-1])


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(POLYGON)])
def test_a_mistyped_contract_is_refused_by_name(field):
    broken = dataclasses.replace(POLYGON, **{field: "0x12"})
    derive = {
        "proxy": proxy_wallet,
        "safe": safe_wallet,
        "deposit": deposit_wallet_beacon if field == "deposit_beacon" else deposit_wallet_uups,
    }[field.split("_")[0]]
    with pytest.raises(MalformedError, match=field):
        derive(OWNER, broken)


@pytest.mark.parametrize(
    "case",
    FILE["session_wrapping"],
    ids=[case["session_signer"] for case in FILE["session_wrapping"]],
)
def test_session_signatures_are_packed_as_the_sdk_packs_them(case):
    assert wrap_session_signature(case["session_signer"], case["signature"]) == case["wrapped"]


@pytest.mark.parametrize("length", [1, 31, 32, 33, 64, 65, 317])
def test_a_packed_session_signature_holds_the_signature_whole(length):
    raw = bytes(i % 251 + 1 for i in range(length))
    packed = bytes.fromhex(wrap_session_signature(OWNER, "0x" + raw.hex())[2:])
    assert len(packed) % 32 == 0
    assert packed[96:128] == length.to_bytes(32, "big")
    assert packed[128:][:length] == raw
    assert packed[128 + length : -32] == bytes(-length % 32)
    assert packed[-32:] == bytes.fromhex("6492") * 16


@pytest.mark.parametrize(
    "signature", ["", "0x", "0xabc", "ab", "0xzz", "0xab\n", "0x ab", "0xab\r\n"]
)
def test_a_signature_that_is_no_hex_is_refused(signature):
    with pytest.raises(MalformedError, match="signature"):
        wrap_session_signature(OWNER, signature)


@pytest.mark.parametrize("value", [None, b"0xab", 1], ids=repr)
def test_a_signature_or_address_of_another_type_is_refused(value):
    with pytest.raises(ArgumentTypeError, match="signature"):
        wrap_session_signature(OWNER, value)
    with pytest.raises(ArgumentTypeError, match="funder"):
        parse_address("funder", value)


@pytest.mark.parametrize(
    "value",
    [OWNER, OWNER.lower(), "0x" + OWNER[2:].upper(), "0x" + "12" * 20, "0x" + "00" * 20],
)
def test_an_address_is_twenty_bytes_in_one_case_or_in_the_checksums(value):
    assert parse_address("funder", value) == bytes.fromhex(value[2:])


@pytest.mark.parametrize(
    "value",
    [
        "",
        "0x",
        OWNER[2:],
        OWNER[:-1],
        OWNER + "0",
        OWNER + "\n",
        " " + OWNER,
        OWNER.upper(),
        "0x" + "g" * 40,
        "0x" + "1" * 39 + "١",
        "x" * 100000,
    ],
    ids=lambda value: repr(value[:50]),
)
def test_what_is_no_address_is_refused_by_name(value):
    with pytest.raises(MalformedError, match="funder") as caught:
        parse_address("funder", value)
    assert len(str(caught.value)) < 200


def test_every_single_wrong_case_breaks_the_checksum():
    for index in range(2, 42):
        if OWNER[index].isalpha():
            wrong = OWNER[:index] + OWNER[index].swapcase() + OWNER[index + 1 :]
            with pytest.raises(MalformedError, match=r"funder .* EIP-55"):
                parse_address("funder", wrong)


@pytest.mark.parametrize("case", cases("wallets"))
def test_checksums_are_those_of_the_vectors(case):
    for kind in ("owner", "proxy", "safe", "deposit_wallet_uups", "deposit_wallet_beacon"):
        assert checksum_address(parse_address(kind, case[kind].lower())) == case[kind]


@pytest.mark.parametrize("case", cases("keccak"))
def test_the_slow_keccak_twin_gives_the_published_hashes(case):
    assert keccak256(bytes.fromhex(case["input_hex"])).hex() == case["keccak256"]
