"""
The trade journal's writer: a record is in the page cache when `Journal.append` returns.

Appending is a few stores into a mapping, no system call, as long as `Journal.tend` is called now
and then: it makes the next segment before it is needed. What is in the mapping survives this
process whatever kills it; what survives the machine is a matter of `Fsync`. docs/journal.md has the
whole story.
"""

import enum
import errno
import fcntl
import mmap
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from polyarb import errors
from polyarb.journal import record, segment

SEGMENT_BYTES: Final = 1 << 24
AHEAD_BYTES: Final = 1 << 18
"""Kept touched in front of the next record: a fresh page costs more than the record."""
_END_BYTES: Final = segment.HEAD_BYTES
_PAGE: Final = mmap.PAGESIZE
_MAKING: Final = ".new"
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Fsync(enum.StrEnum):
    """
    When the disk is made to have it.

    NEVER leaves it to the kernel. INTERVAL leaves it to the projector's process, which asks the
    disk every so often. ALWAYS asks before `Journal.append` returns: milliseconds, on the path.
    """

    NEVER = "never"
    INTERVAL = "interval"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Repair:
    """
    A torn tail that was cut.

    Attributes:
        path: The segment.
        at: Byte where it began, behind the last whole record.
        torn_bytes: That were not zero.
    """

    path: Path
    at: int
    torn_bytes: int


class _Mapped:
    """One segment, mapped for writing."""

    def __init__(self, path: Path, file: int, head: segment.Header) -> None:
        self.path = path
        self.file = file
        self.head = head
        self.size = os.fstat(file).st_size
        self._map = mmap.mmap(file, self.size)
        self.bytes = memoryview(self._map)
        self.words = self.bytes.cast("I")
        self.touched = 0

    def touch(self, at: int) -> None:
        """Make the pages up to AHEAD_BYTES from `at` writable now; nothing is in them yet."""
        view, most = self.bytes, min(at + AHEAD_BYTES, self.size)
        first = max(self.touched, (at + _PAGE - 1) & -_PAGE)
        for page in range(first, most, _PAGE):
            view[page] = 0
        self.touched = max(first, most & -_PAGE)

    def close(self, used: int | None) -> None:
        """Give it back, and all room behind its first `used` bytes."""
        self.words.release()
        self.bytes.release()
        self._map.close()
        if used is not None:
            with suppress(OSError):  # it only takes more room than it needs
                os.ftruncate(self.file, used)
        os.close(self.file)


