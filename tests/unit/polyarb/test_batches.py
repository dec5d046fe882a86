"""Batches byte for byte as polymarket-client signs them, for every kind of wallet."""

import json
from typing import Any

import pytest
from conftest import vectors

from polyarb.domain.order import SignatureType
from polyarb.errors import CapacityError, MalformedError, RangeError, WalletMismatchError
from polyarb.exchange.abi import unhex
from polyarb.exchange.batches import CALLS_MAX, Batch, Kind, kind_of, sign_batch
from polyarb.exchange.calls import Call
from polyarb.exchange.signing import OrderSigner
from polyarb.exchange.wallets import deposit_wallet_beacon, proxy_wallet, safe_wallet
from polyarb.sim import calls as sim_calls

# The public Anvil development keys: nobody's money.
KEYS = {
    "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266": (
        "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
    ),
    "0x70997970C51812dc3A010C7d01b50e0d17dc79C8": (
        "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
    ),
}
ANN = next(iter(KEYS))
RELAY = "0x" + "7e1a" * 10
CALL = Call("0xC011a7E12a19f7B1f670d46F03B03f3342E82DFB", bytes.fromhex("095ea7b3") + bytes(64))
TYPES = {Kind.PROXY: 1, Kind.SAFE: 2, Kind.WALLET: 3}


def unpacked(payload: dict[str, Any]) -> list[Call]:
    """Return what a vector's batch asks for, read by the exchange's side."""
    if payload["type"] == Kind.WALLET:
        raws = [
            (c["target"], unhex("data", c["data"])) for c in payload["depositWalletParams"]["calls"]
        ]
        return [Call(*raw) for raw in raws]
    data = unhex("data", payload["data"])
    if payload["type"] == Kind.PROXY:
        found = sim_calls.unpack_proxy(data)
    elif payload["signatureParams"]["operation"] == "1":
        found = sim_calls.unpack_multisend(data)
    else:
        return [Call(payload["to"], data)]
    return [Call(call.target, call.data) for call in found]


def signer(kind: Kind, owner: str = ANN, chain_id: int = 137) -> OrderSigner:
    wallet = {
        Kind.PROXY: proxy_wallet,
        Kind.SAFE: safe_wallet,
        Kind.WALLET: deposit_wallet_beacon,
    }[kind](owner)
    return OrderSigner(KEYS[owner], signature_type=TYPES[kind], funder=wallet, chain_id=chain_id)


def sign(kind: Kind = Kind.WALLET, count: int = 1, **changes: Any) -> Batch:
    named: dict[str, Any] = {"nonce": 3, "deadline_s": 1_800_000_000, "relay": RELAY}
    return sign_batch(signer(kind), [CALL] * count, **(named | changes))


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, id=c["id"]) for c in vectors("sim_relayer") if c["kind"] != "call"],
)
def test_batches_are_those_of_the_official_client(case):
    payload = case["payload"]
    params = payload.get("signatureParams") or payload["depositWalletParams"]
    wallet = payload.get("proxyWallet") or params["depositWallet"]
    owner = OrderSigner(
        KEYS[payload["from"]],
        signature_type=TYPES[Kind(payload["type"])],
        funder=wallet,
        chain_id=case["chain_id"],
    )
    batch = sign_batch(
        owner,
        unpacked(payload),
        nonce=int(payload["nonce"]),
        deadline_s=int(params.get("deadline", 1)),
        relay=params.get("relay", ""),
        gas_limit=int(params["gasLimit"]) if "gasLimit" in params else None,
        metadata=payload["metadata"],
    )
    made = json.loads(batch.body)
    assert lowered(made) == lowered(payload)
    assert made["signature"] == payload["signature"]
    assert (batch.nonce, batch.owner) == (int(payload["nonce"]), payload["from"])


def lowered(value: Any) -> Any:
    """Addresses of calls that were packed come back without their checksum's capitals."""
    return json.loads(json.dumps(value, sort_keys=True).lower())


@pytest.mark.parametrize("kind", Kind)
def test_only_a_deposit_wallet_has_a_deadline(kind):
    batch = sign(kind)
    assert batch.deadline_s == (1_800_000_000 if kind is Kind.WALLET else None)
    assert batch.transaction_id == ""
    assert batch.named("t-1").transaction_id == "t-1"
    assert batch.named("t-1").body == batch.body


def test_a_proxy_names_ample_gas_that_grows_with_its_calls():
    one, three = (json.loads(sign(Kind.PROXY, n).body)["signatureParams"] for n in (1, 3))
    assert 200_000 < int(one["gasLimit"]) < int(three["gasLimit"])


def test_an_eoa_has_no_batches():
    owner = OrderSigner(KEYS[ANN])
    with pytest.raises(WalletMismatchError, match="pays gas in POL"):
        sign_batch(owner, [CALL], nonce=0, deadline_s=1)
    with pytest.raises(WalletMismatchError, match="EOA"):
        kind_of(SignatureType.EOA)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"count": 0}, CapacityError, "0 calls are outside"),
        ({"count": CALLS_MAX + 1}, CapacityError, "calls are outside"),
        ({"metadata": "x" * 501}, CapacityError, "metadata of 501"),
        ({"nonce": -1}, RangeError, "nonce -1"),
        ({"nonce": 2**256}, RangeError, "nonce"),
        ({"deadline_s": 0}, RangeError, "deadline_s 0"),
        ({"deadline_s": 1_800_000_000_000}, RangeError, "deadline_s"),
    ],
)
def test_a_batch_that_cannot_be_is_refused(kind, changes, error, said):
    with pytest.raises(error, match=said):
        sign(kind, **changes)


def test_a_proxy_needs_to_know_its_relay():
    with pytest.raises(MalformedError, match="relay"):
        sign(Kind.PROXY, relay="")
