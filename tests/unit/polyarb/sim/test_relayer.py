"""The relayer: signed batches become ledger operations, all of them or none (section 24.4)."""

import copy
import json
import random
import re
from typing import Any

import pytest
import simcalls
import simclient
from conftest import vectors
from simcalls import (
    approve,
    approve_tokens,
    call,
    convert,
    creation,
    merge,
    redeem,
    router_merge,
    router_redeem,
    router_split,
    split,
    submission,
)
from simclient import KEYS, SECOND, Client

from polyarb.sim import calls, relayer, signatures
from polyarb.sim.accounts import KINDS
from polyarb.sim.catalog import Catalog, Event, Market, Structure
from polyarb.sim.chain import State
from polyarb.sim.config import START_NS, VenueConfig
from polyarb.sim.http import HttpError, Request, Response
from polyarb.sim.signatures import RawCall
from polyarb.sim.venue import Venue

UNIT = 10**6
GROUP = "0x" + "ab" * 31 + "00"
V3_CONDITION = "0x01" + "cd" * 16 + "00" * 14
OTHER = "0x" + "11" * 20

HOSTILE: list[Any] = [
    None, True, -1, 0, 1.5, "", "0x", "0xzz", "x" * 3000, "\ud800", 10**1000, 2**256, [], {},
    [[]], [{}], {"a": 1}, "0x" + "f" * 40, "9" * 90, [None] * 300, OTHER,
]  # fmt: skip


def v3_market() -> Market:
    tokens = tuple(str(int(V3_CONDITION + side, 16)) for side in ("00", "01"))
    return simclient.market(9, condition_id=V3_CONDITION, tokens=tokens, v3=True)


def events() -> list[Event]:
    """Return a standard market, a neg-risk event of three that keeps 1%, and a V3 market."""
    group = [simclient.market(n, neg_risk=True, index=n - 1) for n in (1, 2, 3)]
    return [
        Event(
            id="1",
            slug="plain",
            title="",
            structure=Structure.BINARY,
            markets=[simclient.market(0)],
        ),
        Event(
            id="2",
            slug="group",
            title="",
            structure=Structure.NEGRISK,
            markets=group[::-1],  # not in the order of their questions
            neg_risk_id=GROUP,
            fee_bips=100,
        ),
        Event(id="3", slug="v3", title="", structure=Structure.BINARY, markets=[v3_market()]),
    ]


