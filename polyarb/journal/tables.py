"""
The projector's tables, and what each record does to them: plain SQL for SQLite and PostgreSQL.

Nothing is executed here. Every statement may be run again without another effect as long as
records come in their order. Times are Unix nanoseconds, money is integers as in the journal.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

from polyarb.journal import record
from polyarb.journal.record import Entry

Statement: TypeAlias = tuple[str, tuple[object, ...]]

VERSION: Final = 1
"""Of the tables; a database of another is refused, and can be made again from the journal."""

TABLES: Final[dict[str, str]] = {
    # One row: what of the journal is in here.
    "journal": """
        one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, born_ns BIGINT NOT NULL,
        seq BIGINT NOT NULL, crc BIGINT NOT NULL, wall_ns BIGINT NOT NULL""",
    "orders": """
        order_id TEXT PRIMARY KEY, basket TEXT NOT NULL, purpose TEXT, style TEXT, token TEXT,
        condition_id TEXT, neg_risk BOOLEAN, side TEXT, limit_e4 BIGINT, shares_e6 BIGINT,
        maker_e6 BIGINT, taker_e6 BIGINT, cost_e6 BIGINT, fee_e6 BIGINT, state TEXT NOT NULL,
        reason TEXT NOT NULL DEFAULT '', said TEXT NOT NULL DEFAULT '',
        matched_e6 BIGINT NOT NULL DEFAULT 0, intent_ns BIGINT, sent_ns BIGINT, answered_ns BIGINT,
        seen_ns BIGINT, cancel_ns BIGINT""",
    "fills": """
        trade_id TEXT, order_id TEXT, basket TEXT NOT NULL, token TEXT NOT NULL, side TEXT NOT NULL,
        shares_e6 BIGINT NOT NULL, cash_e6 BIGINT NOT NULL, fee_e6 BIGINT NOT NULL,
        state TEXT NOT NULL, maker BOOLEAN NOT NULL, tx TEXT NOT NULL, first_ns BIGINT NOT NULL,
        state_ns BIGINT NOT NULL, PRIMARY KEY (trade_id, order_id)""",
    "baskets": """
        basket TEXT PRIMARY KEY, relation TEXT, style TEXT, leg_count INTEGER, payoff_e6 BIGINT,
        loss_cap_e6 BIGINT, reserved_e6 BIGINT, state TEXT NOT NULL, why TEXT NOT NULL DEFAULT '',
        result TEXT, cost_e6 BIGINT, fee_e6 BIGINT, proceeds_e6 BIGINT, pnl_e6 BIGINT,
        exposure_e6 BIGINT, intent_ns BIGINT, state_ns BIGINT NOT NULL, closed_ns BIGINT""",
    "stages": """
        basket TEXT, stage TEXT, ns BIGINT NOT NULL, PRIMARY KEY (basket, stage)""",
    "cash": """
        seq BIGINT PRIMARY KEY, wall_ns BIGINT NOT NULL, basket TEXT NOT NULL, change TEXT NOT NULL,
        amount_e6 BIGINT NOT NULL, balance_e6 BIGINT NOT NULL, held_e6 BIGINT NOT NULL""",
    "skips": """
        seq BIGINT PRIMARY KEY, wall_ns BIGINT NOT NULL, reason TEXT NOT NULL,
        skipped BIGINT NOT NULL, relation TEXT NOT NULL, detail TEXT NOT NULL""",
    "settlements": """
        id TEXT PRIMARY KEY, kind TEXT NOT NULL, state TEXT NOT NULL, condition_id TEXT NOT NULL,
        shares_e6 BIGINT NOT NULL, cash_e6 BIGINT NOT NULL, tx TEXT NOT NULL, nonce BIGINT NOT NULL,
        basket TEXT NOT NULL, why TEXT NOT NULL, first_ns BIGINT NOT NULL,
        state_ns BIGINT NOT NULL""",
    "events": """
        seq BIGINT PRIMARY KEY, wall_ns BIGINT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,
        said TEXT NOT NULL""",
    # Records of newer builds: their payload in hexadecimal.
    "unread": """
        seq BIGINT PRIMARY KEY, wall_ns BIGINT NOT NULL, kind INTEGER NOT NULL,
        version INTEGER NOT NULL, payload TEXT NOT NULL""",
}

CREATE: Final = (
    *(
        f"CREATE TABLE IF NOT EXISTS {name} ({' '.join(text.split())})"
        for name, text in TABLES.items()
    ),
    "CREATE INDEX IF NOT EXISTS orders_of_basket ON orders (basket)",
    "CREATE INDEX IF NOT EXISTS fills_of_basket ON fills (basket)",
    "CREATE INDEX IF NOT EXISTS fills_of_order ON fills (order_id)",
)
DROP: Final = tuple(f"DROP TABLE IF EXISTS {name}" for name in TABLES)

_BASKET: Final = """
    INSERT INTO baskets (basket, relation, style, leg_count, payoff_e6, loss_cap_e6, reserved_e6,
        state, intent_ns, state_ns) VALUES (?, ?, ?, ?, ?, ?, ?, 'journaled', ?, ?)
    ON CONFLICT (basket) DO UPDATE SET relation = excluded.relation, style = excluded.style,
        leg_count = excluded.leg_count, payoff_e6 = excluded.payoff_e6,
        loss_cap_e6 = excluded.loss_cap_e6, reserved_e6 = excluded.reserved_e6,
        intent_ns = excluded.intent_ns"""
_ORDER: Final = """
    INSERT INTO orders (order_id, basket, purpose, style, token, condition_id, neg_risk, side,
        limit_e4, shares_e6, maker_e6, taker_e6, cost_e6, fee_e6, state, intent_ns)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'intended', ?)
    ON CONFLICT (order_id) DO UPDATE SET basket = excluded.basket, purpose = excluded.purpose,
        style = excluded.style, token = excluded.token, condition_id = excluded.condition_id,
        neg_risk = excluded.neg_risk, side = excluded.side, limit_e4 = excluded.limit_e4,
        shares_e6 = excluded.shares_e6, maker_e6 = excluded.maker_e6, taker_e6 = excluded.taker_e6,
        cost_e6 = excluded.cost_e6, fee_e6 = excluded.fee_e6, intent_ns = excluded.intent_ns"""
_SENT: Final = """
    UPDATE orders SET sent_ns = ?, state = CASE WHEN state = 'intended' THEN 'sent' ELSE state END
    WHERE order_id = ?"""
_BASKET_SENT: Final = """
    UPDATE baskets SET state = 'sent', state_ns = ? WHERE basket = ? AND state = 'journaled'"""
# What was seen of an order since is newer than the answer to its request.
_ANSWER: Final = """
    INSERT INTO orders (order_id, basket, state, reason, said, answered_ns)
    VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (order_id) DO UPDATE SET reason = excluded.reason, said = excluded.said,
        answered_ns = excluded.answered_ns,
        state = CASE WHEN orders.state IN ('intended', 'sent', 'unknown', 'later')
            THEN excluded.state ELSE orders.state END"""
_SEEN: Final = """
    INSERT INTO orders (order_id, basket, state, matched_e6, seen_ns) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (order_id) DO UPDATE SET state = excluded.state, seen_ns = excluded.seen_ns,
        matched_e6 = CASE WHEN excluded.matched_e6 > orders.matched_e6
            THEN excluded.matched_e6 ELSE orders.matched_e6 END"""
_CANCEL: Final = "UPDATE orders SET cancel_ns = ? WHERE order_id = ?"
_CANCELED: Final = """
    UPDATE orders SET reason = ?, state = CASE WHEN ? THEN 'canceled' ELSE state END
    WHERE order_id = ?"""
_FILL: Final = """
    INSERT INTO fills (trade_id, order_id, basket, token, side, shares_e6, cash_e6, fee_e6, state,
        maker, tx, first_ns, state_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (trade_id, order_id) DO UPDATE SET shares_e6 = excluded.shares_e6,
        cash_e6 = excluded.cash_e6, fee_e6 = excluded.fee_e6, state = excluded.state,
        state_ns = excluded.state_ns,
        tx = CASE WHEN excluded.tx = '' THEN fills.tx ELSE excluded.tx END
    WHERE fills.state NOT IN ('CONFIRMED', 'FAILED')"""
_CASH: Final = """
    INSERT INTO cash (seq, wall_ns, basket, change, amount_e6, balance_e6, held_e6)
    VALUES (?, ?, ?, ?, ?, ?, ?)"""
_PHASE: Final = """
    INSERT INTO baskets (basket, state, why, state_ns) VALUES (?, ?, ?, ?)
    ON CONFLICT (basket) DO UPDATE SET state = excluded.state, why = excluded.why,
        state_ns = excluded.state_ns"""
_CLOSED: Final = """
    INSERT INTO baskets (basket, state, result, cost_e6, fee_e6, proceeds_e6, pnl_e6, exposure_e6,
        state_ns, closed_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (basket) DO UPDATE SET state = excluded.state, result = excluded.result,
        cost_e6 = excluded.cost_e6, fee_e6 = excluded.fee_e6, proceeds_e6 = excluded.proceeds_e6,
        pnl_e6 = excluded.pnl_e6, exposure_e6 = excluded.exposure_e6, state_ns = excluded.state_ns,
        closed_ns = excluded.closed_ns"""
_STAGE: Final = """
    INSERT INTO stages (basket, stage, ns) VALUES (?, ?, ?)
    ON CONFLICT (basket, stage) DO UPDATE SET ns = excluded.ns"""
_SETTLED: Final = """
    INSERT INTO settlements (id, kind, state, condition_id, shares_e6, cash_e6, tx, nonce, basket,
        why, first_ns, state_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, shares_e6 = excluded.shares_e6,
        cash_e6 = excluded.cash_e6, nonce = excluded.nonce, why = excluded.why,
        state_ns = excluded.state_ns,
        tx = CASE WHEN excluded.tx = '' THEN settlements.tx ELSE excluded.tx END
    WHERE settlements.state NOT IN ('confirmed', 'failed')"""
_SKIP: Final = """
    INSERT INTO skips (seq, wall_ns, reason, skipped, relation, detail)
    VALUES (?, ?, ?, ?, ?, ?)"""
_EVENT: Final = "INSERT INTO events (seq, wall_ns, kind, subject, said) VALUES (?, ?, ?, ?, ?)"
_UNREAD: Final = """
    INSERT INTO unread (seq, wall_ns, kind, version, payload) VALUES (?, ?, ?, ?, ?)"""


def statements(entry: Entry) -> Iterator[Statement]:
    """Yield what a record does to the tables."""
    return _DOES[type(entry.record)](entry, entry.record)


def _intent(entry: Entry, it: record.Intent) -> Iterator[Statement]:
    at = entry.wall_ns
    if it.purpose is record.Purpose.OPEN:
        plan = (it.payoff_e6, it.loss_cap_e6, it.reserved_e6)
        yield _BASKET, (it.basket, it.relation, it.style.value, len(it.legs), *plan, at, at)
    for leg in it.legs:
        market = (leg.token, leg.condition_id, leg.neg_risk, leg.side.value)
        amounts = (leg.limit_e4, leg.shares_e6, leg.maker_e6, leg.taker_e6, leg.cost_e6, leg.fee_e6)
        which = (leg.order_id, it.basket, it.purpose.value, it.style.value)
        yield _ORDER, (*which, *market, *amounts, at)


def _sent(entry: Entry, it: record.Sent) -> Iterator[Statement]:
    yield _BASKET_SENT, (entry.wall_ns, it.basket)
    for order_id in it.order_ids:
        yield _SENT, (entry.wall_ns, order_id)


def _answer(entry: Entry, it: record.Answer) -> Iterator[Statement]:
    accepted = it.outcome is record.Outcome.ACCEPTED
    state = it.status.lower() if accepted and it.status else it.outcome.value
    yield _ANSWER, (it.order_id, it.basket, state, it.reason, it.text, entry.wall_ns)


def _seen(entry: Entry, it: record.Seen) -> Iterator[Statement]:
    state = it.status.lower().removeprefix("order_status_")
    yield _SEEN, (it.order_id, it.basket, state, it.matched_e6, entry.wall_ns)


def _fill(entry: Entry, it: record.Fill) -> Iterator[Statement]:
    which = (it.trade_id, it.order_id, it.basket, it.token, it.side.value)
    amounts = (it.shares_e6, it.cash_e6, it.fee_e6)
    state = (it.state.value, it.maker, it.tx, entry.wall_ns, entry.wall_ns)
    yield _FILL, (*which, *amounts, *state)


def _cancel_sent(entry: Entry, it: record.CancelSent) -> Iterator[Statement]:
    said = f"{len(it.order_ids) or 'all'} orders: {it.reason}"
    yield _EVENT, (entry.seq, entry.wall_ns, "cancel", it.basket, said)
    for order_id in it.order_ids:
        yield _CANCEL, (entry.wall_ns, order_id)


def _cancel_answer(_: Entry, it: record.CancelAnswer) -> Iterator[Statement]:
    yield _CANCELED, (it.reason, it.canceled, it.order_id)


def _cash(entry: Entry, it: record.Cash) -> Iterator[Statement]:
    what = (it.basket, it.change.value, it.amount_e6, it.balance_e6, it.held_e6)
    yield _CASH, (entry.seq, entry.wall_ns, *what)


def _phase(entry: Entry, it: record.Phase) -> Iterator[Statement]:
    yield _PHASE, (it.basket, it.state, it.why, entry.wall_ns)


def _closed(entry: Entry, it: record.Closed) -> Iterator[Statement]:
    state = "stranded" if it.result is record.Result.STRANDED else "closed"
    amounts = (it.cost_e6, it.fee_e6, it.proceeds_e6, it.pnl_e6, it.exposure_e6)
    at = (entry.wall_ns, entry.wall_ns)
    yield _CLOSED, (it.basket, state, it.result.value, *amounts, *at)
    for stage, ns in it.stages_ns.items():
        yield _STAGE, (it.basket, stage, ns)


def _settled(entry: Entry, it: record.Settled) -> Iterator[Statement]:
    what = (it.id, it.kind.value, it.state.value, it.condition_id, it.shares_e6, it.cash_e6)
    yield _SETTLED, (*what, it.tx, it.nonce, it.basket, it.why, entry.wall_ns, entry.wall_ns)


def _skip(entry: Entry, it: record.Skip) -> Iterator[Statement]:
    yield _SKIP, (entry.seq, entry.wall_ns, it.reason, it.count, it.relation, it.detail)


def _started(entry: Entry, it: record.Started) -> Iterator[Statement]:
    said = f"{it.build}, kernel {it.kernel}, mode {it.mode}, account {it.account or 'none'}"
    yield _EVENT, (entry.seq, entry.wall_ns, "started", it.run, said)


def _switch(entry: Entry, it: record.Switch) -> Iterator[Statement]:
    kind = "resumed" if it.on else "halted"
    yield _EVENT, (entry.seq, entry.wall_ns, kind, it.who, it.why)


def _nothing(_: Entry, __: record.Planned | record.Happened) -> Iterator[Statement]:
    """Show nothing: what is in them for people, other records say."""
    return iter(())


def _note(entry: Entry, it: record.Note) -> Iterator[Statement]:
    yield _EVENT, (entry.seq, entry.wall_ns, "note", it.topic, it.text)


def _unread(entry: Entry, it: record.Unread) -> Iterator[Statement]:
    yield _UNREAD, (entry.seq, entry.wall_ns, it.kind, it.version, it.payload.hex())


_DOES: Final[dict[type, Callable[[Entry, Any], Iterator[Statement]]]] = {
    record.Started: _started,
    record.Intent: _intent,
    record.Sent: _sent,
    record.Answer: _answer,
    record.Seen: _seen,
    record.Fill: _fill,
    record.CancelSent: _cancel_sent,
    record.CancelAnswer: _cancel_answer,
    record.Cash: _cash,
    record.Phase: _phase,
    record.Closed: _closed,
    record.Settled: _settled,
    record.Skip: _skip,
    record.Switch: _switch,
    record.Note: _note,
    record.Planned: _nothing,
    record.Happened: _nothing,
    record.Unread: _unread,
}
