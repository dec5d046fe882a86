"""
The send path's exchange for benchmarks: ``python -m bench.trade_peer [--spin] [CERTIFICATE]``.

One thread, one epoll, nothing that allocates much, so that its own time is small beside what it
measures and the same for everyone. It answers any GET with OK. Every POST is stamped when its last
byte is there, and the answer tells when that was and what was received (SHA-256 of the whole and of
the body). A market socket ``/ws/market/COUNT/GAP_US`` gets the opening books, then COUNT times,
after a gap: a frame that takes the edge away, another gap, a frame that brings one and starts the
clock; the next POST, from whatever connection, stops it. ``GET /results`` gives what was measured.
With --spin it never sleeps. Prints its port.
"""

import base64
import hashlib
import json
import select
import socket
import ssl
import sys
import time
from contextlib import suppress
from typing import Final

from bench.edges import TOKENS, books, edge, no_edge
from bench.market_peer import CHUNK, text_frame

OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
LATE_NS: Final = 2_000_000_000
"""Whoever has not sent by then is counted as lost."""


class Market:
    """One run of frames and the trades they bring about."""

    def __init__(self, connection: "Connection", count: int, gap_us: int) -> None:
        self._connection = connection
        self._left = count
        self._gap_ns = gap_us * 1000
        self._number = 0
        self._edge = False
        self.sent_ns = 0
        self.due_ns = time.monotonic_ns() + 20 * self._gap_ns
        self.took_ns: list[int] = []
        self.bodies: list[str] = []
        self.lost = 0

    def act(self, now_ns: int) -> None:
        """Send the frame that is due."""
        if self.sent_ns:  # nobody traded
            self.lost += 1
            self.sent_ns = 0
        if self._left == 0:
            self.due_ns = 0
            return
        self.due_ns = now_ns + self._gap_ns
        if self._edge:
            self._edge = False
            self._left -= 1
            frame = text_frame(edge(self._number))
            self._number += 1
            self.due_ns = now_ns + LATE_NS
            self.sent_ns = time.monotonic_ns()
            self._connection.send(frame)
        else:
            self._edge = True
            self._connection.send(text_frame(no_edge(self._number)))

    def traded(self, now_ns: int, body: bytes) -> None:
        """Stop the clock."""
        if self.sent_ns:
            self.took_ns.append(now_ns - self.sent_ns)
            self.bodies.append(body.decode())
            self.sent_ns = 0
            self.due_ns = now_ns + self._gap_ns


class Connection:
    """One client."""

    def __init__(self, peer: "Peer", connection: socket.socket) -> None:
        self._peer = peer
        self._connection = connection
        self._held = b""
        self._socket = False

    def send(self, data: bytes) -> None:
        """Write all of it."""
        while data:
            try:
                data = data[self._connection.send(data) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                continue

    def readable(self) -> bool:
        """Read what is there; return whether the client is still there."""
        while True:
            try:
                more = self._connection.recv(CHUNK)
            except (BlockingIOError, ssl.SSLWantReadError):
                return True
            except OSError:
                return False
            if not more:
                return False
            now_ns = time.monotonic_ns()
            self._held += more
            if self._socket:
                self._subscribed()
                continue
            while self._request(now_ns):
                pass

    def _request(self, now_ns: int) -> bool:
        head, end, rest = self._held.partition(b"\r\n\r\n")
        if not end:
            return False
        size = 0
        if head.startswith(b"POST"):
            lines = head.lower().split(b"\r\n")
            size = next(int(x[15:]) for x in lines if x.startswith(b"content-length:"))
        if len(rest) < size:
            return False
        whole, body = self._held[: len(head) + 4 + size], rest[:size]
        self._held = rest[size:]
        if size:
            self._posted(now_ns, whole, body)
        elif b"/ws/market" in head:
            self._upgraded(head)
        elif b"/results" in head:
            self.send(_json(self._peer.results()))
        else:
            self.send(OK)
        return not self._socket

    def _posted(self, now_ns: int, whole: bytes, body: bytes) -> None:
        for market in self._peer.markets:
            market.traded(now_ns, body)
        told = {
            "at": now_ns,
            "whole": hashlib.sha256(whole).hexdigest(),
            "body": hashlib.sha256(body).hexdigest(),
        }
        self.send(_json([told]))

    def _upgraded(self, head: bytes) -> None:
        lines = head.split(b"\r\n")
        key = next(x[19:] for x in lines if x.lower().startswith(b"sec-websocket-key"))
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False)
        self.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest.digest()) + b"\r\n\r\n"
        )
        self._socket = True
        count, gap_us = (int(x) for x in lines[0].split(b" ")[1].split(b"/")[3:5])
        self._run = (count, gap_us)

    def _subscribed(self) -> None:
        """Begin with the first frame of the client, whatever it says; the others are pings."""
        if self._run:
            self.send(text_frame(books()))
            self._peer.markets[:] = [Market(self, *self._run)]
            self._run = None  # type: ignore[assignment]
        self._held = b""


class Peer:
    """The whole."""

    def __init__(self, listener: socket.socket, tls: ssl.SSLContext | None, spin: bool) -> None:
        self._listener = listener
        self._tls = tls
        self._spin = spin
        self._epoll = select.epoll()
        self._epoll.register(listener.fileno(), select.EPOLLIN)
        self._connections: dict[int, tuple[socket.socket, Connection]] = {}
        self.markets: list[Market] = []

    def results(self) -> dict[str, object]:
        """Return what was measured last."""
        [market] = self.markets
        return {"took_ns": market.took_ns, "bodies": market.bodies, "lost": market.lost}

    def serve(self) -> None:
        """Go on for ever."""
        while True:
            for fd, _ in self._epoll.poll(self._timeout()):
                if fd == self._listener.fileno():
                    self._accept()
                    continue
                connection, client = self._connections[fd]
                if not client.readable():
                    self._epoll.unregister(fd)
                    del self._connections[fd]
                    connection.close()
            now_ns = time.monotonic_ns()
            for market in self.markets:
                if market.due_ns and now_ns >= market.due_ns:
                    with suppress(OSError):
                        market.act(now_ns)

    def _timeout(self) -> float:
        if self._spin:
            return 0
        due = min((m.due_ns for m in self.markets if m.due_ns), default=0)
        return max(0.0, (due - time.monotonic_ns()) / 1e9) if due else -1

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls:
            try:
                connection = self._tls.wrap_socket(connection, server_side=True)
            except OSError:
                return
        connection.setblocking(False)
        self._connections[connection.fileno()] = connection, Connection(self, connection)
        self._epoll.register(connection.fileno(), select.EPOLLIN)


def _json(value: object) -> bytes:
    body = json.dumps(value).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


def main() -> None:
    """Serve until killed."""
    arguments = sys.argv[1:]
    spin = "--spin" in arguments
    certificates = [each for each in arguments if each != "--spin"]
    tls = None
    if certificates:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificates[0])
    assert TOKENS
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        print(listener.getsockname()[1], flush=True)
        Peer(listener, tls, spin).serve()


if __name__ == "__main__":
    main()