class Floor:
    """A venue with markets of each kind, and one wallet of a signature type."""

    def __init__(self, signature_type: int = 3, **config: Any) -> None:
        start_ns = config.pop("start_ns", START_NS)
        self.venue = Venue(VenueConfig(**config), Catalog(events()), start_ns=start_ns, audit=True)
        self.ann = Client(self.venue, KEYS[0], signature_type, cash_e6=1_000 * UNIT)
        markets = [m for event in self.venue.catalog.events for m in event.markets]
        self.plain, self.third, self.second, self.first, self.v3 = markets
        self.key = {
            "relayer_api_key": self.ann.credential.key,
            "relayer_api_key_address": signatures.checksum(self.ann.eoa),
        }

    @property
    def nonce(self) -> int:
        return self.venue.chain.nonces[self.ann.address]

    def post(self, body: object, headers: dict[str, str] | None = None) -> Response:
        named = {"auth": False, "headers": self.key if headers is None else headers}
        return self.ann.wait(self.ann.send("POST", "/relayer/submit", body, **named))

    def get(self, path: str, **query: str) -> Any:
        sent = self.ann.send("GET", path, query=query, auth=False, headers=self.key)
        response = self.ann.wait(sent)
        assert response.status == 200, response.body
        return json.loads(response.body)

    def submit(self, *batch: RawCall, **named: Any) -> str:
        """Submit a batch that is accepted; return its id."""
        response = self.post(submission(self.ann, batch, **({"nonce": self.nonce} | named)))
        assert response.status == 200, response.body
        answer = json.loads(response.body)
        assert answer["state"] == "STATE_NEW"
        return str(answer["transactionID"])

    def refused(self, body: object, headers: dict[str, str] | None = None) -> tuple[int, str]:
        response = self.post(body, headers)
        return response.status, json.loads(response.body)["error"]

    def read(self, number: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/relayer/v1/account/transactions/{number}")
        assert found["transaction_id"] == number
        return found

    def run(self, seconds: float) -> None:
        simclient.run(self.venue, self.venue.now_ns + int(seconds * SECOND))

    def do(self, *batch: RawCall) -> dict[str, Any]:
        """Submit a batch and wait for its end."""
        number = self.submit(*batch)
        self.run(4)
        self.venue.check()
        return self.read(number)

    def sets(self, market: Market) -> tuple[int, ...]:
        return tuple(self.ann.wallet.tokens(token) for token in market.tokens)


every_wallet = pytest.mark.parametrize("signature_type", [1, 2, 3], ids=simcalls.KIND_NAMES[1:])


# What a batch does


@every_wallet
def test_a_batch_of_each_wallet_type_splits_and_merges(signature_type: int) -> None:
    floor = Floor(signature_type)
    market = floor.plain
    done = floor.do(split(market.condition_id, 50 * UNIT))
    assert done["state"] == "STATE_CONFIRMED"
    assert floor.sets(market) == (50 * UNIT, 50 * UNIT)
    assert floor.ann.wallet.cash_e6 == 950 * UNIT
    done = floor.do(
        merge(market.condition_id, 20 * UNIT), split(floor.first.condition_id, UNIT, True)
    )
    assert done["state"] == "STATE_CONFIRMED"
    assert floor.sets(market) == (30 * UNIT, 30 * UNIT)
    assert floor.sets(floor.first) == (UNIT, UNIT)
    assert floor.ann.wallet.cash_e6 == 969 * UNIT


def test_states_follow_one_another_and_the_ledger_moves_when_it_is_mined() -> None:
    floor = Floor(relayer_ms=500)
    number = floor.submit(split(floor.plain.condition_id, UNIT))
    seen = []
    for _ in range(4):
        found = floor.read(number)
        seen.append((found["state"], bool(found["transaction_hash"]), floor.sets(floor.plain)))
        floor.run(0.5)
    assert seen == [
        ("STATE_NEW", False, (0, 0)),
        ("STATE_EXECUTED", True, (0, 0)),
        ("STATE_MINED", True, (UNIT, UNIT)),
        ("STATE_CONFIRMED", True, (UNIT, UNIT)),
    ]
    assert re.fullmatch("0x[0-9a-f]{64}", floor.read(number)["transaction_hash"])


def test_a_batch_is_all_or_nothing() -> None:
    floor = Floor()
    wallet = floor.ann.wallet
    done = floor.do(
        approve_tokens(OTHER),
        approve(calls.ADAPTER, 0),
        approve(calls.ADAPTER),
        split(floor.plain.condition_id, 10 * UNIT),
        merge(floor.plain.condition_id, 11 * UNIT),
    )
    assert done["state"] == "STATE_FAILED"
    assert done["error_msg"] == "execution reverted: complete sets 10000000 are below 11000000"
    assert wallet.cash_e6 == 1_000 * UNIT
    assert not wallet.positions
    assert OTHER not in wallet.approved[1]
    assert floor.nonce == 0
    assert floor.do(split(floor.plain.condition_id, 10 * UNIT))["state"] == "STATE_CONFIRMED"


def test_conversion_pays_collateral_and_the_other_yes_less_the_fee() -> None:
    floor = Floor()
    group = (floor.first, floor.second, floor.third)
    splits = [split(market.condition_id, 10 * UNIT, True) for market in group]
    done = floor.do(*splits, convert(GROUP, 0b101, 10 * UNIT))
    assert done["state"] == "STATE_CONFIRMED", done
    assert floor.sets(floor.first) == floor.sets(floor.third) == (10 * UNIT, 0)
    assert floor.sets(floor.second) == (19_900_000, 10 * UNIT)
    assert floor.ann.wallet.cash_e6 == (1_000 - 30) * UNIT + 9_900_000
    assert floor.venue.ledger.vault.cash_e6 == 100_000


@pytest.mark.parametrize(
    ("market_id", "index_set", "amount", "why"),
    [
        (GROUP, 0, UNIT, "index set"),
        (GROUP, 0b1001, UNIT, r"index set \[0, 3\] is none of \[0, 1, 2\]"),
        (GROUP, 2**255, UNIT, r"index set \[255\] is none of"),
        (GROUP, 1, 11 * UNIT, "NO shares 10000000 are below 11000000"),
        ("0x" + "ee" * 32, 1, UNIT, "is unknown to"),
    ],
)
def test_a_conversion_that_cannot_be_reverts(market_id, index_set, amount, why) -> None:
    floor = Floor()
    floor.do(split(floor.first.condition_id, 10 * UNIT, True))
    done = floor.do(convert(market_id, index_set, amount))
    assert done["state"] == "STATE_FAILED"
    assert re.search(why, done["error_msg"])
    assert floor.sets(floor.first) == (10 * UNIT, 10 * UNIT)


@pytest.mark.parametrize(("winner", "paid"), [(0, 10), (1, 10), (2, 10)])
def test_a_resolved_market_is_redeemed_through_its_adapter(winner: int, paid: int) -> None:
    floor = Floor()
    floor.do(split(floor.plain.condition_id, 10 * UNIT))
    assert floor.do(redeem(floor.plain.condition_id))["error_msg"].endswith("not resolved")
    floor.venue.resolve(floor.plain.event, [winner])
    assert floor.do(redeem(floor.plain.condition_id))["state"] == "STATE_CONFIRMED"
    assert floor.sets(floor.plain) == (0, 0)
    assert floor.ann.wallet.cash_e6 == (990 + paid) * UNIT


def test_v3_positions_are_split_merged_and_redeemed_by_the_router() -> None:
    floor = Floor()
    done = floor.do(router_split(V3_CONDITION, 10 * UNIT), router_merge(V3_CONDITION, 3 * UNIT))
    assert done["state"] == "STATE_CONFIRMED", done
    assert floor.sets(floor.v3) == (7 * UNIT, 7 * UNIT)
    floor.venue.resolve(floor.v3.event, [2])
    assert floor.do(router_redeem(V3_CONDITION, 0, 3))["state"] == "STATE_CONFIRMED"
    assert floor.sets(floor.v3) == (7 * UNIT - 3, 7 * UNIT)
    assert floor.ann.wallet.cash_e6 == 993 * UNIT + 1  # half of three, rounded down
    assert floor.do(router_redeem(V3_CONDITION, 1, 8 * UNIT))["state"] == "STATE_FAILED"
    assert floor.do(router_redeem(V3_CONDITION, 1, 7 * UNIT))["state"] == "STATE_CONFIRMED"
    assert floor.sets(floor.v3) == (7 * UNIT - 3, 0)


def test_a_condition_reverts_on_contracts_that_are_not_its_own() -> None:
    floor = Floor()
    plain, group = floor.plain.condition_id, floor.first.condition_id
    for wrong in (
        split(plain, UNIT, neg_risk=True),
        split(group, UNIT),
        merge(group, UNIT),
        redeem(group),
        split(V3_CONDITION + "00", UNIT),
        router_split(plain[:64], UNIT),
        split("0x" + "77" * 32, UNIT),
        split(plain, 2**256 - 1),
    ):
        assert floor.do(wrong)["state"] == "STATE_FAILED"
    assert floor.ann.wallet.cash_e6 == 1_000 * UNIT


def test_position_calls_need_the_approvals_of_their_contract() -> None:
    floor = Floor()
    wallet, condition = floor.ann.wallet, floor.plain.condition_id
    for approved in wallet.approved:
        approved.clear()
    refusal = floor.do(split(condition, UNIT))["error_msg"]
    assert "is not approved for the collateral of" in refusal
    assert floor.do(approve(calls.ADAPTER, token=calls.USDCE), split(condition, UNIT))["error_msg"]
    assert floor.do(approve(calls.ADAPTER), split(condition, UNIT))["state"] == "STATE_CONFIRMED"
    assert "for the tokens of" in floor.do(merge(condition, UNIT))["error_msg"]
    done = floor.do(approve_tokens(calls.ADAPTER), merge(condition, UNIT))
    assert done["state"] == "STATE_CONFIRMED"
    floor.do(approve(calls.ADAPTER, 0), approve_tokens(calls.ADAPTER, approved=False))
    assert wallet.approved == (set(), set())


def test_orders_that_a_batch_leaves_without_funds_go() -> None:
    floor = Floor()
    floor.do(split(floor.plain.condition_id, 100 * UNIT))
    yes, no = floor.plain.tokens
    sold = floor.ann.place(yes, "SELL", "0.9", "60")["orderID"]
    bought = floor.ann.place(no, "BUY", "0.05", "100")["orderID"]
    floor.do(merge(floor.plain.condition_id, 50 * UNIT))
    status = {
        number: floor.ann.json(f"/data/order/{number}")["status"] for number in (sold, bought)
    }
    assert status == {sold: "CANCELED_NOT_ENOUGH_BALANCE", bought: "LIVE"}


# Whose it is


@every_wallet
def test_every_signed_member_counts(signature_type: int) -> None:
    floor = Floor(signature_type)
    body = submission(floor.ann, [split(floor.plain.condition_id, UNIT)])
    changes: list[dict[str, Any]] = [{"nonce": "1"}]
    other = split(floor.plain.condition_id, 2 * UNIT)
    more = submission(floor.ann, [other])
    inner = "depositWalletParams" if signature_type == 3 else "data"
    changes.append({inner: more[inner]})
    signature = bytearray.fromhex(body["signature"][2:])
    signature[5] ^= 1
    changes.append({"signature": "0x" + signature.hex()})
    stranger = Client(floor.venue, KEYS[1], signature_type)
    changes.append({"signature": submission(stranger, [other])["signature"]})
    for change in changes:
        assert floor.refused(body | change) == (400, "invalid signature"), change
    assert floor.post(body).status == 200


@every_wallet
def test_wallets_and_contracts_are_the_ones_of_the_signer(signature_type: int) -> None:
    floor = Floor(signature_type)
    body = submission(floor.ann, [split(floor.plain.condition_id, UNIT)])
    if signature_type == 3:
        params = body["depositWalletParams"]
        wrong = [{"to": OTHER}, {"depositWalletParams": params | {"depositWallet": OTHER}}]
    else:
        wrong = [{"proxyWallet": OTHER}]
    if signature_type == 2:
        wrong.append({"signatureParams": body["signatureParams"] | {"operation": "1"}})
    if signature_type == 1:
        for name in ("relay", "relayHub"):
            wrong.append({"signatureParams": body["signatureParams"] | {name: OTHER}})
        wrong.append({"to": OTHER})
    for change in wrong:
        status, text = floor.refused(body | change)
        assert status == 400
        assert "is not" in text or "is no " in text or "are relayed" in text


def test_the_older_deposit_wallet_has_a_nonce_of_its_own() -> None:
    """So the nonce that params names is wrong for it, and the refusal names the right one."""
    floor = Floor()
    older = signatures.deposit_wallets(floor.ann.eoa).uups
    wallet = floor.venue.accounts.wallet(floor.ann.eoa, older, 3)
    floor.do(split(floor.plain.condition_id, UNIT))
    floor.venue.set_up(wallet)
    floor.venue.deposit(wallet, 5 * UNIT)
    floor.ann.address = older
    body = submission(floor.ann, [split(floor.plain.condition_id, UNIT)], nonce=1)
    assert floor.refused(body) == (400, "batch nonce 1 does not match on-chain nonce 0")
    assert floor.post(submission(floor.ann, [split(floor.plain.condition_id, UNIT)])).status == 200
    floor.run(4)
    assert wallet.cash_e6 == 4 * UNIT


@pytest.mark.parametrize("case", [c for c in vectors("sim_relayer") if c["kind"] != "call"])
def test_submissions_of_the_sdk_are_accepted(case: dict[str, Any], monkeypatch) -> None:
    sent = case["payload"]
    kind = simcalls.KIND_NAMES.index(case["kind"].upper())
    floor = Floor(kind, start_ns=SECOND, chain_id=case["chain_id"])
    wallet = KINDS[kind](sent["from"].lower())
    if kind == 3:  # some are of the older kind
        wallet = sent["depositWalletParams"]["depositWallet"].lower()
    floor.venue.chain.nonces[wallet] = int(sent["nonce"])
    floor.venue.chain.deployed.add(wallet)
    if kind == 1:
        monkeypatch.setattr(relayer, "RELAY", sent["signatureParams"]["relay"].lower())
    if {"wrap", "unwrap"} & set(case["operations"]):
        assert floor.refused(sent)[1].startswith("USDC.e is not simulated")
        return
    assert floor.post(sent).status == 200
    (transaction,) = floor.venue.chain.transactions.values()
    assert len(transaction.calls) == len(case["operations"])


# Who may ask


def builder(floor: Floor, body: bytes, path: str = "/submit", **changes: str) -> dict[str, str]:
    """Return builder headers; the path is signed without the base URL's."""
    held, at = floor.ann.credential, str(floor.venue.now_ns // SECOND)
    at = changes.pop("poly_builder_timestamp", at)
    return {
        "poly_builder_api_key": held.key,
        "poly_builder_passphrase": held.passphrase,
        "poly_builder_timestamp": at,
        "poly_builder_signature": signatures.hmac_signature(held.secret, at, "POST", path, body),
        **changes,
    }


def test_builder_keys_sign_the_body_and_the_path_without_the_prefix() -> None:
    floor = Floor()
    body = json.dumps(submission(floor.ann, [approve(OTHER)])).encode()
    assert floor.post(body, builder(floor, body)).status == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"path": "/relayer/submit"},
        {"poly_builder_api_key": "nobody"},
        {"poly_builder_passphrase": "wrong"},
        {"poly_builder_passphrase": "\udcff"},
        {"poly_builder_timestamp": "17"},
        {"poly_builder_timestamp": ""},
        {"poly_builder_timestamp": "\u0663"},
        {"poly_builder_signature": "x"},
        {"poly_builder_signature": "\udcff"},
    ],
)
def test_wrong_builder_headers_are_refused(changes: dict[str, str]) -> None:
    floor = Floor()
    body = json.dumps(submission(floor.ann, [approve(OTHER)])).encode()
    assert floor.refused(body, builder(floor, body, **changes)) == (401, "Invalid API key")


