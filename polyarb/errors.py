"""
Every exception polyarb raises; the branch says what the caller does next.

    PolyarbError
    ├── InputError (ValueError)      mend the call; nothing happened
    │   ├── ArgumentTypeError (TypeError)
    │   ├── MalformedError
    │   ├── RangeError
    │   ├── CapacityError
    │   ├── KeyMaterialError         never shows the key
    │   ├── WalletMismatchError
    │   ├── DeniedError
    │   ├── DatabaseError            what the journal is projected into
    │   │   └── DatabaseOwnedError
    │   └── RecordingError           a file of recorded frames, or its folder
    │       ├── RecordingForeignError
    │       ├── RecordingVersionError
    │       ├── RecordingTornError
    │       ├── RecordingCorruptError
    │       └── RecordingOwnedError
    ├── RetryError                   the same call may succeed; nothing happened
    │   ├── BusyError
    │   ├── UnreachableError
    │   ├── DatabaseUnreachableError
    │   ├── ThrottledError           knows how long to wait, if it was told
    │   │   └── UnavailableError
    │   └── GarbledError
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
        ├── ArenaError
        │   ├── ArenaForeignError
        │   ├── ArenaVersionError
        │   ├── ArenaTruncatedError
        │   ├── ArenaCorruptError
        │   ├── ArenaOwnedError
        │   └── ArenaAccessError
        └── JournalError             the trade journal
            ├── JournalForeignError
            ├── JournalVersionError
            ├── JournalCorruptError
            ├── JournalMissingError
            ├── JournalOwnedError
            ├── JournalAccessError
            └── JournalFullError

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


class DatabaseError(InputError):
    """A database that cannot be used as configured."""


class DatabaseOwnedError(DatabaseError):
    """It belongs to another journal, or another projector writes to it."""


class RecordingError(InputError):
    """Recorded frames that cannot be read or written as asked."""


class RecordingForeignError(RecordingError):
    """Not a recording in any form we know."""


class RecordingVersionError(RecordingError):
    """Written in another version of the format."""


class RecordingTornError(RecordingError):
    """It ends in the middle of a block: its writer was killed, or still writes."""


class RecordingCorruptError(RecordingError):
    """A checksum or a length is wrong before its end, or outside every bound."""


class RecordingOwnedError(RecordingError):
    """Another living process records into the folder."""


class DeniedError(InputError):
    """
    A request that the exchange does not answer, whenever it is asked.

    Attributes:
        status: Of the HTTP answer.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class RetryError(PolyarbError):
    """Nothing happened; the same call may succeed."""


class BusyError(RetryError):
    """A writer was in the way on every try."""


class UnreachableError(RetryError):
    """No whole answer to a read: no connection, a broken one, or the time was up."""


class DatabaseUnreachableError(RetryError):
    """The database does not answer, is locked, or has no room; what was asked was rolled back."""


class ThrottledError(RetryError):
    """
    Too many requests.

    Attributes:
        wait_s: What the exchange asked for; None if it did not say.
    """

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class UnavailableError(ThrottledError):
    """The exchange restarts, or something on its side is broken."""


class GarbledError(RetryError):
    """An answer to a read that is not what it should be: a page of HTML, broken JSON, too long."""


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


class JournalError(HaltError):
    """A trade journal that cannot be read or written as asked; names the file."""


class JournalForeignError(JournalError):
    """Not a segment of a journal, or of another journal."""


class JournalVersionError(JournalError):
    """Written in another version of the format."""


class JournalCorruptError(JournalError):
    """A checksum, length or number is wrong before the end; the message says at which byte."""


class JournalMissingError(JournalError):
    """Records that were there are not any more."""


class JournalOwnedError(JournalError):
    """Another living process writes it."""


class JournalAccessError(JournalError):
    """The file or folder cannot be opened, created, mapped or written."""


class JournalFullError(JournalError):
    """No room for another segment; what was written so far stays."""
