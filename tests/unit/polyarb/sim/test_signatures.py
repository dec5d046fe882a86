"""The exchange's eyes: every published signature is believed, and nothing one bit away from it."""

import ast
import base64
import dataclasses
import random
from pathlib import Path
from typing import Any

import pytest
from conftest import vectors

from polyarb.errors import MalformedError
from polyarb.sim import signatures as sim
from polyarb.sim.signatures import Generation, Reason

GROUP_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
ORDERS = [(g, case) for g in Generation for case in vectors(f"{g}_orders")]
WRAPPED = [(g, case) for g, case in ORDERS if "erc7739" in case]
RELAYED = vectors("sim_relayer")
OTHER = "0x" + "11" * 20

SHORT_HEX = "0x" + "f" * 41
HOSTILE: list[Any] = [
    None, True, -1, 1.5, "", "0x", "0xzz", SHORT_HEX, "0x" + " 1" * 20, "-1", "+1", "1_0",
    "1e3", "٣", "9" * 5000, 10**6000, 2**256, b"", b"\0" * 20, "0x" + "f" * 9001, [], {},
    [10**6000], "\ud800", "0X" + "ab" * 20, "ab" * 20, " 1", "1\n", object(),
]  # fmt: skip


def by_id(value: Any) -> str:
    return value["id"] if isinstance(value, dict) else str(value)


def hashed(generation: Generation, case: dict[str, Any]) -> tuple[sim.SignedFields, sim.OrderHash]:
    fields = sim.read_fields(generation, case["payload"]["order"])
    inputs = case["inputs"]
    return fields, sim.order_digest(generation, inputs["neg_risk"], inputs["chain_id"], fields)


