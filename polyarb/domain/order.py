"""
One order of any generation, before and after it is signed (protocol.md sections 6 to 8).

Values are checked and brought to one form when an order is made, so that what signs and
encodes it need not ask again.
"""

import re
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final, TypeVar

from polyarb import errors

ZERO_ADDRESS: Final = "0x" + "0" * 40
ZERO_BYTES32: Final = "0x" + "0" * 64
UINT256_MAX: Final = 2**256 - 1

_E = TypeVar("_E", bound=StrEnum)

_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_BYTES32: Final = re.compile(r"0x[0-9a-fA-F]{1,64}", re.ASCII)
_DECIMAL: Final = re.compile(r"[0-9]{1,78}", re.ASCII)
_ONLY_V1: Final = {"taker": ZERO_ADDRESS, "nonce": 0, "fee_rate_bps": 0}
_NOT_V1: Final = {"timestamp": 0, "metadata": ZERO_BYTES32, "builder": ZERO_BYTES32}


class Generation(StrEnum):
    """Which struct an order signs, and under which domain version."""

    V1 = "v1"
    V2 = "v2"
    V3 = "v3"


class Side(StrEnum):
    """Signed as 0 and 1, sent as text."""

    BUY = "BUY"
    SELL = "SELL"


SIDE_CODE: Final = {Side.BUY: 0, Side.SELL: 1}
"""The signed value of each side."""


class OrderType(StrEnum):
    """How long an order lives (protocol.md section 11). Sent, never signed."""

    GTC = "GTC"
    GTD = "GTD"
    FOK = "FOK"
    FAK = "FAK"


class SignatureType(IntEnum):
    """Which wallet stands behind the signing key (protocol.md section 7.1)."""

    EOA = 0
    POLY_PROXY = 1
    POLY_GNOSIS_SAFE = 2
    POLY_1271 = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """
    The struct that is signed, under the protocol's names.

    Integers may be given as int or as decimal text, `side` also as 0 or 1, and bytes32 values
    also as 32 bytes; they are kept as int, `Side` and text. Addresses and bytes32 texts keep
    their spelling, since that is how they are sent.

    Attributes:
        generation: Which struct and domain version.
        neg_risk: Sign for the neg-risk contract (V1, V2; V3 has one contract).
        salt: Unsigned 256-bit; the venue's JSON wants it below 2**53.
        maker: Wallet that holds the funds.
        signer: The EOA; for signature type 3 the wallet itself.
        token_id: ERC-1155 or position id.
        maker_amount: What the maker gives, base units: collateral for BUY, shares for SELL.
        taker_amount: What the maker gets, base units.
        side: BUY or SELL.
        signature_type: 0..3; V1 knows 0..2.
        timestamp: Creation time in milliseconds (V2, V3).
        metadata: bytes32 as "0x" and 1..64 digits, signed left-padded (V2, V3).
        builder: bytes32 builder code (V2, V3).
        expiration: Unix seconds, 0 for none; signed only by V1.
        taker: Who may take it, zero for anyone (V1).
        nonce: On-chain cancel nonce (V1).
        fee_rate_bps: The market's fee rate (V1).

    Raises:
        ArgumentTypeError: A value of another type.
        MalformedError: Text that is no number, address or bytes32.
        RangeError: A number outside its range, or a member that this generation does not have.
    """

    generation: Generation = Generation.V2
    neg_risk: bool = False
    salt: int
    maker: str
    signer: str
    token_id: int
    maker_amount: int
    taker_amount: int
    side: Side
    signature_type: SignatureType = SignatureType.EOA
    timestamp: int = 0
    metadata: str = ZERO_BYTES32
    builder: str = ZERO_BYTES32
    expiration: int = 0
    taker: str = ZERO_ADDRESS
    nonce: int = 0
    fee_rate_bps: int = 0

    def __post_init__(self) -> None:
        generation = _choice("generation", self.generation, Generation)
        _set(self, "generation", generation)
        if type(self.neg_risk) is not bool:
            raise errors.ArgumentTypeError(
                f"neg_risk must be a bool, not {type(self.neg_risk).__name__}"
            )
        _set(self, "side", _side(self.side))
        _set(self, "signature_type", _signature_type(self.signature_type, generation))
        for name in _INTEGERS:
            _set(self, name, uint256(name, getattr(self, name)))
        for name in ("maker", "signer", "taker"):
            _matching(name, getattr(self, name), _ADDRESS, '"0x" and 40 hexadecimal digits')
        for name in ("metadata", "builder"):
            _set(self, name, _bytes32(name, getattr(self, name)))
        for name, absent in (_NOT_V1 if generation is Generation.V1 else _ONLY_V1).items():
            if getattr(self, name) != absent:
                raise errors.RangeError(
                    f"{name} {getattr(self, name)!r}: {generation} orders have no {name}"
                )


