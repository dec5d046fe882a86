"""``python -m polyarb relations``: what it shows, proves and refuses, and its exit codes."""

import json

import pytest
from conftest import captures

from polyarb.control import cli
from polyarb.control.relations import most_fee_e6
from polyarb.domain.market import FeeSchedule

GROUP = "0x" + "ab" * 31 + "00"


def told(number, question, **changes):
    """Return a market as Gamma writes one."""
    return {
        "id": str(900 + number),
        "question": question,
        "conditionId": f"0x{number + 1:064x}",
        "questionID": f"0x{0xCD00 + number:064x}",
        "slug": f"market-{number}",
        "endDate": "2026-03-12T16:00:00Z",
        "startDate": "2026-03-01T16:00:00Z",
        "description": "This market will resolve to “Yes” if the final price is higher than the "
        "price in the title. Otherwise, this market will resolve to “No”.\n\nThe source is X.",
        "resolutionSource": "https://example.org/prices",
        "outcomes": '["Yes", "No"]',
        "outcomePrices": '["0.2", "0.8"]',
        "clobTokenIds": json.dumps([str(10**30 + 2 * number), str(10**30 + 2 * number + 1)]),
        "active": True,
        "closed": False,
        "archived": False,
        "acceptingOrders": True,
        "enableOrderBook": True,
        "orderPriceMinTickSize": 0.01,
        "orderMinSize": 5,
        "negRisk": False,
        "feesEnabled": True,
        "feeSchedule": {"exponent": 1, "rate": 0.07, "takerOnly": True},
        "volumeNum": 1,
    } | changes


def ladder():
    levels = (100, 110, 120)
    markets = [
        told(at, f"Will Bitcoin be above ${level} on March 12?", groupItemTitle=str(level))
        for at, level in enumerate(levels)
    ]
    return {"id": "1", "slug": "bitcoin-above", "title": "Bitcoin above ___?", "markets": markets}


def race():
    markets = [
        told(
            at,
            f"Will {name} win?",
            groupItemTitle=name,
            description="It resolves according to the official result.",
            negRisk=True,
            questionID=f"{GROUP[:-2]}{at - 10:02x}",
            negRiskMarketID=GROUP,
            feesEnabled=False,
            feeSchedule=None,
        )
        for at, name in enumerate(("Ann", "Bob", "Cid"), 10)
    ]
    return {
        "id": "2",
        "slug": "race",
        "title": "Who?",
        "negRisk": True,
        "negRiskMarketID": GROUP,
        "negRiskAugmented": False,
        "markets": markets,
    }


@pytest.fixture
def catalogue(tmp_path):
    path = tmp_path / "gamma.json"
    broken = told(20, "Closed?", closed=True)
    events = [ladder(), race(), {"id": "3", "slug": "x", "title": "x", "markets": [broken]}]
    path.write_text(json.dumps({"events": events}))
    return path


