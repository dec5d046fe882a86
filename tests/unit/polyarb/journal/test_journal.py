"""Segments of the trade journal: what is appended is read, what is torn is cut, the rest named."""

import errno
import os
import resource
import shutil
import struct
import zlib
from pathlib import Path

import journals
import pytest
from journals import SEGMENT_BYTES, WALL_NS

from polyarb import errors
from polyarb.journal import follower as follower_module
from polyarb.journal import record, segment, writer
from polyarb.journal.follower import Follower
from polyarb.journal.record import Note
from polyarb.journal.writer import Fsync, Journal

HEADER_BYTES = 64
HEAD_BYTES = 32
LARGE = segment.RECORD_BYTES_MAX - HEAD_BYTES - 16


def begin(folder: Path, **options: object) -> Journal:
    return Journal(folder, WALL_NS, segment_bytes=SEGMENT_BYTES, **options)


def kill(journal: Journal, folder: Path) -> Path:
    """Return a copy of the folder as a SIGKILL would leave it: the files, without their owner."""
    left = folder.parent / f"{folder.name}-killed-{journal.seq}"
    shutil.copytree(folder, left)
    return left


def large(n: int = 0) -> Note:
    return Note(f"large {n}", "x" * (segment.RECORD_BYTES_MAX // 2))


# -- what is written is read


def test_everything_appended_is_read_back_in_order_with_its_number_and_time(tmp_path):
    given = journals.some_records(2_000)
    journals.write(tmp_path, given)
    found = journals.read(tmp_path)
    assert [entry.record for entry in found] == given
    assert [entry.seq for entry in found] == list(range(1, 2_001))
    assert [entry.wall_ns for entry in found] == list(range(WALL_NS, WALL_NS + 2_000))


def test_append_returns_the_number_of_its_record(tmp_path):
    with begin(tmp_path) as journal:
        assert [journal.append(Note("a", ""), 1) for _ in range(3)] == [1, 2, 3]
        assert journal.seq == 3


def test_a_segment_is_the_bytes_that_its_format_says(tmp_path):
    (path,) = journals.write(tmp_path, [record.Switch(True, "me", "x")])
    fields = struct.pack("<8sHHIqq28x", b"PAJOURNL", 1, 0, 1, WALL_NS, WALL_NS)
    seed = zlib.crc32(fields)
    payload = b"\x93\xc3\xa2me\xa1x"
    rest = struct.pack("<QqHH4s", 1, WALL_NS, 14, 1, b"\xa5REC") + payload + b"\0"
    size = HEAD_BYTES + len(payload)
    end = struct.pack("<QqHH4s", 2, 0, 0, 0, b"\xa5REC")
    assert path.name == "00000001.journal"
    assert path.read_bytes() == (
        fields
        + struct.pack("<I", seed)
        + struct.pack("<II", size, zlib.crc32(rest, seed ^ size))
        + rest
        + struct.pack("<II", 32, zlib.crc32(end, seed ^ 32))
        + end
    )


def test_a_record_is_in_the_file_when_append_returns(tmp_path):
    with begin(tmp_path) as journal, Follower(tmp_path) as follower:
        for n in range(300):
            journal.append(Note("n", str(n)), n)
            assert [entry.record.text for entry in follower.read()] == [str(n)]
            assert follower.read() == []


def test_append_makes_no_system_call(tmp_path, monkeypatch):
    """Nothing that could make one is in reach: neither the files nor `os`."""
    with begin(tmp_path) as journal:
        with monkeypatch.context() as patch:
            patch.setattr(writer, "os", None)
            patch.setattr(writer, "mmap", None)
            patch.setattr(writer, "fcntl", None)
            for n in range(1_000):
                journal.append(journals.intent("b", n), n)
        assert len(journals.records(tmp_path)) == 1_000


def test_the_first_word_of_a_record_is_stored_when_the_rest_is_there(tmp_path):
    """So a reader, or a kill, finds a whole record or none."""
    with begin(tmp_path) as journal:
        (path,) = segment.paths(tmp_path)
        words, stored = journal._words, []

        class Watched:
            def __setitem__(self, index: int, size: int) -> None:
                data = path.read_bytes()
                place = segment.Place(path, journal._seed, 0, index * 4)
                assert data[place.at : place.at + 4] == bytes(4)
                whole = size.to_bytes(4, "little") + data[place.at + 4 :]
                assert place.take(whole, 1, None) in {segment.Tail.MORE, segment.Tail.ENDED}
                stored.append(size)
                words[index] = size

        journal._words = Watched()
        for each in journals.one_of_each():
            journal.append(each, 1)
        assert len(stored) == len(journals.one_of_each())
        journal._words = words
    assert journals.records(tmp_path) == journals.one_of_each()


def test_the_largest_record_is_kept_and_a_larger_one_refused(tmp_path):
    with begin(tmp_path) as journal:
        for _ in range(5):
            journal.append(Note("a", "x" * LARGE), 1)
        with pytest.raises(errors.RangeError, match=r"Note of \d+ bytes, at most 1048544"):
            journal.append(Note("a", "x" * segment.RECORD_BYTES_MAX), 1)
        journal.append(Note("b", ""), 1)
        assert journal.seq == 6
    assert [len(each.text) for each in journals.records(tmp_path)] == [LARGE] * 5 + [0]


def test_a_record_that_cannot_be_written_leaves_nothing(tmp_path):
    with begin(tmp_path) as journal:
        with pytest.raises(errors.MalformedError):
            journal.append(Note("a", 1.5), 1)
        assert journal.append(Note("b", ""), 1) == 1
    assert journals.records(tmp_path) == [Note("b", "")]


# -- segments follow each other


@pytest.mark.parametrize("tended", [True, False])
def test_a_full_segment_is_followed_by_another(tmp_path, tended):
    with begin(tmp_path) as journal, Follower(tmp_path) as follower:
        found = []
        for n in range(20):
            journal.append(large(n), n)
            if tended:
                journal.tend(n)
            found += follower.read()
        assert [entry.record for entry in found] == [large(n) for n in range(20)]
        assert journal.late_segments == (0 if tended else 6)
    assert journals.records(tmp_path) == [large(n) for n in range(20)]
    paths = segment.paths(tmp_path)
    assert [path.name for path in paths] == [segment.name(n) for n in range(1, len(paths) + 1)]
    assert sum(path.stat().st_size for path in paths) < 21 * 600_000  # no room is kept


def test_a_spare_segment_is_made_at_half_and_taken_away_at_the_end(tmp_path):
    with begin(tmp_path) as journal:
        journal.append(large(), 1)
        journal.tend(1)
        assert len(segment.paths(tmp_path)) == 1
        journal.append(large(), 1)
        journal.append(large(), 1)
        journal.tend(1)
        assert len(segment.paths(tmp_path)) == 2
        assert len(journals.read(tmp_path)) == 3
    assert len(segment.paths(tmp_path)) == 1


def test_the_next_writer_goes_on_after_an_orderly_end(tmp_path):
    for n in range(5):
        with begin(tmp_path) as journal:
            assert journal.seq == 2 * n
            assert journal.repaired == []
            journal.append(Note("a", str(n)), n)
            journal.append(Note("b", str(n)), n)
    assert [each.text for each in journals.records(tmp_path)] == list("0011223344")
    assert len(segment.paths(tmp_path)) == 5


def test_a_writer_that_wrote_nothing_leaves_a_journal_that_goes_on(tmp_path):
    for n in range(3):
        for _ in range(n + 1):
            begin(tmp_path).close()
        with begin(tmp_path) as journal:
            assert journal.append(Note("a", ""), 1) == n + 1
    assert [entry.seq for entry in journals.read(tmp_path)] == [1, 2, 3]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7, 8])
