"""
Statuses, exact decimals and the kernel level; how every module here checks arguments.

The kernel level is chosen when ``polyarb.core`` is first imported, since it must be fixed
before any thread starts: POLYARB_KERNEL forces one, and a name that is unknown or cannot
run here is refused with the list of those that can.
"""

import os
from typing import Any, Final

from polyarb import errors
from polyarb._core import ffi, lib

EXCEPTION: Final[dict[int, type[errors.PolyarbError]]] = {
    lib.PA_E_MALFORMED: errors.MalformedError,
    lib.PA_E_RANGE: errors.RangeError,
    lib.PA_E_CAPACITY: errors.CapacityError,
    lib.PA_E_BUSY: errors.BusyError,
    lib.PA_E_FUNDS: errors.FundsError,
    lib.PA_E_BLOCKED: errors.BlockedError,
    lib.PA_E_UNSUPPORTED: errors.KernelError,
    lib.PA_E_SELFTEST: errors.SelfTestError,
    lib.PA_E_KEY: errors.KeyMaterialError,
    lib.PA_E_FOREIGN: errors.ArenaForeignError,
    lib.PA_E_VERSION: errors.ArenaVersionError,
    lib.PA_E_TRUNCATED: errors.ArenaTruncatedError,
    lib.PA_E_CORRUPT: errors.ArenaCorruptError,
}
"""One exception class for every status but PA_OK."""

INT64_MAX: Final = 2**63 - 1
UINT64_MAX: Final = 2**64 - 1


def status_name(status: int) -> str:
    """Return the enumerator's name, such as ``PA_E_RANGE``."""
    return _text(lib.pa_status_name(status))


def check(status: int, context: str) -> None:
    """Raise the exception `status` stands for; return if it is PA_OK."""
    if status:
        raise EXCEPTION[status](f"{context}: {status_name(status)}")


def integer(name: str, value: object, low: int, high: int) -> int:
    """
    Return `value` if it is an int in low..high.

    Raises:
        ArgumentTypeError: Not an int (a bool or a float is not one).
        RangeError: Outside low..high.
    """
    if type(value) is not int:
        raise errors.ArgumentTypeError(f"{name} must be an int, not {type(value).__name__}")
    if not low <= value <= high:
        shown = str(value) if -(10**80) < value < 10**80 else "of over 80 digits"
        raise errors.RangeError(f"{name} {shown} is outside {low}..{high}")
    return value


def readable(name: str, value: object) -> Any:
    """
    Return `value` as a C pointer to its bytes, valid while the result is referenced.

    Raises:
        ArgumentTypeError: Not a contiguous buffer of bytes.
    """
    try:
        return ffi.from_buffer("uint8_t[]", value)
    except (TypeError, BufferError, ValueError) as error:
        raise errors.ArgumentTypeError(
            f"{name} must be bytes or a contiguous buffer of bytes, not {type(value).__name__}"
        ) from error


def writable(name: str, value: object) -> Any:
    """Like `readable`, for a buffer that C may write to."""
    try:
        return ffi.from_buffer("uint8_t[]", value, require_writable=True)
    except (TypeError, BufferError, ValueError) as error:
        raise errors.ArgumentTypeError(
            f"{name} must be a writable buffer of bytes, not {type(value).__name__}"
        ) from error


def parse_fixed(text: str, decimals: int) -> int:
    """
    Return decimal `text` as an integer x 10**decimals, exactly (protocol.md section 3).

    Raises:
        ArgumentTypeError: Not a str.
        MalformedError: A sign, an exponent, a blank, or more decimals than the unit holds.
        RangeError: Above 2**63 - 1, or `decimals` outside 0..18.
    """
    if type(text) is not str:
        raise errors.ArgumentTypeError(f"text must be a str, not {type(text).__name__}")
    integer("decimals", decimals, 0, lib.PA_DECIMALS_MAX)
    raw = text.encode("utf-8", "surrogatepass")
    out = ffi.new("int64_t *")
    check(lib.pa_fixed_parse(raw, len(raw), decimals, out), f"{text[:80]!r} x 10^{decimals}")
    return int(out[0])


def format_fixed(value: int, decimals: int) -> str:
    """
    Return `value` / 10**decimals as the shortest exact text: ``0.5``, ``30``.

    Raises:
        ArgumentTypeError: Not an int.
        RangeError: `value` outside 0..2**63 - 1, or `decimals` outside 0..18.
    """
    integer("value", value, 0, INT64_MAX)
    integer("decimals", decimals, 0, lib.PA_DECIMALS_MAX)
    out = ffi.new("char[]", lib.PA_FIXED_TEXT_MAX)
    written = ffi.new("size_t *")
    check(lib.pa_fixed_format(value, decimals, out, len(out), written), str(value))
    return ffi.unpack(out, written[0]).decode("ascii")  # type: ignore[no-any-return]


def kernels() -> list[str]:
    """Return the names of the kernel levels that run on this machine, slowest first."""
    return [
        _text(lib.pa_level_name(level))
        for level in range(lib.PA_LEVEL_COUNT)
        if lib.pa_level_runs(level)
    ]


def kernel() -> str:
    """Return the name of the kernel level in use."""
    return _text(lib.pa_level_name(lib.pa_level_active()))


def select_kernel(force: str | None) -> str:
    """
    Choose the kernels of every unit and prove each against its scalar definition.

    Args:
        force: ``scalar``, ``avx2``, ``avx512``, or None or "" for the best that runs here.
            Before any other thread calls into the core.

    Raises:
        KernelError: Unknown, or cannot run on this machine. The choice stays as it was.
        SelfTestError: A kernel disagrees with the scalar definition.
    """
    status = lib.pa_init(force.encode("utf-8", "replace") if force else ffi.NULL)
    if status == lib.PA_E_UNSUPPORTED:
        allowed = ", ".join(kernels())
        raise errors.KernelError(f"POLYARB_KERNEL {force!r} cannot run here; allowed: {allowed}")
    check(status, f"kernel {force or 'auto'}")
    return kernel()


def compiler() -> str:
    """Return the compiler that built the core."""
    return _text(lib.pa_compiler())


def sha256_accelerated() -> bool:
    """Tell whether SHA-256 runs on the CPU's SHA instructions."""
    return bool(lib.pa_sha256_accelerated())


def _text(pointer: Any) -> str:
    return ffi.string(pointer).decode("ascii")  # type: ignore[no-any-return]


select_kernel(os.environ.get("POLYARB_KERNEL"))
