"""
The feeds' bytes: asyncio transports, and one timer. What they mean is the feeds' business.

A read goes straight into a connection's buffer and is applied in the same callback; there is no
task, queue or thread between the two. TCP_NODELAY is set by asyncio; no proxy is used.
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from polyarb import clock
from polyarb.feed.channel import SECOND

WRITE_MAX: Final = 1 << 20
"""A peer that leaves so much unread is given up; we say PING, PONG and what we subscribe to."""
SHUTDOWN_S: Final = 1.0


class Address(Protocol):
    """Where to dial."""

    @property
    def host(self) -> str:
        """Name or address."""

    @property
    def port(self) -> int:
        """Of TCP."""

    @property
    def secure(self) -> bool:
        """Whether TLS is wanted."""


class Connection(Protocol):
    """One connection of a feed, through all of its epochs."""

    @property
    def number(self) -> int:
        """Its name."""

    @property
    def epoch(self) -> int:
        """How often it was dialled."""

    @property
    def channel(self) -> object | None:
        """What the transport is for; None while none is wanted."""

    def connected(self, now_ns: int) -> None:
        """Take note that the transport is there."""

    def room(self) -> memoryview:
        """Return where the next read goes; never empty."""

    def received(self, count: int, now_ns: int) -> None:
        """Take bytes that were read into `room`."""

    def lost(self, reason: str, now_ns: int) -> None:
        """Take note that the transport is gone, or never came."""

    def data_to_send(self) -> bytes:
        """Return what is to be written now."""


class Feed(Protocol):
    """What can be kept connected: `market.MarketFeed`, `user.UserFeed`."""

    wake: Callable[[], None]

    @property
    def uri(self) -> Address:
        """Where to dial."""

    @property
    def stopped(self) -> bool:
        """Whether it was stopped and needs no transport any more."""

    def next_deadline(self) -> int | None:
        """Return when `tick` has something to do."""

    def tick(self, now_ns: int) -> None:
        """Do what is due."""

    def pending(self) -> Sequence[Connection]:
        """Return the connections that wait to be looked at."""

    def stop(self, now_ns: int) -> None:
        """Close for good."""


async def run(feed: Feed, *, tls: ssl.SSLContext | None = None) -> None:
    """
    Keep `feed` connected until cancelled, then close in order.

    Args:
        feed: Whose bytes are moved; an exception of its listener ends this with it.
        tls: For ``wss://``; the system's certificates by default.
    """
    if feed.uri.secure and tls is None:
        tls = ssl.create_default_context()
    mover = Mover(feed, tls if feed.uri.secure else None)
    feed.wake = mover.wake
    mover.step()
    try:
        await mover.broken
    finally:
        try:
            feed.stop(clock.monotonic_ns())
            mover.step()
            await mover.done.wait()  # bounded by ChannelConfig.close_ns
        finally:
            feed.wake = _nobody
            mover.abandon()


class Wire(asyncio.BufferedProtocol):
    """
    One transport, for one epoch of a connection.

    Attributes:
        task: Dials it.
    """

    __slots__ = ("_connection", "_mover", "_transport", "epoch", "task")

    def __init__(self, mover: "Mover", connection: Connection) -> None:
        self._mover = mover
        self._connection = connection
        self._transport: asyncio.Transport | None = None
        self.epoch = connection.epoch
        self.task: asyncio.Task[None] | None = None

    @property
    def wanted(self) -> bool:
        """Whether the connection is still in this epoch."""
        connection = self._connection
        return connection.channel is not None and connection.epoch == self.epoch

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the handshake begin."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self.wanted:
            self._connection.connected(clock.monotonic_ns())
        else:
            transport.abort()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the connection's own buffer."""
        return self._connection.room()

    def buffer_updated(self, nbytes: int) -> None:
        """Apply what was read."""
        try:
            self._connection.received(nbytes, clock.monotonic_ns())
        except Exception as error:  # of a listener: the engine has to know
            self._mover.fail(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Say so, if anybody still wants to know."""
        self.lost(str(exc) if exc else "end of stream")

    def lost(self, reason: str) -> None:
        """Say that the transport is gone or never came."""
        if self.wanted:
            try:
                self._connection.lost(reason, clock.monotonic_ns())
            except Exception as error:
                self._mover.fail(error)

    def flush(self) -> None:
        """Write what the connection has to say."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        data = self._connection.data_to_send()
        if data:
            transport.write(data)
        if transport.get_write_buffer_size() > WRITE_MAX:
            self.lost("the peer does not read")

    def drop(self) -> None:
        """Let go of it at once."""
        if self.task:
            self.task.cancel()
        if self._transport:
            self._transport.abort()


class Mover:
    """
    Does what the feed's connections wait for, and wakes it when it asked to be.

    Attributes:
        broken: Ends with the exception of a listener.
        done: Set once the feed is stopped and nothing is open.
    """

    def __init__(self, feed: Feed, tls: ssl.SSLContext | None) -> None:
        self._feed = feed
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._wires: dict[Connection, Wire] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due_ns = 0
        self.broken: asyncio.Future[None] = self._loop.create_future()
        self.done = asyncio.Event()

    def wake(self) -> None:
        """Look at the connections in the next turn of the loop."""
        self._loop.call_soon(self.step)

    def step(self) -> None:
        """Do what is due and what waits."""
        feed = self._feed
        try:
            feed.tick(clock.monotonic_ns())
            while pending := feed.pending():
                for connection in pending:
                    self._look_at(connection)
        except Exception as error:  # of a listener
            self.fail(error)
        if feed.stopped:
            self.done.set()
        self._arm()

    def fail(self, error: Exception) -> None:
        """End `run` with `error`."""
        if not self.broken.done():
            self.broken.set_exception(error)

    def abandon(self) -> None:
        """Let go of everything."""
        if self._timer:
            self._timer.cancel()
        for wire in self._wires.values():
            wire.drop()
        self.broken.cancel()

    def _look_at(self, connection: Connection) -> None:
        wire = self._wires.get(connection)
        if wire and not wire.wanted:
            del self._wires[connection]
            wire.drop()
            wire = None
        if wire:
            wire.flush()
        elif connection.channel:
            self._wires[connection] = wire = Wire(self, connection)
            name = f"dial connection {connection.number}, epoch {connection.epoch}"
            wire.task = self._loop.create_task(self._dial(wire), name=name)

    async def _dial(self, wire: Wire) -> None:
        uri, tls = self._feed.uri, self._tls
        try:
            await self._loop.create_connection(
                lambda: wire,
                uri.host,
                uri.port,
                ssl=tls,
                ssl_shutdown_timeout=SHUTDOWN_S if tls else None,
                happy_eyeballs_delay=0.25,
            )
        except OSError as error:
            wire.lost(str(error))

    def _arm(self) -> None:
        due_ns = self._feed.next_deadline()
        if self._timer:
            if due_ns is not None and self._due_ns <= due_ns and not self._timer.cancelled():
                return
            self._timer.cancel()
            self._timer = None
        if due_ns is not None:
            self._due_ns = due_ns
            wait_s = (due_ns - clock.monotonic_ns()) / SECOND
            self._timer = self._loop.call_later(max(0.0, wait_s), self._ring)

    def _ring(self) -> None:
        self._timer = None
        self.step()


def _nobody() -> None:
    pass