@pytest.mark.parametrize("tended", [True, False])
def test_the_next_writer_goes_on_after_a_kill(tmp_path, count, tended):
    with begin(tmp_path / "one") as journal:
        for n in range(count):
            journal.append(large(n), n)
            if tended:
                journal.tend(n)
        left = kill(journal, tmp_path / "one")
    used = [segment.name(n + 1) for n in range((max(count, 1) + 2) // 3)]  # and no spare
    with Follower(left) as follower, begin(left) as journal:
        assert (journal.seq, journal.repaired) == (count, [])
        assert [path.name for path in segment.paths(left)] == used
        assert journal.append(Note("after", ""), 1) == count + 1
        found = []
        while more := follower.read():
            found += more
        assert [entry.record for entry in found] == [*map(large, range(count)), Note("after", "")]
    assert journals.read(left) == found


def test_removed_oldest_segments_are_no_fault_and_a_gap_is(tmp_path):
    with begin(tmp_path) as journal:
        for n in range(12):
            journal.append(large(n), n)
    first, second, third, *_ = segment.paths(tmp_path)
    first.unlink()
    assert [entry.seq for entry in journals.read(tmp_path)] == list(range(4, 13))
    with begin(tmp_path) as journal:
        assert journal.seq == 12
    third.unlink()
    for use in (journals.read, begin):
        with pytest.raises(errors.JournalMissingError, match=r"00000003\.journal: no such segment"):
            use(tmp_path)
    second.rename(third)  # the last segments closed up by hand
    with pytest.raises(errors.JournalForeignError, match="its header says segment 2"):
        journals.read(tmp_path)


# -- torn tails


def stages(before: bytes, after: bytes) -> list[bytes]:
    """Return the states of a file between two: `append` writes the first word last."""
    first = next(n for n in range(len(before)) if before[n] != after[n]) & ~7
    last = max(n for n in range(len(before)) if before[n] != after[n]) + 1
    made = [
        before[: first + 4] + after[first + 4 : n] + before[n:] for n in range(first + 4, last + 1)
    ]
    return [*made, after]


def test_a_writer_killed_in_the_middle_of_a_record_leaves_all_before_it(tmp_path):
    with begin(tmp_path / "one") as journal:
        journal.append(Note("first", ""), 1)
        (path,) = segment.paths(tmp_path / "one")
        before = path.read_bytes()
        journal.append(record.Switch(True, "operator", "second"), 2)
        after = path.read_bytes()
    torn = stages(before, after)
    assert len(torn) == 48
    for n, state in enumerate(torn):
        folder = tmp_path / f"at-{n}"
        folder.mkdir()
        (folder / path.name).write_bytes(state)
        whole = n == len(torn) - 1
        assert len(journals.read(folder)) == 1 + whole
        with begin(folder) as journal:
            assert journal.seq == 1 + whole
            cut = [(each.path, each.at) for each in journal.repaired]
            assert cut == ([(folder / path.name, 104)] if state != before and not whole else [])
            journal.append(Note("after", ""), 3)
        found = journals.records(folder)
        assert (found[0], found[-1], len(found)) == (
            Note("first", ""),
            Note("after", ""),
            2 + whole,
        )
        shutil.rmtree(folder)


def test_a_broken_last_record_is_cut_and_said(tmp_path):
    """A power cut may leave any part of what the disk was not asked for."""
    with begin(tmp_path / "one") as journal:
        for text in ("a", "b", "c"):
            journal.append(Note("n", text), 1)
        left = kill(journal, tmp_path / "one")
    (path,) = segment.paths(left)
    data = bytearray(path.read_bytes())
    at = len(data.rstrip(b"\0"))
    data[at - 1] ^= 1
    path.write_bytes(data)
    assert [each.text for each in journals.records(left)] == ["a", "b"]
    with begin(left) as journal:
        (repair,) = journal.repaired
        assert (repair.path, repair.at, journal.seq) == (path, HEADER_BYTES + 2 * 40, 2)
        assert 0 < repair.torn_bytes <= 40
        assert not any(path.read_bytes()[repair.at :])
        journal.append(Note("n", "d"), 1)
    assert [each.text for each in journals.records(left)] == ["a", "b", "d"]


def test_a_broken_record_before_a_whole_one_is_an_error_that_names_both(tmp_path):
    with begin(tmp_path / "one") as journal:
        for text in ("a", "b", "c"):
            journal.append(Note("n", text), 1)
        left = kill(journal, tmp_path / "one")
    (path,) = segment.paths(left)
    whole = path.read_bytes()
    for broken in (b"\0" * 40, b"\0" * 4 + whole[108:144], whole[104:140] + b"!!!!", b"\xff" * 40):
        path.write_bytes(whole[:104] + broken + whole[144:])
        says = f"{path}: byte 104: a broken record; record 3 follows at 144"
        for use in (journals.read, begin):
            with pytest.raises(errors.JournalCorruptError) as caught:
                use(left)
            assert str(caught.value) == says
        assert path.read_bytes() == whole[:104] + broken + whole[144:]


def test_a_record_that_is_repeated_left_out_or_taken_from_elsewhere_is_an_error(tmp_path):
    with begin(tmp_path / "one") as journal, Journal(tmp_path / "two", 5) as other:
        for text in ("a", "b", "c", "d"):
            journal.append(Note("n", text), 1)
            other.append(Note("n", text), 1)
        left = kill(journal, tmp_path / "one")
        elsewhere = segment.paths(tmp_path / "two")[0].read_bytes()
    (path,) = segment.paths(left)
    whole = path.read_bytes()
    first, second, third, rest = whole[:104], whole[104:144], whole[144:184], whole[184:]
    for found, says in [
        (first + second + second + third + rest, "byte 144: record 2 where 3 should be"),
        (first + third + rest, "byte 104: record 3 where 2 should be"),
        (first + elsewhere[104:144] + third + rest, "byte 104: a broken record; record 3 follows"),
    ]:
        path.write_bytes(found[: len(whole)])
        for use in (journals.read, begin):
            with pytest.raises(errors.JournalCorruptError, match=says):
                use(left)


def test_a_segment_that_never_ended_is_no_loss_if_the_next_goes_on_where_it_stopped(tmp_path):
    """The end of a segment may be lost with the power; a record may not."""
    with begin(tmp_path / "one") as journal:
        for n in range(5):
            journal.append(large(n), n)
        left = kill(journal, tmp_path / "one")
    first, second = segment.paths(left)
    whole = first.read_bytes()
    assert len(journals.read(left)) == 5
    for lost, error in [(HEAD_BYTES, None), (HEAD_BYTES + 100, "record 4 where 3 should be")]:
        at = len(whole.rstrip(b"\0")) - lost
        first.write_bytes(whole[:at] + bytes(len(whole) - at))
        if error is None:
            assert len(journals.read(left)) == 5
        else:
            with pytest.raises(errors.JournalCorruptError, match=f"{second}: byte 64: {error}"):
                journals.read(left)


def test_something_behind_the_end_is_an_error(tmp_path):
    (path,) = journals.write(tmp_path, [Note("a", "")])
    with path.open("ab") as file:
        file.write(b"\0\0\1")
    with pytest.raises(errors.JournalCorruptError, match="something follows the end"):
        begin(tmp_path)


# -- what is no journal, or one of another build


def changed(path: Path, at: int, new: bytes) -> None:
    data = bytearray(path.read_bytes())
    data[at : at + len(new)] = new
    path.write_bytes(data)


def test_a_newer_format_is_named_with_file_and_byte(tmp_path):
    (path,) = journals.write(tmp_path, [Note("a", "")])
    fields = struct.pack("<8sHHIqq28x", b"PAJOURNL", 2, 0, 1, WALL_NS, WALL_NS)
    changed(path, 0, fields + struct.pack("<I", zlib.crc32(fields)))
    before = path.read_bytes()
    for use in (journals.read, begin):
        with pytest.raises(errors.JournalVersionError) as caught:
            use(tmp_path)
        assert str(caught.value) == f"{path}: byte 8: version 2, this build knows 1"
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        (b"", errors.JournalForeignError, "not a trade journal of ours"),
        (b"\0" * 4096, errors.JournalForeignError, "not a trade journal of ours"),
        (b"PAFRAMES" * 20, errors.JournalForeignError, "not a trade journal of ours"),
        (b"PAJOURNL" + b"\1\0", errors.JournalCorruptError, "byte 10: ends inside its header"),
        (b"PAJOURNL" * 20, errors.JournalCorruptError, "byte 0: the header's checksum is wrong"),
    ],
)
def test_another_file_is_refused_and_stays(tmp_path, content, error, says):
    path = tmp_path / "00000001.journal"
    path.write_bytes(content)
    for use in (journals.read, begin):
        with pytest.raises(error, match=says):
            use(tmp_path)
    assert path.read_bytes() == content


