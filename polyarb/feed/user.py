"""
The user socket, without any I/O: our orders and trades, as the exchange tells of them.

Nothing is replayed after a lost connection, so each new one asks for a reconciliation over REST, as
does a message that cannot be read (protocol.md section 21). Events come twice, late and in any
order; `Told` lets through what is news. A login has no answer: the PONG that follows it without a
close counts as one.

`Session` holds what is said and when, `UserFeed` puts bytes under it for `polyarb.feed.socket`, and
`UserLine` a `polyarb.domain.wire.Stream`.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from random import Random
from typing import Final, Protocol, TypeVar

from polyarb.core.base import UINT64_MAX, integer
from polyarb.domain.report import (
    OrderReport,
    OrderStatus,
    TradeReport,
    TradeStatus,
    Units,
    load,
    read_order,
    read_trade,
)
from polyarb.domain.wire import SocketPort, Stream
from polyarb.errors import MalformedError
from polyarb.feed.channel import SECOND, Link, parse_url

NORMAL: Final = 1000
ABNORMAL: Final = 1006
POLICY: Final = 1008
ROOM: Final = 1 << 16
ATTEMPT_MAX: Final = 62
DOUBT_FROM: Final = 3
"""So many connections in a row that end right after the login make the credentials suspect."""

_DENIED_CODES: Final = frozenset({4001, 4003, 4401, 4403})
_DENIED_WORDS: Final = ("credential", "auth", "api key", "apikey", "forbidden")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class UserConfig:
    """
    What the connection is held to; times in nanoseconds.

    Attributes:
        open_ns: From dialling to the end of the handshake.
        login_ns: A login that nothing follows for so long counts as taken.
        close_ns: How long the peer has to end the transport after its close.
        ping_ns: Between two texts PING.
        pong_ns: Without a PONG for so long the connection is lost.
        backoff_min_ns, backoff_max_ns: Bounds of the wait before dialling again.
        stable_ns: A connection that lasted so long starts with the shortest wait again.
        message_bytes_max: A longer message ends the connection.
        told_max: Orders, and trades, that are remembered.
    """

    open_ns: int = 10 * SECOND
    login_ns: int = 5 * SECOND
    close_ns: int = SECOND
    ping_ns: int = 10 * SECOND
    pong_ns: int = 30 * SECOND
    backoff_min_ns: int = SECOND // 10
    backoff_max_ns: int = 30 * SECOND
    stable_ns: int = 10 * SECOND
    message_bytes_max: int = 16 << 20
    told_max: int = 1 << 16

    def __post_init__(self) -> None:
        for name in ("open_ns", "login_ns", "close_ns", "ping_ns", "pong_ns", "backoff_min_ns"):
            integer(f"user.{name}", getattr(self, name), 1, UINT64_MAX)
        integer("user.backoff_max_ns", self.backoff_max_ns, self.backoff_min_ns, UINT64_MAX)
        integer("user.stable_ns", self.stable_ns, 0, UINT64_MAX)
        integer("user.message_bytes_max", self.message_bytes_max, 1 << 10, 1 << 30)
        integer("user.told_max", self.told_max, 1, 1 << 24)


class UserListener(Protocol):
    """Who hears of orders, trades and the connection; an exception ends the feed."""

    def order(self, report: OrderReport, recv_ns: int) -> None:
        """Take news of an order of ours."""

    def trade(self, report: TradeReport, recv_ns: int) -> None:
        """Take news of a trade with fills of ours."""

    def reconcile(self, reason: str, now_ns: int) -> None:
        """Ask REST for open orders and trades: from here on events come, earlier ones may not."""

    def down(self, reason: str, now_ns: int) -> None:
        """Take note that nothing is heard until the next `reconcile`."""

    def denied(self, reason: str, *, certain: bool, now_ns: int) -> None:
        """
        Take note that the credentials are refused; `certain`: no further attempt until `retry`.

        Otherwise connections keep ending right after the login, which may have other reasons:
        REST can tell.
        """


class State(Enum):
    """How far the connection is."""

    WAITING = "waiting"
    DIALLING = "dialling"
    LOGGING_IN = "logging_in"
    UP = "up"
    DENIED = "denied"
    STOPPED = "stopped"


@dataclass(slots=True)
class Counts:
    """
    What came, all connections together.

    Attributes:
        orders, trades: Events, news or not.
        news: Those handed on.
        rejected: Messages or events that cannot be read, by what is wrong.
        foreign: Trades without a fill of ours.
        pongs: Texts PONG.
        texts: Other texts, and objects of other kinds.
        opened: Connections.
    """

    orders: int = 0
    trades: int = 0
    news: int = 0
    foreign: int = 0
    pongs: int = 0
    texts: int = 0
    opened: int = 0
    rejected: Counter[str] = field(default_factory=Counter)


class Told:
    """What was said of each order and trade so far, from any witness; the oldest is forgotten."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._orders: OrderedDict[str, OrderReport] = OrderedDict()
        self._trades: OrderedDict[str, TradeReport] = OrderedDict()

    def order(self, report: OrderReport) -> OrderReport | None:
        """
        Return what is known now if `report` adds to it, else None.

        Matched shares only grow, and an order that ended stays so, in whatever order that is told.
        """
        known = self._orders.get(report.order_id)
        now = report if known is None else _joined(known, report)
        if now == known:
            return None
        self._keep(self._orders, report.order_id, now)
        return now

    def trade(self, report: TradeReport) -> TradeReport | None:
        """Return `report` if it says more than was known of the trade, else None."""
        known = self._trades.get(report.trade_id)
        if known is not None and not _advances(known, report):
            return None
        self._keep(self._trades, report.trade_id, report)
        return report

    def _keep(self, kept: OrderedDict[str, _T], name: str, value: _T) -> None:
        kept[name] = value
        kept.move_to_end(name)
        if len(kept) > self._most:
            kept.popitem(last=False)


