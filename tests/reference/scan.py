"""The scan's slow twin: every relation summed anew, every record a plain object."""

from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil

QUIET_NS = 1_500_000_000
HARD_NS = 60_000_000_000


@dataclass
class Book:
    """What a relation sees of a token's book."""

    ask_e4: int = 0
    live: bool = False
    rate_e6: int | None = None
    exponent: int = 1
    updates: int = 0
    recv_ns: int = 0

    def cost_e6(self) -> int | None:
        """Ask and fee of one share, None if it cannot be bought."""
        if not self.live or not self.ask_e4 or self.rate_e6 is None:
            return None
        price = Fraction(self.ask_e4, 10_000)
        fee = Fraction(self.rate_e6, 1_000_000) * (price * (1 - price)) ** self.exponent
        return self.ask_e4 * 100 + ceil(fee * 1_000_000)

    def fresh(self, now_ns: int) -> bool:
        return self.live and self.recv_ns + QUIET_NS >= now_ns


@dataclass
class Relation:
    """A relation and its record."""

    legs: list[tuple[int, int]]
    payoff_e6: int
    min_edge_e6: int
    edge_e6: int = 0
    best_edge_e6: int = 0
    first_ns: int = 0
    last_ns: int = 0
    ended_ns: int = 0
    evaluations: int = 0
    opened_count: int = 0
    open: bool = False
    end: str = "none"
    seen: list[tuple[int, int]] = field(default_factory=list)


class Scan:
    """Relations over books, evaluated by summing."""

    def __init__(self, count: int) -> None:
        self.books = [Book() for _ in range(count)]
        self.relations: dict[int, Relation] = {}
        self.waiting: set[int] = set()
        self.counters = dict.fromkeys(
            (
                *("evaluations", "sightings", "opened", "ended_price", "ended_not_live"),
                *("ended_stale", "ended_removed", "withheld_stale"),
            ),
            0,
        )

    def cost_e6(self, relation: Relation) -> int | None:
        costs = [self.books[slot].cost_e6() for slot, _ in relation.legs]
        if None in costs:
            return None
        return sum(c * w for c, (_, w) in zip(costs, relation.legs, strict=True) if c is not None)

    def violated(self, relation: Relation) -> bool:
        cost = self.cost_e6(relation)
        return cost is not None and relation.payoff_e6 - cost > relation.min_edge_e6

    def changed(self, before: dict[int, int | None], now_ns: int) -> int:
        """Books changed, which cost `before` until then; return how many relations were seen."""
        sightings = 0
        for key, relation in self.relations.items():
            mine = [slot for slot, _ in relation.legs if slot in before]
            news = sum(self.books[slot].cost_e6() != before[slot] for slot in mine)
            relation.evaluations += news
            self.counters["evaluations"] += news
            if mine:
                sightings += self.evaluate(key, now_ns)
        return sightings

    def evaluate(self, key: int, now_ns: int) -> bool:
        relation = self.relations[key]
        fresh = all(self.books[slot].fresh(now_ns) for slot, _ in relation.legs)
        if not self.violated(relation):
            self.close(key, "not_live" if self.cost_e6(relation) is None else "price", now_ns)
        elif not fresh:
            self.counters["withheld_stale"] += 1
            self.close(key, "stale", now_ns)
        else:
            self.sight(key, now_ns)
            return True
        return False

    def sight(self, key: int, now_ns: int) -> None:
        relation = self.relations[key]
        edge = relation.payoff_e6 - (self.cost_e6(relation) or 0)
        if not relation.open:
            relation.open, relation.end, relation.ended_ns = True, "none", 0
            relation.first_ns, relation.best_edge_e6 = now_ns, edge
            relation.opened_count += 1
            self.counters["opened"] += 1
        relation.last_ns, relation.edge_e6 = now_ns, edge
        relation.best_edge_e6 = max(edge, relation.best_edge_e6)
        relation.seen = [
            (self.books[slot].updates, self.books[slot].cost_e6() or 0) for slot, _ in relation.legs
        ]
        self.counters["sightings"] += 1
        self.waiting.add(key)

    def close(self, key: int, why: str, now_ns: int) -> None:
        relation = self.relations[key]
        if relation.open:
            relation.open, relation.end, relation.ended_ns = False, why, now_ns
            self.counters[f"ended_{why}"] += 1
            self.waiting.add(key)

    def remove(self, key: int, now_ns: int) -> Relation:
        self.close(key, "removed", now_ns)
        self.waiting.discard(key)
        return self.relations.pop(key)

    def sweep(self, now_ns: int) -> tuple[int, int]:
        """Return how many are violated and how many of them were seen."""
        keys = [key for key, relation in self.relations.items() if self.violated(relation)]
        return len(keys), sum(self.evaluate(key, now_ns) for key in keys)
