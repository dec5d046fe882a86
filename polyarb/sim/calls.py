"""
What a wallet asks the chain to do: calls to the position contracts, decoded from their bytes.

Strict where the chain is lax: padding must be zero, offsets canonical, nothing may follow the
last argument, and constant arguments (collateral, parent, partition) must have the one value
that makes sense. A client that gets any of it wrong hears about it here. Amounts and sets are
not judged; that takes a ledger.

The Solidity ABI: https://docs.soliditylang.org/en/latest/abi-spec.html.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from polyarb.errors import MalformedError
from polyarb.sim.signatures import (
    RawCall,
    keccak,
    parse_address,
    read_uint,
    shown,
)

# protocol.md section 24.2, chain 137.
PUSD: Final = "0xc011a7e12a19f7b1f670d46f03b03f3342e82dfb"
USDCE: Final = "0x2791bca1f2de4661ed88a30c99a7a9449aa84174"
CONDITIONAL_TOKENS: Final = "0x4d97dcd97ec945f40cf65f87097ace5ea0476045"
ADAPTER: Final = "0xada100db00ca00073811820692005400218fce1f"
NEG_RISK_ADAPTER: Final = "0xada2005600dec949baf300f4c6120000bdb6eaab"
ONRAMP: Final = "0x93070a847efef7f70739046a929d47a521f5b8ee"
OFFRAMP: Final = "0x2957922eb93258b93368531d39facca3b4dc5854"
POSITION_MANAGER: Final = "0x006f54f7f9a22e0000cc2ab60031000000ae9fef"
ROUTER: Final = "0x12121212006e4cd160d18e3f00711da5c3372600"
# polymarket-client 0.14.0: what Safes delegate to when they make several calls.
MULTISEND: Final = "0xa238cbeb142c10ef7ad8442c6d1f9e89e07e7761"

CALL_COUNT_MAX: Final = 256
_DATA_CHARS_MAX: Final = 1 << 20
_SELECTOR_BYTES: Final = 4
_BINARY_SETS: Final = (1, 2)


@dataclass(frozen=True, slots=True)
class Approve:
    """Let `spender` take `amount` of the ERC-20 `token` (pUSD or USDC.e)."""

    token: str
    spender: str
    amount: int


@dataclass(frozen=True, slots=True)
class SetApprovalForAll:
    """Let, or no longer let, `operator` move every ERC-1155 token of the contract `token`."""

    token: str
    operator: str
    approved: bool


@dataclass(frozen=True, slots=True)
class Split:
    """Turn `amount_e6` pUSD into as many YES and NO; the ids are 0x and 64 hex digits."""

    condition_id: str
    amount_e6: int
    neg_risk: bool


@dataclass(frozen=True, slots=True)
class Merge:
    """Turn `amount_e6` YES and as many NO back into pUSD."""

    condition_id: str
    amount_e6: int
    neg_risk: bool


@dataclass(frozen=True, slots=True)
class Redeem:
    """Turn all YES and NO of a resolved condition into what they pay."""

    condition_id: str
    neg_risk: bool


@dataclass(frozen=True, slots=True)
class Convert:
    """Turn `amount_e6` NO of each market in `index_set` into YES of the others and pUSD."""

    market_id: str
    index_set: int
    amount_e6: int


@dataclass(frozen=True, slots=True)
class Wrap:
    """Turn `amount_e6` USDC.e into pUSD that `to` receives."""

    to: str
    amount_e6: int


@dataclass(frozen=True, slots=True)
class Unwrap:
    """Turn `amount_e6` pUSD into USDC.e that `to` receives."""

    to: str
    amount_e6: int


@dataclass(frozen=True, slots=True)
class RouterSplit:
    """Split on the V3 contracts; the condition id is 0x and 62 hex digits."""

    condition_id: str
    amount_e6: int


@dataclass(frozen=True, slots=True)
class RouterMerge:
    """Merge on the V3 contracts."""

    condition_id: str
    amount_e6: int


@dataclass(frozen=True, slots=True)
class RouterRedeem:
    """Redeem `amount_e6` of one outcome (0 YES, 1 NO) on the V3 contracts."""

    condition_id: str
    outcome: int
    amount_e6: int


Call = (
    Approve
    | SetApprovalForAll
    | Split
    | Merge
    | Redeem
    | Convert
    | Wrap
    | Unwrap
    | RouterSplit
    | RouterMerge
    | RouterRedeem
)


def selector(signature: str) -> bytes:
    """Return the four bytes that name a function: ``selector("approve(address,uint256)")``."""
    return keccak(signature.encode())[:_SELECTOR_BYTES]


class _Reader:
    """The arguments of one call: heads in order, tails where and only where they belong."""

    __slots__ = ("_body", "_head", "_name", "_tail")

    def __init__(self, name: str, body: bytes, head_count: int) -> None:
        if len(body) % 32:
            raise MalformedError(f"{name}: {len(body)} bytes of arguments are not whole words")
        if len(body) < 32 * head_count:
            raise MalformedError(f"{name}: {len(body)} bytes do not hold {head_count} words")
        self._name = name
        self._body = body
        self._head = 0
        self._tail = 32 * head_count  # everything before it has been or will be read

    def uint(self) -> int:
        """Read a uint256."""
        return int.from_bytes(self._next(), "big")

    def word(self) -> str:
        """Read a bytes32 as 0x and 64 hex digits."""
        return "0x" + self._next().hex()

    def condition31(self) -> str:
        """Read a bytes31 as 0x and 62 hex digits."""
        word = self._next()
        if word[31]:
            raise MalformedError(f"{self._name}: 0x{word.hex()} is not a padded bytes31")
        return "0x" + word[:31].hex()

    def address(self) -> str:
        """Read an address."""
        word = self._next()
        if any(word[:12]):
            raise MalformedError(f"{self._name}: 0x{word.hex()} is not a padded address")
        return "0x" + word[12:].hex()

    def small(self, below: int, what: str) -> int:
        """Read an integer that must be below a bound; a bool is one below 2."""
        value = self.uint()
        if value >= below:
            raise MalformedError(f"{self._name}: {what} {value} is not below {below}")
        return value

    def uints(self) -> tuple[int, ...]:
        """Read a uint256[]."""
        count = self._enter("array")
        end = self._tail + 32 * count
        if count > len(self._body) // 32 or end > len(self._body):
            raise MalformedError(f"{self._name}: an array of {count} passes the end")
        words = range(self._tail, end, 32)
        self._tail = end
        return tuple(int.from_bytes(self._body[at : at + 32], "big") for at in words)

    def blob(self) -> bytes:
        """Read a bytes."""
        count = self._enter("bytes")
        end = self._tail + count
        padded = self._tail + -(-count // 32) * 32
        if padded > len(self._body):
            raise MalformedError(f"{self._name}: {count} bytes pass the end")
        if any(self._body[end:padded]):
            raise MalformedError(f"{self._name}: bytes are not padded with zeros")
        value = self._body[self._tail : end]
        self._tail = padded
        return value

    def tail(self) -> bytes:
        """Return what no argument has claimed yet, and claim it."""
        rest = self._body[self._tail :]
        self._tail = len(self._body)
        return rest

    def end(self) -> None:
        """Refuse what follows the last argument."""
        if self._tail != len(self._body):
            extra = len(self._body) - self._tail
            raise MalformedError(f"{self._name}: {extra} bytes follow the arguments")

    def _next(self) -> bytes:
        word = self._body[self._head : self._head + 32]
        assert len(word) == 32, "a decoder reads more heads than it announced"
        self._head += 32
        return word

    def _enter(self, what: str) -> int:
        """Follow an offset to the tail it must name; return the count that opens it."""
        offset = self.uint()
        if offset != self._tail:
            raise MalformedError(f"{self._name}: {what} at {offset}, expected at {self._tail}")
        if offset + 32 > len(self._body):
            raise MalformedError(f"{self._name}: {what} at {offset} passes the end")
        self._tail += 32
        return int.from_bytes(self._body[offset : offset + 32], "big")


def _same(name: str, what: str, value: object, expected: object) -> None:
    if value != expected:
        raise MalformedError(f"{name}: {what} is {value!s:.200}, not {expected}")


def _approve(target: str, r: _Reader) -> Call:
    return Approve(target, r.address(), r.uint())


def _set_approval_for_all(target: str, r: _Reader) -> Call:
    return SetApprovalForAll(target, r.address(), bool(r.small(2, "bool")))


def _condition(name: str, r: _Reader) -> str:
    """Read the collateral, the parent collection, and the condition id that follows them."""
    _same(name, "collateral", r.address(), PUSD)
    _same(name, "parent collection", r.word(), "0x" + "00" * 32)
    return r.word()


def _split(target: str, r: _Reader) -> Call:
    condition = _condition("splitPosition", r)
    _same("splitPosition", "partition", r.uints(), _BINARY_SETS)
    return Split(condition, r.uint(), target == NEG_RISK_ADAPTER)


def _merge(target: str, r: _Reader) -> Call:
    condition = _condition("mergePositions", r)
    _same("mergePositions", "partition", r.uints(), _BINARY_SETS)
    return Merge(condition, r.uint(), target == NEG_RISK_ADAPTER)


def _redeem(target: str, r: _Reader) -> Call:
    condition = _condition("redeemPositions", r)
    _same("redeemPositions", "index sets", r.uints(), _BINARY_SETS)
    return Redeem(condition, target == NEG_RISK_ADAPTER)


def _convert(_target: str, r: _Reader) -> Call:
    return Convert(r.word(), r.uint(), r.uint())


def _wrap(_target: str, r: _Reader) -> Call:
    _same("wrap", "asset", r.address(), USDCE)
    return Wrap(r.address(), r.uint())


def _unwrap(_target: str, r: _Reader) -> Call:
    _same("unwrap", "asset", r.address(), USDCE)
    return Unwrap(r.address(), r.uint())


def _router_split(_target: str, r: _Reader) -> Call:
    return RouterSplit(r.condition31(), r.uint())


def _router_merge(_target: str, r: _Reader) -> Call:
    return RouterMerge(r.condition31(), r.uint())


def _router_redeem(_target: str, r: _Reader) -> Call:
    return RouterRedeem(r.condition31(), r.small(2, "outcome"), r.uint())


@dataclass(frozen=True, slots=True)
class Function:
    """
    A function that `decode_call` knows.

    Attributes:
        signature: As the selector hashes it.
        targets: The contracts that have it.
        head_count: Words before any dynamic part.
        decode: Makes the call out of the arguments.
    """

    signature: str
    targets: tuple[str, ...]
    head_count: int
    decode: Callable[[str, _Reader], Call]


FUNCTIONS: Final = (
    Function("approve(address,uint256)", (PUSD, USDCE), 2, _approve),
    Function(
        "setApprovalForAll(address,bool)",
        (CONDITIONAL_TOKENS, POSITION_MANAGER),
        2,
        _set_approval_for_all,
    ),
    Function(
        "splitPosition(address,bytes32,bytes32,uint256[],uint256)",
        (ADAPTER, NEG_RISK_ADAPTER),
        5,
        _split,
    ),
    Function(
        "mergePositions(address,bytes32,bytes32,uint256[],uint256)",
        (ADAPTER, NEG_RISK_ADAPTER),
        5,
        _merge,
    ),
    Function(
        "redeemPositions(address,bytes32,bytes32,uint256[])",
        (ADAPTER, NEG_RISK_ADAPTER),
        4,
        _redeem,
    ),
    Function("convertPositions(bytes32,uint256,uint256)", (NEG_RISK_ADAPTER,), 3, _convert),
    Function("wrap(address,address,uint256)", (ONRAMP,), 3, _wrap),
    Function("unwrap(address,address,uint256)", (OFFRAMP,), 3, _unwrap),
    Function("split(bytes31,uint256)", (ROUTER,), 2, _router_split),
    Function("merge(bytes31,uint256)", (ROUTER,), 2, _router_merge),
    Function("redeem(bytes31,uint256,uint256)", (ROUTER,), 3, _router_redeem),
)

_BY_SELECTOR: Final = {selector(function.signature): function for function in FUNCTIONS}
_MULTI_SEND: Final = selector("multiSend(bytes)")
_PROXY: Final = selector("proxy((uint8,address,uint256,bytes)[])")


def decode_call(target: str, data: bytes) -> Call:
    """
    Return the operation that calling `target` with `data` is.

    Raises:
        MalformedError: A function this contract does not have, or arguments that are not its.
    """
    target = parse_address(target)
    if type(data) is not bytes or len(data) < _SELECTOR_BYTES:
        raise MalformedError(f"data of {_size(data)} has no selector")
    function = _BY_SELECTOR.get(data[:_SELECTOR_BYTES])
    if function is None:
        raise MalformedError(f"selector 0x{data[:_SELECTOR_BYTES].hex()} is no position call")
    name = function.signature.partition("(")[0]
    if target not in function.targets:
        raise MalformedError(f"{name}: {target} is none of {', '.join(function.targets)}")
    reader = _Reader(name, data[_SELECTOR_BYTES:], function.head_count)
    call = function.decode(target, reader)
    reader.end()
    return call


def decode_raw(call: RawCall) -> Call:
    """Return the operation a wallet's call is; no position call sends native coin along."""
    if call.value:
        raise MalformedError(f"value {shown(call.value)} with a position call, not 0")
    return decode_call(call.target, call.data)


