"""Gamma's objects become complete markets, or are left out for a reason that is counted."""

import asyncio
import gzip
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from conftest import captures
from hypothesis import given, settings
from hypothesis import strategies as st

from polyarb import errors
from polyarb.domain.market import (
    FREE,
    Event,
    FeeSchedule,
    LeftOut,
    Market,
    Refusal,
    Structure,
)
from polyarb.domain.money import Tick
from polyarb.exchange import catalog as catalog_module
from polyarb.exchange import discovery as discovery_module
from polyarb.exchange.catalog import Catalog, Change, Universe, Unwanted, union
from polyarb.exchange.discovery import Discovery
from polyarb.exchange.gamma import (
    Reader,
    confirmed,
    read_event,
    read_file,
    read_page,
    read_terms,
    read_tick,
)

GROUP = "0x" + "ab" * 31 + "00"
NOW_MS = 1_790_000_000_000
SECOND = 1_000_000_000


def market(number: int = 0, **changes: Any) -> dict[str, Any]:
    """Return a market as Gamma writes one; members given as None are absent."""
    told = {
        "id": str(900 + number),
        "question": f"Will it be {number}?",
        "conditionId": f"0x{number + 1:064x}",
        "questionID": f"0x{0xCD00 + number:064x}",
        "slug": f"market-{number}",
        "endDate": "2026-12-31T12:00:00Z",
        "outcomes": '["Yes", "No"]',
        "outcomePrices": '["0.268", "0.732"]',
        "clobTokenIds": json.dumps([token(number, 0), token(number, 1)]),
        "version": "v1",
        "active": True,
        "closed": False,
        "archived": False,
        "acceptingOrders": True,
        "enableOrderBook": True,
        "orderPriceMinTickSize": 0.01,
        "orderMinSize": 5,
        "negRisk": False,
        "feesEnabled": True,
        "feeType": "tech_fees",
        "feeSchedule": {"exponent": 1, "rate": 0.04, "takerOnly": True, "rebateRate": 0.25},
        "volumeNum": 1000.5,
    } | changes
    return {name: value for name, value in told.items() if value is not None}


def token(number: int, place: int) -> str:
    return str((1 << 100) + 2 * number + place)


def condition(number: int) -> str:
    return f"0x{number + 1:064x}"


def member(number: int, **changes: Any) -> dict[str, Any]:
    """Return a market of the neg-risk group."""
    neg_risk = {
        "negRisk": True,
        "negRiskMarketID": GROUP,
        "questionID": f"{GROUP[:-2]}{number:02x}",
    }
    return market(number, **(neg_risk | changes))


def event(markets: Sequence[Any], **changes: Any) -> dict[str, Any]:
    told = {"id": "7", "slug": "an-event", "title": "An event", "negRisk": False}
    return told | {"markets": list(markets)} | changes


def neg_risk_event(markets: Sequence[Any], **changes: Any) -> dict[str, Any]:
    flags = {"negRisk": True, "negRiskMarketID": GROUP, "enableNegRisk": True}
    return event(markets, **(flags | {"negRiskAugmented": False, "negRiskFeeBips": 0} | changes))


def page(*events: dict[str, Any], cursor: str | None = None) -> bytes:
    return json.dumps({"events": events, "next_cursor": cursor}).encode()


def read(*events: dict[str, Any]) -> tuple[list[Event], Counter[Refusal]]:
    reader = Reader()
    reader.add(read_page(page(*events)))
    return reader.events(), reader.refused


def one(told: dict[str, Any]) -> Market:
    [found], refused = read(event([told]))
    assert not refused
    return found.markets[0]


def reason(told: dict[str, Any]) -> Refusal:
    [found], refused = read(event([told]))
    assert not found.markets
    assert refused == Counter([found.left_out[0].reason])
    return found.left_out[0].reason


# -- one market