def test_a_relayer_key_is_an_api_key_with_its_own_address() -> None:
    floor = Floor()
    body = submission(floor.ann, [approve(OTHER)])
    stranger = Client(floor.venue, KEYS[1])
    read_only = floor.venue.accounts.create(floor.ann.eoa, read_only=True)
    for change in (
        {"relayer_api_key": "nobody"},
        {"relayer_api_key_address": stranger.eoa},
        {"relayer_api_key_address": ""},
        {"relayer_api_key": stranger.credential.key},
        {"relayer_api_key": read_only.key},
    ):
        assert floor.refused(body, floor.key | change) == (401, "Invalid API key")
    assert floor.refused(body, {}) == (401, "Invalid API key")
    assert floor.post(body).status == 200


def test_transactions_of_others_are_not_found() -> None:
    floor = Floor()
    number = floor.submit(approve(OTHER))
    bob = Client(floor.venue, KEYS[1])
    headers = {"relayer_api_key": bob.credential.key, "relayer_api_key_address": bob.eoa}
    for path in (f"/v1/account/transactions/{number}", "/v1/account/transactions/nothing"):
        response = bob.wait(bob.send("GET", path, auth=False, headers=headers))
        assert response.status == 404


# Nonces, turns, deadlines, quota


def test_params_name_the_nonce_of_each_wallet() -> None:
    floor = Floor()
    floor.do(approve(OTHER))
    for kind, nonce in (("WALLET", "1"), ("SAFE", "0"), ("PROXY", "0")):
        for prefix in ("", "/relayer"):
            path = f"{prefix}/v1/account/transactions/params"
            answer = floor.get(path, address=floor.ann.eoa, type=kind)
            assert answer == {"address": signatures.checksum(floor.ann.eoa), "nonce": nonce}
    answer = floor.get("/relayer/relay-payload", address=floor.ann.eoa, type="PROXY")
    assert answer == {"address": signatures.checksum(relayer.RELAY), "nonce": "0"}


