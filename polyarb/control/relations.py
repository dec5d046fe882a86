"""``python -m polyarb relations``: what must add up in a catalogue, and the proof of each."""

import argparse
import difflib
import json
import sys
from collections import Counter
from typing import Any

from polyarb import clock, errors
from polyarb.control import markets
from polyarb.detection import custom
from polyarb.detection.build import BUILDERS, Built, build
from polyarb.detection.policy import Policy
from polyarb.detection.relation import Kind, Relation, pays_e6
from polyarb.domain.market import Event, FeeSchedule
from polyarb.domain.money import units_text
from polyarb.exchange.catalog import Catalog, Universe


def run(given: argparse.Namespace) -> int:
    """Load, build, and show all or explain one; return the exit code."""
    try:
        kinds = _kinds(given.builders)
        universe = Universe(tags=tuple(given.tags), events=tuple(given.event))
        found = markets.load(given, universe)
        events = _chosen(found.catalog, universe)
        policy = Policy(
            seconds_delay=given.seconds_delay,
            same_market=given.same_market,
            all_no=given.all_no,
        )
        began_ns = clock.monotonic_ns()
        built = build(events, kinds, policy)
        bad = _add_file(given, found.catalog, policy, built)
        build_ms = (clock.monotonic_ns() - began_ns) // 1_000_000
    except errors.InputError as error:
        print(f"polyarb: {error}", file=sys.stderr)
        return 2
    except errors.RetryError as error:
        print(f"polyarb: {error}", file=sys.stderr)
        return 1
    if given.explain:
        return _explain(given, found.catalog, built) or bad
    told = (
        _object(found, built, events, build_ms)
        if given.json
        else _text(found, built, events, build_ms, given.top)
    )
    print(told)
    return bad


def _kinds(names: str | None) -> list[Kind] | None:
    """Return the kinds in a list separated by commas."""
    if names is None:
        return None
    known = {kind.value: kind for kind in (*BUILDERS, Kind.CUSTOM)}
    asked = [name.strip() for name in names.split(",") if name.strip()]
    for name in asked:
        if name not in known:
            raise errors.RangeError(f"no builder {name!r}; there are {', '.join(known)}")
    return [known[name] for name in asked if known[name] is not Kind.CUSTOM]


def _chosen(catalog: Catalog, universe: Universe) -> list[Event]:
    """Return the events of which the universe wants any market, each as a whole."""
    selected = universe.select(catalog.events.values(), clock.wall_ms())
    wanted = {market.event_id for market in selected.markets}
    return [event for event in catalog.events.values() if event.id in wanted]


def _add_file(given: argparse.Namespace, catalog: Catalog, policy: Policy, built: Built) -> int:
    """Add the relations of a file; say what it holds that is none, and return the exit code."""
    if given.relations is None:
        return 0
    read = custom.read_file(given.relations, catalog.events.values(), policy)
    built.add(read)
    refused = [each for each in built.refused if each.kind is Kind.CUSTOM]
    for each in refused:
        print(f"polyarb: {given.relations}:{each.line}: {each.why}: {each.said}", file=sys.stderr)
    return 2 if refused else 0


# -- all of them


def _reasons(found: markets.Found, built: Built) -> dict[str, int]:
    """Return how much was refused for which reason, by the catalogue or by a builder."""
    reasons = Counter({str(why): count for why, count in found.refused.items()})
    reasons.update({str(why): count for why, count in built.reasons().items()})
    return dict(sorted(reasons.items()))


def _object(found: markets.Found, built: Built, events: list[Event], build_ms: int) -> str:
    slugs = {event.id: event.slug for event in events}
    return json.dumps(
        {
            "source": found.source,
            "load_ms": found.load_ns // 1_000_000,
            "build_ms": build_ms,
            "events": markets.structures(events),
            "kinds": {str(kind): count for kind, count in built.counts().items()},
            "relations": [
                _row(relation, slugs.get(relation.event_id, relation.event_id))
                for relation in built.relations.values()
            ],
            "refused": _reasons(found, built),
        }
    )


def _row(relation: Relation, event: str) -> dict[str, Any]:
    return {
        "id": relation.id,
        "kind": relation.kind,
        "event": event,
        "title": relation.title,
        "legs": [
            {"token_id": leg.token, "outcome": leg.outcome, "weight": leg.weight}
            for leg in relation.legs
        ],
        "payoff_usd": units_text(relation.payoff_e6, 6),
        "realise": relation.realise,
        "convert_usd": None if relation.convert_e6 is None else units_text(relation.convert_e6, 6),
        "until": markets.day(relation.until_ms),
        "strategies": list(relation.strategies),
    }