def read_calls(value: object) -> tuple[RawCall, ...]:
    """
    Return the calls of a deposit wallet's batch, from ``depositWalletParams.calls``.

    Raises:
        MalformedError: Not 1 to `CALL_COUNT_MAX` objects of target, value and data.
    """
    if type(value) is not list or not 1 <= len(value) <= CALL_COUNT_MAX:
        raise MalformedError(f"calls are not an array of 1 to {CALL_COUNT_MAX}")
    return tuple(_read_call(item) for item in value)


def _read_call(item: object) -> RawCall:
    if type(item) is not dict:
        raise MalformedError(f"a call is {type(item).__name__}, not an object")
    return RawCall(
        target=parse_address(item.get("target")),
        value=read_uint(item.get("value"), "value"),
        data=read_data(item.get("data")),
    )


def read_data(value: object) -> bytes:
    """Return the bytes of 0x and pairs of hex digits; or MalformedError."""
    if type(value) is str and len(value) <= _DATA_CHARS_MAX:
        raw = _from_hex(value)
        if raw is not None:
            return raw
    raise MalformedError(f"data {shown(value)} is not 0x and pairs of hex digits")


def unpack_multisend(data: bytes) -> tuple[RawCall, ...]:
    """
    Return the calls in a Safe's ``multiSend(bytes)``.

    Each is packed: operation (1 byte, must be 0, a call), target (20), value (32), size of the
    data (32), data.

    Raises:
        MalformedError: Not that, or no call at all.
    """
    packed = _dynamic("multiSend", data, _MULTI_SEND)
    calls: list[RawCall] = []
    at = 0
    while at < len(packed):
        head = packed[at : at + 85]
        if len(head) < 85:
            raise MalformedError(f"multiSend: {len(head)} bytes are no call")
        if head[0] != 0:
            raise MalformedError(f"multiSend: operation {head[0]} is not 0 (call)")
        size = int.from_bytes(head[53:85], "big")
        at += 85
        if size > len(packed) - at:
            raise MalformedError(f"multiSend: {size} bytes of data pass the end")
        calls.append(_raw(head[1:21], head[21:53], packed[at : at + size]))
        at += size
    return _counted("multiSend", calls)


