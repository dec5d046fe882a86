"""Statuses, decimal text and the choice of kernels, as Python sees them."""

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from polyarb import errors
from polyarb._core import ffi, lib
from polyarb.core import base

BAD_TEXT = ["", ".", "-1", "+1", " 1", "1 ", "1e3", "NaN", "1.2.3", "0x10", "1,5", "١", "\ud800"]


@pytest.fixture
def _restored_kernel() -> Any:
    before = base.kernel()
    yield
    base.select_kernel(before)


@pytest.mark.parametrize("flavour", ["plain", "address"])
def test_decimal_text_holds_in_c(c_program: Callable[..., str], flavour: str) -> None:
    assert "fixed: ok" in c_program("unit/csrc/test_fixed.c", flavour)


def test_the_bindings_own_argument_handling_is_cffis() -> None:
    """build_ext.CALLS takes the arguments apart and makes the status an int itself."""
    with pytest.raises(TypeError, match=r"pa_tick expected 4 arguments, got 2"):
        lib.pa_tick(ffi.NULL, ffi.NULL)
    with pytest.raises(TypeError, match="initializer for ctype"):
        lib.pa_decode("text", 4, ffi.NULL)
    out = ffi.new("int64_t *")
    status = lib.pa_fixed_parse(b"1.x", 3, 6, out)
    assert type(status) is int
    assert (status, lib.pa_fixed_parse(b"1.5", 3, 6, out), out[0]) == (
        lib.PA_E_MALFORMED,
        lib.PA_OK,
        1_500_000,
    )


def test_every_status_has_one_exception_class() -> None:
    statuses = set(range(1, lib.PA_STATUS_COUNT))
    assert set(base.EXCEPTION) == statuses
    assert len(set(base.EXCEPTION.values())) == len(statuses)
    assert all(base.status_name(status).startswith("PA_E_") for status in statuses)
    assert "PA_E_?" not in {base.status_name(status) for status in statuses}


def test_unknown_statuses_have_a_name_that_says_so() -> None:
    assert base.status_name(lib.PA_STATUS_COUNT) == base.status_name(-1) == "PA_E_?"


def test_check_raises_what_the_status_stands_for() -> None:
    base.check(lib.PA_OK, "nothing")
    for status, exception in base.EXCEPTION.items():
        with pytest.raises(exception, match=f"a call: {base.status_name(status)}"):
            base.check(status, "a call")


def test_every_exception_says_what_the_caller_does_next() -> None:
    branches = (errors.InputError, errors.RetryError, errors.RefusedError, errors.HaltError)
    leaves = [e for e in vars(errors).values() if isinstance(e, type) and e not in branches]
    for leaf in leaves:
        assert leaf is errors.PolyarbError or issubclass(leaf, branches), leaf
        assert f"── {leaf.__name__}" in str(errors.__doc__) or leaf is errors.PolyarbError


@pytest.mark.parametrize("text", BAD_TEXT)
def test_text_outside_the_grammar_is_malformed(text: str) -> None:
    with pytest.raises(errors.MalformedError):
        base.parse_fixed(text, 6)


def test_errors_name_the_value_and_the_bound() -> None:
    with pytest.raises(errors.RangeError, match=r"decimals 19 is outside 0\.\.18"):
        base.parse_fixed("1", 19)
    with pytest.raises(errors.RangeError, match=r"value -1 is outside 0\.\."):
        base.format_fixed(-1, 6)
    with pytest.raises(errors.MalformedError, match=r"'0\.00001' x 10\^4: PA_E_MALFORMED"):
        base.parse_fixed("0.00001", 4)
    with pytest.raises(errors.RangeError, match="9223372036854775808"):
        base.parse_fixed("9223372036854775808", 0)


@pytest.mark.parametrize("value", [None, 1.0, True, "1", b"1", [1]])
def test_other_types_than_int_are_refused(value: object) -> None:
    with pytest.raises(errors.ArgumentTypeError, match="must be an int"):
        base.integer("count", value, 0, 10)


@pytest.mark.parametrize("value", [None, 1.0, 1, b"1"])
def test_other_types_than_text_are_refused(value: Any) -> None:
    with pytest.raises(errors.ArgumentTypeError, match="must be a str"):
        base.parse_fixed(value, 6)


@pytest.mark.parametrize("value", [None, 1, 1.5, "text", [1, 2], memoryview(b"abcd")[::2]])
def test_what_is_no_buffer_of_bytes_is_refused(value: object) -> None:
    with pytest.raises(errors.ArgumentTypeError, match="buffer of bytes"):
        base.readable("data", value)


def test_a_buffer_to_write_to_must_be_writable() -> None:
    assert len(base.writable("out", bytearray(3))) == 3
    with pytest.raises(errors.ArgumentTypeError, match="writable"):
        base.writable("out", b"abc")


@pytest.mark.usefixtures("_restored_kernel")
@pytest.mark.parametrize("name", ["scalar", "avx2", "avx512"])
def test_a_kernel_can_be_forced_or_is_refused_with_those_that_run(name: str) -> None:
    if name in base.kernels():
        assert base.select_kernel(name) == base.kernel() == name
        return
    with pytest.raises(errors.KernelError, match="allowed: scalar"):
        base.select_kernel(name)


def test_an_unknown_kernel_is_refused_and_changes_nothing() -> None:
    before = base.kernel()
    with pytest.raises(errors.KernelError, match=r"'sse9' cannot run here; allowed: scalar"):
        base.select_kernel("sse9")
    assert base.kernel() == before


@pytest.mark.usefixtures("_restored_kernel")
def test_without_a_name_the_best_kernel_is_taken() -> None:
    assert base.select_kernel(None) == base.select_kernel("") == base.kernels()[-1]


@pytest.mark.parametrize(("name", "expected"), [("scalar", "scalar"), ("sse9", "KernelError")])
def test_the_environment_forces_the_kernel_at_import(name: str, expected: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from polyarb.core import base; print(base.kernel())"],
        env={**os.environ, "POLYARB_KERNEL": name},
        capture_output=True,
        text=True,
        check=False,
    )
    assert expected in done.stdout + done.stderr
    assert (done.returncode == 0) == (expected == name)