_INTEGERS: Final = (
    *("salt", "token_id", "maker_amount", "taker_amount"),
    *("timestamp", "expiration", "nonce", "fee_rate_bps"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedOrder:
    """
    An order and its signature.

    Attributes:
        order: What was signed.
        digest: EIP-712 digest of the order, 32 bytes; for type 3 not what the key signed.
        signature: "0x" and 65 bytes in hexadecimal; 317 bytes for type 3.
    """

    order: Order
    digest: bytes
    signature: str

    @property
    def order_id(self) -> str:
        """Return the venue's id of the order: the digest (protocol.md section 9)."""
        return "0x" + self.digest.hex()


def uint256(name: str, value: object) -> int:
    """
    Return an unsigned 256-bit integer given as int or decimal text.

    Raises:
        ArgumentTypeError: Another type; a bool or a float is none.
        MalformedError: Text other than 1..78 digits.
        RangeError: Outside 0..2**256 - 1.
    """
    if type(value) is str:
        value = int(_matching(name, value, _DECIMAL, "1..78 decimal digits"))
    if type(value) is not int:
        raise errors.ArgumentTypeError(
            f"{name} must be an int or decimal text, not {type(value).__name__}"
        )
    if not 0 <= value <= UINT256_MAX:
        raise errors.RangeError(f"{name} {_short(value)} is outside 0..2**256 - 1")
    return value


def _set(order: Order, name: str, value: object) -> None:
    object.__setattr__(order, name, value)  # frozen: only while the order is made


def _short(value: object) -> str:
    text = str(value) if not isinstance(value, int) or abs(value) < 10**80 else "of over 80 digits"
    return text if len(text) <= 84 else text[:80] + "..."


def _matching(name: str, value: object, pattern: re.Pattern[str], wanted: str) -> str:
    if type(value) is not str:
        raise errors.ArgumentTypeError(f"{name} must be a str, not {type(value).__name__}")
    if not pattern.fullmatch(value):
        raise errors.MalformedError(f"{name} {_short(value)!r} is not {wanted}")
    return value


def _bytes32(name: str, value: object) -> str:
    if isinstance(value, (bytes, bytearray)):
        if len(value) != 32:
            raise errors.RangeError(f"{name} has {len(value)} bytes, not 32")
        return "0x" + bytes(value).hex()
    return _matching(name, value, _BYTES32, '"0x" and 1..64 hexadecimal digits')


def _choice(name: str, value: object, choices: type[_E]) -> _E:
    if type(value) is str or isinstance(value, choices):
        try:
            return choices(value)
        except ValueError:
            pass
    allowed = ", ".join(choices)
    if not isinstance(value, str):
        raise errors.ArgumentTypeError(
            f"{name} must be one of {allowed}, not {type(value).__name__}"
        )
    raise errors.RangeError(f"{name} {_short(value)!r} is none of {allowed}")


def _side(value: object) -> Side:
    if type(value) is int:
        if value not in {0, 1}:
            raise errors.RangeError(f"side {_short(value)} is neither 0 (BUY) nor 1 (SELL)")
        return (Side.BUY, Side.SELL)[value]
    return _choice("side", value, Side)


def _signature_type(value: object, generation: Generation) -> SignatureType:
    highest = 2 if generation is Generation.V1 else 3
    if isinstance(value, bool) or not isinstance(value, int):
        raise errors.ArgumentTypeError(f"signature_type must be an int, not {type(value).__name__}")
    if not 0 <= value <= highest:
        raise errors.RangeError(
            f"signature_type {_short(value)} is outside 0..{highest} for {generation} orders"
        )
    return SignatureType(value)
