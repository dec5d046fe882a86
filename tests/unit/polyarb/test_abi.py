"""Contract arguments as words, held against examples of the Solidity ABI's own specification."""

import pytest

from polyarb.errors import ArgumentTypeError, MalformedError, RangeError
from polyarb.exchange import abi


def words(*values: str) -> str:
    return "".join(value.rjust(64, "0") for value in values)


def test_a_static_call_of_the_specification():
    """baz(uint32,bool) of (69, true)."""
    data = abi.selector("baz(uint32,bool)") + abi.sequence(
        [abi.uint("x", 69, 32), abi.boolean("y", True)]
    )
    assert data.hex() == "cdcd77c0" + words("45", "1")


def test_a_dynamic_call_of_the_specification():
    """f(uint256,uint32[],bytes10,bytes) of 0x123, [0x456, 0x789], 1234567890, Hello."""
    data = abi.selector("f(uint256,uint32[],bytes10,bytes)") + abi.sequence(
        [
            abi.uint("a", 0x123),
            abi.uints("b", [0x456, 0x789]),
            abi.fixed("c", "0x" + b"1234567890".hex(), 10),
            abi.blob(b"Hello, world!"),
        ]
    )
    assert data.hex() == (
        "8be65246"
        + words("123", "80")
        + "31323334353637383930".ljust(64, "0")
        + words("e0", "2", "456", "789", "d")
        + b"Hello, world!".hex().ljust(64, "0")
    )


def test_an_array_of_tuples_has_offsets_of_its_own():
    """g((uint256,bytes)[]) of [(1, 0xab), (2, "")]: offsets count from behind the length."""
    data = abi.sequence(
        [abi.tuples([(abi.uint("a", 1), abi.blob(b"\xab")), (abi.uint("a", 2), abi.blob(b""))])]
    )
    first = words("1", "40", "1") + "ab".ljust(64, "0")
    second = words("2", "40", "0")
    assert data.hex() == words("20", "2", "40", "c0") + first + second


def test_no_value_at_all_is_no_byte():
    assert abi.sequence([]) == b""
    assert abi.uints("n", []).body == bytes(32)


@pytest.mark.parametrize(
    ("encode", "error", "said"),
    [
        (lambda: abi.uint("n", 2**256), RangeError, "n .* is outside"),
        (lambda: abi.uint("n", -1), RangeError, "n -1 is outside"),
        (lambda: abi.uint("n", 256, 8), RangeError, r"n 256 is outside 0\.\.255"),
        (lambda: abi.uint("n", True), ArgumentTypeError, "n must be an int"),
        (lambda: abi.uint("n", 1.0), ArgumentTypeError, "n must be an int"),
        (lambda: abi.boolean("b", 1), ArgumentTypeError, "b must be a bool"),
        (lambda: abi.address("a", "0x12"), MalformedError, "a '0x12' is not an address"),
        (lambda: abi.fixed("w", "0x" + "00" * 31, 32), MalformedError, "has 31 bytes, not 32"),
        (lambda: abi.fixed("w", "0x" + "0" * 63, 32), MalformedError, "pairs of hex digits"),
        (lambda: abi.fixed("w", "00" * 32, 32), MalformedError, "is not 0x"),
        (lambda: abi.fixed("w", b"0x", 32), ArgumentTypeError, "w must be a str"),
    ],
)
def test_what_does_not_fit_its_type_is_refused(encode, error, said):
    with pytest.raises(error, match=said):
        encode()