def _joined(known: OrderReport, report: OrderReport) -> OrderReport:
    """Return the newer of two reports, with the most that either says of matches."""
    newer = not known.final and _place(report) >= _place(known)
    now = report if newer else known
    trades = {*known.trade_ids, *report.trade_ids}
    joined = replace(
        now,
        matched_e6=max(known.matched_e6, report.matched_e6),
        trade_ids=tuple(sorted(trades)) if trades != {*now.trade_ids} else now.trade_ids,
    )
    return known if _same(joined, known) else joined


def _place(report: OrderReport) -> tuple[bool, bool, int]:
    """Return where a report stands in an order's life; REST has no time of what it says."""
    return report.final, report.status is not OrderStatus.DELAYED, report.at_ms


def _same(one: OrderReport, other: OrderReport) -> bool:
    """Say whether two reports differ in their time and wording alone."""
    return (one.status, one.matched_e6, {*one.trade_ids}) == (
        other.status,
        other.matched_e6,
        {*other.trade_ids},
    )


def _advances(known: TradeReport, report: TradeReport) -> bool:
    """Say whether a trade goes on: final is final, MATCHED comes first, the rest by its time."""
    if known.status.final:
        return False
    if report.status.final:
        return True
    if report.status is known.status:
        return bool(report.transaction_hash) and not known.transaction_hash
    if report.status is TradeStatus.MATCHED:
        return False
    return known.status is TradeStatus.MATCHED or report.at_ms > known.at_ms