def test_a_market_keeps_what_trading_needs() -> None:
    made = one(market(secondsDelay=3, gameStartTime="2026-05-08 20:00:00+00", groupItemTitle="A"))
    assert made.tokens == (token(0, 0), token(0, 1))
    assert made.outcomes == ("Yes", "No")
    assert made.tick is Tick.T_0_01
    assert made.min_size_e6 == 5_000_000
    assert made.fees == FeeSchedule(rate_e6=40_000, rebate_e6=250_000, kind="tech_fees")
    assert made.end_ms == 1_798_718_400_000
    assert made.game_start_ms == 1_778_270_400_000
    assert made.seconds_delay == 3
    assert made.taker_delay is None
    assert made.volume_e6 == 1_000_500_000
    assert made.event_id == "7"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"conditionId": None}, Refusal.NO_CONDITION),
        ({"conditionId": "0x12"}, Refusal.NO_CONDITION),
        ({"closed": True, "clobTokenIds": None}, Refusal.CLOSED),
        ({"closed": None}, Refusal.CLOSED),
        ({"archived": True}, Refusal.ARCHIVED),
        ({"active": False}, Refusal.INACTIVE),
        ({"active": None}, Refusal.INACTIVE),
        ({"enableOrderBook": False, "acceptingOrders": None}, Refusal.NO_ORDER_BOOK),
        ({"acceptingOrders": False}, Refusal.NOT_ACCEPTING),
        ({"acceptingOrders": 1}, Refusal.NOT_ACCEPTING),
        ({"clobTokenIds": None}, Refusal.NO_TOKENS),
        ({"clobTokenIds": "[]"}, Refusal.NO_TOKENS),
        ({"clobTokenIds": '["1", '}, Refusal.NO_TOKENS),
        ({"clobTokenIds": json.dumps(["7", "7"])}, Refusal.NO_TOKENS),
        ({"clobTokenIds": json.dumps([token(0, 0), "-5"])}, Refusal.NO_TOKENS),
        ({"clobTokenIds": json.dumps([token(0, 0), str(2**256)])}, Refusal.NO_TOKENS),
        ({"clobTokenIds": json.dumps([token(0, 0)] * 3)}, Refusal.NO_TOKENS),
        ({"version": "v2"}, Refusal.NO_TOKENS),
        ({"outcomes": '["Yes"]'}, Refusal.NO_OUTCOMES),
        ({"outcomes": '["Yes", ""]'}, Refusal.NO_OUTCOMES),
        ({"negRisk": None}, Refusal.NO_NEG_RISK_FLAG),
        ({"negRisk": True}, Refusal.NO_NEG_RISK_INDEX),
        ({"orderPriceMinTickSize": None}, Refusal.NO_TICK),
        ({"orderPriceMinTickSize": 0.02}, Refusal.NO_TICK),
        ({"orderPriceMinTickSize": "0.01 "}, Refusal.NO_TICK),
        ({"orderMinSize": 0}, Refusal.NO_MINIMUM_SIZE),
        ({"orderMinSize": "-5"}, Refusal.NO_MINIMUM_SIZE),
        ({"feeSchedule": None}, Refusal.NO_FEES),
        ({"feeSchedule": None, "feesEnabled": None}, Refusal.NO_FEES),
        ({"feeSchedule": {"rate": 0.04, "exponent": 3}}, Refusal.NO_FEES),
        ({"feeSchedule": {"rate": 1.5, "exponent": 1}}, Refusal.NO_FEES),
        ({"feeSchedule": {"rate": -0.1, "exponent": 1}, "feesEnabled": False}, Refusal.NO_FEES),
    ],
)
def test_what_cannot_be_traded_is_left_out_with_its_reason(
    changes: dict[str, Any], expected: Refusal
) -> None:
    assert reason(market(**changes)) is expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"orderPriceMinTickSize": "0.0025"}, {"tick": Tick.T_0_0025}),
        ({"orderPriceMinTickSize": ".10"}, {"tick": Tick.T_0_1}),
        ({"orderPriceMinTickSize": 1e-4}, {"tick": Tick.T_0_0001}),
        ({"orderMinSize": "2.5"}, {"min_size_e6": 2_500_000}),
        ({"active": "true", "closed": "False"}, {}),
        ({"clobTokenIds": [token(0, 0), token(0, 1)]}, {}),
        ({"clobTokenIds": f"[{token(0, 0)}, {token(0, 1)}]"}, {}),
        ({"id": 900}, {"id": "900"}),
        ({"conditionId": condition(10).upper().replace("X", "x")}, {"condition_id": condition(10)}),
        ({"feesEnabled": False, "feeSchedule": None, "feeType": None}, {"fees": FREE}),
        (
            {"feesEnabled": False, "feeType": None},
            {"fees": FeeSchedule(rate_e6=40_000, rebate_e6=250_000)},
        ),
        (
            {"feeSchedule": {"rate": "0.25", "exponent": "2", "takerOnly": False}},
            {"fees": FeeSchedule(rate_e6=250_000, exponent=2, taker_only=False, kind="tech_fees")},
        ),
        (
            {"feeSchedule": {"rate": 0, "exponent": 0}, "feeType": "zero_fees"},
            {"fees": FeeSchedule(rate_e6=0, kind="zero_fees")},
        ),
        ({"volumeNum": None, "volume": "12.3456789"}, {"volume_e6": 12_345_678}),
        ({"volumeNum": 1e-7, "volume": "x"}, {"volume_e6": 0}),
        ({"volumeNum": 1.5e15}, {"volume_e6": 0}),
        ({"endDate": None, "endDateIso": "2026-12-31"}, {"end_ms": 1_798_675_200_000}),
        ({"endDate": "soon"}, {"end_ms": None}),
        ({"endDate": "0001-01-01T00:00:00Z"}, {"end_ms": None}),
        ({"secondsDelay": "1"}, {"seconds_delay": 1}),
        ({"secondsDelay": "some"}, {"seconds_delay": 3600}),
        ({"question": "a\nb\x1b[31m" + "x" * 1000}, {"question": "a b [31m" + "x" * 292}),
    ],
)
def test_members_are_read_in_every_spelling(
    changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    made = one(market(**changes))
    assert {name: getattr(made, name) for name in expected} == expected


def test_rules_are_kept_by_paragraphs_in_plain_signs_and_once() -> None:
    text = "It resolves to “Yes” if it’s 2–3.\r\n\n  Otherwise:\u00a0 “No”.  \n"
    [found], _ = read(event([market(n, description=text) for n in range(2)]))
    first, second = found.markets
    assert first.rules == ('It resolves to "Yes" if it\'s 2-3.', 'Otherwise: "No".')
    assert first.rules is second.rules
    assert one(market(resolutionSource=" https://example.org ")).source == "https://example.org"


@pytest.mark.parametrize("text", [None, 7, ["a"], "", " \n ", "x" * 20_001])
def test_rules_that_cannot_be_read_are_none(text: object) -> None:
    assert one(market(description=text)).rules == ()


def test_positions_of_the_v3_exchange_are_recognised() -> None:
    ids = [str(1 << 248 | 5 << 104 | place) for place in (0, 1)]
    told = market(version="v2", clobTokenIds=None, positionIds=json.dumps(ids))
    made = one(told | {"conditionId": "0x" + "1" * 62})
    assert made.v3
    assert made.tokens == tuple(ids)
    assert reason(market(clobTokenIds=json.dumps(ids))) is Refusal.NO_TOKENS


# -- events


def test_a_neg_risk_event_keeps_its_order_and_what_is_missing() -> None:
    closed = {"closed": True, "outcomePrices": '["0", "1"]'}
    [found], refused = read(
        neg_risk_event([member(2), member(0), member(1, **closed), member(3, active=False), None])
    )
    assert found.structure is Structure.NEGRISK
    assert found.neg_risk_id == GROUP
    assert [m.question_index for m in found.markets] == [0, 2]
    assert found.left_out == (
        LeftOut(condition_id=condition(1), question_index=1, reason=Refusal.CLOSED, yes_pays_e4=0),
        LeftOut(condition_id=condition(3), question_index=3, reason=Refusal.INACTIVE),
    )
    assert refused == {Refusal.CLOSED: 1, Refusal.INACTIVE: 1, Refusal.NOT_AN_OBJECT: 1}


@pytest.mark.parametrize(
    "changes",
    [
        {"questionID": "0x" + "cd" * 31 + "01"},
        {"negRiskMarketID": "0x" + "cd" * 31 + "00"},
        {"questionID": None},
    ],
)
def test_a_market_outside_its_events_group_is_left_out(changes: dict[str, Any]) -> None:
    [found], refused = read(neg_risk_event([member(0), member(1, **changes)]))
    assert len(found.markets) == 1
    assert refused == {Refusal.NO_NEG_RISK_INDEX: 1}
    assert found.left_out[0].question_index is None


def test_conditions_tokens_and_indices_count_once() -> None:
    twice = [member(0), member(0), member(1, clobTokenIds=member(0)["clobTokenIds"])]
    index = member(2, questionID=member(0)["questionID"])
    [found], refused = read(neg_risk_event([*twice, index]))
    assert len(found.markets) == 1
    assert refused == {Refusal.DUPLICATE: 3}


@pytest.mark.parametrize(
    ("flag", "expected"),
    [(True, Structure.AUGMENTED), (False, Structure.NEGRISK), (None, Structure.AUGMENTED)],
)
def test_an_event_that_does_not_say_it_is_exhaustive_is_not(
    flag: bool | None, expected: Structure
) -> None:
    [found], _ = read(neg_risk_event([member(0), member(1)], negRiskAugmented=flag))
    assert found.structure is expected


def test_markets_of_one_event_meet_again_from_several_pages() -> None:
    around = {name: value for name, value in event([]).items() if name != "markets"}
    reader = Reader()
    for number in range(3):
        told = market(number, events=[around], tags=["Tech", {"slug": "ai"}])
        reader.add(read_page(json.dumps({"markets": [told]}).encode()))
    [found] = reader.events()
    assert (found.id, len(found.markets), found.tags) == ("7", 3, ("tech", "ai"))
    assert found.structure is Structure.GROUP


def test_only_an_event_told_with_all_its_markets_is_whole() -> None:
    [listed], _ = read(event([market(0), market(1, closed=True)]))
    assert listed.whole
    [torn], _ = read(event([market(0), "no market"]))
    assert not torn.whole
    reader = Reader()
    told = {name: value for name, value in event([]).items() if name != "markets"}
    reader.add(read_page(json.dumps({"markets": [market(0, events=[told])]}).encode()))
    assert [each.whole for each in reader.events()] == [False]


def test_a_market_without_an_event_is_one_of_its_own_unless_it_belongs_to_a_group() -> None:
    reader = Reader()
    reader.add(read_page(json.dumps({"markets": [market(0), member(1)]}).encode()))
    alone, grouped = reader.events()
    assert (alone.id, alone.structure, len(alone.markets)) == (
        condition(0),
        Structure.BINARY,
        1,
    )
    assert grouped.left_out[0].reason is Refusal.NO_EVENT


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"<html>", b'{"error":"x"}', b'{"events":', b"\xff", b"[" * 9999]
)
def test_what_is_no_page_is_malformed(body: bytes) -> None:
    for reads in (read_page, read_event):
        with pytest.raises(errors.MalformedError):
            reads(body)


