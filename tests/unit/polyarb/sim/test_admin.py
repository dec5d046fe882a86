"""The owner's switches: each does what it says, and says what it does not take."""

import json
from typing import Any

import pytest
import simclient
from simclient import SECOND, Client

from polyarb.sim import admin, signatures
from polyarb.sim.catalog import Structure
from polyarb.sim.http import HttpError, Request
from polyarb.sim.mispricing import Mispricings

UNIT = 10**6
OTHER = "0x" + "11" * 20
HOSTILE: list[Any] = [
    None, True, -1, 0, 1, 1.5, 1e300, "", "0x", "x" * 3000, "\ud800", 10**1000, [], {}, [[]],
    [None], [True], {"a": 1}, "0x" + "f" * 40, "0" * 90, "1e5", " 1",
]  # fmt: skip


class Floor:
    def __init__(self, structure: Structure = Structure.NEGRISK) -> None:
        self.venue = simclient.venue([simclient.market(n) for n in range(3)], structure=structure)
        self.ann = Client(self.venue, cash_e6=0)
        self.markets = list(self.venue.catalog.markets.values())

    def ask(self, method: str, path: str, body: object = None, **query: str) -> tuple[int, Any]:
        sent = self.ann.send(method, f"/admin{path}", body, query=query, auth=False)
        response = self.ann.wait(sent)
        return response.status, json.loads(response.body)

    def post(self, path: str, **body: Any) -> Any:
        status, answer = self.ask("POST", path, body)
        assert status == 200, answer
        return answer

    def refused(self, path: str, **body: Any) -> str:
        status, answer = self.ask("POST", path, body)
        assert status == 400, answer
        return str(answer["error"])


def test_help_names_every_route() -> None:
    status, answer = Floor().ask("GET", "")
    assert status == 200
    assert answer.keys() == admin.ROUTES.keys()


def test_deposits_go_to_a_wallet_or_to_one_of_an_eoas() -> None:
    floor = Floor()
    wallet = floor.ann.wallet
    answer = floor.post("/deposit", wallet=signatures.checksum(wallet.address), usd="12.5")
    assert answer == {"wallet": wallet.address, "balance": "12.5"}
    floor.post("/deposit", address=floor.ann.eoa, signature_type=3, usd=2)
    assert wallet.cash_e6 == 14_500_000
    answer = floor.post("/deposit", address=OTHER, usd=0.25)
    assert answer == {"wallet": OTHER, "balance": "0.25"}
    floor.venue.check()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "usd is missing; give a positive decimal"),
        ({"usd": "1"}, "either wallet or address"),
        ({"wallet": OTHER, "address": OTHER, "usd": "1"}, "either wallet or address"),
        ({"wallet": OTHER, "usd": "1"}, f"wallet '{OTHER}' is not a wallet of"),
        ({"wallet": "x", "usd": "1"}, "wallet 'x' is not 0x and 40 hex digits"),
        ({"address": OTHER, "usd": "-1"}, "usd '-1' is not a positive decimal"),
        ({"address": OTHER, "usd": "0"}, "usd '0' is not a positive decimal"),
        ({"address": OTHER, "usd": "1e30"}, "usd '1e30' is not a positive decimal"),
        ({"address": OTHER, "usd": "1" + "0" * 30}, "is not a positive decimal"),
        ({"address": OTHER, "usd": "1", "signature_type": 4}, "signature_type 4 is not 0, 1, 2"),
        ({"address": OTHER, "usd": "1", "amount": 1}, "unknown member 'amount'; allowed: wallet"),
    ],
)
def test_a_bad_deposit_is_told_why(body: dict[str, Any], says: str) -> None:
    floor = Floor()
    assert says in floor.refused("/deposit", **body)
    assert floor.venue.ledger.deposited_e6 == 0


def test_the_status_tells_how_the_venue_is() -> None:
    floor = Floor()
    number = floor.post("/faults", name="slow")["id"]
    lengths = set()
    for behind_ms in (0, 1_234):
        floor.venue.counts["behind_ms"] = behind_ms
        _, answer = floor.ask("GET", "/status")
        assert answer["behind_ms"] == behind_ms
        assert answer["mode"] == "normal"
        assert answer["faults"] == [{"id": number, "name": "slow"}]
        assert answer["uptime_s"] == "0"
        assert "behind_ms" not in answer["counts"]
        response = admin.read_status(floor.venue, Request(method="GET", path="/admin/status"))
        lengths.add(len(response.body))
    assert len(lengths) == 1  # the log holds it, and must not depend on the host