def unpack_proxy(data: bytes) -> tuple[RawCall, ...]:
    """
    Return the calls in a proxy wallet's ``proxy((uint8,address,uint256,bytes)[])``.

    Raises:
        MalformedError: Not that, a type code other than 1 (call), or no call at all.
    """
    body = _arguments("proxy", data, _PROXY)
    reader = _Reader("proxy", body, 1)
    _same("proxy", "offset", reader.uint(), 32)
    rest = reader.tail()
    count = int.from_bytes(rest[:32], "big")
    rest = rest[32:]
    if not 1 <= count <= CALL_COUNT_MAX or len(rest) < 32 * count:
        raise MalformedError(f"proxy: an array of {shown(count)} is none of 1 to {CALL_COUNT_MAX}")
    starts = [int.from_bytes(rest[at : at + 32], "big") for at in range(0, 32 * count, 32)]
    ends = [*starts[1:], len(rest)]
    _same("proxy", "first call's offset", starts[0], 32 * count)
    calls: list[RawCall] = []
    for start, end in zip(starts, ends, strict=True):
        if not start < end <= len(rest):
            raise MalformedError(f"proxy: a call from {shown(start)} to {shown(end)}")
        item = _Reader("proxy", rest[start:end], 4)
        if item.uint() != 1:
            raise MalformedError("proxy: a type code is not 1 (call)")
        calls.append(RawCall(target=item.address(), value=item.uint(), data=item.blob()))
        item.end()
    return tuple(calls)