def test_a_page_survives_what_is_on_it() -> None:
    told = (
        b'{"events":[1,"x",null,[],{},{"markets":7},{"id":"8","markets":[[],3]}],"next_cursor":7}'
    )
    found = read_page(told)
    assert found.next_cursor is None
    reader = Reader()
    reader.add(found)
    assert all(not each.markets for each in reader.events())


# -- the CLOB's terms


def terms(number: int = 0, **changes: Any) -> bytes:
    told = {
        "c": condition(number),
        "t": [{"t": token(number, 0), "o": "Yes"}, {"t": token(number, 1), "o": "No"}],
        "mts": 0.01,
        "mos": 5,
        "fd": {"r": 0.04, "e": 1, "to": True},
        "ao": True,
    } | changes
    return json.dumps(told).encode()


def test_terms_complete_what_gamma_leaves_open() -> None:
    reader = Reader()
    gaps = {"orderPriceMinTickSize": None, "orderMinSize": None, "feeSchedule": None}
    reader.add(read_page(page(event([market(**gaps, negRisk=None), market(1)]))))
    [found] = reader.events()
    assert reader.incomplete == [condition(0)]
    assert len(found.markets) == 1
    [found] = reader.events({condition(0): read_terms(terms(itode=True, sd=1))})
    made = found.markets[0]
    assert not reader.incomplete
    assert not reader.refused
    assert (made.tick, made.min_size_e6, made.fees.rate_e6) == (Tick.T_0_01, 5_000_000, 40_000)
    assert (made.taker_delay, made.seconds_delay) == (True, 1)
    assert found.markets[1].taker_delay is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"ao": False}, Refusal.NOT_ACCEPTING),
        ({"mts": 0.03}, Refusal.NO_TICK),
        ({"mos": None}, Refusal.NO_MINIMUM_SIZE),
        ({"fd": {"r": 0.04}}, Refusal.NO_FEES),
        ({"fd": {"r": 0.05, "e": 1}}, Refusal.CONTRADICTION),
        ({"fd": None}, Refusal.CONTRADICTION),
        ({"nr": True}, Refusal.CONTRADICTION),
        ({"t": [{"t": token(0, 0)}, {"t": token(3, 0)}]}, Refusal.CONTRADICTION),
    ],
)
def test_terms_that_do_not_fit_take_the_market_out(
    changes: dict[str, Any], expected: Refusal
) -> None:
    assert confirmed(one(market()), read_terms(terms(**changes))) is expected