def test_a_wrong_nonce_is_told_the_right_one() -> None:
    floor = Floor()
    floor.do(approve(OTHER))
    body = submission(floor.ann, [approve(OTHER)], nonce=0)
    assert floor.refused(body) == (400, "batch nonce 0 does not match on-chain nonce 1")
    body = submission(floor.ann, [approve(OTHER)], nonce=7)
    assert floor.refused(body) == (400, "batch nonce 7 does not match on-chain nonce 1")


def test_a_wallet_has_one_batch_at_a_time() -> None:
    floor = Floor()
    floor.submit(approve(OTHER))
    body = submission(floor.ann, [approve(OTHER)], nonce=0)
    status, text = floor.refused(body)
    assert status == 400
    assert re.search("wallet busy.*active action", text)
    floor.run(1.5)
    assert floor.refused(body) == (400, "wallet has in-flight action")
    floor.run(2)
    assert floor.post(submission(floor.ann, [approve(OTHER)], nonce=1)).status == 200


def test_a_batch_past_its_deadline_is_refused_or_becomes_invalid() -> None:
    floor = Floor()
    now_s = floor.venue.now_ns // SECOND
    body = submission(floor.ann, [approve(OTHER)], deadline_s=now_s)
    assert floor.refused(body) == (400, f"deadline {now_s} has passed")
    floor = Floor(relayer_ms=5_000)
    number = floor.submit(approve(OTHER), deadline_s=floor.venue.now_ns // SECOND + 2)
    floor.run(6)
    found = floor.read(number)
    assert (found["state"], found["transaction_hash"]) == ("STATE_INVALID", "")
    assert floor.nonce == 0
    assert floor.do(approve(OTHER))["state"] in {"STATE_NEW", "STATE_EXECUTED"}


def test_25_submissions_a_minute_are_the_limit() -> None:
    floor = Floor()
    for _ in range(25):
        assert floor.post(b"{}").status == 400
    response = floor.post(submission(floor.ann, [approve(OTHER)]))
    assert (response.status, response.headers["Retry-After"]) == (429, "61")
    floor.run(61)
    assert floor.post(submission(floor.ann, [approve(OTHER)])).status == 200
    free = Floor(ip_limits=False)
    assert {free.post(b"{}").status for _ in range(30)} == {400}


@pytest.mark.parametrize("state", [State.FAILED, State.INVALID])
def test_a_fault_ends_a_transaction_without_effect(state: State, monkeypatch) -> None:
    floor = Floor()
    asked: list[str] = []

    def fails(operation: str) -> str | None:
        asked.append(operation)
        return state if operation == "split" else None

    monkeypatch.setattr(floor.venue.faults, "relayer", fails)
    done = floor.do(approve(calls.ADAPTER), split(floor.plain.condition_id, UNIT))
    assert done["state"] == state
    assert done["error_msg"]
    assert bool(done["transaction_hash"]) == (state == State.FAILED)
    assert floor.sets(floor.plain) == (0, 0)
    assert asked == ["approve", "split"]


def test_a_fault_can_be_slow(monkeypatch) -> None:
    floor = Floor()
    monkeypatch.setattr(floor.venue.faults, "relayer_wait_ns", lambda operation: 10 * SECOND)
    assert floor.do(approve(OTHER))["state"] == "STATE_NEW"
    floor.run(30)
    assert floor.nonce == 1


# Deposit wallets come into being


def test_a_deposit_wallet_is_created_before_it_is_used() -> None:
    floor = Floor()
    bob = Client(floor.venue, KEYS[1], cash_e6=0)
    floor.key = {"relayer_api_key": bob.credential.key, "relayer_api_key_address": bob.eoa}

    def deployed(address: str, kind: str) -> bool:
        answer = bob.wait(
            bob.send(
                "GET", "/relayer/deployed", query={"address": address, "type": kind}, auth=False
            )
        )
        found: bool = json.loads(answer.body)["deployed"]
        return found

    assert not deployed(bob.address, "WALLET")
    status, text = floor.refused(submission(bob, [approve(OTHER)]))
    assert (status, text.partition(":")[0]) == (400, "wallet registry validation failed")
    assert floor.post(creation(bob)).status == 200
    floor.run(4)
    assert deployed(bob.address, "WALLET")
    assert floor.post(submission(bob, [approve(OTHER)])).status == 200
    assert deployed(signatures.safe_wallet(bob.eoa), "SAFE")
    assert not deployed(signatures.safe_wallet(bob.eoa), "PROXY")
    assert not deployed(OTHER, "SAFE")


# What is refused


def test_transfers_and_usdce_are_refused_at_once() -> None:
    floor = Floor()
    transfer = call(calls.PUSD, "transfer(address,uint256)", OTHER, UNIT)
    status, text = floor.refused(submission(floor.ann, [transfer]))
    assert (status, text) == (400, "selector 0xa9059cbb is no position call")
    name = "wrap(address,address,uint256)"
    wrap = call(calls.ONRAMP, name, calls.USDCE, floor.ann.address, UNIT)
    status, text = floor.refused(submission(floor.ann, [approve(OTHER), wrap]))
    assert status == 400
    assert "USDC.e is not simulated" in text


def ask(floor: Floor, body: bytes, headers: dict[str, str]) -> None:
    """Call the handler alone: whatever it refuses, it refuses with an `HttpError`."""
    request = Request(method="POST", path="/submit", headers=headers, body=body)
    refused = None
    try:
        assert relayer.submit(floor.venue, request).status == 200
    except HttpError as refusal:
        refused = refusal
    assert refused is None or (400 <= refused.status < 500 and refused.message.encode())


@every_wallet
def test_hostile_submissions_are_refused_and_nothing_else(signature_type: int) -> None:
    floor = Floor(signature_type, ip_limits=False)
    body = submission(floor.ann, [approve(OTHER), approve(OTHER)])
    inner = "depositWalletParams" if signature_type == 3 else "signatureParams"
    for value in HOSTILE:
        ask(floor, json.dumps(value).encode(), floor.key)
        for name in (*body, "value"):
            ask(floor, json.dumps(body | {name: value}).encode(), floor.key)
        for name in body[inner]:
            changed = copy.deepcopy(body)
            changed[inner][name] = value
            ask(floor, json.dumps(changed).encode(), floor.key)
    for raw in (b"", b"[" * 100_000, b"\xff", b"1" * 5_000, b'{"type":NaN}', b"null"):
        ask(floor, raw, floor.key)
    floor.run(4)
    floor.venue.check()


def test_hostile_reads_are_refused_and_nothing_else() -> None:
    floor = Floor()
    texts = ["", "x", "0x", "\ud800", "0x" + "f" * 40, "0x" + "f" * 41, "WALLET", "PROXY"]
    for path in ("deployed", "relay-payload", "v1/account/transactions/params"):
        for address in texts:
            for kind in texts:
                query = {"address": address, "type": kind}
                sent = floor.ann.send("GET", f"/{path}", query=query, auth=False, headers=floor.key)
                assert floor.ann.wait(sent).status in {200, 400}
    assert floor.venue.counts["internal_errors"] == 0


def test_random_batches_conserve_everything() -> None:
    draw = random.Random(5)
    floor = Floor(ip_limits=False, relayer_ms=1)
    plain = [floor.plain.condition_id] * 9 + ["0x" + "77" * 32]
    group = [m.condition_id for m in (floor.first, floor.second, floor.third)]
    confirmed = 0
    for step in range(150):
        batch = []
        for _ in range(draw.randrange(1, 4)):
            amount = draw.randrange(60 * UNIT)
            kind = draw.randrange(7)
            if kind < 2:
                batch.append((split, merge)[kind](draw.choice(plain), amount))
            elif kind < 4:
                batch.append((split, merge)[kind - 2](draw.choice(group), amount, True))
            elif kind == 4:
                batch.append(convert(GROUP, draw.randrange(10), amount))
            else:
                batch.append((router_split, router_merge)[kind - 5](V3_CONDITION, amount))
        if step == 100:
            floor.venue.resolve(floor.venue.catalog.events[1], [1, 0, 1])
        if step > 100:
            batch.append(redeem(draw.choice(group), True))
        number = floor.submit(*batch)
        floor.run(0.01)
        floor.venue.check()
        confirmed += floor.read(number)["state"] == "STATE_CONFIRMED"
    assert 20 < confirmed < 150


def test_the_same_actions_give_the_same_log() -> None:
    def once() -> str:
        floor = Floor()
        floor.do(split(floor.plain.condition_id, UNIT))
        floor.do(merge(floor.plain.condition_id, 2 * UNIT))
        return floor.venue.log.digest()

    assert once() == once()