def _text(found: markets.Found, built: Built, events: list[Event], build_ms: int, top: int) -> str:
    lines = [
        f"{len(built.relations):,} relations of {len(events):,} events, from {found.source}, "
        f"loaded in {found.load_ns / 1e9:.2f} s and built in {build_ms / 1e3:.2f} s",
        f"  events    {markets.listed(markets.structures(events))}",
        f"  kinds     {markets.listed(built.counts())}",
        f"  refused   {markets.listed(_reasons(found, built))}",
    ]
    shown = list(built.relations.values())[: max(top, 0)]
    if shown:
        width = max(len(relation.id) for relation in shown)
        lines += ["", f"{'id':{width}}  {'legs':>4}  {'payoff $':>8}  {'until':10}  title"]
        lines += [
            f"{relation.id:{width}}  {len(relation.legs):>4}  "
            f"{units_text(relation.payoff_e6, 6):>8}  {markets.day(relation.until_ms) or '':10}  "
            f"{relation.title}"
            for relation in shown
        ]
    return "\n".join(lines)


# -- one of them


def _explain(given: argparse.Namespace, catalog: Catalog, built: Built) -> int:
    wanted: str = given.explain
    relation = built.relations.get(wanted)
    if relation is None:
        near = difflib.get_close_matches(wanted, built.relations, n=3, cutoff=0.5)
        said = f"; near it: {', '.join(near)}" if near else ""
        print(f"polyarb: no relation {wanted!r} here{said}", file=sys.stderr)
        return 2
    print(json.dumps(_proof(relation, catalog)) if given.json else _explained(relation, catalog))
    return 0


def _legs(relation: Relation, catalog: Catalog) -> list[tuple[str, str, FeeSchedule | None]]:
    """Return what a leg is about, its source, and its fees."""
    told: list[tuple[str, str, FeeSchedule | None]] = []
    for leg in relation.legs:
        market = catalog.by_token(leg.token)
        told.append(
            (market[0].question, market[0].source, market[0].fees) if market else ("", "", None)
        )
    return told


def most_fee_e6(fees: FeeSchedule) -> int:
    """Return the fee of one share at 0.50, where it is highest, rounded up."""
    parts: int = 4**fees.exponent
    return -(-fees.rate_e6 // parts)


def _proof(relation: Relation, catalog: Catalog) -> dict[str, Any]:
    row = _row(relation, _slug(relation, catalog))
    for leg, (question, source, fees) in zip(row["legs"], _legs(relation, catalog), strict=True):
        leg |= {
            "question": question,
            "source": source,
            "fee_rate": units_text(fees.rate_e6, 6) if fees else None,
            "fee_exponent": fees.exponent if fees else None,
            "fee_most_usd": units_text(most_fee_e6(fees), 6) if fees else None,
        }
    row["states"] = [
        {
            "name": state.name,
            "pays_usd": [units_text(pays, 6) for pays in state.pays_e6],
            "set_pays_usd": units_text(pays_e6(relation.legs, state), 6),
        }
        for state in relation.states
    ]
    return row | {"note": relation.note}


def _slug(relation: Relation, catalog: Catalog) -> str:
    event = catalog.events.get(relation.event_id)
    return event.slug if event else relation.event_id


def _explained(relation: Relation, catalog: Catalog) -> str:
    lines = [
        relation.id,
        f"  {relation.title}",
        f"  event   {_slug(relation, catalog)}",
        f"  why     {relation.note}",
        f"  cash    {_cash(relation)}",
    ]
    if relation.strategies:
        lines.append(f"  known as {', '.join(relation.strategies)}")
    lines += ["", "legs, all bought"]
    for number, (leg, about) in enumerate(
        zip(relation.legs, _legs(relation, catalog), strict=True), 1
    ):
        question, source, fees = about
        lines.append(f"  {number:>3}  {leg.weight} x {leg.outcome}  {question}")
        lines.append(f"       token {leg.token}")
        lines.append(f"       fee {_fee(fees)}{f'  source {source}' if source else ''}")
    lines += ["", "states, of which one comes true, and what a set pays"]
    width = max(len(state.name) for state in relation.states)
    for state in relation.states:
        pays = " + ".join(
            units_text(leg.weight * each, 6)
            for leg, each in zip(relation.legs, state.pays_e6, strict=True)
        )
        total = pays_e6(relation.legs, state)
        least = "  <- the least" if total == relation.payoff_e6 else ""
        lines.append(f"  {state.name:{width}}  {pays} = {units_text(total, 6)}{least}")
    lines += [
        "",
        f"a set pays at least {units_text(relation.payoff_e6, 6)}: violated while its asks and "
        "fees cost less",
    ]
    return "\n".join(lines)


def _cash(relation: Relation) -> str:
    if relation.convert_e6 is not None:
        return f"{relation.realise}; converted it pays {units_text(relation.convert_e6, 6)} at once"
    until = markets.day(relation.until_ms)
    return f"{relation.realise}, until {until}" if until else str(relation.realise)


def _fee(fees: FeeSchedule | None) -> str:
    if fees is None:
        return "not known"
    if not fees.rate_e6:
        return "none"
    power = f"^{fees.exponent}" if fees.exponent > 1 else ""
    return (
        f"{units_text(fees.rate_e6, 6)} x (p(1 - p)){power} a share, at most "
        f"{units_text(most_fee_e6(fees), 6)}"
    )