def test_the_clobs_tick_counts_more_than_gammas() -> None:
    made = confirmed(one(market()), read_terms(terms(mts="0.001")))
    assert isinstance(made, Market)
    assert made.tick is Tick.T_0_001


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'{"error":"market not found"}', terms(c="0x"), terms(t=[{}, 1])]
)
def test_what_are_no_terms_is_malformed(body: bytes) -> None:
    with pytest.raises(errors.MalformedError):
        read_terms(body)


# -- files


def test_the_captured_catalogue_loads_whole() -> None:
    reader = read_file(captures("gamma") / "active-markets_2026-03-11.jsonl.gz")
    events = reader.events()
    # Fees were on before the market carried its schedule: of those it is not known what they cost.
    assert reader.refused == {Refusal.NO_FEES: 1730, Refusal.NO_ORDER_BOOK: 40}
    assert sum(len(each.markets) + len(each.left_out) for each in events) == 19_842
    assert len(events) == 4_628
    found = Catalog(events)
    assert len(found) == 18_072
    grouped = [m for m in found if m.neg_risk]
    assert len(grouped) == 8_176
    fed = next(e for e in events if e.slug == "fed-decision-in-march-885")
    assert [m.question_index for m in fed.markets] == [0, 1, 2, 3]
    structures = Counter(each.structure for each in events)
    assert structures[Structure.AUGMENTED] == 658
    assert all(complete(each) for each in events)


