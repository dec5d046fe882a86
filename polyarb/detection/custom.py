"""
Relations of the operator's own, in a TOML file.

    [[relation]]
    name = "btc-110k-implies-100k"
    payoff = "1"                            # must be exactly what the proof gives
    legs = [
        { market = "bitcoin-above-100k", outcome = "Yes" },       # slug, id or condition id
        { market = "bitcoin-above-110k", outcome = "No", weight = 1 },
        # or { token = "7321…" }
    ]
    states = [                              # what may happen, each naming who resolves how
        { name = "above 110k", yes = ["bitcoin-above-100k", "bitcoin-above-110k"] },
        { name = "between", yes = ["bitcoin-above-100k"], no = ["bitcoin-above-110k"] },
        { name = "below 100k", no = ["bitcoin-above-100k", "bitcoin-above-110k"] },
    ]
    impossible = [                          # what may not, and why
        { yes = ["bitcoin-above-110k"], no = ["bitcoin-above-100k"], because = "110k > 100k" },
    ]

In the place of states a relation may say ``one_of = [markets]``, of which exactly one resolves
YES, or ``states_of = "name"``, those of another relation. `title`, `note` and `until` (a date as
text) are for people.

States and impossible cases are sets of the ways in which all named markets together may resolve.
They must not share one, and must hold every one of the 2^n: that is checked, by counting. What the
operator answers for is only that the impossible is impossible. A file is read as a whole; whatever
in it is none is told with its line, and the rest stands.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from polyarb import errors
from polyarb.detection.policy import Made, Policy, unfit
from polyarb.detection.refusal import Refused, Why
from polyarb.detection.relation import (
    LEGS_MAX,
    ONE_E6,
    Kind,
    Leg,
    Realise,
    Relation,
    State,
)
from polyarb.domain.market import Event, Market
from polyarb.domain.money import decimal_units, units_text

FILE_MAX: Final = 1 << 20
RELATIONS_MAX: Final = 10_000
CASES_MAX: Final = 1_024
"""States and impossible cases of one relation."""

TEXT_MAX: Final = 500
DOTS_MAX: Final = 100
"""In a line: the time to read a key grows with the square of its parts."""

_TABLE: Final = re.compile(r"\s*\[\[\s*[\"']?relation[\"']?\s*\]\]")
_AT: Final = re.compile(r"at line ([0-9]+)")
_KEYS: Final = frozenset(
    {"name", "title", "note", "until", "payoff", "legs", "states", "impossible", "one_of"}
    | {"states_of"}
)
_LEG_KEYS: Final = frozenset({"token", "market", "outcome", "weight"})
_STATE_KEYS: Final = frozenset({"name", "yes", "no"})
_CASE_KEYS: Final = frozenset({"name", "yes", "no", "because"})


class _RefusedError(Exception):
    """Something that is no relation; `near` is a text in the line to be named."""

    def __init__(self, why: Why, said: str, near: str = "") -> None:
        super().__init__(said)
        self.why = why
        self.said = said
        self.near = near


@dataclass(frozen=True, slots=True)
class _Case:
    """Some of the ways in which the named markets may resolve: bits of those that are fixed."""

    name: str
    yes: int
    no: int

    def meets(self, other: "_Case") -> bool:
        """Say whether one way is in both."""
        return not (self.yes & other.no or self.no & other.yes)

    def open_count(self, markets: int) -> int:
        """Return how many ways it holds."""
        return 1 << (markets - (self.yes | self.no).bit_count())


@dataclass(slots=True)
class _Proof:
    """What may happen to some markets, each a bit."""

    bits: dict[str, int] = field(default_factory=dict)
    states: list[_Case] = field(default_factory=list)


class _Lines:
    """Where in the text the tables and their members are."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self._starts = [at for at, line in enumerate(self._lines) if _TABLE.match(line)]

    def of(self, index: int, near: str) -> int:
        """Return the line of relation `index` that holds `near`, else its first; from 1."""
        if index >= len(self._starts):
            return 1
        start = self._starts[index]
        last = index + 1 == len(self._starts)
        lines = self._lines[start : len(self._lines) if last else self._starts[index + 1]]
        for wanted in (f'"{near}"', f"'{near}'", f"{near} =", near) if near else ():
            for at, line in enumerate(lines, start + 1):
                if wanted in line:
                    return at
        return start + 1


