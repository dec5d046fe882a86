"""The trade journal under any damage: a prefix of the truth or an error, never a wrong record."""

import os
import random
import shutil
from pathlib import Path

import journals
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journals import SEGMENT_BYTES, WALL_NS

from polyarb import errors
from polyarb.domain.order import OrderType, Side
from polyarb.journal import record, segment, writer
from polyarb.journal.record import Note
from polyarb.journal.writer import Journal

SEED = int(os.environ.get("POLYARB_FUZZ_SEED") or random.SystemRandom().randrange(1 << 32))

E6 = st.integers(0, 2**63 - 1)
SIGNED = st.integers(-(2**63), 2**63 - 1)
IDS = st.text(max_size=80)
TEXT = st.text(max_size=300)
LEGS = st.builds(
    record.Leg,
    *(IDS, IDS, IDS, st.booleans(), st.sampled_from(Side), st.integers(0, 10_000)),
    *(E6, E6, E6, E6, E6),
)
RECORDS = st.one_of(
    st.builds(record.Started, IDS, TEXT, TEXT, TEXT, TEXT, TEXT),
    st.builds(
        record.Intent,
        *(IDS, TEXT, st.sampled_from(record.Purpose), st.sampled_from(OrderType)),
        st.lists(LEGS, max_size=4).map(tuple),
        st.lists(st.binary(max_size=500), max_size=2).map(tuple),
        *(E6, E6, E6),
    ),
    st.builds(record.Sent, IDS, st.lists(IDS, max_size=3).map(tuple), SIGNED),
    st.builds(
        record.Answer,
        *(IDS, IDS, st.sampled_from(record.Outcome), TEXT, TEXT, TEXT, E6, E6, E6),
        st.lists(IDS, max_size=3).map(tuple),
    ),
    st.builds(record.Seen, IDS, TEXT, E6, st.sampled_from(record.Witness), IDS),
    st.builds(
        record.Fill,
        *(IDS, IDS, IDS, IDS, st.sampled_from(Side), E6, E6, E6),
        *(st.sampled_from(record.TradeState), st.booleans(), TEXT),
    ),
    st.builds(record.CancelSent, IDS, st.lists(IDS, max_size=3).map(tuple), TEXT),
    st.builds(record.CancelAnswer, IDS, st.booleans(), TEXT),
    st.builds(record.Cash, st.sampled_from(record.CashChange), SIGNED, SIGNED, SIGNED, IDS),
    st.builds(record.Phase, IDS, TEXT, TEXT),
    st.builds(
        record.Closed,
        *(IDS, st.sampled_from(record.Result), E6, E6, E6, SIGNED, E6),
        st.dictionaries(IDS, E6, max_size=3),
    ),
    st.builds(
        record.Settled,
        *(IDS, st.sampled_from(record.Settlement), st.sampled_from(record.SettlementState)),
        *(IDS, E6, SIGNED, TEXT, E6, IDS, TEXT),
    ),
    st.builds(record.Skip, TEXT, E6, TEXT, TEXT),
    st.builds(record.Switch, st.booleans(), TEXT, TEXT),
    st.builds(record.Note, TEXT, TEXT),
)


@pytest.fixture
def no_disk(monkeypatch):
    """Ask no disk: these make thousands of journals that nobody keeps."""
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(writer.os, name, lambda _: None)


@settings(deadline=None)
@given(each=RECORDS)
def test_any_record_comes_back_as_it_was(each):
    kind, version, payload = record.encode(each)
    assert record.decode(kind, version, payload) == each


@settings(deadline=None)
@given(kind=st.integers(0, 40), version=st.integers(0, 3), payload=st.binary(max_size=60))
def test_any_payload_is_a_record_unread_or_malformed(kind, version, payload):
    try:
        found = record.decode(kind, version, payload)
    except errors.MalformedError:
        return
    if isinstance(found, record.Unread):
        assert found == record.Unread(kind, version, payload)
    else:
        record.encode(found)


