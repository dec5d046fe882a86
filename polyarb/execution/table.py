"""
The two tables that execution is: what each fact makes of an order, what each event of a basket.

Every pair is there; one that cannot happen in an engine that works says `stray`, which halts
trading. A test holds the grids to the enums and to the event classes.
"""

from enum import Enum, auto
from typing import Final

from polyarb.domain.basket import BasketState, LegState


class Told(Enum):
    """What a fact says of an order, amounts apart."""

    SENT = auto()
    ACCEPTED_LIVE = auto()
    ACCEPTED_DELAYED = auto()
    ACCEPTED_DONE = auto()  # FAK and FOK: what did not match is gone
    ACCEPTED_UNCLEAR = auto()  # matched, and nobody knows how much
    REFUSED = auto()
    LOST = auto()  # no answer
    SEEN_LIVE = auto()
    SEEN_DELAYED = auto()
    SEEN_DONE = auto()
    SEEN_CANCELED = auto()
    ABSENT = auto()
    GONE = auto()  # absent too often to be on its way still
    CANCEL_DONE = auto()
    CANCEL_DENIED = auto()
    TRADED = auto()
    TRADE_FAILED = auto()
    RESTARTED = auto()


class Step(Enum):
    """What a basket does about an event; the machine has one method of each name."""

    RESERVE = auto()
    PREPARE = auto()  # sign and record the entry orders
    SEND = auto()
    SEND_ROUND = auto()  # orders that complete or unwind
    WITHDRAW = auto()  # recorded, but no longer wanted
    BLOCK = auto()  # nothing was sent: close
    RETURN = auto()  # it was blocked meanwhile: give the cash back
    LEARN = auto()  # a fact of an order
    SHRINK = auto()  # less cash is held than was thought
    CHASE = auto()  # time is up: cancel what rests, ask for the rest
    AWAIT = auto()  # time is up: ask for what is not final
    CHOOSE = auto()  # complete, unwind or hold
    RESUME = auto()
    REDUCE = auto()  # halted: cancel what rests, buy nothing more
    STRAND = auto()
    IGNORE = auto()  # late, or nothing to do
    STRAY = auto()


_LEGS: Final = """
                 pending  live     delayed  partial  filled   refused  canceled unknown  failed
SENT             .        .        .        .        .        .        .        .        .
ACCEPTED_LIVE    live     .        live     .        .        live     .        live     .
ACCEPTED_DELAYED delayed  .        .        .        .        delayed  .        delayed  .
ACCEPTED_DONE    filled   filled   filled   filled   .        filled   .        filled   .
ACCEPTED_UNCLEAR unknown  .        unknown  .        .        unknown  .        .        .
REFUSED          refused  unknown  refused  unknown  .        .        .        refused  .
LOST             unknown  .        .        .        .        .        .        .        .
SEEN_LIVE        live     .        live     .        .        live     .        live     .
SEEN_DELAYED     delayed  .        .        .        .        delayed  .        delayed  .
SEEN_DONE        filled   filled   filled   filled   .        filled   filled   filled   .
SEEN_CANCELED    canceled canceled canceled canceled .        canceled .        canceled .
ABSENT           unknown  unknown  unknown  unknown  .        .        .        .        .
GONE             refused  .        .        .        .        .        .        refused  .
CANCEL_DONE      canceled canceled canceled canceled .        .        .        canceled .
CANCEL_DENIED    unknown  unknown  .        unknown  .        .        .        .        .
TRADED           .        .        .        .        .        unknown  .        .        .
TRADE_FAILED     .        .        .        .        failed   .        failed   .        .
RESTARTED        unknown  unknown  unknown  unknown  .        .        .        .        .
"""


_BASKETS: Final = """
                planned  reserved  journaled  sent     complete  unwinding   closed    stranded
Begin           reserve  stray     stray      stray    stray     stray       stray     stray
Reserved        prepare  stray     stray      stray    stray     stray       return    stray
ReserveRefused  block    stray     shrink     shrink   shrink    shrink      ignore    shrink
Journaled       stray    send      stray      stray    withdraw  send_round  withdraw  withdraw
JournalRefused  stray    block     stray      stray    ignore    strand      ignore    ignore
Sent            stray    stray     learn      learn    learn     learn       learn     learn
Accepted        stray    stray     learn      learn    learn     learn       learn     learn
Refused         stray    stray     learn      learn    learn     learn       learn     learn
SendUnknown     stray    stray     learn      learn    learn     learn       learn     learn
OrderSeen       stray    stray     learn      learn    learn     learn       learn     learn
Absent          stray    stray     learn      learn    learn     learn       learn     learn
Traded          stray    stray     learn      learn    learn     learn       learn     learn
CancelAnswer    stray    stray     learn      learn    learn     learn       learn     learn
TimedOut        ignore   ignore    chase      chase    await     chase       ignore    await
Quotes          stray    stray     stray      ignore   ignore    choose      ignore    ignore
Restarted       block    block     resume     resume   resume    resume      ignore    resume
Halted          block    block     reduce     reduce   reduce    reduce      ignore    ignore
GaveUp          block    block     strand     strand   strand    strand      ignore    ignore
"""


def grid(text: str) -> dict[tuple[str, str], str]:
    """Return {(column, row): word} of a grid; ``.`` stands for the column's own name."""
    head, *lines = (line.split() for line in text.strip().splitlines())
    cells = {}
    for row, *words in lines:
        for column, word in zip(head, words, strict=True):
            cells[column, row] = column if word == "." else word
    return cells


LEGS: Final = {
    (LegState(column), Told[row]): LegState(word) for (column, row), word in grid(_LEGS).items()
}
"""(state of an order, what is told) -> its state, before its amounts are looked at."""

BASKETS: Final = {
    (BasketState(column), row): Step[word.upper()] for (column, row), word in grid(_BASKETS).items()
}
"""(state of a basket, name of the event's class) -> what it does."""