def _counted(name: str, calls: Sequence[RawCall]) -> tuple[RawCall, ...]:
    if not 1 <= len(calls) <= CALL_COUNT_MAX:
        raise MalformedError(f"{name}: {len(calls)} calls are none of 1 to {CALL_COUNT_MAX}")
    return tuple(calls)


def _raw(target: bytes, value: bytes, data: bytes) -> RawCall:
    return RawCall(target="0x" + target.hex(), value=int.from_bytes(value, "big"), data=data)


def _arguments(name: str, data: bytes, expected: bytes) -> bytes:
    if type(data) is not bytes or data[:_SELECTOR_BYTES] != expected:
        raise MalformedError(f"data of {_size(data)} is no call of {name}")
    return data[_SELECTOR_BYTES:]


def _dynamic(name: str, data: bytes, expected: bytes) -> bytes:
    reader = _Reader(name, _arguments(name, data, expected), 1)
    value = reader.blob()
    reader.end()
    return value


def _from_hex(text: str) -> bytes | None:
    if text[:2] != "0x":
        return None
    try:
        raw = bytes.fromhex(text[2:])
    except ValueError:
        return None
    return raw if 2 * len(raw) == len(text) - 2 else None  # fromhex skips blanks


def _size(data: object) -> str:
    return f"{len(data)} bytes" if type(data) is bytes else type(data).__name__
