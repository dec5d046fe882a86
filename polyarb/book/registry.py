"""
Which tokens there are: token ⇄ slot, YES ⇄ NO, and which of them must not be used and why.

The table itself is the arena's (csrc/book/store.h). After a restart it holds the tokens of the
run before; `Registry.keep` takes out what is not wanted any more.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from polyarb.core.book import Books
from polyarb.domain.market import FeeSchedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """
    The two tokens of one market.

    Attributes:
        yes: Token id, decimal.
        no: Its complement.
        tick_e4: The market's tick, 0 if not known.
        fees: What a taker pays; None if nobody knows: then no relation of it can fire.
    """

    yes: str
    no: str
    tick_e4: int = 0
    fees: FeeSchedule | None = None


class Registry:
    """
    The tokens of a run.

    Args:
        books: Of the arena; what is in its table already is found again.
    """

    __slots__ = ("_books", "_disabled", "_fees", "_slots", "_tokens")

    def __init__(self, books: Books) -> None:
        self._books = books
        self._disabled: dict[str, str] = {}
        self._fees: dict[str, FeeSchedule | None] = {}
        self._tokens = {
            slot: books.token(slot)
            for slot in range(books.info().token_capacity)
            if books.packed(slot)
        }
        self._slots = {token: slot for slot, token in self._tokens.items()}

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, token: object) -> bool:
        return token in self._slots

    def add(self, pair: Pair, now_ns: int) -> tuple[int, int]:
        """
        Enter a market and return the slots of YES and NO; again: no effect.

        Raises:
            MalformedError, RangeError: No token ids, or no tick.
            CapacityError: ``arena.token_count`` tokens are in the table.
        """
        for token, other in ((pair.yes, pair.no), (pair.no, pair.yes)):
            if self._married_elsewhere(token, other):  # in an earlier run; say nothing of it now
                self.remove(token, now_ns)
        yes, no = (
            self.add_token(t, now_ns, tick_e4=pair.tick_e4, fees=pair.fees)
            for t in (pair.yes, pair.no)
        )
        self._books.pair(yes, no)
        return yes, no

    def add_token(
        self, token: str, now_ns: int, *, tick_e4: int = 0, fees: FeeSchedule | None = None
    ) -> int:
        """Enter a token without its complement and return its slot; raises as `add`."""
        slot = self._slots[token] = self._books.add(token, now_ns, tick_e4=tick_e4)
        self._tokens[slot] = token
        self._fees[token] = fees
        self._price(token)
        return slot

    def remove(self, token: str, now_ns: int) -> None:
        """Forget a token; its slot may be given to another. Unknown: no effect."""
        slot = self._slots.pop(token, None)
        if slot is not None:
            del self._tokens[slot]
            self._books.remove(slot, now_ns)
        self._disabled.pop(token, None)
        self._fees.pop(token, None)

    def keep(self, tokens: Iterable[str], now_ns: int) -> None:
        """Forget every token but these."""
        for token in self._slots.keys() - set(tokens):
            self.remove(token, now_ns)

    def slot(self, token: str) -> int | None:
        """Return the slot of a token, None if it is not in the table."""
        return self._slots.get(token)

    def token(self, slot: int) -> str | None:
        """Return the token of a slot, None if it is free."""
        return self._tokens.get(slot)

    def tokens(self) -> list[str]:
        """Return every token, in the order entered."""
        return list(self._slots)

    def complement(self, token: str) -> str | None:
        """Return the other token of its market, None if there is none or it is not known."""
        slot = self._slots.get(token)
        other = None if slot is None else self._books.complement(slot)
        return None if other is None else self._tokens.get(other)

    @property
    def disabled(self) -> dict[str, str]:
        """Tokens not to be used in this run, and why. A copy."""
        return dict(self._disabled)

    def disable(self, token: str, reason: str) -> None:
        """Do not use a token, in no relation either; the first reason stands."""
        self._disabled.setdefault(token, reason)
        self._price(token)

    def enable(self, token: str) -> None:
        """Use a token again."""
        self._disabled.pop(token, None)
        self._price(token)

    def why_disabled(self, token: str) -> str | None:
        """Return the reason, None if the token may be used."""
        return self._disabled.get(token)

    def _price(self, token: str) -> None:
        """Let the core know what the token costs: nothing that is known while it is disabled."""
        slot = self._slots.get(token)
        if slot is not None:
            usable = token not in self._disabled
            self._books.set_fee(slot, self._fees.get(token) if usable else None)

    def _married_elsewhere(self, token: str, other: str) -> bool:
        return self.complement(token) not in (None, other)