def flipped(signature: str, bit: int) -> str:
    raw = bytearray.fromhex(signature[2:])
    raw[bit // 8] ^= 1 << bit % 8
    return "0x" + raw.hex()


# Hashing, addresses, recovery


@pytest.mark.parametrize("case", vectors("keccak"), ids=by_id)
def test_keccak_equals_the_vectors(case):
    assert sim.keccak(bytes.fromhex(case["input_hex"])).hex() == case["keccak256"]


def test_the_simulator_hashes_and_recovers_with_nothing_it_judges():
    folder = Path(sim.__file__).parent
    for name in ("signatures.py", "calls.py"):
        for node in ast.walk(ast.parse((folder / name).read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.module in {
                    "collections.abc", "dataclasses", "enum", "functools", "typing", "coincurve",
                    "Crypto.Hash.keccak", "polyarb.errors", "polyarb.sim.signatures",
                }  # fmt: skip


def test_checksums_equal_the_vectors():
    for case in vectors("wallets"):
        for address in (v for k, v in case.items() if k != "id"):
            assert sim.checksum(address.lower()) == address
            assert sim.checksum(bytes.fromhex(address[2:])) == address
            assert sim.parse_address(address) == address.lower()


@pytest.mark.parametrize("value", HOSTILE, ids=lambda v: type(v).__name__)
def test_what_is_no_address_is_refused_with_a_short_message(value):
    with pytest.raises(MalformedError) as caught:
        sim.parse_address(value)
    assert len(str(caught.value)) < 700
    if not (isinstance(value, bytes) and len(value) == 20):
        with pytest.raises(MalformedError):
            sim.checksum(value)
    with pytest.raises(MalformedError):
        sim.address_bytes(value)


@pytest.mark.parametrize("v", [v for v in range(256) if v not in (27, 28)])
def test_only_27_and_28_are_recovery_values(v):
    _, case = ORDERS[0]
    digest = bytes.fromhex(case["digest"][2:])
    raw = bytes.fromhex(case["signature"][2:])
    assert sim.recover(digest, raw[:64] + bytes([v])) is None


def test_the_high_s_twin_of_a_signature_is_nobodys():
    for _, case in ORDERS[:20]:
        digest = bytes.fromhex(case["digest"][2:])
        raw = bytes.fromhex(case["signature"][2:])
        assert sim.recover(digest, raw) == case["signer_address"].lower()
        twin = (GROUP_ORDER - int.from_bytes(raw[32:64], "big")).to_bytes(32, "big")
        assert sim.recover(digest, raw[:32] + twin + bytes([55 - raw[64]])) is None


@pytest.mark.parametrize("r", [0, GROUP_ORDER, GROUP_ORDER + 1, 2**256 - 1, 5])
@pytest.mark.parametrize("s", [0, 1, GROUP_ORDER // 2, GROUP_ORDER // 2 + 1, 2**256 - 1])
@pytest.mark.parametrize("v", [27, 28])
def test_degenerate_signatures_are_nobodys(r, s, v):
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([v])
    signer = sim.recover(b"\1" * 32, raw)
    assert signer is None or (r == 5 and 0 < s <= GROUP_ORDER // 2)


def test_random_bytes_never_raise():
    draw = random.Random(7)
    for _ in range(300):
        raw = draw.randbytes(64) + bytes([draw.choice((27, 28))])
        sim.recover(draw.randbytes(32), raw)
        sim.recover(draw.randbytes(draw.randrange(40)), draw.randbytes(draw.randrange(80)))


# Orders


@pytest.mark.parametrize(("generation", "case"), ORDERS, ids=by_id)
def test_order_ids_equal_the_vectors(generation, case):
    fields, order = hashed(generation, case)
    assert order.order_id == case["order_id"]
    assert order.digest.hex() == case["digest"][2:]
    assert order.struct_hash.hex() == case["struct_hash"][2:]
    assert order.exchange.separator.hex() == case["domain_separator"][2:]
    assert sim.checksum(order.exchange.address) == case["domain"]["verifyingContract"]
    assert sim.text_hash(case["encode_type"]).hex() == case["type_hash"][2:]
    assert fields.side == int(case["message"]["side"])


@pytest.mark.parametrize(("generation", "case"), ORDERS, ids=by_id)
def test_published_signatures_are_their_owners(generation, case):
    fields, order = hashed(generation, case)
    owner = case["signer_address"].lower()
    verdict = sim.verify_order(fields, order, case["signature"], owner)
    assert verdict == sim.Verdict(owner, Reason.VERIFIED)
    raw = bytes.fromhex(case["signature"][2:])
    assert sim.verify_order(fields, order, raw, case["signer_address"]) == verdict


@pytest.mark.parametrize(("generation", "case"), ORDERS[::7] + WRAPPED, ids=by_id)
def test_a_flipped_bit_anywhere_in_a_signature_is_not_believed(generation, case):
    fields, order = hashed(generation, case)
    owner = case["signer_address"].lower()
    bits = 4 * (len(case["signature"]) - 2)
    for bit in random.Random(case["id"]).sample(range(bits), 24):
        verdict = sim.verify_order(fields, order, flipped(case["signature"], bit), owner)
        assert verdict.owner is None
        assert verdict.reason is not Reason.VERIFIED


@pytest.mark.parametrize(("generation", "case"), ORDERS[::5], ids=by_id)
def test_a_signature_holds_for_no_other_order(generation, case):
    fields, _ = hashed(generation, case)
    owner = case["signer_address"].lower()
    inputs = case["inputs"]
    v1 = generation is Generation.V1
    own = ("expiration", "nonce", "fee_rate_bps") if v1 else ("timestamp",)
    for name in ("salt", "token_id", "maker_amount", "taker_amount", "side", *own):
        other = dataclasses.replace(fields, **{name: getattr(fields, name) ^ 1})
        order = sim.order_digest(generation, inputs["neg_risk"], inputs["chain_id"], other)
        assert sim.verify_order(other, order, case["signature"], owner).owner is None


@pytest.mark.parametrize(("generation", "case"), ORDERS[::5], ids=by_id)
def test_a_signature_holds_on_no_other_exchange(generation, case):
    fields, order = hashed(generation, case)
    owner = case["signer_address"].lower()
    for other in {
        sim.exchange(g, neg_risk, chain)
        for g in Generation
        for neg_risk in (False, True)
        for chain in (137, 80002)
    } - {order.exchange}:
        neg_risk = other != sim.exchange(other.generation, False, other.chain_id)
        elsewhere = sim.order_digest(other.generation, neg_risk, other.chain_id, fields)
        assert elsewhere.exchange == other
        assert sim.verify_order(fields, elsewhere, case["signature"], owner).owner is None


def test_the_refusal_of_an_order_says_why():
    def plain(**changes: Any) -> Reason:
        generation, case = next((g, c) for g, c in ORDERS if c["inputs"]["signature_type"] == 0)
        fields, order = hashed(generation, case)
        eoa = changes.pop("eoa", case["signer_address"])
        signature = changes.pop("signature", case["signature"])
        changed = dataclasses.replace(fields, **changes)
        return sim.verify_order(changed, order, signature, eoa).reason

    assert plain() is Reason.VERIFIED
    assert plain(eoa=OTHER) is Reason.WRONG_SIGNER
    assert plain(maker=OTHER) is Reason.WRONG_MAKER
    assert plain(eoa=OTHER, signer=OTHER, maker=OTHER) is Reason.WRONG_KEY
    assert plain(signature_type=3) is Reason.WRONG_TYPE  # the first order is a V1 order
    assert plain(signature_type=4) is Reason.WRONG_TYPE
    assert plain(signature="0x" + "00" * 65) is Reason.UNRECOVERABLE
    for signature in HOSTILE:
        assert plain(signature=signature) is Reason.NOT_A_SIGNATURE


def test_each_part_of_a_wrapped_signature_is_checked():
    generation, case = WRAPPED[0]
    fields, order = hashed(generation, case)
    owner = case["signer_address"]
    raw = bytes.fromhex(case["signature"][2:])
    assert len(raw) == 317

    def reason(at: int) -> Reason:
        changed = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        return sim.verify_order(fields, order, changed, owner).reason

    assert {reason(at) for at in range(64)} <= {Reason.WRONG_KEY, Reason.UNRECOVERABLE}
    assert {reason(at) for at in range(65, 97)} == {Reason.WRONG_DOMAIN}
    assert {reason(at) for at in range(97, 129)} == {Reason.WRONG_CONTENTS}
    assert {reason(at) for at in range(129, 317)} == {Reason.WRONG_CONTENTS_TYPE}
    for wrong in (raw[:65], raw[:-1], raw + b"\0", b""):
        assert sim.verify_order(fields, order, wrong, owner).reason is Reason.NOT_A_SIGNATURE
    assert sim.verify_order(fields, order, raw, OTHER).reason is Reason.WRONG_KEY
    moved = dataclasses.replace(fields, signer=OTHER)
    assert sim.verify_order(moved, order, raw, owner).reason is Reason.WRONG_MAKER


def test_a_wrapped_signature_holds_for_one_wallet_only():
    """The wallet stands in the outer struct too, not only in the order."""
    generation, case = WRAPPED[0]
    fields, order = hashed(generation, case)
    moved = dataclasses.replace(fields, maker=OTHER, signer=OTHER)
    verdict = sim.verify_order(moved, order, case["signature"], case["signer_address"])
    assert verdict.owner is None


@pytest.mark.parametrize(("generation", "case"), WRAPPED, ids=by_id)
def test_the_inner_signature_alone_does_not_pass_for_a_deposit_wallet(generation, case):
    fields, order = hashed(generation, case)
    inner = case["erc7739"]["inner_signature"]
    owner = case["signer_address"]
    assert sim.verify_order(fields, order, inner, owner).reason is Reason.NOT_A_SIGNATURE


@pytest.mark.parametrize("generation", Generation)
@pytest.mark.parametrize("value", HOSTILE, ids=lambda v: type(v).__name__)
def test_hostile_members_of_an_order_are_malformed(generation, value):
    case = next(c for g, c in ORDERS if g is generation)
    sent = case["payload"]["order"]
    for name in sent.keys() - {"signature", *(["expiration"] if generation != "v1" else [])}:
        if name in ("metadata", "builder") and value == SHORT_HEX:
            continue  # padded on the left, as the SDK does
        with pytest.raises(MalformedError) as caught:
            sim.read_fields(generation, sent | {name: value})
        assert len(str(caught.value)) < 700


@pytest.mark.parametrize("generation", Generation)
def test_a_missing_member_is_malformed(generation):
    case = next(c for g, c in ORDERS if g is generation)
    sent = case["payload"]["order"]
    unsigned = {"signature", "metadata"} | ({"expiration"} if generation != "v1" else set())
    for name in sent.keys() - unsigned:
        with pytest.raises(MalformedError):
            sim.read_fields(generation, {k: v for k, v in sent.items() if k != name})
    for order in (None, [], "order", 5):
        with pytest.raises(MalformedError):
            sim.read_fields(generation, order)


def test_numbers_and_decimal_text_are_the_same_field():
    generation, case = ORDERS[-1]
    sent = case["payload"]["order"]
    numbers = {k: int(sent[k]) for k in ("tokenId", "makerAmount", "takerAmount", "timestamp")}
    texts = {k: str(sent[k]) for k in ("salt", "signatureType")}
    assert sim.read_fields(generation, sent | numbers | texts) == sim.read_fields(generation, sent)


@pytest.mark.parametrize(
    "changes",
    [
        {"salt": -1}, {"salt": 2**256}, {"token_id": None}, {"side": 256}, {"signature_type": -1},
        {"maker": "0x"+ "11" * 33}, {"maker": "0xzz"}, {"maker": None}, {"maker_amount": "1"},
        {"metadata": b"\0"}, {"builder": b"\0" * 33}, {"builder": "0x00"}, {"timestamp": 1.0},
    ],
)  # fmt: skip
def test_fields_outside_their_type_are_not_hashed(changes):
    generation, case = ORDERS[-1]
    fields, _ = hashed(generation, case)
    with pytest.raises(MalformedError):
        sim.order_digest(generation, False, 137, dataclasses.replace(fields, **changes))


def test_an_unknown_chain_has_no_exchange():
    with pytest.raises(MalformedError, match="no exchange v2 on chain 1"):
        sim.exchange(Generation.V2, False, 1)


def test_position_ids_are_recognised_by_their_reserved_bits():
    for case in vectors("v3_orders"):
        token = int(case["message"]["tokenId"])
        assert sim.is_position_id(token) == (token >> 40 & (2**64 - 1) == 0)
    base = (1 << 248) | (0xABCDEF << 104) | (7 << 8) | 1
    assert sim.is_position_id(base)
    for bit in range(40, 104):
        assert not sim.is_position_id(base | 1 << bit)
    for bit in (*range(40), *range(104, 256)):
        assert sim.is_position_id(base ^ 1 << bit)
    assert not sim.is_position_id(-1)
    assert not sim.is_position_id(1 << 256)


# L1 and L2


@pytest.mark.parametrize("case", vectors("clob_auth"), ids=by_id)
def test_l1_signatures_equal_the_vectors(case):
    sent, chain = case["headers"], case["chain_id"]
    values = sent["POLY_ADDRESS"], sent["POLY_TIMESTAMP"], sent["POLY_NONCE"]
    signature = sent["POLY_SIGNATURE"]
    assert sim.clob_auth_digest(*values, chain).hex() == case["digest"][2:]
    assert sim.l1_signer(*values, chain, signature) == case["address"].lower()
    address, timestamp, nonce = values
    assert sim.l1_signer(address.lower(), timestamp, int(nonce), chain, signature) is not None
    assert sim.l1_signer(OTHER, timestamp, nonce, chain, signature) is None
    assert sim.l1_signer(address, str(int(timestamp) + 1), nonce, chain, signature) is None
    assert sim.l1_signer(address, timestamp, int(nonce) ^ 1, chain, signature) is None
    assert sim.l1_signer(*values, 80002 + 137 - chain, signature) is None
    for bit in range(0, 520, 40):
        assert sim.l1_signer(*values, chain, flipped(signature, bit)) is None


@pytest.mark.parametrize("value", HOSTILE, ids=lambda v: type(v).__name__)
def test_hostile_l1_headers_prove_nothing(value):
    case = vectors("clob_auth")[0]
    good = [case["address"], case["timestamp"], case["nonce"], case["chain_id"], case["signature"]]
    for at in (0, 1, 2, 4):
        assert sim.l1_signer(*(value if i == at else v for i, v in enumerate(good))) is None


@pytest.mark.parametrize("case", vectors("hmac"), ids=by_id)
def test_hmac_equals_the_vectors(case):
    body = (case["body"] or "").encode()
    expected = case.get("unified_sdk_signature", case["signature"])  # see the case's note
    request = case["timestamp"], case["method"], case["path"]
    named = dict(zip(("timestamp", "method", "path"), request, strict=True))
    secret = case["secret"]
    assert sim.hmac_signature(secret, *request, body) == expected
    assert sim.hmac_signature(secret.rstrip("="), *request, body) == expected
    assert sim.check_hmac(expected, secret, **named, body=body)
    assert not sim.check_hmac(expected[:-1], secret, **named, body=body)
    assert not sim.check_hmac(expected.swapcase(), secret, **named, body=body)
    assert not sim.check_hmac(expected, secret, **named, body=body + b" ")
    assert not sim.check_hmac(expected, secret, **named | {"path": "/"}, body=body)
    assert not sim.check_hmac(expected, secret, **named | {"timestamp": "1"}, body=body)


def test_a_body_with_apostrophes_is_signed_as_it_was_sent():
    case = vectors("hmac")[-1]
    named = {k: case[k] for k in ("timestamp", "method", "path")}
    body = case["body"].encode()
    assert not sim.check_hmac(case["signature"], case["secret"], **named, body=body)
    mended = body.replace(b"'", b'"')
    assert sim.check_hmac(case["signature"], case["secret"], **named, body=mended)


@pytest.mark.parametrize(
    "secret", ["", "=", "a", "a+b/", "a b=", "é", "ab!d", "\ud800", None, b"ab=="]
)
def test_what_is_no_secret_is_refused_without_being_shown(secret):
    with pytest.raises(MalformedError) as caught:
        sim.hmac_signature(secret, "1", "GET", "/")
    assert str(caught.value) == "secret is not base64url"
    assert not sim.check_hmac("", secret, timestamp="1", method="GET", path="/")


@pytest.mark.parametrize("value", HOSTILE, ids=lambda v: type(v).__name__)
def test_hostile_l2_headers_prove_nothing(value):
    secret = base64.urlsafe_b64encode(b"secret" * 5).decode()
    assert not sim.check_hmac(value, secret, timestamp="1", method="GET", path="/")
    if isinstance(value, str):
        good = sim.hmac_signature(secret, "1", "GET", "/")
        assert not sim.check_hmac(good, secret, timestamp=value + "2", method="GET", path="/")


# Wallets


@pytest.mark.parametrize("case", vectors("wallets"), ids=by_id)
def test_wallets_equal_the_vectors(case):
    owner = case["owner"]
    both = sim.deposit_wallets(owner)
    found = sim.proxy_wallet(owner), sim.safe_wallet(owner), both.uups, both.beacon
    names = "proxy", "safe", "deposit_wallet_uups", "deposit_wallet_beacon"
    assert [sim.checksum(a) for a in found] == [case[name] for name in names]
    assert sim.deposit_wallet(owner) == both.beacon
    for wallet, kind in ((owner, 0), *zip(found, (1, 2, 3, 3), strict=True)):
        assert sim.owns_wallet(owner, wallet, kind)
        assert sim.owns_wallet(owner.lower(), sim.checksum(wallet), kind)
        assert not sim.owns_wallet(OTHER, wallet, kind)
        assert not any(sim.owns_wallet(owner, wallet, k) for k in range(-1, 6) if k != kind)


@pytest.mark.parametrize("value", HOSTILE, ids=lambda v: type(v).__name__)
def test_hostile_addresses_own_and_are_no_wallet(value):
    owner = vectors("wallets")[0]["owner"]
    for kind in range(4):
        assert not sim.owns_wallet(value, owner, kind)
        assert not sim.owns_wallet(owner, value, kind)
    for derive in (sim.proxy_wallet, sim.safe_wallet, sim.deposit_wallets, sim.deposit_wallet):
        with pytest.raises(MalformedError):
            derive(value)


# The relayer


def batch_of(case: dict[str, Any]) -> dict[str, Any]:
    sent = case["payload"]
    inner = sent["depositWalletParams"]
    calls = [
        sim.RawCall(
            target=c["target"], value=int(c["value"]), data=bytes.fromhex(c["data"][2:])
        )
        for c in inner["calls"]
    ]  # fmt: skip
    return {
        "wallet": inner["depositWallet"],
        "nonce": int(sent["nonce"]),
        "deadline": int(inner["deadline"]),
        "calls": calls,
        "chain_id": case["chain_id"],
    }


def safe_of(case: dict[str, Any]) -> sim.SafeTransaction:
    sent = case["payload"]
    return sim.SafeTransaction(
        safe=sent["proxyWallet"],
        to=sent["to"],
        value=int(sent.get("value", 0)),
        data=bytes.fromhex(sent["data"][2:]),
        operation=int(sent["signatureParams"]["operation"]),
        nonce=int(sent["nonce"]),
    )


def proxy_of(case: dict[str, Any]) -> sim.ProxyTransaction:
    sent = case["payload"]
    own = sent["signatureParams"]
    return sim.ProxyTransaction(
        owner=sent["from"],
        to=sent["to"],
        data=bytes.fromhex(sent["data"][2:]),
        relayer_fee=int(own["relayerFee"]),
        gas_price=int(own["gasPrice"]),
        gas_limit=int(own["gasLimit"]),
        nonce=int(sent["nonce"]),
        relay_hub=own["relayHub"],
        relay=own["relay"],
    )


def relayed(kind: str) -> list[dict[str, Any]]:
    return [case for case in RELAYED if case["kind"] == kind]


@pytest.mark.parametrize("case", relayed("wallet"), ids=by_id)
def test_a_batch_of_the_sdk_is_signed_by_the_wallets_owner(case):
    batch, sent = batch_of(case), case["payload"]
    owner, signature = sent["from"].lower(), sent["signature"]
    assert sim.deposit_batch_signer(**batch, signature=signature) == owner
    assert sim.owns_wallet(owner, batch["wallet"], 3)
    for changes in (
        {"nonce": batch["nonce"] + 1},
        {"deadline": batch["deadline"] + 1},
        {"wallet": OTHER},
        {"chain_id": 1},
        {"calls": []},
        {"calls": batch["calls"] * 2},
        {"calls": [dataclasses.replace(batch["calls"][0], value=1), *batch["calls"][1:]]},
        {"calls": [dataclasses.replace(batch["calls"][0], data=b""), *batch["calls"][1:]]},
    ):
        assert sim.deposit_batch_signer(**batch | changes, signature=signature) != owner
    assert sim.deposit_batch_signer(**batch, signature=flipped(signature, 100)) != owner


@pytest.mark.parametrize("case", relayed("safe"), ids=by_id)
def test_a_safe_transaction_of_the_sdk_is_signed_by_the_safes_owner(case):
    """It sends the hash signed as a message, and says so with a v of 31 or 32."""
    transaction, sent = safe_of(case), case["payload"]
    owner, signature = sent["from"].lower(), sent["signature"]
    assert int(signature[-2:], 16) in (31, 32)
    assert sim.safe_signer(transaction, case["chain_id"], signature) == owner
    assert sim.owns_wallet(owner, transaction.safe, 2)
    plain = signature[:-2] + f"{int(signature[-2:], 16) - 4:02x}"
    assert sim.safe_signer(transaction, case["chain_id"], plain) != owner
    assert sim.safe_signer(transaction, 1, signature) != owner
    for name in ("value", "operation", "nonce", "safe_tx_gas", "base_gas", "gas_price"):
        other = dataclasses.replace(transaction, **{name: getattr(transaction, name) ^ 1})
        assert sim.safe_signer(other, case["chain_id"], signature) != owner
    for name in ("safe", "to", "gas_token", "refund_receiver"):
        other = dataclasses.replace(transaction, **{name: OTHER})
        assert sim.safe_signer(other, case["chain_id"], signature) != owner


@pytest.mark.parametrize("case", relayed("proxy"), ids=by_id)
def test_a_relay_request_of_the_sdk_is_signed_by_its_owner(case):
    transaction, sent = proxy_of(case), case["payload"]
    owner, signature = sent["from"].lower(), sent["signature"]
    assert "0x" + sim.proxy_transaction_hash(transaction).hex() == case["hash"]
    assert sim.proxy_signer(transaction, signature) == owner
    assert sim.owns_wallet(owner, sent["proxyWallet"], 1)
    for name in ("relayer_fee", "gas_price", "gas_limit", "nonce"):
        other = dataclasses.replace(transaction, **{name: getattr(transaction, name) ^ 1})
        assert sim.proxy_signer(other, signature) != owner
    for name in ("owner", "to", "relay_hub", "relay"):
        other = dataclasses.replace(transaction, **{name: OTHER})
        assert sim.proxy_signer(other, signature) != owner


@pytest.mark.parametrize("value", HOSTILE, ids=lambda v: type(v).__name__)
def test_hostile_relayer_requests_are_nobodys(value):
    batch, safe, proxy = (relayed(k)[0] for k in ("wallet", "safe", "proxy"))
    good = batch_of(batch)
    own = batch["payload"]["signature"]
    assert sim.deposit_batch_signer(**good, signature=value) is None
    for name in ("wallet", "nonce", "deadline"):
        assert sim.deposit_batch_signer(**good | {name: value}, signature=own) is None
    for name in ("target", "value", "data"):
        if name == "data" and isinstance(value, bytes):
            continue
        call = dataclasses.replace(good["calls"][0], **{name: value})
        assert sim.deposit_batch_signer(**good | {"calls": [call]}, signature=own) is None
    assert sim.safe_signer(safe_of(safe), 137, value) is None
    assert sim.proxy_signer(proxy_of(proxy), value) is None
    for name in ("safe", "to", "value", "nonce", "operation", "gas_token"):
        transaction = dataclasses.replace(safe_of(safe), **{name: value})
        assert sim.safe_signer(transaction, 137, safe["payload"]["signature"]) is None
    for name in ("owner", "to", "gas_limit", "nonce", "relay"):
        request = dataclasses.replace(proxy_of(proxy), **{name: value})
        assert sim.proxy_signer(request, proxy["payload"]["signature"]) is None
