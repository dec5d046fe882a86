"""
Faults on demand: which are on, when they fire, and what the venue is told where it asks.

All chance comes from one stream of random numbers a fault, so the same seed and the same actions
give the same faults.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from polyarb.errors import MalformedError
from polyarb.sim.catalog import Market
from polyarb.sim.config import decode
from polyarb.sim.http import Request, Response
from polyarb.sim.ledger import Wallet
from polyarb.sim.matching import Order
from polyarb.sim.mishaps import (
    AT_ONCE,
    CHOICES,
    KNOWN,
    MOST,
    PLACES,
    RANGES,
    SECOND,
    Fault,
    FaultSpec,
    Parcel,
    Steps,
    Way,
)
from polyarb.sim.streams import Channel
from polyarb.sim.wire import Trade, side

if TYPE_CHECKING:
    from polyarb.sim.feeds import Feeds
    from polyarb.sim.venue import Venue

ACCEPTED: Final = 200


MODES: Final = ("post_only", "cancel_only", "disabled")
"""Faults that are a mode of the engine."""


class Faults:
    """
    Which faults are on, and what they do at each place that can fail.

    Attributes:
        frames: Whether any fault on frames is on.
        skew_s: How far the clock that clients see is off.
        believed: What the venue takes a wallet to hold, (cash, positions) by address.
        counts: How often each fault has fired.
    """

    def __init__(self, venue: "Venue") -> None:
        self.venue = venue
        self.frames = False
        self.skew_s = 0
        self.believed: dict[str, tuple[int, dict[str, int]]] = {}
        self.counts = Counter[str]()
        self._faults: dict[int, Fault] = {}
        self._on: defaultdict[str, list[Fault]] = defaultdict(list)
        self._last_id = 0

    # -- which are there

    def add(self, given: FaultSpec | Mapping[str, Any]) -> int:
        """
        Add a fault; return its number.

        Raises:
            MalformedError: Names the member, its value and what is allowed.
        """
        spec = read_spec(given)
        known = KNOWN[spec.name]
        self._last_id += 1
        fault = Fault(self.venue, self._last_id, spec, known, {**known.values, **spec.values})
        self._faults[fault.id] = fault
        due_ns = self.venue.start_ns + int((spec.at_s or 0) * SECOND)
        if spec.at_s is None or due_ns <= self.venue.now_ns:
            self._begin(fault)
        else:
            self.venue.schedule(due_ns, self._begin, fault)
        return fault.id

    def remove(self, number: int) -> None:
        """End a fault; raises MalformedError where there is none of that number."""
        fault = self._faults.get(number)
        if fault is None:
            raise MalformedError(f"no fault {number!r}; allowed: {sorted(self._faults)}")
        self._end(fault)

    def describe(self) -> list[dict[str, Any]]:
        """Return every known fault, what it does and takes, and those of it that are there."""
        rows = []
        for name, known in KNOWN.items():
            there = [fault for fault in self._faults.values() if fault.spec.name == name]
            rows.append(
                {
                    "name": name,
                    "place": known.place,
                    "what": known.what,
                    "values": dict(known.values),
                    "match": list(PLACES[known.place]),
                    "fired": self.counts[name],
                    "active": [
                        {
                            "id": fault.id,
                            "on": fault.on,
                            "fired": fault.fired,
                            **msgspec.to_builtins(fault.spec),
                        }
                        for fault in there
                    ],
                }
            )
        return rows

    def _begin(self, fault: Fault) -> None:
        if fault.id not in self._faults:
            return
        fault.on = True
        self.venue.say("fault_on", fault.id, fault.spec.name)
        if fault.spec.for_s is not None:
            ends_ns = self.venue.now_ns + int(fault.spec.for_s * SECOND)
            self.venue.schedule(ends_ns, self._end, fault)
        if fault.known.place in AT_ONCE:
            self._act(fault)
        else:
            self._on[fault.known.place].append(fault)
            self.frames = bool(self._on["frame"])

    def _act(self, fault: Fault) -> None:
        """Let a fault act that waits for no occasion; then again, or be over if nothing is left."""
        if not fault.on:
            return
        spec = fault.spec
        every_s = spec.every_s or fault.values.get("every_s")
        if fault.rng.random() < spec.probability:
            self._note(fault)
            fault.known.does(fault)
        if every_s and fault.fired != spec.count:
            self.venue.schedule(self.venue.now_ns + int(every_s * SECOND), self._act, fault)
        elif fault.known.undo is None or not fault.fired:
            self._end(fault)

    def _end(self, fault: Fault) -> None:
        if self._faults.pop(fault.id, None) is None or not fault.on:
            return
        fault.on = False
        if fault.known.place not in AT_ONCE:
            self._on[fault.known.place].remove(fault)
            self.frames = bool(self._on["frame"])
        if fault.known.undo and fault.fired:
            fault.known.undo(fault)
        self.venue.say("fault_off", fault.id, fault.spec.name)

    def newest_mode(self) -> str | None:
        """Return the mode that the newest fault still on asks for."""
        asked = [f.spec.name for f in self._faults.values() if f.on and f.spec.name in MODES]
        return asked[-1] if asked else None

    def _note(self, fault: Fault, *about: object) -> None:
        fault.fired += 1
        self.counts[fault.spec.name] += 1
        self.venue.counts["faults"] += 1
        self.venue.say("fault", fault.spec.name, fault.id, *about)

    def _firing(self, place: str, facts: Mapping[str, Any], *about: object) -> Iterator[Fault]:
        """Yield the faults that fire on this occasion, oldest first."""
        for fault in list(self._on[place]):
            chance = fault.spec.probability
            if fault.concerns(facts) and (chance >= 1 or fault.rng.random() < chance):
                self._note(fault, *about)
                if fault.fired == fault.spec.count:
                    self._end(fault)
                yield fault

    # -- the places

    def before(self, request: Request) -> Response | None:
        """Return an answer in place of handling the request."""
        for fault in self._on_request("request", request):
            answer: Response = fault.known.does(fault, request)
            return answer
        return None

    def after(self, request: Request, response: Response) -> tuple[Response, int]:
        """Return what is sent for an answer, and how many ns later."""
        delay_ns = 0
        if response.status == ACCEPTED:
            for fault in self._on_request("response", request):
                response, late_ns = fault.known.does(fault, request, response)
                delay_ns += late_ns
        return response, delay_ns

    def _on_request(self, place: str, request: Request) -> Iterator[Fault]:
        if not self._on[place] or request.path.startswith("/admin"):
            return iter(())
        queried = "\n".join(value for values in request.query.values() for value in values)
        whole = b"\n".join((request.path.encode(), queried.encode(), request.body))
        accounts = self.venue.accounts
        asker = accounts.keys.get(request.headers.get("poly_api_key", ""))
        wallets = accounts.wallets_of(asker.eoa) if asker else ()
        facts = {
            "path": f"{request.method} {request.path}",
            "token": whole,
            "market": whole,
            "address": [wallet.address for wallet in wallets],
        }
        return self._firing(place, facts, request.path)

    def refusal(self, order: Order) -> tuple[int, str] | None:
        """Return (status, text) to refuse an order that passed every check."""
        for fault in self._on_order("order", order):
            refused: tuple[int, str] = fault.known.does(fault, order)
            return refused
        return None

    def partial(self, order: Order) -> int | None:
        """Return the most of its size that an order may match, in millionths, or None."""
        if order.kind not in {"FAK", "FOK"}:
            return None  # what is left of it would rest across the other side
        for fault in self._on_order("match", order):
            share: int = fault.known.does(fault, order)
            return share
        return None

    def unmatched(self, order: Order) -> bool:
        """Say whether a held order finds nothing after its delay."""
        return any(True for _ in self._on_order("hold", order))

    def _on_order(self, place: str, order: Order) -> Iterator[Fault]:
        if not self._on[place] or not order.owner:
            return iter(())
        facts = {
            "token": (order.token,),
            "market": (order.market.condition_id,),
            "address": (order.wallet.address, order.wallet.owner),
            "kind": (order.kind, side(order.buy)),
            "leg": order.leg,
        }
        return self._firing(place, facts, order.id)

    def settlement(self, trade: Trade, steps: Steps) -> Steps:
        """Return what a trade goes through after MATCHED."""
        for fault in self._on_trade("trade", trade):
            steps = fault.known.does(fault, trade, steps)
        return steps

    def hash_delayed(self, trade: Trade) -> bool:
        """Say whether a mined trade has no hash yet; it is told later then."""
        for fault in self._on_trade("hash", trade):
            delayed: bool = fault.known.does(fault, trade)
            return delayed
        return False

    def _on_trade(self, place: str, trade: Trade) -> Iterator[Fault]:
        if not self._on[place] or not trade.owners():
            return iter(())
        orders = [trade.taker, *(part.maker for part in trade.parts)]
        facts = {
            "token": [order.token for order in orders],
            "market": (trade.taker.market.condition_id,),
            "address": [a for o in orders for a in (o.wallet.address, o.wallet.owner)],
        }
        return self._firing(place, facts, trade.id)

    def withhold_snapshot(self, market: Market, outcome: int) -> bool:
        """Say whether a token's opening book is left out."""
        if not self._on["snapshot"]:
            return False
        token = market.tokens[outcome]
        facts = {"token": (token,), "market": (market.condition_id,)}
        return any(True for _ in self._firing("snapshot", facts, token))

    def frame(
        self, feeds: "Feeds", channel: Channel, kind: str, frame: bytes, delay_ns: int
    ) -> None:
        """Send a frame through the faults that are on."""
        part = b"" if kind == "dump" else frame
        facts = {
            "path": channel.path,
            "token": part,
            "market": part,
            "kind": (kind,),
            "connection": channel.number,
        }
        way, parcels = Way(feeds, channel), [Parcel(frame, delay_ns)]
        for fault in self._firing("frame", facts, channel.path, channel.number, kind):
            parcels = [made for each in parcels for made in fault.known.does(fault, way, each)]
        for parcel in parcels:
            way.send(parcel)

    def pong_lost(self, channel: Channel) -> bool:
        """Say whether a PING gets no PONG."""
        if not self._on["pong"]:
            return False
        facts = {"path": channel.path, "connection": channel.number}
        return any(True for _ in self._firing("pong", facts, channel.path, channel.number))

    def user_events(self, event: Mapping[str, Any], delay_ns: int) -> tuple[int, ...]:
        """Return the delays at which a user event is told: () never, two for twice."""
        delays: tuple[int, ...] = (delay_ns,)
        if self._on["user"]:
            asker = self.venue.accounts.keys.get(event["owner"])
            facts = {
                "token": (event["asset_id"],),
                "market": (event["market"],),
                "address": (event["maker_address"], asker.eoa if asker else ""),
                "kind": (event["event_type"], event["type"], event["status"]),
            }
            for fault in self._firing("user", facts, event["event_type"], event["id"]):
                delays = fault.known.does(fault, delays)
        return delays

    def balance(self, wallet: Wallet, token: str, units: int) -> int:
        """Return what the venue believes a wallet holds of a token, of collateral for ""."""
        held = self.believed.get(wallet.address)
        if held is None:
            return units
        return held[1].get(token, 0) if token else held[0]

    def unseen(self, wallet: Wallet, token: str) -> int:
        """Return what a wallet holds of a token, or of collateral, that the venue does not know."""
        units = wallet.tokens(token) if token else wallet.cash_e6
        return max(0, units - self.balance(wallet, token, units))

    def relayer(self, operation: str) -> str | None:
        """Return the final state a relayed transaction fails with, or None."""
        for fault in self._firing("relayer", {"kind": (operation,)}, operation):
            state: str = fault.known.does(fault)
            return state
        return None

    def relayer_wait_ns(self, operation: str) -> int:
        """Return how much longer the next state of a relayed transaction takes."""
        firing = self._firing("relayer_wait", {"kind": (operation,)}, operation)
        return sum(fault.known.does(fault) for fault in firing)