def test_a_wallet_is_no_eoa() -> None:
    floor = Floor()
    for path in ("/deposit", "/relayer-key"):
        usd = {"usd": 1} if path == "/deposit" else {}
        assert "is not an EOA" in floor.refused(path, address=floor.ann.address, **usd)


def test_a_relayer_key_is_the_first_api_key_of_an_eoa() -> None:
    floor = Floor()
    answer = floor.post("/relayer-key", address=signatures.checksum(floor.ann.eoa))
    assert answer == {"key": floor.ann.credential.key, "address": floor.ann.eoa}
    fresh = floor.post("/relayer-key", address=OTHER)
    found = floor.venue.accounts.find(OTHER, 0)
    assert found is not None
    assert fresh["key"] == found.key


def test_modes_begin_and_end() -> None:
    floor = Floor()
    assert floor.post("/mode", mode="cancel_only", for_s="1.5") == {
        "mode": "cancel_only",
        "for_s": "1.5",
    }
    assert floor.venue.mode == "cancel_only"
    simclient.run(floor.venue, floor.venue.now_ns + 2 * SECOND)
    assert floor.venue.mode == "normal"
    floor.post("/mode", mode="disabled")
    simclient.run(floor.venue, floor.venue.now_ns + 1_000 * SECOND)
    assert floor.venue.mode == "disabled"
    says = "mode 'fast' is not one of normal, restarting, post_only, cancel_only, disabled"
    assert floor.refused("/mode", mode="fast") == says
    assert "for_s '-1' is not seconds" in floor.refused("/mode", mode="normal", for_s="-1")


def test_ticks_change() -> None:
    floor = Floor()
    condition = floor.markets[1].condition_id
    floor.post("/tick", condition_id=condition, tick="0.0025")
    assert floor.markets[1].tick_e4 == 25
    assert floor.refused("/tick", condition_id=condition, tick="0.02") == (
        "tick '0.02' is not one of 0.1, 0.01, 0.005, 0.0025, 0.001, 0.0001"
    )
    assert "condition_id '0x1' is not" in floor.refused("/tick", condition_id="0x1", tick="0.1")


@pytest.mark.parametrize("name", ["7", "event"])
def test_events_resolve_once(name: str) -> None:
    floor = Floor()
    assert floor.post("/resolve", event=name, winners=[1, 0, 1])["event"] == "event"
    assert [market.winner for market in floor.markets] == [1, 0, 1]
    again = floor.refused("/resolve", event=name, winners=[0, 1, 1])
    assert again == f"event '{name}' is not id or slug of an event that is not resolved"
    assert [market.winner for market in floor.markets] == [1, 0, 1]


@pytest.mark.parametrize(
    ("winners", "says"),
    [
        ([0, 1], "do not fit 3 markets"),
        ([1, 1, 1], "exactly one winner"),
        ([0, 2, 1], "exactly one winner"),
        ([0, 1, True], "is not an array of 0"),
        ([0, 1, 3], "is not an array of 0"),
        ("011", "is not an array of 0"),
    ],
)
def test_winners_that_cannot_be_are_refused(winners: Any, says: str) -> None:
    floor = Floor()
    assert says in floor.refused("/resolve", event="7", winners=winners)
    assert not any(market.closed for market in floor.markets)


def test_addresses_are_restricted_and_released() -> None:
    floor = Floor()
    answer = floor.post("/restrict", address=signatures.checksum(OTHER), closed_only=True)
    assert answer == {"address": OTHER, "closed_only": True, "banned": False}
    assert floor.venue.accounts.closed_only == {OTHER}
    floor.post("/restrict", address=OTHER, closed_only=False, banned=True)
    assert (floor.venue.accounts.closed_only, floor.venue.accounts.banned) == (set(), {OTHER})
    assert "closed_only 1 is not true or false" in floor.refused(
        "/restrict", address=OTHER, banned=False, closed_only=1
    )
    assert floor.venue.accounts.banned == {OTHER}
    assert "give closed_only or banned" in floor.refused("/restrict", address=OTHER)


def test_faults_are_listed_added_and_removed() -> None:
    floor = Floor()
    status, known = floor.ask("GET", "/faults")
    assert status == 200
    name = known[0]["name"]
    number = floor.post("/faults", name=name)["id"]
    assert floor.ask("DELETE", f"/faults/{number}") == (200, {"id": number})
    number = floor.post("/faults", name=name)["id"]
    assert floor.ask("DELETE", "/faults", {"id": number}) == (200, {"id": number})
    for path, body in ((f"/faults/{number}", None), ("/faults/x", None), ("/faults", {"id": []})):
        assert floor.ask("DELETE", path, body)[0] == 400
    assert "nothing" in floor.refused("/faults", name="nothing")