def test_a_file_of_another_name_is_refused(tmp_path):
    journals.write(tmp_path, [Note("a", "")])
    (tmp_path / "copy of 1.journal").touch()
    for use in (journals.read, begin):
        with pytest.raises(errors.JournalForeignError, match=r"copy of 1\.journal: not the name"):
            use(tmp_path)


def test_segments_of_two_journals_are_told_apart(tmp_path):
    with begin(tmp_path / "one") as journal:
        for n in range(5):
            journal.append(large(n), n)
    with Journal(tmp_path / "two", 77, segment_bytes=SEGMENT_BYTES) as other:
        for n in range(5):
            other.append(large(n), n)
    shutil.copy(tmp_path / "two" / segment.name(2), tmp_path / "one" / segment.name(2))
    with pytest.raises(errors.JournalForeignError, match="a segment of another journal"):
        journals.read(tmp_path / "one")


def test_what_a_newer_build_wrote_is_handed_out(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(record, "encode", lambda _: (4_000, 3, b"from the future"))
        journals.write(tmp_path, [Note("a", ""), Note("b", "")])
    assert journals.records(tmp_path) == [record.Unread(4_000, 3, b"from the future")] * 2
    with begin(tmp_path) as journal:
        assert journal.append(Note("c", ""), 1) == 3


def test_a_payload_that_cannot_be_read_is_named_with_its_place(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(record, "encode", lambda _: (15, 1, b"\xc1"))
        (path,) = journals.write(tmp_path, [Note("a", "")])
    with pytest.raises(errors.JournalCorruptError, match=f"{path}: byte 64: kind 15: "):
        journals.read(tmp_path)


# -- one writer


def test_there_is_one_writer_and_the_lock_goes_with_it(tmp_path):
    with begin(tmp_path) as journal:
        journal.append(Note("a", ""), 1)
        with pytest.raises(errors.JournalOwnedError, match="another process writes this journal"):
            begin(tmp_path)
        assert journal.append(Note("b", ""), 1) == 2
    with begin(tmp_path) as journal:
        assert journal.seq == 2


def test_a_writer_that_could_not_begin_leaves_the_folder_free(tmp_path):
    path = tmp_path / "00000001.journal"
    path.write_bytes(b"something else")
    with pytest.raises(errors.JournalForeignError):
        begin(tmp_path)
    path.unlink()
    begin(tmp_path).close()


# -- the system refuses


def test_a_full_disk_is_known_half_a_segment_early_and_costs_no_record(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with begin(tmp_path) as journal:
        journal.append(large(0), 1)
        journal.append(large(1), 1)
        journal.append(Note("n", "x" * 200_000), 1)
        resource.setrlimit(resource.RLIMIT_FSIZE, (SEGMENT_BYTES - 1, hard))
        try:
            with pytest.raises(errors.JournalFullError, match=r"00000002\.journal: File too large"):
                journal.tend(1)
            journal.append(large(2), 1)
            with pytest.raises(errors.JournalFullError):
                journal.append(large(3), 1)
            assert journal.append(Note("small", ""), 1) == 5
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert journal.append(large(4), 1) == 6
        assert journal.late_segments == 1
    assert len(journals.read(tmp_path)) == 6
    assert list(tmp_path.glob("*.new")) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_is_full_at_the_start_is_named(tmp_path, monkeypatch, number):
    def refuse(*_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(writer.os, "posix_fallocate", refuse)
    with pytest.raises(errors.JournalFullError, match=r"00000001\.journal: "):
        begin(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(errors.JournalAccessError, match=str(folder)):
            begin(folder)
    with pytest.raises(errors.JournalAccessError, match="No such file"):
        journals.read(tmp_path / "nothing")


def test_a_read_only_folder_is_named_and_can_be_read(tmp_path):
    journals.write(tmp_path, [Note("a", "")])
    tmp_path.chmod(0o500)

    def in_child() -> bool:
        with pytest.raises(errors.JournalAccessError, match="Permission denied"):
            begin(tmp_path)
        return journals.records(tmp_path) == [Note("a", "")]

    try:
        assert as_nobody(tmp_path, in_child)
    finally:
        tmp_path.chmod(0o700)


def as_nobody(folder: Path, does) -> bool:
    """Whether `does` is true in a process that is not root."""
    if os.getuid():
        return does()
    for each in (folder, *folder.iterdir()):
        os.chown(each, 65_534, 65_534)
    opened = [parent for parent in folder.parents if parent.stat().st_mode & 0o011 != 0o011]
    modes = [parent.stat().st_mode for parent in opened]
    for parent, mode in zip(opened, modes, strict=True):
        parent.chmod(mode | 0o011)
    try:
        child = os.fork()
        if child == 0:
            try:
                os.setuid(65_534)
                os._exit(0 if does() else 1)
            except BaseException:
                os._exit(2)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        for parent, mode in zip(opened, modes, strict=True):
            parent.chmod(mode)


@pytest.mark.parametrize("wrong", [0, 4096, SEGMENT_BYTES + 1, SEGMENT_BYTES - 4096])
def test_a_segment_size_that_cannot_be_names_the_setting(tmp_path, wrong):
    with pytest.raises(errors.RangeError, match=f"journal.segment_bytes {wrong} is not"):
        Journal(tmp_path, 1, segment_bytes=wrong)


# -- when the disk is asked


@pytest.mark.parametrize(
    ("policy", "asked"), [(Fsync.NEVER, 0), (Fsync.INTERVAL, 0), (Fsync.ALWAYS, 5)]
)
def test_the_disk_is_asked_as_configured(tmp_path, monkeypatch, policy, asked):
    with begin(tmp_path, fsync=policy) as journal:
        calls = []
        monkeypatch.setattr(writer.os, "fdatasync", calls.append)
        for n in range(5):
            journal.append(Note("n", str(n)), n)
        assert len(calls) == asked


def test_a_disk_that_does_not_take_it_is_an_error(tmp_path, monkeypatch):
    with begin(tmp_path, fsync=Fsync.ALWAYS) as journal:
        journal.append(Note("a", ""), 1)
        with monkeypatch.context() as patch:
            patch.setattr(writer.os, "fdatasync", lambda _: os.close(-1))
            with pytest.raises(errors.JournalAccessError, match="Bad file descriptor"):
                journal.append(Note("b", ""), 1)


def test_an_unknown_policy_is_refused(tmp_path):
    with pytest.raises(errors.RangeError, match="'sometimes' is none of never, interval, always"):
        begin(tmp_path, fsync="sometimes")


# -- going on after a known record


def test_a_record_written_while_its_place_is_read_is_no_fault(tmp_path, monkeypatch):
    """A read is not one moment: it may miss a record and find the one behind it."""
    with begin(tmp_path) as journal, Follower(tmp_path) as follower:
        journal.append(Note("n", "a"), 1)
        assert len(follower.read()) == 1
        pread, reads = os.pread, []

        def slow(file: int, size: int, at: int) -> bytes:
            data = pread(file, size, at)
            if at == HEADER_BYTES + 40 and len(reads) < 2:
                reads.append(at)
                if len(reads) == 2:
                    journal.append(Note("n", "b"), 1)
                    journal.append(Note("n", "c"), 1)
                    data = data[:40] + pread(file, size, at)[40:]
                else:
                    data = data[:28] + segment.MARK + data[32:]
            return data

        monkeypatch.setattr(os, "pread", slow)
        assert [entry.record.text for entry in follower.read()] == ["b", "c"]
        assert len(reads) == 2


def test_a_segment_that_ends_while_it_is_read_is_read_to_its_end(tmp_path, monkeypatch):
    with begin(tmp_path) as journal, Follower(tmp_path) as follower:
        journal.append(large(0), 1)
        assert len(follower.read()) == 1
        first_seq, given = follower_module._first_seq, list(range(1, 5))

        def late(path: Path) -> int:
            while given:
                journal.append(large(given.pop(0)), 1)
            return first_seq(path)

        monkeypatch.setattr(follower_module, "_first_seq", late)
        assert [entry.seq for entry in follower.read()] == [2, 3, 4, 5]
        assert len(segment.paths(tmp_path)) == 2


def test_a_follower_goes_on_after_any_record(tmp_path):
    given = [large(n) if n % 5 == 0 else Note("n", str(n)) for n in range(40)]
    assert len(journals.write(tmp_path, given)) > 2
    found = journals.read(tmp_path)
    for n, entry in enumerate(found):
        with Follower(tmp_path, entry.seq, entry.crc) as follower:
            assert (follower.seq, follower.crc) == (entry.seq, entry.crc)
            rest = []
            while more := follower.read(7):
                rest += more
            assert rest == found[n + 1 :]


def test_a_follower_of_a_cut_or_another_journal_says_so(tmp_path):
    journals.write(tmp_path / "one", [Note("n", str(n)) for n in range(5)])
    found = journals.read(tmp_path / "one")
    with pytest.raises(errors.JournalMissingError, match="ends with record 5; record 6 was there"):
        Follower(tmp_path / "one", 6)
    with pytest.raises(errors.JournalMissingError, match="record 3 is another one than it was"):
        Follower(tmp_path / "one", 3, found[3].crc)
    (tmp_path / "none").mkdir()
    with pytest.raises(errors.JournalMissingError, match="record 1 was there and is gone"):
        Follower(tmp_path / "none", 1)


def test_a_follower_may_come_before_the_writer(tmp_path):
    with Follower(tmp_path) as follower:
        assert follower.read() == []
        with begin(tmp_path) as journal:
            assert follower.read() == []
            journal.append(Note("a", ""), 1)
            assert [entry.seq for entry in follower.read()] == [1]
    assert follower.born_ns == WALL_NS


def test_a_follower_outlives_a_killed_writer(tmp_path):
    with begin(tmp_path / "one") as journal:
        for n in range(2):
            journal.append(large(n), n)
        journal.append(Note("n", "x" * 200_000), 1)
        journal.tend(1)
        left = kill(journal, tmp_path / "one")
    with Follower(left) as follower:
        assert [entry.seq for entry in follower.read()] == [1, 2, 3]
        for n in range(3, 9):
            with begin(left) as journal:
                journal.append(large(n), n)
                assert [entry.seq for entry in follower.read()] == [n + 1]
