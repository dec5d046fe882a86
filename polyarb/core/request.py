"""A planned basket to the bytes of its POST /orders in one crossing (csrc/request)."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from polyarb import errors
from polyarb._core import ffi, lib
from polyarb.core.account import STAMP_MS_MAX, STAMP_MS_MIN, Stamps
from polyarb.core.base import UINT64_MAX, check, integer
from polyarb.core.digest import BATCH_MAX, DOMAIN, Domains, HmacKey, pack_order
from polyarb.core.encode import ORDER_TYPE, owner_bytes
from polyarb.core.sign import Signer
from polyarb.domain.order import SIDE_CODE, Generation, Order, OrderType, Side

_LEG: Final = struct.Struct("=QQQIBBBx")
assert _LEG.size == ffi.sizeof("pa_leg")

_FLAG: Final = {False: 0, True: 1}
_IMMEDIATE: Final = (OrderType.FOK, OrderType.FAK)

# Worst case of a leg, from csrc/encode: type 3, 78 digits in each integer, no builder code.
_BODY_BYTES: Final = 2048 * BATCH_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """
    What a leg needs to know of its token.

    Attributes:
        token_id: ERC-1155 or position id, 256-bit unsigned.
        neg_risk: Signed for the neg-risk contract.
        generation: V2 or V3.
    """

    token_id: int
    neg_risk: bool = False
    generation: Generation = Generation.V2


class Post:
    """
    A whole POST /orders in one buffer: a head written once, and the body that each build writes.

    Args:
        head: With its empty line; blanks or anything in the slots.
        length_at, time_at, signature_at: Where the slots are: Content-Length has 6 bytes (blanks
            before the digits), POLY_TIMESTAMP 10, POLY_SIGNATURE 44.

    Attributes:
        head_bytes: Of the head; the body of a built post begins there.

    Raises:
        RangeError: A slot that is not within the head.
    """

    __slots__ = ("_buffer", "_pointers", "_view", "head_bytes")

    def __init__(self, head: bytes, *, length_at: int, time_at: int, signature_at: int) -> None:
        self.head_bytes = len(head)
        slots = ffi.new("pa_slots *")
        slots.head_bytes = len(head)
        for name, at, size in (
            ("length_at", length_at, lib.PA_POST_LENGTH_BYTES),
            ("time_at", time_at, lib.PA_POST_TIME_BYTES),
            ("signature_at", signature_at, lib.PA_POST_SIGNATURE_BYTES),
        ):
            setattr(slots, name, integer(name, at, 0, len(head) - size))
        self._buffer = bytearray(head) + bytes(_BODY_BYTES)
        self._view = memoryview(self._buffer).toreadonly()
        self._pointers = (slots, ffi.from_buffer("char[]", self._buffer), len(self._buffer))


class Request:
    """
    One account's order request, everything constant filled in.

    `put_leg` the legs, then `build`; the body and header values are valid until the next build.
    One thread at a time.

    Args:
        signer: Signs inside C.
        domains: The account's chain.
        hmac: The API secret.
        account_order: Any order of the account: its maker, signer, signature type, metadata
            and builder code are used. V2 or V3.
        tokens: What legs index.
        owner: The API key's id.
        stamps: Where timestamps and salts come from.
    """

    __slots__ = (
        *("_body", "_built", "_cdata", "_filled", "_keep", "_legs", "_pointers", "_stamp"),
        *("_token_count", "_view", "body_bytes"),
    )

    def __init__(
        self,
        *,
        signer: Signer,
        domains: Domains,
        hmac: HmacKey,
        account_order: Order,
        tokens: Sequence[Token],
        owner: str,
        stamps: Stamps,
    ) -> None:
        order = ffi.new("pa_order *")
        pack_order(order[0], account_order)
        owner_raw = owner_bytes(owner)
        table = _token_table(tokens)
        memory = ffi.new("uint8_t[]", lib.pa_request_bytes() + 64)
        start = int(ffi.cast("uintptr_t", memory))
        aligned = ffi.cast("pa_request *", memory + -start % 64)
        self._cdata: Any = ffi.gc(
            aligned, lambda request, _memory=memory, wipe=lib.pa_request_wipe: wipe(request)
        )
        status = lib.pa_request_init(
            *(self._cdata, domains.cdata, signer.cdata, hmac.cdata, order),
            *(table, len(tokens), owner_raw, len(owner_raw)),
        )
        check(status, f"request of a {account_order.generation} account")
        self._keep = (signer, table, stamps)
        self._stamp = stamps.cdata
        self._legs = bytearray(_LEG.size * BATCH_MAX)
        self._body = bytearray(_BODY_BYTES)
        self._view = memoryview(self._body).toreadonly()
        self._built = ffi.new("pa_built *")
        self._pointers = (
            ffi.from_buffer("pa_leg[]", self._legs),
            ffi.from_buffer("char[]", self._body),
        )
        self._token_count = len(tokens)
        self.body_bytes = 0
        self._filled = 0

    def put_leg(
        self,
        index: int,
        token: int,
        side: Side,
        maker_amount: int,
        taker_amount: int,
        *,
        order_type: OrderType = OrderType.FAK,
        expiration_s: int = 0,
        post_only: bool = False,
    ) -> None:
        """
        Write leg `index` of the next build.

        Args:
            index: 0..14.
            token: Index into the request's tokens.
            side: BUY or SELL.
            maker_amount: Base units given (protocol.md section 10).
            taker_amount: Base units taken.
            order_type: GTC, GTD, FOK or FAK.
            expiration_s: Unix seconds; 0 unless GTD.
            post_only: Only with GTC and GTD.

        Raises:
            RangeError, ArgumentTypeError: A value outside its range or of another type.
        """
        try:
            _LEG.pack_into(
                self._legs,
                _LEG.size * index,
                maker_amount,
                taker_amount,
                expiration_s,
                token,
                SIDE_CODE[side],
                ORDER_TYPE[order_type],
                _FLAG[post_only],
            )
            in_range = 0 <= index < BATCH_MAX and token < self._token_count
        except (struct.error, KeyError, TypeError, ValueError, IndexError, OverflowError):
            in_range = False
        if not in_range:
            self._explain(index, token, maker_amount, taker_amount, expiration_s)
            raise errors.ArgumentTypeError(
                f"side {side!r:.40}, order_type {order_type!r:.40} or post_only "
                f"{post_only!r:.40} is none"
            )
        if post_only and order_type in _IMMEDIATE:
            raise errors.RangeError(f"post_only True goes with GTC and GTD, not with {order_type}")
        self._filled |= 1 << index

    def clear(self) -> None:
        """Forget the legs put since the last build."""
        self._filled = 0

    def build(self, count: int, now_ms: int) -> memoryview:
        """
        Hash, sign and encode legs 0..count-1, and authenticate the body.

        Args:
            count: 1..15.
            now_ms: The exchange's wall clock, Unix milliseconds.

        Returns:
            The body of POST /orders, a view that the next build overwrites.

        Raises:
            RangeError: A count or time out of range, or not exactly the legs 0..count-1 were
                put since the last build.
            KeyMaterialError: The signer was wiped.
        """
        legs, body = self._pointers
        self._count(count)
        try:
            status = lib.pa_request_build(
                self._cdata, self._stamp, legs, count, now_ms, body, _BODY_BYTES, self._built
            )
        except (TypeError, OverflowError):
            status = lib.PA_E_RANGE
        if status:
            self._refused(status, count, now_ms)
        self.body_bytes = self._built.body_bytes
        return self._view[: self.body_bytes]

    def build_post(self, post: Post, count: int, now_ms: int) -> memoryview:
        """Do what `build` does into `post`, and return the whole request, a view of `post`."""
        slots, start, capacity = post._pointers
        self._count(count)
        try:
            status = lib.pa_request_post(
                *(self._cdata, self._stamp, self._pointers[0], count, now_ms),
                *(slots, start, capacity, self._built),
            )
        except (TypeError, OverflowError):
            status = lib.PA_E_RANGE
        if status:
            self._refused(status, count, now_ms)
        self.body_bytes = self._built.body_bytes
        return post._view[: post.head_bytes + self.body_bytes]

    def touch(self) -> None:
        """Bring this memory near the processor; nothing is changed."""
        lib.pa_request_touch(self._cdata)

    def _count(self, count: int) -> None:
        """Take the legs put for a build: a leg is for one, the next must not send it again."""
        if type(count) is int and 1 <= count <= BATCH_MAX and self._filled != (1 << count) - 1:
            raise errors.RangeError(f"build of {count} legs, but put were {self._filled:#b}")
        self._filled = 0

    def _refused(self, status: int, count: int, now_ms: int) -> None:
        integer("count", count, 1, BATCH_MAX)
        integer("now_ms", now_ms, STAMP_MS_MIN, STAMP_MS_MAX)
        check(status, f"request of {count} legs")

    @property
    def timestamp(self) -> str:
        """POLY_TIMESTAMP of the last build."""
        built = self._built
        return ffi.unpack(built.time_text, built.time_bytes).decode("ascii")  # type: ignore[no-any-return]

    @property
    def signature(self) -> str:
        """POLY_SIGNATURE of the last build."""
        return ffi.unpack(self._built.signature, 44).decode("ascii")  # type: ignore[no-any-return]

    @property
    def first_ms(self) -> int:
        """Timestamp of leg 0 of the last build; leg i has this plus i."""
        return int(self._built.first_ms)

    def order_id(self, index: int) -> str:
        """Return the order id of a leg of the last build."""
        integer("index", index, 0, BATCH_MAX - 1)
        digest = ffi.buffer(lib.pa_request_digest(self._cdata, index), 32)
        return "0x" + bytes(digest).hex()

    def order_ids(self, count: int) -> list[str]:
        """Return the order ids of legs 0..count-1 of the last build."""
        integer("count", count, 1, BATCH_MAX)
        digest, request, unpack = lib.pa_request_digest, self._cdata, ffi.buffer
        return ["0x" + unpack(digest(request, index), 32)[:].hex() for index in range(count)]

    def _explain(self, index: int, token: int, maker: int, taker: int, expiration_s: int) -> None:
        """Raise for the number that put_leg could not take; return if none of them is at fault."""
        integer("index", index, 0, BATCH_MAX - 1)
        integer("token", token, 0, self._token_count - 1)
        integer("maker_amount", maker, 0, UINT64_MAX)
        integer("taker_amount", taker, 0, UINT64_MAX)
        integer("expiration_s", expiration_s, 0, UINT64_MAX)

    def __repr__(self) -> str:
        return f"Request(<secret>, {self._token_count} tokens)"


def _token_table(tokens: Sequence[Token]) -> Any:
    table = ffi.new("pa_token[]", len(tokens))
    for slot, token in zip(table, tokens, strict=True):
        integer("token_id", token.token_id, 0, 2**256 - 1)
        if token.generation is Generation.V1:
            raise errors.RangeError("generation v1 of a token: prepared requests are V2 and V3")
        text = str(token.token_id).encode("ascii")
        ffi.memmove(slot.id, token.token_id.to_bytes(32, "big"), 32)
        ffi.memmove(slot.text, text, len(text))
        slot.text_bytes = len(text)
        slot.domain = DOMAIN[token.generation, token.neg_risk]
    return table
