"""
What an event's markets are worth: hidden states that wander, and prices that always add up.

Each kind of event has a state from which the chances of all its markets follow, so that whatever
happens to it, quotes around those chances leave nothing to earn. Floats: nobody is paid in them.
"""

import math
from collections.abc import Sequence
from copy import copy
from random import Random
from typing import Final

from polyarb.sim.catalog import Event, Structure
from polyarb.sim.decimals import ONE_E4

PULL: Final = 0.02
"""How far each step leads back to where the state began."""

_EDGE: Final = 5e-4


def _logit(chance: float) -> float:
    chance = min(max(chance, _EDGE), 1 - _EDGE)
    return math.log(chance / (1 - chance))


def _chance(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


class Fair:
    """
    Questions that have nothing to do with each other, each with a state of its own.

    Args:
        initial: Chance of each market at the start.
    """

    def __init__(self, initial: Sequence[float]) -> None:
        self._state = [_logit(chance) for chance in initial]
        self._home = tuple(self._state)

    def prices(self) -> list[float]:
        """Return the chance of each market."""
        return [_chance(logit) for logit in self._state]

    def walk(self, index: int, step_e4: float) -> None:
        """Move a market's chance by about `step_e4`, and a little towards where it began."""
        logits = step_e4 / (ONE_E4 * max(self._slope(index), _EDGE))
        self._push(index, max(-0.5, min(0.5, logits)))
        self._state = [
            state + PULL * (home - state)
            for state, home in zip(self._state, self._home, strict=True)
        ]

    def pushed(self, index: int, logits: float) -> "Fair":
        """Return what follows when a market's chance moves so far."""
        other = copy(self)
        other._state = self._state.copy()
        other._push(index, logits)
        return other

    def winners(self, rng: Random) -> list[int]:
        """Draw a result: 0 YES, 1 NO for each market."""
        return [int(rng.random() >= chance) for chance in self.prices()]

    def _slope(self, index: int) -> float:
        """Return how much chance a small push is worth."""
        chance = self.prices()[index]
        return chance * (1 - chance)

    def _push(self, index: int, logits: float) -> None:
        self._state[index] += logits


class OneOf(Fair):
    """Exactly one market resolves YES: weights."""

    def __init__(self, initial: Sequence[float]) -> None:
        super().__init__(initial)
        self._state = [math.log(max(chance, _EDGE)) for chance in initial]
        self._home = tuple(self._state)

    def prices(self) -> list[float]:
        """Return the chance of each market; together 1."""
        weights = [math.exp(state) for state in self._state]
        scale = 1 / sum(weights)
        return [weight * scale for weight in weights]

    def winners(self, rng: Random) -> list[int]:
        """Draw the one that wins."""
        winner = rng.choices(range(len(self._state)), self.prices())[0]
        return [int(index != winner) for index in range(len(self._state))]


class OnScale(Fair):
    """
    Markets that are intervals of one scale: the chance to end above each edge, and one shift.

    Args:
        bounds: Of each market, as `Market.bounds`; one without keeps its initial chance.
        initial: Chance of each market.
    """

    def __init__(
        self, bounds: Sequence[tuple[int | None, int | None] | None], initial: Sequence[float]
    ) -> None:
        super().__init__((0.5,))
        self._initial = tuple(initial)
        self._bounds = tuple(bounds)
        self._above = self._curve()

    def _curve(self) -> dict[int, float]:
        """Return the logit of the chance to end above each edge, strictly falling."""
        known: dict[int, float] = {}
        spans = []
        for span, chance in zip(self._bounds, self._initial, strict=True):
            low, high = span or (None, None)
            if low is not None and high is not None:
                spans.append((low, high, chance))
            elif low is not None:
                known[low] = chance
            elif high is not None:
                known[high] = 1 - chance
        for low, high, chance in sorted(spans):
            if low in known:
                known.setdefault(high, known[low] - chance)
        for low, high, chance in sorted(spans, reverse=True):
            known.setdefault(low, min(1.0, known.get(high, 0.0) + chance))
            known.setdefault(high, known[low] - chance)
        curve, last = {}, math.inf
        for edge in sorted(known):
            last = curve[edge] = min(_logit(known[edge]), last - 1e-3)
        return curve

    def prices(self) -> list[float]:
        """Return the chance of each market; what implies costs no more than what is implied."""
        shift = self._state[0]
        above = {edge: _chance(logit + shift) for edge, logit in self._above.items()}
        prices = []
        for span, initial in zip(self._bounds, self._initial, strict=True):
            low, high = span or (None, None)
            if low is None and high is None:
                prices.append(initial)
            else:
                top = 0.0 if high is None else above[high]
                prices.append((1.0 if low is None else above[low]) - top)
        return prices

    def winners(self, rng: Random) -> list[int]:
        """Draw where on the scale it ends."""
        shift, draw = self._state[0], rng.random()
        reached = [edge for edge, logit in self._above.items() if _chance(logit + shift) > draw]
        end = max(reached, default=-math.inf)
        winners = []
        for span, initial in zip(self._bounds, self._initial, strict=True):
            low, high = span or (None, None)
            if low is None and high is None:
                winners.append(int(rng.random() >= initial))
            else:
                yes = (low is None or low <= end) and (high is None or end < high)
                winners.append(int(not yes))
        return winners

    def _slope(self, index: int) -> float:
        return max(chance * (1 - chance) for chance in self.prices())

    def _push(self, index: int, logits: float) -> None:
        """Shift everything so that this market's chance moves the way it should."""
        span = self._bounds[index]
        self._state[0] += -logits if span and span[0] is None else logits


def fair(event: Event) -> Fair:
    """Return the hidden state of an event, as its `initial` says; even where that is empty."""
    count = len(event.markets)
    if event.neg_risk:
        return OneOf(event.initial or [1 / count] * count)
    if event.structure in {Structure.LADDER, Structure.RANGES, Structure.DATES}:
        bounds = [market.bounds for market in event.markets]
        return OnScale(bounds, event.initial or [0.5] * count)
    return Fair(event.initial or [0.5] * count)