def test_other_captured_objects_load() -> None:
    folder = captures()
    settled = read_file(folder / "gamma" / "btc-5m-markets_2026-07-24_settled.jsonl.gz")
    events = settled.events()
    assert settled.refused == {Refusal.CLOSED: 292}
    assert {e.left_out[0].yes_pays_e4 for e in events} == {0, 10_000}
    fed = read_file(folder / "rest" / "fed-decision-june-2026_gamma-event.json")
    [found] = fed.events()
    assert found.tags[:2] == ("economic-policy", "jerome-powell")
    told = json.loads((folder / "rest" / "fed-decision-june-2026_clob-markets.json").read_text())
    known = [read_terms(json.dumps(each).encode()) for each in told]
    [found] = fed.events({each.condition_id: each for each in known})
    assert len(found.markets) == 5
    assert all(m.taker_delay is False for m in found.markets)
    single = read_file(folder / "gamma" / "singles.jsonl")
    assert sum(len(e.markets) for e in single.events()) == 3
    assert single.refused == {Refusal.CLOSED: 2}


def test_a_torn_first_line_costs_no_other(tmp_path: Path) -> None:
    torn = tmp_path / "torn.jsonl"
    torn.write_text('"rest of a line"}\n' + json.dumps(market(0)) + "\n")
    reader = read_file(torn)
    assert len(reader.events()) == 1
    assert reader.refused == {Refusal.NOT_AN_OBJECT: 1}


def test_files_come_as_lines_or_as_one_text(tmp_path: Path) -> None:
    told = [event([market(0)]), event([market(1)], id="8")]
    lines = tmp_path / "lines.jsonl"
    lines.write_text("\n".join(["", *map(json.dumps, told), "{broken", "7"]))
    reader = read_file(lines)
    assert len(reader.events()) == 2
    assert reader.refused == {Refusal.NOT_JSON: 1, Refusal.NOT_AN_OBJECT: 1}
    whole = tmp_path / "whole.json.gz"
    whole.write_bytes(gzip.compress(json.dumps({"events": told}, indent=2).encode()))
    assert len(read_file(whole).events()) == 2
    (tmp_path / "torn.gz").write_bytes(whole.read_bytes()[:-20])
    for name in ("none.jsonl", "torn.gz", ""):
        with pytest.raises(errors.InputError, match=str(tmp_path)):
            read_file(tmp_path / name)


# -- whatever comes

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**260)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(
        ["", "1e400", "9" * 200, "0x", "-1", "NaN", "\0", "[", "[1,2]", "é", ".", "1_0", " 1", "²"]
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
TOLD = [*market(), "negRiskMarketID", "positionIds", "secondsDelay", "tags", "events", "raw"]
SPOILT = st.dictionaries(st.sampled_from(TOLD), VALUES, max_size=4)


def kinds(hint: Any) -> set[Any]:
    """Return the classes that a value declared so may have."""
    if get_origin(hint) in {Union, UnionType}:
        return set().union(*map(kinds, get_args(hint)))
    return {getattr(hint, "__supertype__", get_origin(hint) or hint)}


def complete(found: Event) -> bool:
    """Say whether every member of an event and its markets is of the type it is declared with."""
    for each in (found, *found.markets, *found.left_out, *(m.fees for m in found.markets)):
        hints = get_type_hints(type(each))
        for declared in fields(each):
            value, hint = getattr(each, declared.name), hints[declared.name]
            assert type(value) in kinds(hint), (type(each), declared.name, value)
    for each in found.markets:
        assert len(each.tokens) == len(each.outcomes) == 2
        assert all(0 < int(name) < 2**256 for name in each.tokens)
        assert each.min_size_e6 > 0
        assert 0 <= each.fees.rate_e6 <= 1_000_000
        assert each.neg_risk == bool(each.neg_risk_id)
        assert each.event_id == found.id
    return True


@settings(max_examples=300, deadline=None)
@given(st.lists(SPOILT, min_size=1, max_size=3), SPOILT, st.booleans())
def test_nothing_crashes_and_nothing_is_half_typed(
    spoilt: list[dict[str, Any]], around: dict[str, Any], neg_risk: bool
) -> None:
    make, wrap = (member, neg_risk_event) if neg_risk else (market, event)
    told = wrap([make(n) | changes for n, changes in enumerate(spoilt)]) | around
    reader = Reader()
    try:
        reader.add(read_page(json.dumps({"events": [told]}).encode()))
    except errors.MalformedError:
        return
    events = reader.events()
    assert all(complete(each) for each in events)
    for each in events:
        Catalog([each])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_read_or_malformed(body: bytes) -> None:
    for reads in (read_page, read_event, read_terms):
        try:
            reads(body)
        except errors.MalformedError:
            continue


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["new_market", "market_resolved", "tick_size_change", "book"]),
    st.dictionaries(
        st.sampled_from(
            ["asset_id", "market", "new_tick_size", "event_message", "winning_asset_id", "tags"]
        ),
        VALUES,
    ),
    st.booleans(),
)
def test_any_notice_leaves_the_catalogue_whole(
    kind: str, message: dict[str, Any], named: bool
) -> None:
    found = Catalog(read(event([market(0), market(1)]))[0])
    known = {"market": condition(0)} if named else {}
    found.notice({"event_type": kind, **message, **known}, 0)
    Universe(tags=("a",)).may_hold(message)
    for each in found:
        assert found.market(each.condition_id) == each
        assert [found.by_token(name) for name in each.tokens] == [(each, 0), (each, 1)]
        assert each in found.events[each.event_id].markets
    assert len(found) == len(list(found))


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_any_value_is_a_tick_or_none(value: object) -> None:
    assert read_tick(value) is None or isinstance(read_tick(value), Tick)


