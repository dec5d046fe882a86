"""
Arguments of contract calls as bytes: as much of the Solidity ABI as wallets and positions need.

A value is `bytes` where its words stand in the head (static), and `Tail` where the head holds an
offset to it (dynamic). The ABI: https://docs.soliditylang.org/en/latest/abi-spec.html.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from polyarb.core.base import integer
from polyarb.core.digest import keccak256
from polyarb.errors import ArgumentTypeError, MalformedError
from polyarb.exchange.wallets import parse_address

WORD: Final = 32
UINT256_MAX: Final = 2**256 - 1

_HEX: Final = re.compile(r"0x((?:[0-9a-fA-F]{2})*)")


@dataclass(frozen=True, slots=True)
class Tail:
    """A dynamic value: what its offset points at, whole words."""

    body: bytes


Value = bytes | Tail


def selector(signature: str) -> bytes:
    """Return the four bytes that name a function: ``selector("approve(address,uint256)")``."""
    return keccak256(signature.encode("ascii"))[:4]


def uint(name: str, value: int, bits: int = 256) -> bytes:
    """Encode an unsigned integer; RangeError where it has more than `bits`."""
    return integer(name, value, 0, 2**bits - 1).to_bytes(WORD, "big")


def boolean(name: str, value: bool) -> bytes:
    """Encode a bool; ArgumentTypeError for anything else."""
    if type(value) is not bool:
        raise ArgumentTypeError(f"{name} must be a bool, not {type(value).__name__}")
    return int(value).to_bytes(WORD, "big")


def address(name: str, value: str) -> bytes:
    """Encode an address; raises as `wallets.parse_address`."""
    return parse_address(name, value).rjust(WORD, b"\0")


def fixed(name: str, value: str, size: int) -> bytes:
    """Encode a bytes<size>, given as 0x and twice as many hex digits, padded on the right."""
    raw = unhex(name, value)
    if len(raw) != size:
        raise MalformedError(f"{name} {value[:80]!r} has {len(raw)} bytes, not {size}")
    return raw.ljust(WORD, b"\0")


def blob(value: bytes) -> Tail:
    """Encode a ``bytes``."""
    return Tail(len(value).to_bytes(WORD, "big") + value + bytes(-len(value) % WORD))


def uints(name: str, values: Sequence[int]) -> Tail:
    """Encode a ``uint256[]``."""
    return Tail(len(values).to_bytes(WORD, "big") + b"".join(uint(name, value) for value in values))


def tuples(items: Sequence[Sequence[Value]]) -> Tail:
    """Encode an array of tuples that hold something dynamic, as ``(address,bytes)[]``."""
    return Tail(len(items).to_bytes(WORD, "big") + sequence([Tail(sequence(i)) for i in items]))


def sequence(values: Sequence[Value]) -> bytes:
    """Lay values out: the heads in order, then what their offsets point at."""
    at = sum(len(value) if isinstance(value, bytes) else WORD for value in values)
    heads, tails = [], []
    for value in values:
        if isinstance(value, bytes):
            heads.append(value)
        else:
            heads.append(at.to_bytes(WORD, "big"))
            tails.append(value.body)
            at += len(value.body)
    return b"".join(heads + tails)


def unhex(name: str, value: str) -> bytes:
    """Return the bytes of 0x and pairs of hex digits; MalformedError if it is not that."""
    if not isinstance(value, str):
        raise ArgumentTypeError(f"{name} must be a str, not {type(value).__name__}")
    match = _HEX.fullmatch(value)
    if match is None:
        raise MalformedError(f"{name} {value[:80]!r} is not 0x and pairs of hex digits")
    return bytes.fromhex(match[1])