class Session:
    """
    What is said on the connection and when, whatever carries it.

    Args:
        login: Makes the first message; called for each connection, so that it is not kept.
        owner: The API key's id.
        listener: Hears of everything.
        now_ns: Monotonic; it is dialled at once.
        config: What the connection is held to.
        random: For jitter.

    Attributes:
        state: How far it is.
        due_ns: When to dial, while it waits.
        texts: To be sent, taken by whoever carries it.
        last_reason: Why it ended last.
    """

    def __init__(
        self,
        login: Callable[[], str],
        *,
        owner: str,
        listener: UserListener,
        now_ns: int,
        config: UserConfig,
        random: Random,
    ) -> None:
        self._login = login
        self._owner = owner
        self._listener = listener
        self._config = config
        self._random = random
        self._attempt = self._doubts = 0
        self._deadline_ns = self._opened_ns = self._ping_ns = self._pong_ns = 0
        self.state = State.WAITING
        self.due_ns = now_ns
        self.texts: list[str] = []
        self.told = Told(config.told_max)
        self.units = Units()
        self.counts = Counts()
        self.last_reason = ""

    @property
    def connected(self) -> bool:
        """Whether a socket is open."""
        return self.state in {State.LOGGING_IN, State.UP}

    @property
    def wanted(self) -> bool:
        """Whether a socket is open or is to be."""
        return self.connected or self.state is State.DIALLING

    def next_deadline(self) -> int | None:
        """Return when `tick` has something to do."""
        match self.state:
            case State.WAITING:
                return self.due_ns
            case State.DIALLING:
                return self._deadline_ns
            case State.LOGGING_IN:
                return min(self._ping_ns, self._deadline_ns, self._pong_deadline_ns)
            case State.UP:
                return min(self._ping_ns, self._pong_deadline_ns)
        return None

    def tick(self, now_ns: int) -> None:
        """Do what is due: dial, PING, give up."""
        config = self._config
        if self.state is State.WAITING and now_ns >= self.due_ns:
            self.state = State.DIALLING
            self._deadline_ns = now_ns + config.open_ns
        elif self.state is State.DIALLING and now_ns >= self._deadline_ns:
            self.ended(ABNORMAL, f"not open after {config.open_ns / SECOND:g} s", now_ns)
        elif self.connected and now_ns >= self._pong_deadline_ns:
            self._over(f"no PONG for {config.pong_ns / SECOND:g} s", now_ns)
        elif self.connected:
            if now_ns >= self._ping_ns:
                self.texts.append("PING")
                self._ping_ns = now_ns + config.ping_ns
            if now_ns >= self._deadline_ns:
                self._taken(now_ns)

    def opened(self, now_ns: int) -> None:
        """Log in: the socket is open."""
        self.state = State.LOGGING_IN
        self.counts.opened += 1
        self._opened_ns = self._pong_ns = now_ns
        self._ping_ns = now_ns + self._config.ping_ns
        self._deadline_ns = now_ns + self._config.login_ns
        self.texts = [self._login(), "PING"]

    def message(self, data: bytes, now_ns: int) -> None:
        """Take one message."""
        text = data.strip()
        if text.upper() == b"PONG":
            self.counts.pongs += 1
            self._pong_ns = now_ns
            self._taken(now_ns)
        elif text[:1] in {b"{", b"["}:
            self._told(text, now_ns)
        elif text:
            self.counts.texts += 1
        else:
            self._reject("empty", now_ns)

    def ended(self, code: int, reason: str, now_ns: int) -> None:
        """Take note that the socket is closed, or never opened; 1006 without a close frame."""
        said = f"{code} {reason}".rstrip()
        if self._is_denial(code, reason):
            self.state, self.texts, self.last_reason = State.DENIED, [], said
            self._listener.denied(said, certain=True, now_ns=now_ns)
            return
        doubtful = self.state is State.LOGGING_IN
        self._over(said, now_ns)
        self._doubts = self._doubts + 1 if doubtful else self._doubts
        if self._doubts == DOUBT_FROM:
            self._listener.denied(said, certain=False, now_ns=now_ns)

    def learned(
        self, orders: Iterable[OrderReport], trades: Iterable[TradeReport], now_ns: int
    ) -> None:
        """Take what another witness says, such as REST after `reconcile`; news is handed on."""
        for order in orders:
            self._order(order, now_ns)
        for trade in trades:
            self._trade(trade, now_ns)

    def retry(self, now_ns: int) -> None:
        """Dial again after a denial: the credentials are others, or the denial was mended."""
        if self.state is State.DENIED:
            self.state, self.due_ns, self._attempt, self._doubts = State.WAITING, now_ns, 0, 0

    def stop(self) -> None:
        """Never dial again."""
        self.state, self.texts = State.STOPPED, []

    @property
    def _pong_deadline_ns(self) -> int:
        return self._pong_ns + self._config.pong_ns

    def _taken(self, now_ns: int) -> None:
        """Take the login for taken."""
        if self.state is State.LOGGING_IN:
            self.state = State.UP
            self._doubts = 0
            self._deadline_ns = UINT64_MAX
            self._listener.reconcile("connected", now_ns)

    def _is_denial(self, code: int, reason: str) -> bool:
        if not self.connected:
            return False
        if code == POLICY and self.state is State.LOGGING_IN:
            return True
        spoken = code == POLICY and any(word in reason.lower() for word in _DENIED_WORDS)
        return spoken or code in _DENIED_CODES

    def _over(self, reason: str, now_ns: int) -> None:
        """Wait for the next attempt."""
        was_up = self.state is State.UP
        if self.state in {State.DENIED, State.STOPPED, State.WAITING}:
            return
        if was_up and now_ns - self._opened_ns >= self._config.stable_ns:
            self._attempt = 0
        config = self._config
        most = min(config.backoff_max_ns, config.backoff_min_ns << (self._attempt + 1))
        least = max(config.backoff_min_ns, most // 2)
        self._attempt = min(self._attempt + 1, ATTEMPT_MAX)
        self.state, self.texts, self.last_reason = State.WAITING, [], reason
        self.due_ns = now_ns + self._random.randint(least, most)
        if was_up:
            self._listener.down(reason, now_ns)

    def _told(self, text: bytes, now_ns: int) -> None:
        try:
            found = load(text)
        except MalformedError:
            self._reject("no JSON", now_ns)
            return
        for event in found if isinstance(found, list) else [found]:
            self._event(event, now_ns)

    def _event(self, event: object, now_ns: int) -> None:
        kind = event.get("event_type") if isinstance(event, dict) else None
        try:
            if kind == "order":
                self.counts.orders += 1
                order = read_order(event, self.units)
                self._taken(now_ns)
                self._order(order, now_ns)
            elif kind == "trade":
                self.counts.trades += 1
                trade = read_trade(event, self._owner, self.units)
                self._taken(now_ns)
                self._trade(trade, now_ns)
            elif isinstance(kind, str):
                self.counts.texts += 1
            else:
                self._reject("no event", now_ns)
        except MalformedError:
            self._reject(str(kind), now_ns)

    def _order(self, report: OrderReport, now_ns: int) -> None:
        news = self.told.order(report)
        if news:
            self.counts.news += 1
            self._listener.order(news, now_ns)

    def _trade(self, report: TradeReport, now_ns: int) -> None:
        if not report.fills:
            self.counts.foreign += 1
            return
        news = self.told.trade(report)
        if news:
            self.counts.news += 1
            self._listener.trade(news, now_ns)

    def _reject(self, what: str, now_ns: int) -> None:
        self.counts.rejected[what] += 1
        self._listener.reconcile(f"unreadable: {what}", now_ns)


class UserFeed:
    """
    The user socket over bytes; a feed of one connection for `polyarb.feed.socket.run`.

    Args:
        url: ``wss://host/ws/user``.
        session: What is said on it.
        config: The session's.

    Attributes:
        wake: Called when `pending` has something after it was empty.

    Raises:
        MalformedError: `url` is no WebSocket URL.
    """

    number: Final = 0

    def __init__(self, url: str, session: Session, config: UserConfig) -> None:
        self.uri = parse_url(url)
        self.session = session
        self.wake: Callable[[], None] = lambda: None
        self.epoch = 0
        self.channel: Link | None = None
        self._config = config
        self._room = memoryview(bytearray(ROOM))
        self._closing_ns: int | None = None
        self._pending = False

    # -- as `feed.socket` sees a connection

    def connected(self, now_ns: int) -> None:
        """Begin the handshake: the transport is there."""
        if self.channel:
            self.channel.connect()
            self._touch()

    def room(self) -> memoryview:
        """Return where the next read goes."""
        return self._room

    def received(self, count: int, now_ns: int) -> None:
        """Take bytes that were read into `room`."""
        link = self.channel
        if link is None:
            return
        messages = link.receive(bytes(self._room[:count]))
        if self._closing_ns is None:
            if self.session.state is State.DIALLING and (link.open or messages):
                self.session.opened(now_ns)
            for message in messages:
                self.session.message(message, now_ns)
            closed = link.closed
            if closed:
                self._closing_ns = now_ns + self._config.close_ns
                self.session.ended(closed.code, closed.reason, now_ns)
        self._settle()

    def lost(self, reason: str, now_ns: int) -> None:
        """Take note that the transport is gone, or never came."""
        if self.channel:
            closing = self._closing_ns is not None
            self._let_go()
            if not closing:
                self.session.ended(ABNORMAL, reason, now_ns)
            self._settle()

    def data_to_send(self) -> bytes:
        """Return what is to be written now."""
        return self.channel.data_to_send() if self.channel else b""

    # -- as `feed.socket` sees a feed

    @property
    def stopped(self) -> bool:
        """Whether it was stopped and needs no transport any more."""
        return self.session.state is State.STOPPED and self.channel is None

    def next_deadline(self) -> int | None:
        """Return when `tick` has something to do."""
        if self._closing_ns is not None:
            return self._closing_ns
        return self.session.next_deadline()

    def tick(self, now_ns: int) -> None:
        """Do what is due."""
        if self._closing_ns is not None:
            if now_ns >= self._closing_ns:
                self._let_go()
            return
        self.session.tick(now_ns)
        if self.session.state is State.DIALLING and self.channel is None:
            self.epoch += 1
            self.channel = Link(self.uri, message_bytes_max=self._config.message_bytes_max)
            self._touch()
        self._settle()

    def pending(self) -> Sequence["UserFeed"]:
        """Return itself if it waits to be looked at."""
        waits, self._pending = self._pending, False
        return [self] if waits else []

    def stop(self, now_ns: int) -> None:
        """Close for good."""
        self.session.stop()
        if self.channel and self.channel.open:
            self.channel.close(NORMAL, "the feed ends")
            self._closing_ns = now_ns + self._config.close_ns
            self._touch()
        elif self._closing_ns is None:
            self._let_go()

    def retry(self, now_ns: int) -> None:
        """Dial again after a denial."""
        self.session.retry(now_ns)
        self._touch()

    def _settle(self) -> None:
        """Send what the session has to say; let go of a transport that it does not want."""
        link, session = self.channel, self.session
        if link is None:
            return
        if session.texts:
            texts, session.texts = session.texts, []
            for text in texts:
                link.send(text)
        if not session.wanted and self._closing_ns is None:
            self._let_go()
        self._touch()

    def _let_go(self) -> None:
        self.channel = None
        self._closing_ns = None
        self._touch()

    def _touch(self) -> None:
        if not self._pending:
            self._pending = True
            self.wake()


class UserLine:
    """
    The user socket over a `Stream`, for the simulated exchange in virtual time.

    Call `step` at `Session.next_deadline`; messages come by themselves.
    """

    def __init__(self, port: SocketPort, session: Session, now_ns: Callable[[], int]) -> None:
        self._port = port
        self._now_ns = now_ns
        self._stream: Stream | None = None
        self.session = session

    async def step(self) -> None:
        """Do what is due."""
        session = self.session
        session.tick(self._now_ns())
        if not session.wanted:
            self._hang_up()
        elif self._stream is None:
            try:
                self._stream = await self._port.connect("/ws/user", self)
            except ConnectionError as error:
                session.ended(ABNORMAL, str(error), self._now_ns())
                return
            session.opened(self._now_ns())
        self._say()

    def stop(self) -> None:
        """Close for good."""
        self.session.stop()
        self._hang_up()

    # -- Listener

    def text(self, message: bytes) -> None:
        """Take one text message."""
        if self._stream:
            self.session.message(message, self._now_ns())
            self._say()

    def closed(self, code: int, reason: str) -> None:
        """Take note of the end."""
        if self._stream:
            self._stream = None
            self.session.ended(code, reason, self._now_ns())

    def _say(self) -> None:
        texts, self.session.texts = self.session.texts, []
        for text in texts:
            if self._stream:
                self._stream.send(text)

    def _hang_up(self) -> None:
        if self._stream:
            self._stream.close()
            self._stream = None