@pytest.fixture
def run(catalogue, capsys):
    def run(*arguments):
        code = cli.main(["relations", "--catalogue", str(catalogue), *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def shown(run, *arguments):
    code, out, _ = run("--json", *arguments)
    assert code == 0
    return json.loads(out)


def test_json_is_as_the_design_says(run):
    found = shown(run)
    assert found["events"] == {"negrisk": 1, "group": 1}
    assert found["kinds"] == {"complement": 6, "negrisk_yes": 1, "negrisk_no": 1, "ladder": 3}
    assert found["refused"] == {"closed": 1, "same_market": 2}
    (one,) = (each for each in found["relations"] if each["kind"] == "negrisk_no")
    assert one["event"] == "race"
    assert one["id"].startswith("negrisk_no:race:")
    assert one["payoff_usd"] == one["convert_usd"] == "2"
    assert one["legs"] == [
        {"token_id": str(10**30 + 2 * number + 1), "outcome": "No", "weight": 1}
        for number in (10, 11, 12)
    ]


def test_text_counts_and_lists(run):
    code, out, err = run("--top", "2")
    assert (code, err) == (0, "")
    assert "11 relations of 2 events" in out
    assert "6 complement, 3 ladder" in out
    assert len(out.splitlines()) == 8
    assert len(run("--top", "0")[1].splitlines()) == 4


def test_builders_and_events_narrow_it(run):
    assert set(shown(run, "--builders", "ladder,negrisk_yes")["kinds"]) == {"ladder", "negrisk_yes"}
    assert set(shown(run, "--event", "race")["events"]) == {"negrisk"}
    assert shown(run, "--builders", "custom")["relations"] == []


def test_crossed_is_built_where_it_is_asked_for(run):
    found = shown(run, "--builders", "crossed", "--same-market")
    assert found["kinds"] == {"crossed": 6}


def test_explain_shows_states_payoffs_legs_fees_and_the_least(run):
    found = shown(run, "--builders", "ladder")["relations"][0]
    code, out, _ = run("--explain", found["id"])
    assert code == 0
    assert out.startswith(found["id"])
    for part in (
        "Will Bitcoin be above $110 on March 12? implies Will Bitcoin be above $100 on March 12?",
        "same question and rules but for the number; source https://example.org/prices",
        "1 x Yes  Will Bitcoin be above $100 on March 12?",
        f"token {found['legs'][1]['token_id']}",
        "fee 0.07 x (p(1 - p)) a share, at most 0.0175",
        "up to 100             0 + 1 = 1  <- the least",
        "above 100, up to 110  1 + 1 = 2\n",
        "above 110             1 + 0 = 1  <- the least",
        "a set pays at least 1: violated while its asks and fees cost less",
    ):
        assert part in out


def test_explain_says_what_a_conversion_pays(run):
    found = shown(run, "--builders", "negrisk_no")["relations"][0]
    _, out, _ = run("--explain", found["id"])
    assert "convert; converted it pays 2 at once" in out
    assert "fee none" in out


def test_explain_in_json_is_the_whole_proof(run):
    found = shown(run, "--builders", "ladder")["relations"][0]
    proof = shown(run, "--explain", found["id"])
    assert proof["legs"][0]["fee_most_usd"] == "0.0175"
    assert [state["set_pays_usd"] for state in proof["states"]] == ["1", "2", "1"]
    assert min(state["set_pays_usd"] for state in proof["states"]) == proof["payoff_usd"]


def test_an_unknown_id_is_told_with_what_is_near(run):
    found = shown(run, "--builders", "ladder")["relations"][0]["id"]
    code, out, err = run("--explain", found[:-1])
    assert (code, out) == (2, "")
    assert found in err


def test_a_file_of_ones_own_is_added_and_explained(run, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(
        '[[relation]]\nname = "mine"\npayoff = "1"\none_of = ["market-10", "market-11"]\n'
        'legs = [{ market = "market-10", outcome = "Yes" }, '
        '{ market = "market-11", outcome = "Yes" }]\n'
    )
    found = shown(run, "--builders", "custom", "--relations", str(file))
    assert found["kinds"] == {"custom": 1}
    code, out, _ = run("--relations", str(file), "--explain", found["relations"][0]["id"])
    assert code == 0
    assert "Will Ann win?" in out


def test_what_a_file_holds_that_is_none_is_told_with_its_line(run, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('[[relation]]\nname = "mine"\npayoff = "1"\nlegs = [{ token = "7" }]\n')
    code, out, err = run("--json", "--relations", str(file))
    assert code == 2
    assert json.loads(out)["refused"]["unknown_token"] == 1
    assert err == f"polyarb: {file}:4: unknown_token: no token '7'\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--builders", "ladders"], "no builder 'ladders'; there are complement"),
        (["--relations", "/nowhere/none.toml"], "none.toml: No such file"),
        (["--catalogue", "/nowhere/none.json"], "none.json: No such file"),
    ],
)
def test_usage_errors_are_told(run, arguments, said):
    code, _, err = run(*arguments)
    assert code == 2
    assert said in err


def test_the_fee_is_highest_in_the_middle_and_rounded_up():
    for rate, exponent in ((70_000, 1), (250_000, 2), (1, 1)):
        fees = FeeSchedule(rate_e6=rate, exponent=exponent)
        prices = range(1, 10_000)
        most = max(
            -(-rate * (p * (10_000 - p)) ** exponent // 10 ** (8 * exponent)) for p in prices
        )
        assert most_fee_e6(fees) == most


def test_the_recorded_catalogue_gives_what_was_checked_by_hand(capsys):
    path = captures("gamma") / "active-markets_2026-03-11.jsonl.gz"
    assert cli.main(["relations", "--catalogue", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert sum(found["events"].values()) == 3_393
    assert found["kinds"] == RECORDED_KINDS
    assert found["refused"]["no_fees"] == 1_730
    wrong = {each["event"] for each in found["relations"] if each["kind"] not in {"complement"}}
    assert wrong.isdisjoint(AMBIGUOUS)


RECORDED_KINDS = {"complement": 8_021, "negrisk_yes": 70, "negrisk_no": 118, "ladder": 2_243}

# Each was read by hand, and something in its texts forbids all that its titles suggest.
AMBIGUOUS = {
    "starmer-out-in-2025",  # windows that open on different days
    "will-zelenskyy-talk-to-putin-by-november-30-821",  # count from each market's start
    "will-trump-launch-a-coin-by-january-31",  # another wording
    "kash-patel-out-by",  # no year
    "republican-2026-senate-odds-hit-by-march-31",  # rules that do not say above or below
    "how-to-make-a-killing-rotten-tomatoes-score",  # neg-risk, but 58+ is in 56+
    "of-seats-won-by-ppp-in-south-korea-by-elections",  # "1" asks for at most 1
}
