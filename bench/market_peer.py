"""
The market socket of the feed's benchmarks: ``python -m bench.market_peer [CERTIFICATE]``.

A process of its own with plain blocking sockets, so that nothing of it is in the receiver's CPU
time. The path says what is wanted, ``/COUNT/EACH/PAUSE_US``: that many messages a connection, EACH
in a write, with a pause between writes; 0 messages a write is as many as go. The subscription names
two tokens; the opening books come first. Prints its port.
"""

import base64
import hashlib
import json
import socket
import ssl
import sys
import threading
import time
from functools import cache
from random import Random
from typing import Any, Final

DISTINCT: Final = 128
ROUNDS: Final = 16
"""How often the distinct messages are repeated, at later times, before time starts again."""
START_MS: Final = 1_790_000_000_000
CONDITION: Final = "0x" + "5f" * 32
CHUNK: Final = 1 << 16
LEVELS: Final = 20


def books(tokens: list[str]) -> bytes:
    """Return the opening array: 20 levels a side, 0.48 bid, 0.52 asked on the first token."""
    rng = Random(1)
    rows = []
    sizes = [[f"{rng.randrange(5, 5000)}" for _ in range(LEVELS)] for _ in range(2)]
    for outcome, token in enumerate(tokens):
        bids, asks = sizes if outcome == 0 else sizes[::-1]
        rows.append(
            {
                "market": CONDITION,
                "asset_id": token,
                "timestamp": str(START_MS),
                "hash": f"{rng.getrandbits(160):040x}",
                "bids": [
                    {"price": _price(48 - n), "size": size}
                    for n, size in reversed([*enumerate(bids)])
                ],
                "asks": [
                    {"price": _price(52 + n), "size": size}
                    for n, size in reversed([*enumerate(asks)])
                ],
                "tick_size": "0.01",
                "event_type": "book",
                "last_trade_price": "0.500",
            }
        )
    return _dump(rows)


def changes(tokens: list[str], turn: int) -> list[bytes]:
    """Return the distinct messages at their time in `turn`: two entries each, as captured."""
    rng = Random(2)
    made = []
    for n in range(DISTINCT):
        bid = rng.random() < 0.5
        level = rng.randrange(29, 48) if bid else rng.randrange(53, 72)  # best prices stay
        outcome = rng.randrange(2)
        size = rng.choice((str(rng.randrange(5, 5000)), f"{rng.randrange(500, 9999) / 100:.2f}"))
        entries = [
            _entry(tokens[0], level, size, "BUY" if bid else "SELL", rng),
            _entry(tokens[1], 100 - level, size, "SELL" if bid else "BUY", rng),
        ]
        made.append(
            _dump(
                {
                    "market": CONDITION,
                    "price_changes": [entries[outcome], entries[1 - outcome]],
                    "timestamp": str(START_MS + turn * DISTINCT + n),
                    "event_type": "price_change",
                }
            )
        )
    return made


def text_frame(payload: bytes) -> bytes:
    """Return a server's text frame."""
    size = len(payload)
    if size < 126:
        return bytes([0x81, size]) + payload
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def _entry(token: str, level: int, size: str, side: str, rng: Random) -> dict[str, Any]:
    return {
        "asset_id": token,
        "price": _price(level),
        "size": size,
        "side": side,
        "hash": f"{rng.getrandbits(160):040x}",
        "best_bid": "0.48",
        "best_ask": "0.52",
    }


def _price(cents: int) -> str:
    return f"{cents / 100:g}"


def _dump(message: Any) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def _serve(connection: socket.socket) -> None:
    try:
        _talk(connection)
    except OSError:
        pass  # the client has seen enough
    finally:
        connection.close()


def _talk(connection: socket.socket) -> None:
    held = b""
    while b"\r\n\r\n" not in held:
        held += connection.recv(CHUNK)
    head, _, held = held.partition(b"\r\n\r\n")
    path = head.split(b" ", 2)[1].decode()
    count, each, pause_us = (int(part) for part in path.strip("/").split("/"))
    lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    assert lines[b"upgrade"] == b"websocket"
    key = next(
        line[19:] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")
    )
    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False)
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(digest.digest()) + b"\r\n\r\n"
    )
    tokens = json.loads(_first_text(connection, held))["assets_ids"]
    frames = _frames(tuple(tokens))
    connection.sendall(text_frame(books(tokens)))
    if each:
        _paced(connection, frames, count, each, pause_us)
    else:
        _flood(connection, frames, count)
    while connection.recv(CHUNK):
        pass


@cache
def _frames(tokens: tuple[str, ...]) -> list[bytes]:
    return [text_frame(m) for turn in range(ROUNDS) for m in changes([*tokens], turn)]


def _flood(connection: socket.socket, frames: list[bytes], count: int) -> None:
    whole, rest = divmod(count, len(frames))
    blob = memoryview(b"".join(frames))
    for _ in range(whole):
        for at in range(0, len(blob), CHUNK):
            connection.sendall(blob[at : at + CHUNK])
    connection.sendall(b"".join(frames[:rest]))


def _paced(
    connection: socket.socket, frames: list[bytes], count: int, each: int, pause_us: int
) -> None:
    due = time.monotonic_ns()
    for first in range(0, count, each):
        last = min(first + each, count)
        connection.sendall(b"".join(frames[n % len(frames)] for n in range(first, last)))
        due += pause_us * 1000
        left = due - time.monotonic_ns()
        if left > 0:
            time.sleep(left / 1e9)


def _first_text(connection: socket.socket, held: bytes) -> bytes:
    """Return the payload of the client's first frame, which is masked."""

    def have(size: int) -> None:
        nonlocal held
        while len(held) < size:
            more = connection.recv(CHUNK)
            if not more:
                raise ConnectionResetError
            held += more

    have(2)
    size, at = held[1] & 127, 2
    if size >= 126:
        at = 4 if size == 126 else 10
        have(at)
        size = int.from_bytes(held[2:at], "big")
    have(at + 4 + size)
    mask, body = held[at : at + 4], held[at + 4 : at + 4 + size]
    return bytes(byte ^ mask[n % 4] for n, byte in enumerate(body))


def main() -> None:
    """Serve until killed."""
    tls = None
    if len(sys.argv) > 1:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(sys.argv[1])
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls:
                connection = tls.wrap_socket(connection, server_side=True)
            threading.Thread(target=_serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
