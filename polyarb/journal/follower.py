"""
The trade journal's reader: everything from the start, or what came since, while it is written.

It only reads, with ordinary reads of the files, so any number of processes may follow a journal
and none of them costs its writer anything.
"""

import os
from pathlib import Path
from typing import Final, Self

from polyarb import errors
from polyarb.journal import segment
from polyarb.journal.record import Entry
from polyarb.journal.segment import Place, Tail

LIMIT: Final = 1_000
CHUNK_BYTES: Final = 1 << 18
_LARGE_BYTES: Final = segment.RECORD_BYTES_MAX + segment.HEAD_BYTES


class Follower:
    """
    The records of one journal in their order. A context manager.

    A torn tail is not seen: it is what the writer has not finished, or never will.

    Args:
        folder: Of the journal; it may have no segment yet.
        after: Number of the last record already known; 0 begins with the oldest.
        crc: That record's `Entry.crc`; 0 if it is not known.

    Attributes:
        seq: Of the last record.
        crc: Its checksum.
        born_ns: Which journal it is; 0 while there is none.

    Raises:
        JournalMissingError: The record `after` is not there, or is another one, or one that
            follows it is gone.
        JournalForeignError, JournalVersionError, JournalCorruptError, JournalAccessError:
            What is wrong with a segment, from here or from `read`.
    """

    def __init__(self, folder: Path, after: int = 0, crc: int = 0) -> None:
        self._folder = folder
        self._file = -1
        self._place = Place(folder, 0, 0)
        self._index = 0
        self.seq = 0
        self.crc = 0
        self.born_ns = 0
        there = segment.paths(folder)
        if after:
            self._skip(there, after, crc)
        elif there:
            self._enter(there[0], 0)

    def read(self, limit: int = LIMIT) -> list[Entry]:
        """
        Return what follows, up to `limit` records; nothing if there is no more for now.

        What is wrong behind them is raised by the next call, and by every later one.
        """
        found: list[Entry] = []
        try:
            while len(found) < limit and self._more(limit, found):
                pass
        except errors.JournalError:
            if not found:
                raise
        if found:
            self.seq, self.crc = found[-1].seq, found[-1].crc
        return found

    def close(self) -> None:
        """Close its file; nothing may be read any more."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _skip(self, there: list[Path], after: int, crc: int) -> None:
        """Go behind the record `after`."""
        for path in reversed(there):
            if 0 < _first_seq(path) <= after:
                self._enter(path, 0)
                break
        else:
            raise errors.JournalMissingError(
                f"{self._folder}: record {after} was there and is gone, with all before it"
            )
        while self.seq < after:
            if not self.read(after - self.seq if self.seq else 1):
                raise errors.JournalMissingError(
                    f"{self._folder}: ends with record {self.seq}; record {after} was there"
                )
        if crc and self.crc != crc:
            raise errors.JournalMissingError(
                f"{self._folder}: record {after} is another one than it was"
            )

    def _enter(self, path: Path, seq: int) -> bool:
        """
        Go to a segment that has begun, and say whether it has.

        One without a record may be taken away again by its writer.
        """
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise errors.JournalAccessError(f"{path}: {error.strerror or error}") from None
        try:
            start = os.pread(file, segment.HEADER.size + 4, 0)
            head = segment.read_header(path, start[: segment.HEADER.size])
            if self.born_ns not in {0, head.born_ns}:
                raise errors.JournalForeignError(f"{path}: a segment of another journal")
            begun = any(start[segment.HEADER.size :])
        except BaseException:
            os.close(file)
            raise
        if not begun:
            os.close(file)
            return False
        self.close()
        self._file = file
        self._place = Place(path, head.crc, seq)
        self.born_ns = head.born_ns
        self._index = head.index
        return True

    def _more(self, limit: int, found: list[Entry]) -> bool:
        """Go on by some records, or to the next segment; whether there was any of it."""
        if self._file < 0:
            there = segment.paths(self._folder)
            return bool(there) and self._enter(there[0], 0)
        tail = self._take(limit, found)
        if tail is Tail.MORE:
            return True
        following = self._folder / segment.name(self._index + 1)
        if tail is Tail.ENDED:
            return self._enter(following, self._place.seq)
        if _first_seq(following):  # so this one is final; it may have grown since it was read
            return self._take(limit, found) is Tail.MORE or self._enter(following, self._place.seq)
        return False

    def _take(self, limit: int, found: list[Entry]) -> Tail:
        """Take what is there of this segment; MORE if that is anything."""
        place, count = self._place, len(found)
        for size in (CHUNK_BYTES, _LARGE_BYTES):
            data = os.pread(self._file, size, place.at)
            tail = place.take(data, limit - count, found)
            if len(found) > count:
                return Tail.MORE
            if tail is Tail.ENDED:
                return tail
            if tail is Tail.OPEN and segment.MARK not in data:
                return tail
        try:
            place.judge(data)
        except errors.JournalCorruptError:  # or both were written while this was read: ask again
            place.take(os.pread(self._file, _LARGE_BYTES, place.at), limit - count, found)
            if len(found) == count:
                raise
            return Tail.MORE
        return Tail.BROKEN


def _first_seq(path: Path) -> int:
    """Return the number in the first record of a segment; 0 if there is none yet."""
    try:
        with path.open("rb") as file:
            file.seek(segment.HEADER.size)
            start = file.read(segment.HEAD_BYTES)
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise errors.JournalAccessError(f"{path}: {error.strerror or error}") from None
    if len(start) < segment.HEAD_BYTES or not any(start[:4]):
        return 0
    return int.from_bytes(start[segment.PREFIX.size : segment.PREFIX.size + 8], "little")