def read_spec(given: FaultSpec | Mapping[str, Any]) -> FaultSpec:
    """
    Return a spec that holds together.

    Raises:
        MalformedError: Names the member, its value and what is allowed.
    """
    spec = given if isinstance(given, FaultSpec) else decode(FaultSpec, dict(given), "fault")
    known = KNOWN.get(spec.name)
    if known is None:
        raise MalformedError(f"fault name = {spec.name!r}; allowed: {', '.join(KNOWN)}")
    where = f"fault {spec.name}:"
    places = PLACES[known.place]
    for name, wanted in msgspec.structs.asdict(spec.match).items():
        if wanted is not None and name not in places:
            allowed = ", ".join(places) or "none"
            raise MalformedError(f"{where} match.{name} = {wanted!r}; allowed: {allowed}")
    once = known.place in AT_ONCE and known.undo is None and "every_s" not in known.values
    if once and spec.for_s is not None and spec.every_s is None:
        own = ", ".join(f"{name} = {value}" for name, value in known.values.items()) or "none"
        raise MalformedError(
            f"{where} for_s = {spec.for_s}; it is over at once, see its values: {own}"
        )
    if spec.every_s is not None and known.place not in AT_ONCE:
        raise MalformedError(f"{where} every_s = {spec.every_s}; it fires on occasions by itself")
    values = {
        name: _value(f"{where} values.{name} = {value!r}", spec.name, known.values, name, value)
        for name, value in spec.values.items()
    }
    address = spec.match.address and spec.match.address.lower()
    match = msgspec.structs.replace(spec.match, address=address)
    return msgspec.structs.replace(spec, match=match, values=values)


def _value(where: str, fault: str, defaults: Mapping[str, Any], name: str, value: Any) -> Any:
    if name not in defaults:
        raise MalformedError(f"{where}; allowed: {', '.join(defaults) or 'none'}")
    kind = type(defaults[name])
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise MalformedError(f"{where}; allowed: {kind.__name__}")
    choices = CHOICES.get((fault, name))
    if choices and value not in choices:
        raise MalformedError(f"{where}; allowed: {', '.join(map(repr, choices))}")
    low, high = RANGES.get(name, (0, MOST))
    if kind is not str and not low <= value <= high:
        raise MalformedError(f"{where}; allowed: {low:g}..{high:g}")
    return value