# -- notices


def filled(*markets: dict[str, Any], **changes: Any) -> Catalog:
    return Catalog(read(event(markets or [market(0), market(1)], **changes))[0])


def test_a_resolved_market_leaves_and_does_not_come_back() -> None:
    found = filled()
    events = list(found.events.values())
    gone = found.market(condition(0))
    message = {
        "event_type": "market_resolved",
        "market": condition(0),
        "winning_asset_id": token(0, 1),
    }
    assert found.notice(message, 0) == Change(removed=(gone,))
    assert found.notice(message, 0) == Change()
    assert found.by_token(token(0, 0)) is None
    assert found.events["7"].left_out == (
        LeftOut(
            condition_id=condition(0),
            question_index=None,
            reason=Refusal.RESOLVED,
            yes_pays_e4=0,
        ),
    )
    assert not found.load(events, 0)  # Gamma lags
    assert len(found) == 1
    assert found.notice({**message, "market": condition(1), "winning_asset_id": ""}, 0).removed
    assert not found.events


def test_a_tick_is_followed_and_a_lagging_gamma_does_not_undo_it() -> None:
    found = filled()
    events = list(found.events.values())
    message = {
        "event_type": "tick_size_change",
        "asset_id": token(0, 1),
        "new_tick_size": "0.001",
    }
    [changed] = found.notice(message, 0).changed
    assert changed.tick is Tick.T_0_001
    assert not found.notice({**message, "asset_id": token(0, 0)}, 0)
    assert not found.put(events[0], catalog_module.HEARD_NS)
    assert found.put(events[0], catalog_module.HEARD_NS + 1).changed == (events[0].markets[0],)
    [gone] = found.notice({**message, "new_tick_size": "0.3"}, 0).removed
    assert found.market(gone.condition_id) is None


def test_an_announced_market_makes_its_event_incomplete_until_it_is_read_again() -> None:
    found = filled()
    message = {
        "event_type": "new_market",
        "market": condition(2),
        "event_message": {"id": "7"},
    }
    assert found.notice(message, 5).changed == found.events["7"].markets
    assert not found.notice(message, 6)
    assert found.events["7"].left_out[0].reason is Refusal.ANNOUNCED
    assert found.wanted == {"7": {condition(2): 5}}
    [again] = read(event([market(0), market(1), market(2)]))[0]
    assert [m.condition_id for m in found.put(again, 7).added] == [condition(2)]
    assert not found.events["7"].left_out
    found.forget(7)
    assert not found.wanted


def test_what_is_announced_and_never_found_is_given_up() -> None:
    found = filled()
    for number in range(catalog_module.WANTED_MAX + 5):
        told = {"id": str(number)}
        found.notice({"event_type": "new_market", "market": "0x1", "event_message": told}, number)
    assert len(found.wanted) == catalog_module.WANTED_MAX
    found.notice({"event_type": "new_market", "market": "0x", "event_message": {"id": "../x"}}, 0)
    assert found.notices["unknown"] == 1
    found.forget(catalog_module.WANTED_NS + catalog_module.WANTED_MAX + 9)
    assert not found.wanted


def test_unknown_names_and_kinds_change_nothing() -> None:
    found = filled()
    for kind in ("market_resolved", "tick_size_change"):
        assert not found.notice({"event_type": kind, "market": "0x", "asset_id": "9"}, 0)
    assert not found.notice({"event_type": "book", "market": condition(0)}, 0)
    assert found.notices == {"unknown": 2}


def test_a_full_load_says_what_became_of_it() -> None:
    found = filled()
    [old] = found.events.values()
    [new] = read(event([market(1, orderMinSize=10, volumeNum=7), market(2)], id="8"))[0]
    change = found.load([new], 0)
    assert [m.condition_id for m in change.added] == [condition(2)]
    assert [m.condition_id for m in change.removed] == [condition(0)]
    assert [m.min_size_e6 for m in change.changed] == [10_000_000]
    assert list(found.events) == ["8"]
    assert found.put(old, 0).added == (old.markets[0],)  # the other is in the new one
    assert found.events["7"].left_out[0].reason is Refusal.DUPLICATE


