"""
Every exception polyarb raises; the branch says what the caller does next.

    PolyarbError
    ├── InputError (ValueError)      mend the call; nothing happened
    │   ├── ArgumentTypeError (TypeError)
    │   ├── MalformedError
    │   ├── RangeError
    │   ├── CapacityError
    │   ├── KeyMaterialError         never shows the key
    │   └── WalletMismatchError
    ├── RetryError                   the same call may succeed; nothing happened
    │   └── BusyError
    ├── RefusedError                 skip this order or opportunity
    │   ├── FundsError
    │   ├── BlockedError
    │   ├── TickError
    │   ├── PriceRangeError
    │   ├── MinimumSizeError
    │   └── MinimumNotionalError
    └── HaltError                    stop and tell the operator
        ├── KernelError
        ├── SelfTestError
        └── ArenaError
            ├── ArenaForeignError
            ├── ArenaVersionError
            ├── ArenaTruncatedError
            ├── ArenaCorruptError
            ├── ArenaOwnedError
            └── ArenaAccessError

Messages name the value and the bound: ``price 1.2 is outside 0.01..0.99``.
"""


class PolyarbError(Exception):
    """Anything polyarb raises on purpose."""


class InputError(PolyarbError, ValueError):
    """An argument, file or text that cannot be used as given."""


class ArgumentTypeError(InputError, TypeError):
    """An argument of a type that is not accepted (a float for money, None for bytes)."""


class MalformedError(InputError):
    """Text or bytes that break the grammar of what they should be."""


class RangeError(InputError):
    """A well-formed value outside its documented range."""


class CapacityError(InputError):
    """More than a fixed table or the caller's buffer holds."""


class KeyMaterialError(InputError):
    """A private key or API secret that is not one. The message never holds it."""


class WalletMismatchError(InputError):
    """Key, funder and signature type that do not belong together."""


class RetryError(PolyarbError):
    """Nothing happened; the same call may succeed."""


class BusyError(RetryError):
    """A writer was in the way on every try."""


class RefusedError(PolyarbError):
    """An order or plan that our own rules do not let out."""


class FundsError(RefusedError):
    """The available balance does not cover the reservation."""


class BlockedError(RefusedError):
    """The breaker or the trading switch forbids it."""


class TickError(RefusedError, InputError):
    """A price that is not a multiple of the market's tick."""


class PriceRangeError(RefusedError, InputError):
    """A price outside tick..1 - tick."""


class MinimumSizeError(RefusedError, InputError):
    """A size below the market's minimum."""


class MinimumNotionalError(RefusedError, InputError):
    """A marketable BUY of less than $1."""


class HaltError(PolyarbError):
    """Trading must not start, or must stop."""


class KernelError(HaltError):
    """A forced kernel that is unknown or cannot run on this machine."""


class SelfTestError(HaltError):
    """Two ways to the same answer disagree."""


class ArenaError(HaltError):
    """An arena that cannot be used as asked."""


class ArenaForeignError(ArenaError):
    """Not an arena."""


class ArenaVersionError(ArenaError):
    """Laid out by another version."""


class ArenaTruncatedError(ArenaError):
    """Shorter than its header says."""


class ArenaCorruptError(ArenaError):
    """The header does not match its checksum, or contradicts itself."""


class ArenaOwnedError(ArenaError):
    """Another living process owns it."""


class ArenaAccessError(ArenaError):
    """The file cannot be opened, created or mapped."""