@pytest.mark.usefixtures("no_disk")
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(given=st.lists(st.lists(RECORDS, max_size=12), max_size=4), killed=st.booleans())
def test_any_records_of_any_runs_are_read_in_order(tmp_path, given, killed):
    folder = tmp_path / "journal"
    shutil.rmtree(folder, ignore_errors=True)
    for run in given:
        journal = Journal(folder, WALL_NS, segment_bytes=SEGMENT_BYTES)
        for each in run:
            journal.append(each, WALL_NS)
        if killed:
            left = tmp_path / "left"
            shutil.copytree(folder, left)
        journal.close()
        if killed:
            shutil.rmtree(folder)
            left.rename(folder)
    if given:
        found = journals.read(folder)
        expected = [each for run in given for each in run]
        assert [entry.record for entry in found] == expected
        assert [entry.seq for entry in found] == list(range(1, len(expected) + 1))


def small_journal(folder: Path, *, ended: bool) -> tuple[bytes, list[int]]:
    """Return the bytes of a segment, its zeros cut short, and where its records begin and end."""
    with Journal(folder, WALL_NS, segment_bytes=SEGMENT_BYTES) as journal:
        places = [segment.HEADER.size]
        for each in (Note("a", "first"), record.Switch(True, "b", ""), Note("c", "x" * 20)):
            journal.append(each, WALL_NS)
            places.append(journal._at)
        (path,) = segment.paths(folder)
        if not ended:
            return path.read_bytes()[: places[-1] + 64], places
    return path.read_bytes(), places


def outcome(folder: Path, data: bytes) -> tuple[list[object] | None, int | None]:
    """Return the records that a follower finds, and the number a writer goes on from."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / segment.name(1)).write_bytes(data)
    try:
        found = journals.records(folder)
    except errors.JournalError:
        found = None
    try:
        with Journal(folder, WALL_NS + 5, segment_bytes=SEGMENT_BYTES) as journal:
            seq = journal.seq
            journal.append(Note("after", ""), 1)
    except errors.JournalError:
        assert (folder / segment.name(1)).read_bytes() == data  # what is refused stays as it is
        return found, None
    kept = journals.records(folder)
    assert kept[-1] == Note("after", "")
    assert found is None or kept[:-1] == found
    return found, seq


@pytest.mark.usefixtures("no_disk")
@pytest.mark.parametrize("ended", [True, False])
def test_a_journal_cut_at_any_byte_is_a_prefix(tmp_path, ended):
    data, places = small_journal(tmp_path / "whole", ended=ended)
    given = journals.records(tmp_path / "whole")
    for cut in range(len(data)):
        found, seq = outcome(tmp_path / "cut", data[:cut])
        if cut < segment.HEADER.size:
            assert (found, seq) == (None, None)
        else:
            whole = sum(cut >= place for place in places[1:])
            assert (found, seq) == (given[:whole], whole)


@pytest.mark.usefixtures("no_disk")
@pytest.mark.parametrize("ended", [True, False])
def test_any_byte_changed_is_an_error_or_a_torn_tail(tmp_path, ended):
    """A journal in order may lose its end to a changed byte; only an open one its last record."""
    chance = random.Random(SEED)
    data, places = small_journal(tmp_path / "whole", ended=ended)
    given = journals.records(tmp_path / "whole")
    at_risk = places[-1] if ended else places[-2]
    for at in range(len(data)):
        for flip in (1, 0x80, chance.randrange(1, 256)):
            changed = data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :]
            found, seq = outcome(tmp_path / "changed", changed)
            if at < at_risk:
                assert seq is None, f"byte {at}, flip {flip}, seed {SEED}"
                assert found is None or found == given[: len(found)]
            else:
                assert seq in {len(given) - (at < places[-1]), None}
                assert found is None or found == given[:seq]


@pytest.mark.usefixtures("no_disk")
def test_any_damage_is_a_prefix_or_an_error(tmp_path):
    chance = random.Random(SEED)
    data, _ = small_journal(tmp_path / "whole", ended=False)
    given = journals.records(tmp_path / "whole")
    for _ in range(600):
        changed = bytearray(data)
        for _ in range(chance.randrange(1, 4)):
            size = chance.choice([1, 4, 8, 40])
            at = chance.randrange(len(changed))
            source = chance.randrange(len(changed))
            new = chance.choice(
                [bytes(size), chance.randbytes(size), bytes(changed[source : source + size])]
            )
            changed[at : at + len(new)] = new
        changed = changed[: chance.choice([len(changed), chance.randrange(len(changed))])]
        found, seq = outcome(tmp_path / "changed", bytes(changed))
        assert found is None or found == given[: len(found)], f"seed {SEED}"
        assert seq is None or found is None or seq == len(found), f"seed {SEED}"