def test_volume_alone_is_no_change() -> None:
    found = filled()
    [event_] = found.events.values()
    busier = replace(event_, markets=tuple(replace(m, volume_e6=9) for m in event_.markets))
    assert not found.put(busier, 0)
    assert [m.volume_e6 for m in found] == [9, 9]


# -- universes


def select(universe: Universe, *events: dict[str, Any]) -> tuple[list[str], dict[Unwanted, int]]:
    selection = universe.select(read(*events)[0], NOW_MS)
    return [m.id for m in selection.markets], dict(selection.left_out)


def test_filters_narrow_and_say_how_much() -> None:
    events = [
        event([market(0, volumeNum=5), market(1, volumeNum=50)], tags=[{"label": "Fed Rates"}]),
        event([market(2, volumeNum=70)], id="8", slug="other", tags=["crypto"]),
    ]
    assert select(Universe(), *events) == (["902", "901", "900"], {})
    assert select(Universe(tags=("Fed Rates",)), *events) == (["901", "900"], {Unwanted.TAGS: 1})
    assert select(Universe(tags=("fed-rates", "crypto")), *events)[1] == {}
    assert select(Universe(events=("other", "9")), *events) == (["902"], {Unwanted.NOT_NAMED: 2})
    named = Universe(events=("8",), conditions=(condition(0).upper().replace("X", "x"),))
    assert select(named, *events) == (["902", "900"], {Unwanted.NOT_NAMED: 1})
    busy = Universe(min_volume_e6=50_000_000, tags=("crypto", "fed-rates"))
    assert select(busy, *events) == (["902", "901"], {Unwanted.VOLUME: 1})
    assert select(Universe(max_tokens=3), *events) == (["902"], {Unwanted.MAX_TOKENS: 2})


def test_end_dates_count_from_now_and_must_be_known() -> None:
    ends = ["2026-09-01T00:00:00Z", "2026-09-28T00:00:00Z", "2026-12-01T00:00:00Z", "?"]
    told = event([market(n, endDate=end) for n, end in enumerate(ends)])
    names, left_out = select(Universe(max_days=30), told)
    assert sorted(names) == ["900", "901"]
    assert left_out == {Unwanted.END_DATE: 2}


def test_neg_risk_events_are_taken_whole() -> None:
    told = neg_risk_event([member(0, volumeNum=5), member(1, volumeNum=50)])
    other = event([market(7, volumeNum=52)], id="8")
    assert select(Universe(min_volume_e6=55_000_000), told, other)[0] == ["900", "901"]
    assert select(Universe(max_tokens=4), told, other)[1] == {Unwanted.MAX_TOKENS: 1}
    assert select(Universe(max_tokens=2), told, other)[1] == {Unwanted.MAX_TOKENS: 2}
    assert select(Universe(conditions=(condition(1),)), told)[0] == ["901"]


def test_several_universes_overlap_without_repeating() -> None:
    events, _ = read(event([market(n) for n in range(4)]))
    wanted = [Universe(conditions=tuple(map(condition, part))) for part in ((0, 1), (1, 3))]
    selections = [universe.select(events, NOW_MS) for universe in wanted]
    assert {m.id for m in union(selections)} == {"900", "901", "903"}
    assert selections[0].tokens == tuple(token(n, place) for n in (0, 1) for place in (0, 1))


@pytest.mark.parametrize("bad", [{"max_days": -1}, {"max_tokens": -2}, {"min_volume_e6": -1}])
def test_a_bound_below_zero_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(errors.RangeError, match="is below 0"):
        Universe(**bad)


# -- discovery, against a source without sockets


class Shelf:
    """Gamma and the CLOB as answers by path; what was asked is kept."""

    def __init__(self, *events: dict[str, Any]) -> None:
        self.events = list(events)
        self.terms: dict[str, bytes] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.loops = False

    async def gamma(
        self, path: str, query: Sequence[tuple[str, str]], read: Callable[[bytes], Any]
    ) -> Any:
        names = dict(query)
        self.asked.append((path, names))
        if path.startswith("/events/") and path != "/events/keyset":
            found = [told for told in self.events if told["id"] == path.rpartition("/")[2]]
            return read(json.dumps(found[0]).encode()) if found else None
        rows = [
            told
            for told in self.events
            if all(told.get(name, value) == value for name, value in names.items() if name in told)
        ]
        start = int(names.get("after_cursor", 0))
        rest = rows[start : start + int(names["limit"])]
        more = start + len(rest) < len(rows)
        cursor = "0" if self.loops else str(start + len(rest)) if more else None
        if path == "/markets/keyset":
            around = [{name: told[name] for name in ("id", "slug")} for told in self.events]
            markets = [
                told | {"events": [around[n]]}
                for n, each in enumerate(self.events)
                for told in each["markets"]
                if told["conditionId"] == names["condition_ids"]
            ]
            return read(json.dumps({"markets": markets}).encode())
        return read(json.dumps({"events": rest, "next_cursor": cursor}).encode())

    async def clob(
        self, path: str, query: Sequence[tuple[str, str]], read: Callable[[bytes], Any]
    ) -> Any:
        self.asked.append((path, dict(query)))
        body = self.terms.get(path.rpartition("/")[2])
        try:
            return read(body) if body is not None else None
        except errors.MalformedError as error:
            raise errors.GarbledError(str(error)) from None