class Journal:
    """
    Append records; one process at a time, one thread. A context manager.

    Goes on where the last writer stopped; a torn tail it left is cut. Records of a run begin with
    `Started`. A signal handler that raises must not run in the middle of `append`.

    Args:
        folder: Made if it is not there; on a local file system, for this user only.
        wall_ns: Unix time.
        fsync: When the disk is made to have it.
        segment_bytes: Of each segment; a multiple of the page size, room for any one record.

    Attributes:
        folder: As given.
        repaired: What was cut at the start.
        seq: Of the last record.
        late_segments: Made by `append` because `tend` had not been called in time.

    Raises:
        RangeError: `segment_bytes` or `fsync` cannot be.
        JournalOwnedError: Another process writes into `folder`.
        JournalForeignError, JournalVersionError, JournalCorruptError, JournalMissingError: What is
            there is no journal that can be continued; nothing was changed.
        JournalFullError, JournalAccessError: The system refuses.
    """

    def __init__(
        self,
        folder: Path,
        wall_ns: int,
        *,
        fsync: Fsync = Fsync.NEVER,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        least = 2 * segment.RECORD_BYTES_MAX
        if segment_bytes % _PAGE or segment_bytes < least:
            raise errors.RangeError(
                f"journal.segment_bytes {segment_bytes} is not a multiple of {_PAGE} from {least}"
            )
        if fsync not in list(Fsync):
            raise errors.RangeError(f"journal.fsync {fsync!r} is none of {', '.join(Fsync)}")
        assert sys.byteorder == "little", "the commit word is stored as the machine does"
        self.folder = folder
        self.repaired: list[Repair] = []
        self.late_segments = 0
        self._fsync = Fsync(fsync)
        self._segment_bytes = segment_bytes
        self._now: _Mapped
        self._at: int
        self._spare: _Mapped | None = None
        self._retired: list[tuple[_Mapped, int]] = []
        self._lock = _lock(folder)
        try:
            self._begin(wall_ns)
        except BaseException:
            os.close(self._lock)
            raise

    def append(self, entry: record.Record, wall_ns: int) -> int:
        """
        Write one record and return its number.

        Raises:
            ArgumentTypeError, MalformedError, RangeError: No record, or larger than any may be.
            JournalFullError, JournalAccessError: There is no next segment and nothing was written,
                or the disk that was asked (`Fsync.ALWAYS`) may not have it. What the record
                announces must not be done.
        """
        kind, version, payload = record.encode(entry)
        if len(payload) > segment.RECORD_BYTES_MAX - segment.HEAD_BYTES:
            raise errors.RangeError(
                f"{type(entry).__name__} of {len(payload)} bytes, at most "
                f"{segment.RECORD_BYTES_MAX - segment.HEAD_BYTES}"
            )
        if self._at + segment.span(segment.HEAD_BYTES + len(payload)) > self._most:
            self._turn(wall_ns)
        self.seq += 1
        self._store(wall_ns, kind, version, payload)
        if self._fsync is Fsync.ALWAYS:
            self.sync()
        return self.seq

    def tend(self, wall_ns: int) -> None:
        """
        Do what `append` should not have to: make the next segment, touch pages, give back the old.

        Takes milliseconds at times. Call it when nothing is urgent, a few times a second.

        Raises:
            JournalFullError, JournalAccessError: No next segment. `append` still has half of the
                present one: end what has begun and begin nothing.
        """
        while self._retired:
            old, used = self._retired.pop()
            old.close(used)
        self._now.touch(self._at)
        if self._spare is None and self._at > self._most // 2:
            self._spare = self._make(self._now.head.index + 1, wall_ns)

    def sync(self) -> None:
        """Wait until the disk has all of it. Raises JournalAccessError."""
        for each in (*(old for old, _ in self._retired), self._now):
            try:
                os.fdatasync(each.file)
            except OSError as error:
                raise _refused(each.path, error) from None

    def close(self) -> None:
        """Write the orderly end, wait for the disk, and leave the folder to the next one; once."""
        try:
            self._store(0, record.END, 0, b"")
            self.sync()
        finally:
            self._retired.append((self._now, self._at))
            for old, used in self._retired:
                old.close(used)
            if self._spare:
                self._spare.close(None)
                with suppress(OSError):  # the next writer goes on in it
                    self._spare.path.unlink()
            os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _store(self, wall_ns: int, kind: int, version: int, payload: bytes) -> None:
        """Put a record at the end; its first word last, in one store."""
        seq = self.seq if kind != record.END else self.seq + 1
        at = self._at
        size, rest = segment.frame(self._seed, seq, wall_ns, payload, kind=kind, version=version)
        stop = at + 4 + len(rest)
        self._bytes[at + 4 : stop] = rest
        self._words[at >> 2] = size
        self._at = stop

    def _turn(self, wall_ns: int) -> None:
        """End the segment and go on in the next."""
        following = self._spare
        if following is None:
            following = self._make(self._now.head.index + 1, wall_ns)
            self.late_segments += 1
        self._spare = None
        self._store(wall_ns, record.END, 0, b"")
        self._retired.append((self._now, self._at))
        self._enter(following, segment.HEADER.size)

    def _enter(self, mapped: _Mapped, at: int) -> None:
        self._now = mapped
        self._seed = mapped.head.crc
        self._bytes = mapped.bytes
        self._words = mapped.words
        self._at = at
        self._most = mapped.size - _END_BYTES

    def _begin(self, wall_ns: int) -> None:
        """Find the last record, cut what is torn behind it, and go on there."""
        found = segment.survey_last(self.folder)
        for leftover in self.folder.glob(f"*{segment.SUFFIX}{_MAKING}"):
            leftover.unlink()
        for unused in found.unused:
            unused.unlink()
        self.seq = found.seq
        self._born_ns = wall_ns if found.last is None else found.last.head.born_ns
        if found.last is None:
            self._enter(self._make(1, wall_ns), segment.HEADER.size)
        elif found.last.ended:
            self._enter(self._make(found.last.head.index + 1, wall_ns), segment.HEADER.size)
        else:
            self._enter(self._reopen(found.last), found.last.at)

    def _make(self, index: int, wall_ns: int) -> _Mapped:
        """Make a segment under another name, then give it its own."""
        path = self.folder / segment.name(index)
        making = path.with_name(path.name + _MAKING)
        fields = segment.header(index, self._born_ns, wall_ns)
        file = -1
        try:
            file = os.open(making, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            os.posix_fallocate(file, 0, self._segment_bytes)
            os.pwrite(file, fields, 0)
            os.fsync(file)
            making.rename(path)
            os.fsync(self._lock)
            mapped = _Mapped(path, file, segment.read_header(path, fields))
        except OSError as error:
            if file >= 0:
                os.close(file)
                making.unlink(missing_ok=True)
            raise _refused(path, error) from None
        mapped.touch(segment.HEADER.size)
        return mapped

    def _reopen(self, last: segment.Survey) -> _Mapped:
        """Take over the segment of a killed writer, without its torn tail."""
        file = -1
        try:
            file = os.open(last.path, os.O_RDWR | os.O_CLOEXEC)
            os.ftruncate(file, last.at)
            least = -(-(last.at + _END_BYTES) // _PAGE) * _PAGE
            os.posix_fallocate(file, 0, max(self._segment_bytes, least))
            os.fsync(file)
            mapped = _Mapped(last.path, file, last.head)
        except OSError as error:
            if file >= 0:
                os.close(file)
            raise _refused(last.path, error) from None
        if last.torn_bytes:
            self.repaired.append(Repair(last.path, last.at, last.torn_bytes))
        mapped.touch(last.at)
        return mapped


def _lock(folder: Path) -> int:
    """Own the folder for as long as the file returned is open."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _refused(folder, error) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise errors.JournalOwnedError(f"{folder}: another process writes this journal") from None
    return file


def _refused(path: Path, error: OSError) -> errors.JournalError:
    kind = errors.JournalFullError if error.errno in _FULL else errors.JournalAccessError
    return kind(f"{path}: {error.strerror or error}")
