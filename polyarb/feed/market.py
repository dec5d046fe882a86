"""
The market feed, without any I/O: a universe of tokens over as many connections as it takes.

Tokens are spread over shards. A shard has one connection, or a second one that carries the same
tokens (`FeedConfig.copies`): then the ticker must have been made with ``DROP_OLDER``, so that the
first copy of an update wins. A connection that ends comes back for ever, with back-off, and
subscribes to all of its tokens again.

Whoever moves the bytes (`polyarb.feed.socket`) sets `MarketFeed.wake`, takes the connections that
wait for it from `pending`, dials those that are dialling, and calls

    connection.connected(now_ns)                     # the transport is there
    connection.room(), connection.received(n, now_ns)
    connection.lost("reset by peer", now_ns)
    connection.data_to_send()
    feed.next_deadline(), feed.tick(now_ns)
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random
from typing import Any, Final, Protocol

from polyarb import errors
from polyarb.core.base import UINT64_MAX, integer
from polyarb.core.book import LINES_MAX
from polyarb.core.stream import BUFFER_MAX, Splitter
from polyarb.core.tick import Ticker
from polyarb.feed.channel import (
    SECOND,
    Changed,
    Channel,
    ChannelConfig,
    Closed,
    Counts,
    Event,
    Notice,
    Opened,
    State,
    parse_url,
)

SHARD_MAX: Final = 1024
"""Tokens of a connection: one report of the core names so many changed books."""
NORMAL: Final = 1000
RETRY_NS: Final = SECOND
"""A renewal waits so long for the other copy to be up."""
ATTEMPT_MAX: Final = 62


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedConfig:
    """
    How the feed connects; times in nanoseconds.

    Attributes:
        tokens_per_connection: Above 500 the exchange leaves opening books out (section 20).
        copies: Connections that carry a token: 1, or 2 for the first copy of each update.
        buffer_bytes: Receive buffer of a connection; longer frames take the slow way.
        backoff_min_ns, backoff_max_ns: Bounds of the wait before dialling again.
        stable_ns: A connection that lasted so long starts with the shortest wait again.
        renew_ns: Replace a connection after so long, up to a quarter earlier; 0 is never.
        channel: What each connection is held to.
    """

    tokens_per_connection: int = 200
    copies: int = 1
    buffer_bytes: int = 1 << 20
    backoff_min_ns: int = SECOND // 10
    backoff_max_ns: int = 30 * SECOND
    stable_ns: int = 10 * SECOND
    renew_ns: int = 0
    channel: ChannelConfig = field(default_factory=ChannelConfig)

    def __post_init__(self) -> None:
        integer("feed.tokens_per_connection", self.tokens_per_connection, 1, SHARD_MAX)
        integer("feed.copies", self.copies, 1, 2)
        integer("feed.buffer_bytes", self.buffer_bytes, 1 << 16, BUFFER_MAX)
        integer("feed.backoff_min_ns", self.backoff_min_ns, 1, UINT64_MAX)
        integer("feed.backoff_max_ns", self.backoff_max_ns, self.backoff_min_ns, UINT64_MAX)
        integer("feed.stable_ns", self.stable_ns, 0, UINT64_MAX)
        integer("feed.renew_ns", self.renew_ns, 0, UINT64_MAX)


class FeedListener(Protocol):
    """
    Who hears of books and connections; called in order, from inside a socket read.

    May call `MarketFeed.subscribe` and the like. An exception ends the feed.
    """

    def changed(self, slots: Sequence[int], recv_ns: int) -> None:
        """Take note that books or their states changed: after each read that changed any."""

    def notice(self, message: dict[str, Any], recv_ns: int) -> None:
        """Take a message that is not about levels: new_market, tick_size_change, unknown kinds."""

    def up(self, connection: int, tokens: Sequence[str], now_ns: int) -> None:
        """Take note that `tokens` are subscribed to; their books come with the next reads."""

    def down(self, connection: int, tokens: Sequence[str], reason: str, now_ns: int) -> None:
        """Take note that `connection` no longer carries `tokens`; another one may."""


class Tap(Protocol):
    """Who records what came in; `polyarb.feed.channel.Messages` makes messages of it."""

    def read(self, connection: int, recv_ns: int, data: bytes) -> None:
        """Take the bytes of one socket read, after the handshake; `up` begins a new stream."""


@dataclass(slots=True, eq=False)
class Shard:
    """
    Tokens that travel together.

    Attributes:
        tokens: In the order they were asked for.
        connections: One, or two copies.
    """

    tokens: dict[str, None]
    connections: list["Connection"]


class Connection:
    """
    One of the feed's connections, through all of its epochs.

    Attributes:
        number: Its name; never used again for another.
        line: Its place among those that the core knows, 0 if there was none left.
        epoch: Counts the times it was dialled.
        channel: Of this epoch; None while it waits.
        tokens: What it carries.
        counts: What came over it.
        opened_count: How often it was open.
        due_ns: When it is dialled next; None if it need not be.
        last_reason: Why it ended last.
    """

    __slots__ = (
        *("_attempt", "_feed", "_renew_ns", "_shard", "_splitter", "_up", "channel", "counts"),
        *("due_ns", "epoch", "last_reason", "line", "number", "opened_count", "tokens"),
    )

    def __init__(self, feed: "MarketFeed", number: int, shard: Shard, now_ns: int) -> None:
        self._feed = feed
        self._shard = shard
        self.line = feed.take_line()
        self._splitter = Splitter(feed.config.buffer_bytes, line=self.line)
        self._attempt = 0
        self._renew_ns = 0
        self._up = False
        self.number = number
        self.epoch = 0
        self.channel: Channel | None = None
        self.tokens = shard.tokens
        self.counts = Counts()
        self.opened_count = 0
        self.due_ns: int | None = now_ns
        self.last_reason = ""

    # -- for whoever moves the bytes

    @property
    def state(self) -> State:
        """How far it is; CLOSED while it waits."""
        return self.channel.state if self.channel else State.CLOSED

    def connected(self, now_ns: int) -> None:
        """Begin the handshake: the transport is there."""
        if self.channel:
            self.channel.connect()
            self._after(self.channel, [], now_ns)

    def room(self) -> memoryview:
        """Return where the next read goes."""
        return self._splitter.room()

    def received(self, count: int, now_ns: int) -> None:
        """Take `count` bytes that were read into `room`."""
        channel = self.channel
        if channel is None:
            return
        listener = self._feed.listener
        for event in channel.received(count, now_ns):
            if type(event) is Changed:
                listener.changed(event.slots, now_ns)
            else:
                self._handle(event, now_ns)
        if channel.has_data or channel.state is not State.OPEN:
            self._after(channel, [], now_ns)

    def lost(self, reason: str, now_ns: int) -> None:
        """Take note that the transport is gone, or never came."""
        if self.channel:
            self._after(self.channel, self.channel.lost(reason), now_ns)

    def data_to_send(self) -> bytes:
        """Return what is to be written now."""
        return self.channel.data_to_send() if self.channel else b""

    # -- for the feed

    @property
    def up(self) -> bool:
        """Whether it is open and subscribed."""
        return self._up

    def next_deadline(self) -> int | None:
        """Return when `tick` has something to do."""
        if self.channel is None:
            return self.due_ns
        due_ns = self.channel.next_deadline()
        if self._up and self._renew_ns and due_ns is not None:
            return min(due_ns, self._renew_ns)
        return due_ns

    def tick(self, now_ns: int) -> None:
        """Do what is due."""
        channel = self.channel
        if channel is None:
            if self.due_ns is not None and now_ns >= self.due_ns:
                self._dial(now_ns)
            return
        if self._up and self._renew_ns and now_ns >= self._renew_ns:
            if all(other.up for other in self._shard.connections):
                self.close("renewed", now_ns)
                return
            self._renew_ns = now_ns + RETRY_NS
        self._after(channel, channel.tick(now_ns), now_ns)

    def subscribe(self, tokens: Sequence[str], now_ns: int) -> None:
        """Ask for tokens that were added."""
        if self.channel and self._up:
            self.channel.subscribe(tokens)
            self._feed.listener.up(self.number, tokens, now_ns)
            self._feed.touch(self)

    def unsubscribe(self, tokens: Sequence[str], now_ns: int) -> None:
        """Let go of tokens that were taken out."""
        if self.channel and self._up:
            self.channel.unsubscribe(tokens)
            self._feed.listener.down(self.number, tokens, "unsubscribed", now_ns)
            self._feed.touch(self)

    def resubscribe(self, tokens: Sequence[str]) -> None:
        """Ask for the books of tokens again."""
        if self.channel and self._up:
            self.channel.unsubscribe(tokens)
            self.channel.subscribe(tokens)
            self._feed.touch(self)

    def close(self, reason: str, now_ns: int) -> None:
        """Close in order; it comes back unless it is retired."""
        if self.channel:
            self._after(self.channel, self.channel.close(NORMAL, reason, now_ns), now_ns)

    def retire(self, reason: str, now_ns: int) -> None:
        """Close and never come back."""
        self.close(reason, now_ns)
        self.due_ns = None
        self._feed.touch(self)

    def _dial(self, now_ns: int) -> None:
        feed = self._feed
        tap = feed.tap
        self.epoch += 1
        self.due_ns = None
        self.channel = Channel(
            feed.uri,
            self.tokens,
            feed.ticker,
            self._splitter,
            now_ns,
            counts=self.counts,
            config=feed.config.channel,
            tap=None if tap is None else lambda ns, data: tap.read(self.number, ns, data),
        )
        feed.touch(self)

    def _after(self, channel: Channel, events: Iterable[Event], now_ns: int) -> None:
        for event in events:
            self._handle(event, now_ns)
        if channel.state is State.CLOSED and self.channel is channel:
            self.channel = None
        self._feed.touch(self)

    def _handle(self, event: Event, now_ns: int) -> None:
        listener = self._feed.listener
        match event:
            case Notice():
                listener.notice(event.message, now_ns)
            case Opened():
                self._up = True
                self.opened_count += 1
                self._renew_ns = self._feed.renewal(now_ns)
                listener.up(self.number, [*self.tokens], now_ns)
            case Closed():
                self._closed(event, now_ns)
            case Changed():
                listener.changed(event.slots, now_ns)

    def _closed(self, event: Closed, now_ns: int) -> None:
        was_up, self._up = self._up, False
        assert self.channel
        if was_up and now_ns - self.channel.opened_ns >= self._feed.config.stable_ns:
            self._attempt = 0
        self.last_reason = f"{event.code} {event.reason}".rstrip()
        self.due_ns = self._feed.redial(self._attempt, now_ns)
        self._attempt = min(self._attempt + 1, ATTEMPT_MAX)
        if was_up and self.tokens:
            listener = self._feed.listener
            listener.down(self.number, [*self.tokens], self.last_reason, now_ns)


class MarketFeed:
    """
    The universe's tokens, subscribed to and kept so.

    Args:
        url: ``wss://host/ws/market``.
        ticker: Of the books.
        listener: Hears of changes.
        config: How to connect.
        random: For jitter.
        tap: Is given all that is received, if there is one.

    Attributes:
        uri: Host, port, and whether TLS is wanted.
        connections: Those there are, by number.
        wake: Called when `pending` has something after it was empty.

    Raises:
        MalformedError: `url` is no WebSocket URL.
    """

    def __init__(
        self,
        url: str,
        ticker: Ticker,
        listener: FeedListener,
        *,
        config: FeedConfig | None = None,
        random: Random,
        tap: Tap | None = None,
    ) -> None:
        self.uri = parse_url(url)
        self.ticker = ticker
        self.listener = listener
        self.config = config or FeedConfig()
        self.tap = tap
        self.connections: dict[int, Connection] = {}
        self.wake: Callable[[], None] = lambda: None
        self._random = random
        self._roomy: dict[int, Shard] = {}
        self._homes: dict[str, Shard] = {}
        self._pending: dict[Connection, None] = {}
        self._count = 0
        self._lines = list(range(1, LINES_MAX + 1))
        self._stopped = False

    # -- what is wanted

    @property
    def tokens(self) -> Collection[str]:
        """What is subscribed to, or will be once connected."""
        return self._homes.keys()

    def subscribe(self, markets: Iterable[Sequence[str]], now_ns: int) -> None:
        """
        Add tokens; those that are there already are left as they are.

        Args:
            markets: Tokens that belong together, such as YES and NO: they share a connection.
            now_ns: Monotonic.

        Raises:
            ArgumentTypeError: A str in place of a sequence of them.
            CapacityError: More tokens belong together than a connection takes.
        """
        fresh: dict[int, tuple[Shard, list[str]]] = {}
        for market in markets:
            if isinstance(market, str):
                raise errors.ArgumentTypeError(f"a market is a sequence of tokens, not {market!r}")
            tokens = [token for token in dict.fromkeys(market) if token not in self._homes]
            if tokens:
                shard = self._shard_for(len(tokens), self._home_of(market), now_ns)
                for token in tokens:
                    shard.tokens[token] = None
                    self._homes[token] = shard
                if len(shard.tokens) >= self.config.tokens_per_connection:
                    self._roomy.pop(id(shard), None)
                fresh.setdefault(id(shard), (shard, []))[1].extend(tokens)
        for shard, tokens in fresh.values():
            for connection in shard.connections:
                connection.subscribe(tokens, now_ns)

    def unsubscribe(self, tokens: Iterable[str], now_ns: int) -> None:
        """Take tokens out; a connection that has none left ends."""
        gone: dict[int, tuple[Shard, list[str]]] = {}
        for token in dict.fromkeys(tokens):
            shard = self._homes.pop(token, None)
            if shard:
                del shard.tokens[token]
                self._roomy[id(shard)] = shard
                gone.setdefault(id(shard), (shard, []))[1].append(token)
        for shard, left in gone.values():
            if not shard.tokens:
                del self._roomy[id(shard)]
            for connection in shard.connections:
                connection.unsubscribe(left, now_ns)
                if not shard.tokens:
                    connection.retire("no tokens left", now_ns)

    def resubscribe(self, tokens: Iterable[str]) -> None:
        """Let the exchange send the books of `tokens` again, on every connection that is up."""
        asked: dict[int, tuple[Shard, list[str]]] = {}
        for token in dict.fromkeys(tokens):
            shard = self._homes.get(token)
            if shard:
                asked.setdefault(id(shard), (shard, []))[1].append(token)
        for shard, again in asked.values():
            for connection in shard.connections:
                connection.resubscribe(again)

    def reconnect(self, number: int, reason: str, now_ns: int) -> None:
        """Replace a connection, for instance a frozen one; nothing happens while it is not up."""
        connection = self.connections.get(number)
        if connection and connection.up:
            connection.close(reason, now_ns)

    def data_ns(self, number: int) -> int:
        """Return when a connection last brought a message of a market; 0 before it did."""
        connection = self.connections.get(number)
        return connection.channel.data_ns if connection and connection.channel else 0

    def line(self, number: int) -> int:
        """Return the line of a connection in the core (`Books.carry`), 0 for none."""
        connection = self.connections.get(number)
        return connection.line if connection else 0

    def overhear(self, number: int, ear: Callable[[int, bytes], None] | None) -> bytes | None:
        """Give what a connection receives to `ear` as well: see `Channel.overhear`."""
        connection = self.connections.get(number)
        return connection.channel.overhear(ear) if connection and connection.channel else None

    def stop(self, now_ns: int) -> None:
        """Close every connection for good."""
        self._stopped = True
        for connection in [*self.connections.values()]:
            connection.retire("the feed ends", now_ns)

    @property
    def stopped(self) -> bool:
        """Whether it was stopped and no transport is needed any more."""
        return self._stopped and not any(c.channel for c in self.connections.values())

    # -- for whoever moves the bytes

    def next_deadline(self) -> int | None:
        """Return when `tick` has something to do."""
        dues = (connection.next_deadline() for connection in self.connections.values())
        return min((due for due in dues if due is not None), default=None)

    def tick(self, now_ns: int) -> None:
        """Do what is due: dial, PING, give up."""
        for connection in [*self.connections.values()]:
            due_ns = connection.next_deadline()
            if due_ns is not None and due_ns <= now_ns:
                connection.tick(now_ns)

    def pending(self) -> list[Connection]:
        """Return the connections that wait: to be dialled, to be written to, to be let go."""
        pending = [*self._pending]
        self._pending.clear()
        return pending

    # -- for its connections

    def touch(self, connection: Connection) -> None:
        """Let whoever moves the bytes look at a connection."""
        ended = connection.channel is None and connection.due_ns is None
        if ended and connection.number in self.connections:
            del self.connections[connection.number]
            if connection.line:
                heappush(self._lines, connection.line)
        first = not self._pending
        self._pending[connection] = None
        if first:
            self.wake()

    def take_line(self) -> int:
        """Return the lowest line that is free; 0 for none: then quiet books count as stale."""
        return heappop(self._lines) if self._lines else 0

    def redial(self, attempt: int, now_ns: int) -> int | None:
        """Return when to dial after `attempt` failures in a row: jitter over half of the wait."""
        if self._stopped:
            return None
        config = self.config
        most = min(config.backoff_max_ns, config.backoff_min_ns << (attempt + 1))
        least = max(config.backoff_min_ns, most // 2)
        return now_ns + self._random.randint(least, most)

    def renewal(self, now_ns: int) -> int:
        """Return when a connection that opens now is to be replaced, 0 for never."""
        most = self.config.renew_ns
        return now_ns + self._random.randint(most - most // 4, most) if most else 0

    def _home_of(self, market: Sequence[str]) -> Shard | None:
        return next((self._homes[token] for token in market if token in self._homes), None)

    def _shard_for(self, count: int, home: Shard | None, now_ns: int) -> Shard:
        """Return a shard with room for `count` tokens, if there is any the one they belong to."""
        limit = self.config.tokens_per_connection
        if count > limit:
            raise errors.CapacityError(
                f"{count} tokens belong together, feed.tokens_per_connection is {limit}"
            )
        if home and len(home.tokens) + count <= limit:
            return home
        for shard in self._roomy.values():
            if len(shard.tokens) + count <= limit:
                return shard
        shard = Shard({}, [])
        self._roomy[id(shard)] = shard
        for _ in range(self.config.copies):
            connection = Connection(self, self._count, shard, now_ns)
            self.connections[self._count] = connection
            shard.connections.append(connection)
            self._count += 1
            self.touch(connection)
        return shard
