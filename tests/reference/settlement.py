"""
What a wallet's tokens can become, by trying everything: merges and conversions one unit at a time.

Stdlib only. A state is (cash, YES by market, NO by market) of one neg-risk group; amounts are whole
units and conversions keep nothing.
"""

from collections.abc import Iterator

State = tuple[int, tuple[int, ...], tuple[int, ...]]


def most_cash(yes: tuple[int, ...], no: tuple[int, ...]) -> int:
    """Return the most cash that any sequence of merges and conversions frees."""
    seen: set[State] = set()
    waiting: list[State] = [(0, yes, no)]
    best = 0
    while waiting:
        state = waiting.pop()
        if state in seen:
            continue
        seen.add(state)
        best = max(best, state[0])
        waiting += _steps(state)
    return best


def _steps(state: State) -> Iterator[State]:
    cash, yes, no = state
    places = range(len(yes))
    for place in places:
        if yes[place] and no[place]:
            yield cash + 1, _less(yes, {place}), _less(no, {place})
    for index_set in range(1, 1 << len(yes)):
        chosen = {place for place in places if index_set >> place & 1}
        if all(no[place] for place in chosen):
            others = set(places) - chosen
            more = tuple(count + (place in others) for place, count in enumerate(yes))
            yield cash + len(chosen) - 1, more, _less(no, chosen)


def _less(counts: tuple[int, ...], places: set[int]) -> tuple[int, ...]:
    return tuple(count - (place in places) for place, count in enumerate(counts))


def worth(winner: int, cash: int, yes: tuple[int, ...], no: tuple[int, ...]) -> int:
    """Return what cash and tokens of a group pay if market `winner` resolves YES."""
    return cash + sum(yes[place] if place == winner else no[place] for place in range(len(yes)))
