"""An exchange as a whole: when its time begins, what of a recording it takes, and late books."""

import json
from pathlib import Path
from typing import Any

import pytest

from polyarb.errors import InputError, MalformedError, RangeError
from polyarb.sim import InProcessVenue, participants, scenarios, universe
from polyarb.sim.config import START_NS
from polyarb.sim.exchange import Exchange
from polyarb.sim.log import LogFile
from polyarb.sim.venue import Venue

SECOND = 1_000_000_000


def gamma(number: int, **changes: Any) -> dict[str, Any]:
    """Return a market as Gamma spells it; ten of them make an event."""
    return {
        "id": str(number),
        "question": f"Will it be {number}?",
        "conditionId": f"0x{number:064x}",
        "slug": f"market-{number}",
        "outcomes": '["Yes", "No"]',
        "outcomePrices": '["0.63", "0.37"]',
        "closed": False,
        "clobTokenIds": f'["{(number << 120) + 1}", "{(number << 120) + 2}"]',
        "events": [{"id": str(number // 10), "slug": f"event-{number // 10}", "title": "E"}],
        **changes,
    }


def settled(number: int) -> dict[str, Any]:
    return gamma(number, closed=True, outcomePrices='["1", "0"]')


def of(tmp_path: Path, *markets: dict[str, Any], size: int = 0) -> Exchange:
    path = tmp_path / "gamma.jsonl"
    path.write_text("\n".join(map(json.dumps, markets)))
    return Exchange(scenarios.find("still").stocked(gamma=str(path), size=size))


# -- when time begins


def test_a_later_beginning_changes_nothing_of_what_follows() -> None:
    at_once = Exchange(scenarios.find("default"), seed=3)
    later = Exchange(scenarios.find("default"), seed=3, begin=False)
    assert later.venue.next_ns() is None
    later.begin(START_NS + 7 * SECOND)
    assert {book.changed_ms for book in later.venue.books.values()} == {START_NS // 10**6 + 7_000}
    for exchange in (at_once, later):
        exchange.venue.advance(exchange.venue.start_ns + 60 * SECOND)
    assert later.venue.now_ns == START_NS + 67 * SECOND
    assert later.venue.log.digest() == at_once.venue.log.digest()


def test_a_window_that_passed_before_time_began_is_followed_by_the_present_one() -> None:
    exchange = Exchange(scenarios.find("default"), begin=False)
    old = exchange.venue.catalog.events[0].markets[0]
    exchange.begin(START_NS + 310 * SECOND)
    exchange.venue.advance(START_NS + 311 * SECOND)
    assert not old.accepting
    assert exchange.venue.catalog.events[-1].end_ms == START_NS // 10**6 + 600_000


def test_time_does_not_go_back() -> None:
    venue = InProcessVenue("still")
    with pytest.raises(RangeError, match="for_ns -1 is negative"):
        venue.advance(-1)


# -- what of a recording trades


def test_settled_markets_are_left_out_and_counted(tmp_path: Path) -> None:
    exchange = of(tmp_path, settled(1), settled(2), gamma(11))
    assert exchange.left_out == {"settled": 2}
    assert [market.slug for market in exchange.venue.catalog.markets.values()] == ["market-11"]


def test_where_nothing_is_left_it_says_why(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match=r"no market to trade; left out: 2 settled$"):
        of(tmp_path, settled(1), settled(2))


def test_the_first_whole_events_that_fit_are_taken(tmp_path: Path) -> None:
    three = [gamma(number) for number in (1, 2, 11, 12, 13, 21, 31)]
    exchange = of(tmp_path, *three, size=3)
    assert [event.slug for event in exchange.venue.catalog.events] == ["event-0", "event-2"]
    assert exchange.left_out == {"more than asked for": 4}
    with pytest.raises(MalformedError, match="no market to trade; left out: 2 more than asked"):
        of(tmp_path, *three[:2], size=1)


def test_deadlines_never_run_out() -> None:
    at = universe.datetime(2026, 11, 20, tzinfo=universe.UTC)
    assert universe._deadlines(at, 2, 500)[-1].year == 2152


# -- books that are filled when somebody looks


@pytest.fixture
def _late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(participants, "AT_ONCE_MAX", 0)


def unfilled(venue: Venue) -> int:
    return sum(book._fill is not None for book in venue.books.values())


@pytest.mark.usefixtures("_late")
def test_looking_into_a_book_changes_nothing() -> None:
    looked, alone = (Exchange(scenarios.find("default"), seed=5) for _ in range(2))
    assert unfilled(alone.venue) > 50
    for book in looked.venue.books.values():
        touch = book.touch
        assert (book.best(True), book.best(False)) == touch
    assert unfilled(looked.venue) == 0
    for exchange in (looked, alone):
        exchange.venue.advance(START_NS + 120 * SECOND)
        exchange.venue.check()
    assert looked.venue.log.digest() == alone.venue.log.digest()
    for one, other in zip(looked.venue.books.values(), alone.venue.books.values(), strict=True):
        assert list(map(repr, one.depth(True))) == list(map(repr, other.depth(True)))
        assert [o.id for o in one.orders()] == [o.id for o in other.orders()]


@pytest.mark.usefixtures("_late")
def test_what_happens_to_a_market_before_the_first_look_happens_to_its_book() -> None:
    looked, alone = (Exchange(scenarios.find("still"), seed=5).venue for _ in range(2))
    assert all(list(book.orders()) for book in looked.books.values() if book.market.accepting)
    for venue in (looked, alone):
        first, second = [market for market in venue.catalog.markets.values() if market.accepting][
            :2
        ]
        venue.close_market(first)
        venue.set_tick(second, 10)
        assert list(venue.book(first).orders()) == []
    assert looked.log.digest() == alone.log.digest()
    assert {name: list(book.depth(False)) for name, book in looked.books.items()} == {
        name: list(book.depth(False)) for name, book in alone.books.items()
    }


def test_no_large_catalogue_is_filled_before_it_begins() -> None:
    size = participants.AT_ONCE_MAX + 1
    exchange = Exchange(scenarios.find("default").stocked(size=size), begin=False)
    venue = exchange.venue
    assert unfilled(venue) >= size - sum(not m.accepting for m in venue.catalog.markets.values())
    assert venue.orders == {}


# -- the log


def test_a_log_that_cannot_be_written_is_refused_before_the_venue_runs() -> None:
    log = LogFile(Path("/dev/full"))
    with pytest.raises(InputError, match=r"^/dev/full: No space left on device$"):
        log.write("[0]\n")
    log.close()


def test_a_disk_that_fills_up_later_ends_the_log_and_is_told_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = LogFile(Path("/dev/full"))
    log.started = True
    exchange = Exchange(scenarios.find("default"), write=log.write)
    exchange.venue.advance(START_NS + 30 * SECOND)
    log.close()
    said = capsys.readouterr().err
    assert said == "polyarb: /dev/full: No space left on device; the event log ends here\n"
    assert exchange.venue.log.count > 1_000
