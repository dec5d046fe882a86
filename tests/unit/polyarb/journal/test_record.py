"""The kinds of records: all of them come back, and what cannot does not get in."""

import re
from typing import get_args

import journals
import msgspec
import pytest

from polyarb import errors
from polyarb.journal import record


@pytest.mark.parametrize("each", journals.one_of_each(), ids=lambda each: type(each).__name__)
def test_every_kind_comes_back(each):
    kind, version, payload = record.encode(each)
    assert record.decode(kind, version, payload) == each
    assert msgspec.msgpack.decode(payload)  # an array that anything can read


def test_every_kind_has_a_number_of_its_own_and_an_example():
    kinds = set(get_args(record.Record))
    assert set(record.KINDS) == kinds == {type(each) for each in journals.one_of_each()}
    numbers = [kind for kind, _ in record.KINDS.values()]
    assert sorted(set(numbers)) == sorted(numbers)
    assert record.END not in numbers
    assert all(version >= 1 for _, version in record.KINDS.values())


def test_the_numbers_are_those_of_the_first_journals():
    """A change here makes old journals say something else."""
    names = "Started Intent Sent Answer Seen Fill CancelSent CancelAnswer Cash Phase Closed Settled"
    names += " Skip Switch Note Planned Happened"
    numbers = {type_.__name__: kind for type_, (kind, _) in record.KINDS.items()}
    assert list(numbers.items()) == [(name, n) for n, name in enumerate(names.split(), 1)]


def test_a_record_of_version_1_is_these_bytes():
    assert record.encode(record.Switch(True, "me", "x")) == (14, 1, b"\x93\xc3\xa2me\xa1x")
    cash = record.Cash(record.CashChange.RELEASED, -1, 2, 3)
    assert record.encode(cash) == (9, 1, b"\x95\xa8released\xff\x02\x03\xa0")


def test_members_that_an_older_build_did_not_write_take_their_defaults():
    assert record.decode(14, 1, b"\x92\xc2\xa2me") == record.Switch(False, "me", "")


@pytest.mark.parametrize(
    ("kind", "version"), [(200, 1), (2, 2), (65_535, 65_535), (99, 0)], ids=str
)
def test_what_a_newer_build_wrote_is_kept_with_its_bytes(kind, version):
    assert record.decode(kind, version, b"\xc1any") == record.Unread(kind, version, b"\xc1any")


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (record.Cash(record.CashChange.RESERVED, 0.5, 0, 0), "Expected `int`, got `float`"),
        (record.Cash(record.CashChange.RESERVED, 2**63, 0, 0), "9223372036854775807"),
        (record.Cash(record.CashChange.RESERVED, 2**64, 0, 0), "Cash: "),
        (record.Cash("eaten", 1, 0, 0), "Invalid enum value 'eaten'"),
        (record.Skip("stale", -1), "`int` >= 0"),
        (record.Note("topic", None), "Expected `str`, got `None`"),
        (record.Note("topic", "\ud800"), "Note: "),
        (record.Note("topic", object()), "Note: "),
        (record.Phase(7, "x"), "Expected `str`, got `int`"),
    ],
)
def test_what_could_not_be_read_back_does_not_get_in(bad, says):
    with pytest.raises(errors.MalformedError, match=re.escape(says)):
        record.encode(bad)


@pytest.mark.parametrize("bad", [None, "text", record.Unread(200, 1, b""), journals.leg(1)])
def test_only_records_are_records(bad):
    with pytest.raises(errors.ArgumentTypeError, match="is no record"):
        record.encode(bad)


@pytest.mark.parametrize("payload", [b"", b"\x93", b"\x93\xc3\xa2me\xa1x\x00", b"\x80", b"\xff"])
def test_a_payload_that_none_of_its_kind_has_is_malformed(payload):
    with pytest.raises(errors.MalformedError, match="kind 14"):
        record.decode(14, 1, payload)


def test_records_do_not_change():
    with pytest.raises(AttributeError):
        record.Note("a", "b").text = "c"
