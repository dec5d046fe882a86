"""Frames as they should not be: functions from a good frame to the bytes of a bad one."""

import json
import re
from collections.abc import Callable, Container
from typing import Any, Final

from polyarb.sim.decimals import ONE_E4, PRICE, parse
from polyarb.sim.http import dump

TEXT: Final = 0x1
BINARY: Final = 0x2
PING: Final = 0x9
FIN: Final = 0x80
DEPTH: Final = 100_000

_NUMBER: Final = re.compile(rb'"(price|size)":( ?)"[^"]*"')
_PRICE: Final = re.compile(rb'"price":( ?)"[^"]*"')
_SIZE: Final = re.compile(rb'"size":( ?)"[^"]*"')
_HASH: Final = re.compile(rb'"hash":( ?)"[0-9a-f]{40}"')
_OPTIONAL: Final = re.compile(rb'"(best_bid|best_ask|last_trade_price|hash)":( ?)"[^"]*"')
_PLAIN: Final = re.compile(rb'"(price|size|timestamp)":( ?)"([0-9]+(?:\.[0-9]+)?)"')


def _wrong_types(frame: bytes) -> bytes:
    try:
        value = json.loads(frame)
    except (ValueError, RecursionError):
        return frame  # another fault has spoiled it already
    rows = value if isinstance(value, list) else [value]
    return dump(
        [
            {name: [7, None, {name: held}] for name, held in row.items()}
            for row in rows
            if isinstance(row, dict)
        ]
    )


FORMS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "bad_json": lambda frame: frame.rstrip()[:-1] + b",,]",
    "bad_utf8": lambda frame: frame.replace(b'":"', b'":"\xc3\x28\xff', 1),
    "nul": lambda frame: frame.replace(b'":"', b'":"\x00', 1),
    "empty": lambda _: b"",
    "deep": lambda _: b'{"event_type":"book","bids":' + b"[" * DEPTH + b"]" * DEPTH + b"}",
    "wrong_types": _wrong_types,
    "long_number": lambda frame: _NUMBER.sub(rb'"\1":"' + b"9" * 200 + b'"', frame),
    "exponent": lambda frame: _NUMBER.sub(rb'"\1":"1e-2"', frame),
    "nan": lambda frame: _NUMBER.sub(rb'"\1":NaN', frame),
    "off_tick": lambda frame: _PRICE.sub(b'"price":"0.12345"', frame),
    "out_of_range": lambda frame: _PRICE.sub(b'"price":"1.5"', frame),
    "negative": lambda frame: _SIZE.sub(b'"size":"-5"', frame),
}
"""What a malformed frame can be; the names are what `malformed_frame` takes."""


def truncated(frame: bytes) -> bytes:
    """Return the first half."""
    return frame[: len(frame) // 2]


def huge(frame: bytes, size: int) -> bytes:
    """Return the same JSON, blown up with white space."""
    return frame.ljust(size)


def wrong_hash(frame: bytes, digest: str) -> bytes:
    """Put another hash in place of every one."""
    return _HASH.sub(b'"hash":"%b"' % digest.encode(), frame)


def loose(frame: bytes) -> bytes:
    """Return prices, sizes and times as JSON numbers, and what is optional empty (section 20.3)."""
    return _PLAIN.sub(rb'"\1":\3', _OPTIONAL.sub(rb'"\1":""', frame))


def stale_top(frame: bytes, step_e4: int) -> bytes:
    """Move ``best_bid`` and ``best_ask`` of a price_change apart by a step."""
    message = _changes(frame)
    for entry in message.get("price_changes", ()):
        bid, ask = parse(entry["best_bid"], 4) or 0, parse(entry["best_ask"], 4) or ONE_E4
        entry["best_bid"] = PRICE[bid - step_e4 if bid > step_e4 else bid + step_e4]
        entry["best_ask"] = PRICE[ask + step_e4 if ask + step_e4 < ONE_E4 else ask - step_e4]
    return dump(message) if message else frame


def old(frame: bytes, form: str, tokens: Container[str]) -> list[bytes]:
    """Return a price_change as subscribers of some tokens got it in 2025 or 2024 (20.1)."""
    message = _changes(frame)
    if not message:
        return [frame]
    frames = []
    for entry in message["price_changes"]:
        if entry["asset_id"] not in tokens:
            continue
        row = {name: entry[name] for name in ("price", "side", "size")}
        head = {
            "asset_id": entry["asset_id"],
            "event_type": "price_change",
            "hash": entry["hash"],
            "market": message["market"],
            "timestamp": message["timestamp"],
        }
        frames.append(dump({**head, **row} if form == "flat" else [{**head, "changes": [row]}]))
    return frames


def _changes(frame: bytes) -> dict[str, Any]:
    """Return the object of a price_change of today, {} for anything else."""
    try:
        message = json.loads(frame)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) and "price_changes" in message else {}


# RFC 6455 section 5.2: frames of a server are not masked.


def binary(frame: bytes) -> bytes:
    """Return a WebSocket frame with the binary opcode."""
    return _frame(FIN | BINARY, frame)


def fragments(frame: bytes, parts: int) -> bytes:
    """Return the message in several WebSocket frames, a ping between the first two."""
    step = max(1, -(-len(frame) // parts))
    pieces = [frame[at : at + step] for at in range(0, len(frame), step)]
    last = len(pieces) - 1
    out = []
    for place, piece in enumerate(pieces):
        out.append(_frame((0 if place else TEXT) | (FIN if place == last else 0), piece))
        if place == 0 < last:
            out.append(_frame(FIN | PING, b"?"))
    return b"".join(out)


def _frame(head: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes([head, size]) + payload
    if size < 1 << 16:
        return bytes([head, 126]) + size.to_bytes(2, "big") + payload
    return bytes([head, 127]) + size.to_bytes(8, "big") + payload