def test_the_ledger_is_recounted() -> None:
    floor = Floor()
    floor.post("/deposit", wallet=floor.ann.address, usd="100")
    floor.venue.ledger.split(floor.ann.wallet, floor.markets[0], 30 * UNIT)
    status, answer = floor.ask("GET", "/ledger")
    assert status == 200
    assert answer == {
        "ok": True,
        "error": "",
        "deposited": "100",
        "cash": "70",
        "locked": "30",
        "escrow": "0",
        "vault": "0",
        "wallets": len(floor.venue.ledger.wallets),
    }
    floor.ann.wallet.cash_e6 += 1
    status, answer = floor.ask("GET", "/ledger")
    assert (status, answer["ok"]) == (200, False)
    assert "is not what was deposited" in answer["error"]


def test_mispricings_and_scores_need_a_scorer() -> None:
    floor = Floor()
    owner = floor.ann.credential.key
    assert floor.ask("GET", "/mispricings")[0] == 404
    assert floor.ask("GET", "/score", owner=owner)[0] == 404
    assert floor.ask("GET", "/score", owner="nobody")[0] == 400


def test_mispricings_and_scores_are_told() -> None:
    """YES of all three for 0.6: taken by a client, half of it."""
    floor = Floor()
    floor.venue.scorer = Mispricings(floor.venue)
    bob = Client(floor.venue, simclient.KEYS[1])
    floor.post("/deposit", wallet=floor.ann.address, usd="1000")
    for market in floor.markets:
        floor.venue.ledger.split(bob.wallet, market, 100 * UNIT)
        bob.place(market.tokens[0], "SELL", "0.2", "50")
    status, answer = floor.ask("GET", "/mispricings")
    assert status == 200
    (found,) = answer["mispricings"]
    assert (found["kind"], found["event"], found["closed_ns"]) == ("negrisk_yes", "event", None)
    assert (found["edge"], found["size"], found["profit"]) == ("0.4", "50", "20")
    assert [leg["token_id"] for leg in found["legs"]] == [m.tokens[0] for m in floor.markets]
    number = str(found["id"])
    assert floor.ask("GET", "/mispricings", after=number) == (200, {"mispricings": []})
    assert floor.ask("GET", "/mispricings", after="x")[0] == 400
    for market in floor.markets:
        floor.ann.place(market.tokens[0], "BUY", "0.2", "25")
    status, answer = floor.ask("GET", "/score", owner=floor.ann.credential.key)
    assert status == 200
    assert (answer["available"], answer["captured"]) == ("20", "10")
    (capture,) = answer["captures"]
    assert (capture["id"], capture["size"], capture["profit"]) == (found["id"], "25", "10")


def test_the_log_digest_changes_with_what_happens() -> None:
    floor = Floor()
    status, first = floor.ask("GET", "/log-digest")
    assert status == 200
    floor.post("/deposit", address=OTHER, usd="1")
    _, second = floor.ask("GET", "/log-digest")
    assert first["digest"] != second["digest"]
    assert first["lines"] < second["lines"]


def test_hostile_bodies_are_refused_and_nothing_else() -> None:
    floor = Floor()

    def ask(route: str, raw: bytes, rest: str = "") -> None:
        method, path = route.split(" ")
        request = Request(method=method, path=path, body=raw, rest=rest)
        refused = None
        try:
            admin.ROUTES[route](floor.venue, request)
        except HttpError as refusal:
            refused = refusal
        assert refused is None or (refused.status == 400 and refused.message.encode())

    members = {
        "POST /admin/deposit": {"address": OTHER, "usd": "1", "signature_type": 0},
        "POST /admin/relayer-key": {"address": OTHER},
        "POST /admin/mode": {"mode": "normal", "for_s": 1},
        "POST /admin/tick": {"condition_id": floor.markets[0].condition_id, "tick": "0.01"},
        "POST /admin/resolve": {"event": "7", "winners": [0, 1, 1]},
        "POST /admin/faults": {"name": "x"},
        "DELETE /admin/faults": {"id": 1},
        "POST /admin/restrict": {"address": OTHER, "closed_only": True, "banned": True},
    }
    for route, body in members.items():
        for raw in (b"", b"[" * 100_000, b"\xff", b"null", b"1" * 5_000, b'{"mode":NaN}', b"{}"):
            ask(route, raw)
        for value in HOSTILE:
            ask(route, json.dumps(value).encode())
            for name in body:
                ask(route, json.dumps(body | {name: value}).encode())
            ask(route, json.dumps(body | {"more": value}).encode())
    for rest in ("", "x", "-1", "\ud800", "9" * 90):
        ask("DELETE /admin/faults/*", b"", rest)
    floor.venue.check()