class _Known:
    """The catalogue's markets by every name that a file may use."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.tokens: dict[str, tuple[Market, int]] = {}
        self._names: dict[str, Market | None] = {}
        for event in events:
            for market in event.markets:
                self.tokens |= {token: (market, at) for at, token in enumerate(market.tokens)}
                for name in {market.condition_id, market.slug, market.id}:
                    self._names[name] = None if name in self._names else market

    def market(self, name: object) -> Market:
        if not isinstance(name, str):
            raise _RefusedError(Why.VALUE, f"{_shown(name)} is no market's name in quotes")
        market = self._names.get(name)
        if market is None:
            several = " one" if name in self._names else ""
            raise _RefusedError(Why.UNKNOWN_NAME, f"no{several} market {_shown(name)}", name)
        return market


def read_file(path: Path, events: Iterable[Event], policy: Policy) -> list[Made]:
    """
    Return the relations of a file, and what in it is none.

    Raises:
        InputError: It cannot be opened.
    """
    try:
        with path.open("rb") as file:
            document = file.read(FILE_MAX + 1)
    except OSError as error:
        raise errors.InputError(f"{path}: {error.strerror}") from None
    return read(document, events, policy)


def read(document: bytes, events: Iterable[Event], policy: Policy) -> list[Made]:
    """Return the relations of a document, and what in it is none."""
    if len(document) > FILE_MAX:
        return [_refused("", Why.TOO_MANY, f"more than {FILE_MAX:,} bytes", 1)]
    try:
        text = document.decode()
        for at, line in enumerate(text.splitlines(), 1):
            if line.count(".") > DOTS_MAX:
                return [_refused("", Why.SYNTAX, f"more than {DOTS_MAX} dots in a line", at)]
        tables = tomllib.loads(text)
    except UnicodeDecodeError as error:
        at = document[: error.start].count(b"\n") + 1
        return [_refused("", Why.SYNTAX, "not UTF-8", at)]
    except ValueError as error:
        found = _AT.search(str(error))
        return [_refused("", Why.SYNTAX, str(error)[:TEXT_MAX], int(found[1]) if found else 1)]
    except RecursionError:
        return [_refused("", Why.SYNTAX, "nested too deep", 1)]
    return list(_relations(tables, _Lines(text), _Known(events), policy))


def _relations(
    tables: Mapping[str, Any], lines: _Lines, known: _Known, policy: Policy
) -> Iterator[Made]:
    for key in tables.keys() - {"relation"}:
        yield _refused("", Why.UNKNOWN_KEY, f"{_shown(key)}: there is only [[relation]]", 1)
    told = tables.get("relation", [])
    if not isinstance(told, list) or len(told) > RELATIONS_MAX:
        yield _refused("", Why.VALUE, f"relation is no list of 0..{RELATIONS_MAX} tables", 1)
        return
    named: dict[str, Mapping[str, Any]] = {}
    for table in told:
        if isinstance(table, dict) and isinstance(table.get("name"), str):
            named.setdefault(table["name"], table)
    for index, table in enumerate(told):
        name = table.get("name") if isinstance(table, dict) else None
        try:
            if not isinstance(table, dict):
                raise _RefusedError(Why.VALUE, "no table")
            if isinstance(name, str) and named[name] is not table:
                raise _RefusedError(Why.DUPLICATE, f"name {_shown(name)} again", name)
            yield _relation(table, named, known, policy)
        except _RefusedError as error:
            yield _refused(_text_or(name), error.why, error.said, lines.of(index, error.near))


def _relation(
    table: Mapping[str, Any],
    named: Mapping[str, Mapping[str, Any]],
    known: _Known,
    policy: Policy,
) -> Relation:
    _check_keys(table, _KEYS, {"name", "payoff", "legs"})
    name = _text(table, "name")
    if not name.strip():
        raise _RefusedError(Why.VALUE, "name is empty", "name")
    claimed_e6 = _payoff_e6(table["payoff"])
    legs = _legs(table["legs"], known)
    markets = [known.tokens[leg.token][0] for leg in legs]
    for market in markets:
        if why := unfit(market, policy):
            raise _RefusedError(why, market.question, market.slug)
    proof = _proof(table, named, known)
    try:
        relation = Relation(
            kind=Kind.CUSTOM,
            slug=name,
            event_id=markets[0].event_id,
            title=_text(table, "title") or name,
            legs=legs,
            states=tuple(_states(legs, proof, known)),
            until_ms=_until_ms(table, markets),
            realise=Realise.HOLD,
            note=_text(table, "note"),
        )
    except errors.CapacityError as error:
        raise _RefusedError(Why.TOO_MANY, str(error), "legs") from None
    except errors.RangeError as error:
        raise _RefusedError(Why.PAYOFF, str(error), "payoff") from None
    except errors.InputError as error:
        raise _RefusedError(Why.DUPLICATE, str(error), "states") from None
    if claimed_e6 != relation.payoff_e6:
        least = units_text(relation.payoff_e6, 6)
        said = f"payoff {_shown(table['payoff'])} is claimed, the states pay at least {least}"
        raise _RefusedError(Why.PAYOFF, said, "payoff")
    return relation


# -- members


def _check_keys(table: Mapping[str, Any], known: frozenset[str], needed: set[str]) -> None:
    if unknown := sorted(table.keys() - known):
        said = f"{_shown(unknown[0])}: there are {', '.join(sorted(known))}"
        raise _RefusedError(Why.UNKNOWN_KEY, said, unknown[0])
    if missing := sorted(needed - table.keys()):
        raise _RefusedError(Why.MISSING_KEY, f"no {missing[0]}")


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str) or len(value) > TEXT_MAX or not value.isprintable():
        said = f"{key} {_shown(value)} is no text of one line, at most {TEXT_MAX} characters"
        raise _RefusedError(Why.VALUE, said, key)
    return value


def _payoff_e6(value: object) -> int:
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        raise _RefusedError(Why.VALUE, f"payoff {_shown(value)} is no amount in quotes", "payoff")
    try:
        return decimal_units("payoff", value, 6)
    except errors.InputError as error:
        raise _RefusedError(Why.VALUE, str(error)[:TEXT_MAX], "payoff") from None


def _until_ms(table: Mapping[str, Any], markets: list[Market]) -> int | None:
    said = _text(table, "until")
    if not said:
        ends = [market.end_ms for market in markets]
        known = [end for end in ends if end is not None]
        return max(known) if len(known) == len(ends) else None
    try:
        return int(datetime.strptime(said, "%Y-%m-%d").replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        raise _RefusedError(Why.VALUE, f"until {_shown(said)} is no YYYY-MM-DD", "until") from None


def _tables(value: object, key: str, most: int) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise _RefusedError(Why.VALUE, f"{key} is no list of tables", key)
    if len(value) > most:
        raise _RefusedError(Why.TOO_MANY, f"{len(value):,} {key}; at most {most:,}", key)
    return value


def _legs(value: object, known: _Known) -> tuple[Leg, ...]:
    legs: list[Leg] = []
    seen: set[str] = set()
    for table in _tables(value, "legs", LEGS_MAX):
        leg = _leg(table, known)
        if leg.token in seen:
            near = str(table.get("token") or table.get("market"))
            raise _RefusedError(Why.DUPLICATE, f"token {leg.token} is bought twice", near)
        seen.add(leg.token)
        legs.append(leg)
    if not legs:
        raise _RefusedError(Why.VALUE, "there are no legs", "legs")
    return tuple(legs)


def _leg(table: Mapping[str, Any], known: _Known) -> Leg:
    _check_keys(table, _LEG_KEYS, set())
    weight = table.get("weight", 1)
    if not isinstance(weight, int) or isinstance(weight, bool) or weight < 1:
        raise _RefusedError(
            Why.WEIGHT, f"weight {_shown(weight)} is no whole number from 1", "weight"
        )
    if "token" in table:
        if len(table.keys() & {"market", "outcome"}):
            raise _RefusedError(Why.VALUE, "a leg has a token, or a market and an outcome", "token")
        token = table["token"]
        found = known.tokens.get(token) if isinstance(token, str) else None
        if found is None:
            raise _RefusedError(Why.UNKNOWN_TOKEN, f"no token {_shown(token)}", str(token)[:80])
        market, place = found
    else:
        _check_keys(table, _LEG_KEYS, {"market", "outcome"})
        market = known.market(table["market"])
        if table["outcome"] not in market.outcomes:
            said = f"outcome {_shown(table['outcome'])} is none of {', '.join(market.outcomes)}"
            raise _RefusedError(Why.UNKNOWN_NAME, said, market.slug)
        place = market.outcomes.index(table["outcome"])
    return Leg(market.tokens[place], market.outcomes[place], weight)


# -- proofs


def _proof(
    table: Mapping[str, Any], named: Mapping[str, Mapping[str, Any]], known: _Known
) -> _Proof:
    """Return the proof of a relation, or of the one it refers to."""
    passed: list[str] = []
    while "states_of" in table:
        if table.keys() & {"states", "impossible", "one_of"}:
            raise _RefusedError(Why.VALUE, "states_of stands instead of states", "states_of")
        name = _text(table, "states_of")
        if name in passed:
            ring = " -> ".join([*passed[passed.index(name) :], name])
            raise _RefusedError(Why.CYCLE, f"states_of goes round: {ring}", "states_of")
        if name not in named:
            raise _RefusedError(Why.UNKNOWN_NAME, f"no relation {_shown(name)}", "states_of")
        passed.append(name)
        table = named[name]
    if "one_of" in table:
        if table.keys() & {"states", "impossible"}:
            raise _RefusedError(Why.VALUE, "one_of stands instead of states", "one_of")
        return _one_of(table["one_of"], known)
    if "states" not in table:
        raise _RefusedError(Why.MISSING_KEY, "no states, one_of or states_of")
    return _cases(table, known)


def _one_of(value: object, known: _Known) -> _Proof:
    if not isinstance(value, list) or not 2 <= len(value) <= LEGS_MAX:
        raise _RefusedError(Why.VALUE, f"one_of is no list of 2..{LEGS_MAX} markets", "one_of")
    proof = _Proof()
    slugs = {known.market(name).condition_id: name for name in value}
    if len(slugs) < len(value):
        raise _RefusedError(Why.DUPLICATE, "one_of names a market twice", "one_of")
    proof.bits = {condition: 1 << at for at, condition in enumerate(slugs)}
    whole = (1 << len(slugs)) - 1
    proof.states = [
        _Case(name, proof.bits[condition], whole ^ proof.bits[condition])
        for condition, name in slugs.items()
    ]
    return proof


def _cases(table: Mapping[str, Any], known: _Known) -> _Proof:
    proof = _Proof()
    proof.states = [
        _case(each, _STATE_KEYS, proof, known)
        for each in _tables(table["states"], "states", CASES_MAX)
    ]
    impossible = [
        _case(each, _CASE_KEYS, proof, known)
        for each in _tables(table.get("impossible", []), "impossible", CASES_MAX)
    ]
    if not proof.states:
        raise _RefusedError(Why.VALUE, "there are no states", "states")
    names = [each.name for each in proof.states]
    for name in names:
        if not name or names.count(name) > 1:
            raise _RefusedError(Why.DUPLICATE, f"state {_shown(name)} is not the only one", name)
    _check_cover(proof, impossible)
    return proof


def _case(table: Mapping[str, Any], keys: frozenset[str], proof: _Proof, known: _Known) -> _Case:
    _check_keys(table, keys, {"name"} if keys is _STATE_KEYS else {"because"})
    name = _text(table, "name") or _text(table, "because")
    sides: list[int] = []
    for key in ("yes", "no"):
        told = table.get(key, [])
        if not isinstance(told, list) or len(told) > LEGS_MAX:
            raise _RefusedError(Why.VALUE, f"{key} is no list of markets", name)
        bits = 0
        for each in told:
            condition = known.market(each).condition_id
            bits |= proof.bits.setdefault(condition, 1 << len(proof.bits))
        sides.append(bits)
    if len(proof.bits) > LEGS_MAX:
        raise _RefusedError(Why.TOO_MANY, f"more than {LEGS_MAX} markets are named", name)
    if sides[0] & sides[1]:
        raise _RefusedError(Why.VALUE, f"{_shown(name)} has a market resolve both ways", name)
    if not sides[0] | sides[1]:
        raise _RefusedError(Why.VALUE, f"{_shown(name)} names no market", name)
    return _Case(name, *sides)


def _check_cover(proof: _Proof, impossible: list[_Case]) -> None:
    """States and impossible cases share no way, and hold all of the 2^n."""
    for one, other in combinations([*proof.states, *impossible], 2):
        if one.meets(other):
            said = f"{_shown(one.name)} and {_shown(other.name)} may both come true"
            raise _RefusedError(Why.STATES_OVERLAP, said, other.name or "impossible")
    count = len(proof.bits)
    held = sum(each.open_count(count) for each in (*proof.states, *impossible))
    if held != 1 << count:
        said = f"{(1 << count) - held:,} of {1 << count:,} ways to resolve are in no state"
        if count > 64:
            said = "not every way to resolve is in a state"
        raise _RefusedError(Why.STATES_MISSING, said, "states")


def _states(legs: tuple[Leg, ...], proof: _Proof, known: _Known) -> Iterator[State]:
    for case in proof.states:
        pays: list[int] = []
        for leg in legs:
            market, place = known.tokens[leg.token]
            bit = proof.bits.get(market.condition_id, 0)
            if not bit & (case.yes | case.no):
                said = f"{_shown(case.name)} does not say how {market.slug} resolves"
                raise _RefusedError(Why.STATES_MISSING, said, case.name)
            pays.append(ONE_E6 if bool(case.yes & bit) is (place == 0) else 0)
        yield State(case.name, tuple(pays))


# -- words


def _shown(value: object) -> str:
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "a table"
    try:
        shown = repr(value)
    except ValueError:  # a number of more digits than Python writes
        return "a number"
    return shown if len(shown) <= 80 else f"{shown[:77]}…"


def _text_or(name: object) -> str:
    return name[:TEXT_MAX] if isinstance(name, str) else ""


def _refused(name: str, why: Why, said: str, line: int) -> Refused:
    return Refused(kind=Kind.CUSTOM, event_id=name, why=why, said=said, line=line)
