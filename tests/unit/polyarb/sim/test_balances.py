"""The venue's view of balances and allowances (section 16)."""

from typing import Any

import pytest
import simclient
from simclient import Client

from polyarb.sim import calls
from polyarb.sim.catalog import Structure
from polyarb.sim.ledger import UNLIMITED
from polyarb.sim.signatures import Generation, checksum, exchange

UNIT = 10**6
PATH = "/balance-allowance"
V3 = exchange(Generation.V3, False, 137).address
V2 = [exchange(Generation.V2, neg_risk, 137).address for neg_risk in (False, True)]
V3_TOKENS = tuple(str((1 << 248) | (0xABCDEF << 120) | side) for side in (0, 1))


class Floor:
    def __init__(self, **config: Any) -> None:
        markets = [simclient.market(0), simclient.market(1, tokens=V3_TOKENS, v3=True)]
        self.venue = simclient.venue(markets, **config)
        self.plain, self.v3 = self.venue.catalog.markets.values()
        self.ann = Client(self.venue, cash_e6=100 * UNIT)

    def read(self, kind: str, token: str = "", signature_type: int = 3) -> Any:
        query = {"asset_type": kind, "signature_type": str(signature_type)}
        return self.ann.json(PATH, **query, **({"token_id": token} if token else {}))


def test_each_signature_type_reads_its_own_wallet() -> None:
    floor = Floor()
    wallets = floor.venue.accounts.wallets(floor.ann.eoa)
    for kind, wallet in enumerate(wallets[:3]):
        floor.venue.deposit(wallet, (kind + 1) * UNIT)
    found = [floor.read("COLLATERAL", signature_type=kind)["balance"] for kind in range(4)]
    assert found == ["1000000", "2000000", "3000000", "100000000"]


def test_shares_are_read_by_token_in_base_units() -> None:
    floor = Floor()
    floor.venue.ledger.split(floor.ann.wallet, floor.plain, 7)
    floor.venue.ledger.split(floor.ann.wallet, floor.v3, 9)
    assert floor.read("CONDITIONAL", floor.plain.tokens[1])["balance"] == "7"
    assert floor.read("CONDITIONAL-V2", floor.v3.tokens[0])["balance"] == "9"


def test_allowances_name_the_contracts_that_move_the_asset() -> None:
    floor = Floor()
    everything = str(UNLIMITED)
    adapters = [calls.ADAPTER, calls.NEG_RISK_ADAPTER]
    floor.ann.wallet.approved[0].discard(V3)
    assert floor.read("COLLATERAL")["allowances"] == {
        **{checksum(spender): everything for spender in [*V2, *adapters, calls.ROUTER]},
        checksum(V3): "0",
    }
    floor.ann.wallet.approved[1].clear()
    answer = floor.read("CONDITIONAL", floor.plain.tokens[0])
    assert answer["allowances"] == {checksum(spender): "0" for spender in [*V2, *adapters]}
    floor.ann.wallet.approved[1].add(V3)
    answer = floor.read("CONDITIONAL-V2", floor.v3.tokens[0])
    assert answer["allowances"] == {checksum(V3): everything, checksum(calls.ROUTER): "0"}


@pytest.mark.parametrize("structure", [Structure.MIXED, Structure.NEGRISK])
def test_v1_answers_have_a_single_allowance(structure: Structure) -> None:
    venue = simclient.venue(structure=structure, generation="v1")
    ann = Client(venue, cash_e6=UNIT)
    (market,) = venue.catalog.markets.values()
    answer = ann.json(PATH, asset_type="COLLATERAL", signature_type="3")
    assert answer == {"balance": "1000000", "allowance": str(UNLIMITED)}
    ann.wallet.approved[1].discard(exchange(Generation.V1, market.neg_risk, 137).address)
    query = {"asset_type": "CONDITIONAL", "signature_type": "3", "token_id": market.tokens[0]}
    assert ann.json(PATH, **query) == {"balance": "0", "allowance": "0"}


def test_the_view_may_lag(monkeypatch) -> None:
    floor = Floor()
    monkeypatch.setattr(floor.venue.faults, "balance", lambda wallet, token, units: units // 2)
    assert floor.read("COLLATERAL")["balance"] == "50000000"


@pytest.mark.parametrize("path", [PATH, PATH + "/update"])
@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({}, "Invalid asset type"),
        ({"signature_type": "3"}, "Invalid asset type"),
        ({"asset_type": "collateral", "signature_type": "3"}, "Invalid asset type"),
        ({"asset_type": "COLLATERAL"}, "Invalid signature_type"),
        ({"asset_type": "COLLATERAL", "signature_type": "4"}, "Invalid signature_type"),
        ({"asset_type": "COLLATERAL", "signature_type": "-1"}, "Invalid signature_type"),
        ({"asset_type": "COLLATERAL", "signature_type": "\u0663"}, "Invalid signature_type"),
        ({"asset_type": "CONDITIONAL", "signature_type": "3"}, "Invalid token id"),
        (
            {"asset_type": "CONDITIONAL", "signature_type": "3", "token_id": V3_TOKENS[0]},
            "Invalid token id",
        ),
        (
            {"asset_type": "CONDITIONAL-V2", "signature_type": "3", "token_id": "\ud800"},
            "Invalid token id",
        ),
    ],
)
def test_bad_questions_are_refused(path: str, query: dict[str, str], text: str) -> None:
    floor = Floor()
    response = floor.ann.get(path, **query)
    assert (response.status, text in response.body.decode()) == (400, True)
    assert floor.venue.counts["internal_errors"] == 0


def test_update_answers_json_and_both_ask_for_a_key() -> None:
    floor = Floor()
    query = {"asset_type": "COLLATERAL", "signature_type": "3"}
    response = floor.ann.get(PATH + "/update", **query)
    assert (response.status, response.body) == (200, b'""')
    for path in (PATH, PATH + "/update"):
        sent = floor.ann.send("GET", path, query=query, auth=False)
        assert floor.ann.wait(sent).status == 401
