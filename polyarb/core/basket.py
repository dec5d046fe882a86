"""
How much of an opportunity to buy, exactly (csrc/basket).

All legs buy the same number of sets; the answer is the one of the highest profit after fees that
amounts, minimum sizes, the $1 rule and the caps allow, what each order must say, and bounds on
what can go wrong. Prices x 10^4, shares and cash x 10^6; every rounding is against us.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from polyarb import errors
from polyarb._core import ffi, lib
from polyarb.core.arena import Arena
from polyarb.core.base import check, integer
from polyarb.domain.order import OrderType

LEGS_MAX: Final[int] = lib.PA_BASKET_LEGS_MAX
LEVELS_MAX: Final[int] = lib.PA_BASKET_LEVELS_MAX
STATES_MAX: Final[int] = lib.PA_BASKET_STATES_MAX
WEIGHTS_MAX: Final[int] = lib.PA_BASKET_WEIGHTS_MAX
SLIPPAGE_MAX: Final[int] = lib.PA_BASKET_SLIPPAGE_MAX
SHARES_MAX_E6: Final[int] = lib.PA_BASKET_SHARES_MAX_E6
CAP_MAX_E6: Final[int] = lib.PA_BASKET_CAP_MAX_E6
LATTICE_E6: Final[int] = lib.PA_LATTICE_E6
DUST_E6: Final[int] = lib.PA_DUST_E6
PAYOFF_MAX_E6: Final = 512_000_000
PAYS_MAX_E6: Final = 1_000_000

TICKS_E4: Final = (1000, 100, 50, 25, 10, 1)

Ladder: TypeAlias = Sequence[tuple[int, int]]
"""(price_e4, size_e6), best first."""


class Why(enum.Enum):
    """Why there is no plan; the value is the name the core gives it."""

    DEPTH = "depth"
    NO_EDGE = "no_edge"
    LATTICE = "lattice"
    BELOW_MINIMUM = "below_minimum"
    ONE_DOLLAR = "one_dollar"
    CASH = "cash"
    RELATION = "relation"
    EVENT = "event"
    LOSS = "loss"


_WHY: Final[tuple[Why | None, ...]] = (
    None,
    *(
        Why(ffi.string(lib.pa_sizing_name(index)).decode("ascii"))
        for index in range(1, lib.PA_SIZING_COUNT)
    ),
)
_STYLE: Final = {
    OrderType.FAK: lib.PA_STYLE_FAK,
    OrderType.FOK: lib.PA_STYLE_FOK,
    OrderType.GTC: lib.PA_STYLE_GTC,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """
    What sizing needs to know of a token to buy.

    Attributes:
        weight: Shares of a set.
        tick_e4: The market's, 1000, 100, 50, 25, 10 or 1.
        min_size_e6: The market's least order, at least 0.01 shares.
        rate_e6: Taker's fee rate, 0..1000000.
        exponent: Of the fee, 1 or 2.

    Raises:
        ArgumentTypeError, RangeError: Named after the attribute.
    """

    weight: int = 1
    tick_e4: int = 100
    min_size_e6: int = 5_000_000
    rate_e6: int = 0
    exponent: int = 1

    def __post_init__(self) -> None:
        integer("weight", self.weight, 1, WEIGHTS_MAX)
        integer("tick_e4", self.tick_e4, 1, 1000)
        if self.tick_e4 not in TICKS_E4:
            allowed = ", ".join(map(str, TICKS_E4))
            raise errors.RangeError(f"tick_e4 {self.tick_e4} is not one of {allowed}")
        integer("min_size_e6", self.min_size_e6, LATTICE_E6, SHARES_MAX_E6)
        integer("rate_e6", self.rate_e6, 0, 1_000_000)
        integer("exponent", self.exponent, 1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """
    What a basket may cost and lose, in micro-dollars.

    Attributes:
        cash_e6: Of `Sized.outlay_e6`: what is there.
        relation_e6: Likewise: what this relation has room for.
        event_e6: Likewise: what its event has room for.
        loss_e6: Of `Sized.worst_loss_e6`.

    Raises:
        ArgumentTypeError, RangeError: Named after the cap.
    """

    cash_e6: int = CAP_MAX_E6
    relation_e6: int = CAP_MAX_E6
    event_e6: int = CAP_MAX_E6
    loss_e6: int = CAP_MAX_E6

    def __post_init__(self) -> None:
        for name in ("cash_e6", "relation_e6", "event_e6", "loss_e6"):
            integer(name, getattr(self, name), 0, CAP_MAX_E6)


class SizedLeg(NamedTuple):
    """
    One order to send, and what it can come to.

    Attributes:
        shares_e6: Wanted, and given at least by the book as seen, less `DUST_E6`.
        maker_e6: The order's amounts.
        taker_e6: Likewise.
        notional_e6: Of `shares_e6` on the book as seen.
        cost_e6: What is counted as spent: the budget of FAK and FOK, the notional of GTC.
        fee_e6: At most, on the book as seen.
        outlay_e6: At most, fee included, at any prices up to the limit.
        unwind_e6: Lost if this leg alone is filled as seen and sold at once into the bids, fees
            included; below 0: won.
        limit_e4: Worst price.
        levels: Of the asks that it reaches into.
    """

    shares_e6: int
    maker_e6: int
    taker_e6: int
    notional_e6: int
    cost_e6: int
    fee_e6: int
    outlay_e6: int
    unwind_e6: int
    limit_e4: int
    levels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """
    A basket of the best size.

    Attributes:
        sets_e6: Sets, x 10^6.
        cost_e6: Sum over the legs.
        fee_e6: Likewise.
        outlay_e6: Likewise: what to reserve.
        payoff_e6: Of the sets, at least.
        profit_e6: payoff - cost - fee, > 0.
        worst_loss_e6: Over every partial fill at any prices up to the limits, and every state.
        worst_state: The state in which it is.
        worst_unwind_e6: Over every partial fill, sold at once into the bids.
        legs: In the order given.
    """

    sets_e6: int
    cost_e6: int
    fee_e6: int
    outlay_e6: int
    payoff_e6: int
    profit_e6: int
    worst_loss_e6: int
    worst_state: int
    worst_unwind_e6: int
    legs: tuple[SizedLeg, ...]


class Basket:
    """
    A relation's legs and payoffs, checked and laid out once; sized as often as its books move.

    Args:
        legs: 1..256, weights 512 in all.
        pays: For every outcome state what a share of each leg pays, 0..10^6.
        payoff_e6: Of a set, at most the least over the states; None takes that.
        style: FAK, FOK or GTC.
        slippage_ticks: Added to each leg's worst level for its limit.

    Raises:
        ArgumentTypeError, RangeError: Named after the argument.
    """

    __slots__ = ("_cdata", "_keep", "_legs", "leg_count", "payoff_e6")

    def __init__(
        self,
        legs: Sequence[Leg],
        pays: Sequence[Sequence[int]],
        *,
        payoff_e6: int | None = None,
        style: OrderType = OrderType.FAK,
        slippage_ticks: int = 0,
    ) -> None:
        if style not in _STYLE:
            allowed = ", ".join(_STYLE)
            raise errors.RangeError(f"style {style!r} is not one of {allowed}")
        self.leg_count = integer("legs", len(legs), 1, LEGS_MAX)
        integer("sum of weights", sum(leg.weight for leg in legs), 1, WEIGHTS_MAX)
        integer("states", len(pays), 1, STATES_MAX)
        least = min(_state_payoff(legs, index, state) for index, state in enumerate(pays))
        if payoff_e6 is None:
            payoff_e6 = least
        self.payoff_e6 = integer("payoff_e6", payoff_e6, 1, min(least, PAYOFF_MAX_E6))
        matrix = ffi.new("uint32_t[]", [paid for state in pays for paid in state])
        self._legs: Any = ffi.new("pa_basket_leg[]", len(legs))
        for cdata, leg in zip(self._legs, legs, strict=True):
            cdata.weight = leg.weight
            cdata.tick_e4 = leg.tick_e4
            cdata.min_size_e6 = leg.min_size_e6
            cdata.rate_e6 = leg.rate_e6
            cdata.exponent = leg.exponent
        self._cdata: Any = ffi.new("pa_basket *")
        self._cdata.legs = self._legs
        self._cdata.pays = matrix
        self._cdata.payoff_e6 = payoff_e6
        self._cdata.leg_count = len(legs)
        self._cdata.state_count = len(pays)
        self._cdata.style = _STYLE[style]
        self._cdata.slippage_ticks = integer("slippage_ticks", slippage_ticks, 0, SLIPPAGE_MAX)
        self._keep = matrix

    def capped(self, caps: Caps) -> Any:
        """Return the C struct with `caps` in it, for `Sizer`."""
        cdata = self._cdata
        cdata.cash_e6 = caps.cash_e6
        cdata.relation_e6 = caps.relation_e6
        cdata.event_e6 = caps.event_e6
        cdata.loss_e6 = caps.loss_e6
        return cdata

    def legs(self) -> Any:
        """Return the C structs of the legs, for `Sizer`."""
        return self._legs


class Sizer:
    """Scratch memory (some MB) that sizes one basket after another. One thread at a time."""

    __slots__ = ("_legs", "_memory", "_out", "_slots", "_work")

    def __init__(self) -> None:
        self._memory = ffi.new("uint8_t[]", lib.pa_basket_work_bytes() + 64)
        start = int(ffi.cast("uintptr_t", self._memory))
        self._work = ffi.cast("pa_basket_work *", self._memory + -start % 64)
        self._out = ffi.new("pa_sized *")
        self._legs = ffi.new("pa_sized_leg[]", LEGS_MAX)
        self._slots = ffi.new("uint32_t[]", LEGS_MAX)

    def size(
        self,
        basket: Basket,
        asks: Sequence[Ladder],
        bids: Sequence[Ladder],
        caps: Caps = Caps(),
    ) -> Sized | Why:
        """
        Return the best size on the given ladders, or why there is none.

        Args:
            basket: What to buy.
            asks: For each leg its (price_e4, size_e6), best first; the first 256 are used.
            bids: Likewise, for unwinding.
            caps: What may be spent and lost.

        Raises:
            ArgumentTypeError: A level that is not two integers.
            RangeError: Ladders that are not one per leg, out of order, off the tick or empty.
        """
        cdata, legs, keep = basket.capped(caps), basket.legs(), []
        for name, side in (("asks", asks), ("bids", bids)):
            if len(side) != basket.leg_count:
                raise errors.RangeError(f"{name}: {len(side)} ladders for {basket.leg_count} legs")
        for index, (up, down) in enumerate(zip(asks, bids, strict=True)):
            leg = legs[index]
            leg.asks, leg.ask_count = levels = _ladder(up, f"asks of leg {index}")
            keep.append(levels)
            leg.bids, leg.bid_count = levels = _ladder(down, f"bids of leg {index}")
            keep.append(levels)
        status = lib.pa_basket_size(cdata, self._work, self._out, self._legs)
        check(status, f"sizing {basket.leg_count} legs: a ladder out of order or off its tick")
        return self._sized(basket)

    def size_books(
        self,
        arena: Arena,
        basket: Basket,
        slots: Sequence[int],
        caps: Caps = Caps(),
        *,
        levels: int = LEVELS_MAX,
    ) -> Sized | Why:
        """
        Return the best size on the owner's books, `levels` a side; or why there is none.

        Raises:
            ArgumentTypeError, RangeError: Not one slot per leg, no such slot, or a book off its
                tick.
        """
        if len(slots) != basket.leg_count:
            raise errors.RangeError(f"{len(slots)} slots for {basket.leg_count} legs")
        integer("levels", levels, 1, LEVELS_MAX)
        for index, slot in enumerate(slots):
            self._slots[index] = integer("slot", slot, 0, 2**32 - 1)
        status = lib.pa_basket_size_books(
            *(arena.handle(), self._slots, levels, basket.capped(caps), self._work),
            *(self._out, self._legs),
        )
        check(status, f"sizing slots {', '.join(map(str, slots))}")
        return self._sized(basket)

    def _sized(self, basket: Basket) -> Sized | Why:
        out = self._out
        why: Why | None = _WHY[out.reason]
        if why is not None:
            return why
        return Sized(
            sets_e6=out.sets_e6,
            cost_e6=out.cost_e6,
            fee_e6=out.fee_e6,
            outlay_e6=out.outlay_e6,
            payoff_e6=out.payoff_e6,
            profit_e6=out.profit_e6,
            worst_loss_e6=out.worst_loss_e6,
            worst_state=out.worst_state,
            worst_unwind_e6=out.worst_unwind_e6,
            legs=tuple(map(_sized_leg, ffi.unpack(self._legs, basket.leg_count))),
        )


def _sized_leg(leg: Any) -> SizedLeg:
    return SizedLeg(
        shares_e6=leg.shares_e6,
        maker_e6=leg.maker_e6,
        taker_e6=leg.taker_e6,
        notional_e6=leg.notional_e6,
        cost_e6=leg.cost_e6,
        fee_e6=leg.fee_e6,
        outlay_e6=leg.outlay_e6,
        unwind_e6=leg.unwind_e6,
        limit_e4=leg.limit_e4,
        levels=leg.levels,
    )


def _state_payoff(legs: Sequence[Leg], index: int, state: Sequence[int]) -> int:
    if len(state) != len(legs):
        raise errors.RangeError(f"state {index}: {len(state)} payoffs for {len(legs)} legs")
    return sum(
        leg.weight * integer(f"state {index} pays", paid, 0, PAYS_MAX_E6)
        for leg, paid in zip(legs, state, strict=True)
    )


def _ladder(levels: Ladder, name: str) -> tuple[Any, int]:
    count = min(len(levels), LEVELS_MAX)
    out = ffi.new("pa_book_level[]", count)
    try:
        for cdata, (price_e4, size_e6) in zip(out, levels, strict=False):
            cdata.price_e4 = price_e4
            cdata.size_e6 = size_e6
    except (TypeError, ValueError) as error:
        raise errors.ArgumentTypeError(f"{name}: a level is not (price_e4, size_e6)") from error
    except OverflowError as error:
        raise errors.RangeError(f"{name}: a price or size does not fit") from error
    return out, count