def test_pages_are_walked_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery_module, "PAGE", 3)
    shelf = Shelf(*(event([market(n)], id=str(n)) for n in range(8)))
    discovery = Discovery(shelf)
    assert len(asyncio.run(discovery.load(0)).added) == 8
    assert discovery.page_count == 3
    assert shelf.asked[0] == ("/events/keyset", {"closed": "false", "limit": "3"})
    assert shelf.asked[2][1]["after_cursor"] == "6"


def test_pages_that_lead_in_a_circle_end_and_leave_the_catalogue_alone() -> None:
    shelf = Shelf(event([market(0)]))
    discovery = Discovery(shelf)
    asyncio.run(discovery.load(0))
    shelf.loops = True
    with pytest.raises(errors.GarbledError, match="leads back"):
        asyncio.run(discovery.load(0))
    assert len(discovery.catalog) == 1


def test_a_universe_of_names_asks_for_no_more() -> None:
    shelf = Shelf(*(event([market(n)], id=str(n), slug=f"e-{n}") for n in range(4)))
    wanted = Universe(events=("1", "e-2"), conditions=(condition(3),))
    discovery = Discovery(shelf, [wanted])
    asyncio.run(discovery.load(0))
    assert sorted(discovery.catalog.events) == ["1", "2", "3"]
    asyncio.run(Discovery(shelf, [Universe(tags=("Fed Rates",))]).load(0))
    assert shelf.asked[-1][1]["tag_slug"] == "fed-rates"


def test_what_gamma_leaves_open_is_asked_of_the_clob() -> None:
    shelf = Shelf(event([market(n, orderPriceMinTickSize=None) for n in range(3)]))
    shelf.terms = {condition(0): terms(0), condition(1): b"{}"}
    discovery = Discovery(shelf)
    asyncio.run(discovery.load(0))
    assert [m.id for m in discovery.catalog] == ["900"]
    assert discovery.refused == {Refusal.NO_TICK: 2}
    alone = Discovery(shelf, complete=False)
    asyncio.run(alone.load(0))
    assert not len(alone.catalog)


def test_confirming_learns_delays_and_drops_what_does_not_fit() -> None:
    shelf = Shelf(event([market(n) for n in range(3)]))
    shelf.terms = {condition(0): terms(0, itode=True), condition(1): terms(1, ao=False)}
    discovery = Discovery(shelf)
    asyncio.run(discovery.load(0))
    change = asyncio.run(discovery.confirm(list(discovery.catalog), 0))
    assert [m.taker_delay for m in change.changed] == [True]
    assert [m.id for m in change.removed] == ["901"]
    assert [m.taker_delay for m in discovery.catalog] == [True, None]


def test_an_announced_market_is_found_once_gamma_has_it() -> None:
    shelf = Shelf(event([market(0)]))
    discovery = Discovery(shelf, [Universe(tags=("tech",), events=())])
    discovery.catalog.load(read(event([market(0)]))[0], 0)
    message = {
        "event_type": "new_market",
        "market": condition(5),
        "event_message": {"id": "8"},
        "tags": ["Tech"],
    }
    assert not discovery.notice({**message, "tags": ["Sports"]}, 0)
    assert not discovery.catalog.wanted
    discovery.notice(message, 0)
    assert not asyncio.run(discovery.refresh(SECOND))
    shelf.events.append(event([market(5, active=False)], id="8"))
    assert not asyncio.run(discovery.refresh(2 * SECOND))
    assert discovery.catalog.wanted
    shelf.events[-1] = event([market(5)], id="8")
    assert [m.id for m in asyncio.run(discovery.refresh(3 * SECOND)).added] == ["905"]
    assert not discovery.catalog.wanted
    asked = len(shelf.asked)
    assert not asyncio.run(discovery.refresh(4 * SECOND))
    assert len(shelf.asked) == asked


def test_a_failed_answer_reaches_the_caller_as_itself() -> None:
    class Broken(Shelf):
        async def clob(self, *_: Any) -> Any:
            raise errors.UnreachableError("gone")

    shelf = Broken(event([market(n, orderMinSize=None) for n in range(3)]))
    with pytest.raises(errors.UnreachableError, match="gone"):
        asyncio.run(Discovery(shelf).load(0))
