"""
Segments of the trade journal: the format and the judgement of what is in one.

A journal is a folder of segments, numbered without a gap. Each has its full size from the start,
zeros where nothing is yet, so that writing to its mapping never asks the disk for room. Records
are numbered 1, 2, 3, ... through all segments. An orderly end is a record of kind 0.

    segment   header, records; zeros to the end of the file
    header    magic 8, version u16, unused u16, index u32, born_ns i64, wall_ns i64, zeros 28,
              crc u32
    record    bytes u32, crc u32, seq u64, wall_ns i64, kind u16, version u16, mark 4; then the
              payload, then zeros up to a multiple of 8

Every integer is little-endian. ``bytes`` counts head and payload. ``crc`` is the CRC-32 of
everything after it, zeros included, begun with the header's crc xor ``bytes``: a record is valid in
its own segment only. ``born_ns`` names the journal: the moment it was begun. The orderly end bears
the number of the record that would come next.

A record's first word is written last. So what a killed process leaves is a record whose first word
is zero; what a power cut leaves is anything at all. If no valid record follows it, it is a *torn
tail* and cut; if one does, the journal is corrupt.
"""

import enum
import os
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from polyarb import errors
from polyarb.journal import record
from polyarb.journal.record import Entry

VERSION: Final = 1
SUFFIX: Final = ".journal"
MAGIC: Final = b"PAJOURNL"
MARK: Final = b"\xa5REC"
"""In each record's head: what to look for behind a broken one."""

HEADER: Final = struct.Struct("<8sHHIqq28xI")
PREFIX: Final = struct.Struct("<II")
HEAD: Final = struct.Struct("<QqHH4s")
HEAD_BYTES: Final = PREFIX.size + HEAD.size
RECORD_BYTES_MAX: Final = 1 << 20
"""Of one record with its head: a request of 15 orders has some 20 KB."""

_MARK_AT: Final = HEAD_BYTES - len(MARK)
_NAME: Final = re.compile(r"[0-9]{8}" + re.escape(SUFFIX), re.ASCII)
_PADS: Final = tuple(bytes(-n % 8) for n in range(8))


@dataclass(frozen=True, slots=True)
class Header:
    """
    What a segment's header says.

    Attributes:
        index: 1, 2, 3, ...
        born_ns: Of the journal.
        crc: What the checksums of its records begin with.
    """

    index: int
    born_ns: int
    crc: int


class Tail(enum.Enum):
    """Why reading a segment came to an end."""

    OPEN = enum.auto()
    """Nothing is there yet."""
    ENDED = enum.auto()
    """Its orderly end."""
    BROKEN = enum.auto()
    """A record that is wrong, or only half there."""
    MORE = enum.auto()
    """Enough records, or the rest of one lies beyond the bytes given."""


def span(size: int) -> int:
    """Return the bytes that a record of `size` takes."""
    return (size + 7) & ~7


def name(index: int) -> str:
    """Return a segment's file name."""
    return f"{index:08d}{SUFFIX}"


def header(index: int, born_ns: int, wall_ns: int) -> bytes:
    """Return a segment's header."""
    fields = HEADER.pack(MAGIC, VERSION, 0, index, born_ns, wall_ns, 0)[:-4]
    return fields + zlib.crc32(fields).to_bytes(4, "little")


def read_header(path: Path, fields: bytes) -> Header:
    """
    Judge the first bytes of a segment.

    Raises:
        JournalForeignError, JournalVersionError, JournalCorruptError: What is wrong with it.
    """
    if fields[: len(MAGIC)] != MAGIC:
        raise errors.JournalForeignError(f"{path}: not a trade journal of ours")
    if len(fields) < HEADER.size:
        raise errors.JournalCorruptError(f"{path}: byte {len(fields)}: ends inside its header")
    _, version, _, index, born_ns, _, crc = HEADER.unpack(fields)
    if version != VERSION and zlib.crc32(fields[:-4]) == crc:
        raise errors.JournalVersionError(
            f"{path}: byte {len(MAGIC)}: version {version}, this build knows {VERSION}"
        )
    if fields != header(index, born_ns, HEADER.unpack(fields)[5]):
        raise errors.JournalCorruptError(f"{path}: byte 0: the header's checksum is wrong")
    if path.name != name(index):
        raise errors.JournalForeignError(f"{path}: its header says segment {index}")
    return Header(index, born_ns, crc)


def frame(
    seed: int, seq: int, wall_ns: int, payload: bytes, *, kind: int, version: int
) -> tuple[int, bytes]:
    """Return a record's first word, and what stands behind it."""
    size = HEAD_BYTES + len(payload)
    rest = HEAD.pack(seq, wall_ns, kind, version, MARK) + payload + _PADS[size & 7]
    return size, zlib.crc32(rest, seed ^ size).to_bytes(4, "little") + rest


class Place:
    """
    Where somebody stands in a segment, and how to go on.

    Args:
        path: The file, for messages.
        seed: `Header.crc`.
        seq: Number of the record that should come next; 0 takes what comes.
        at: Its byte.

    Attributes:
        crc: Of the last record taken.
    """

    __slots__ = ("at", "crc", "path", "seed", "seq")

    def __init__(self, path: Path, seed: int, seq: int, at: int = HEADER.size) -> None:
        self.path = path
        self.seed = seed
        self.seq = seq
        self.at = at
        self.crc = 0

    def take(self, data: bytes, limit: int, found: list[Entry] | None) -> Tail:
        """
        Go over the records at the front of `data`, the bytes from `at` on.

        Args:
            data: Any number of bytes.
            limit: Of records.
            found: Where they go; None if they are only to be checked.

        Raises:
            JournalCorruptError: A valid record that should not be there, or cannot be read.
        """
        start = self.at
        end = len(data)
        for _ in range(limit):
            here = self.at - start
            if end - here < HEAD_BYTES:
                return Tail.MORE
            size, crc = PREFIX.unpack_from(data, here)
            if size == 0:
                return Tail.OPEN
            if not HEAD_BYTES <= size <= RECORD_BYTES_MAX:
                return Tail.BROKEN
            stop = here + span(size)
            if stop > end:
                return Tail.MORE
            if zlib.crc32(data[here + PREFIX.size : stop], self.seed ^ size) != crc:
                return Tail.BROKEN
            seq, wall_ns, kind, version, _ = HEAD.unpack_from(data, here + PREFIX.size)
            if seq != self.seq and self.seq:
                raise self.corrupt(f"record {seq} where {self.seq} should be")
            if kind == record.END:
                self.seq = seq
                return Tail.ENDED
            if found is not None:
                found.append(
                    Entry(seq, wall_ns, self._decoded(kind, version, data, here, size), crc)
                )
            self.seq = seq + 1
            self.at = start + stop
            self.crc = crc
        return Tail.MORE

    def judge(self, rest: bytes) -> int:
        """
        Return how many bytes of the torn tail `rest`, the bytes from `at` on, are not zero.

        Raises:
            JournalCorruptError: It is none, since a valid record follows what is broken.
        """
        mark = rest.find(MARK)
        while mark >= 0:
            here = mark - _MARK_AT
            seq = self._valid(rest, here)
            if seq is not None and seq > self.seq:
                raise self.corrupt(f"a broken record; record {seq} follows at {self.at + here}")
            mark = rest.find(MARK, mark + 1)
        return len(rest.rstrip(b"\0"))

    def corrupt(self, what: str) -> errors.JournalCorruptError:
        """Return the error that says `what` of this place."""
        return errors.JournalCorruptError(f"{self.path}: byte {self.at}: {what}")

    def _decoded(
        self, kind: int, version: int, data: bytes, here: int, size: int
    ) -> record.Record | record.Unread:
        try:
            return record.decode(kind, version, data[here + HEAD_BYTES : here + size])
        except errors.MalformedError as error:
            raise self.corrupt(str(error)) from None

    def _valid(self, data: bytes, here: int) -> int | None:
        """Return the number of the record at `here`; None if it is not valid."""
        if here < 0:
            return None
        size, crc = PREFIX.unpack_from(data, here)
        if not HEAD_BYTES <= size <= RECORD_BYTES_MAX:
            return None
        body = data[here + PREFIX.size : here + span(size)]
        if len(body) < span(size) - PREFIX.size or zlib.crc32(body, self.seed ^ size) != crc:
            return None
        (seq,) = struct.unpack_from("<Q", body)
        return int(seq)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """
    What is in one segment.

    Attributes:
        path: The file.
        head: Its header.
        seq: Number of the record that would come next; 0 if there is no record to tell by.
        at: Byte behind the last record.
        ended: In order.
        torn_bytes: Behind the last record, that are not zero.
    """

    path: Path
    head: Header
    seq: int
    at: int
    ended: bool
    torn_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Last:
    """
    Where a journal stops.

    Attributes:
        last: The segment to go on in, or after if it has ended; None if there is none.
        seq: Of the last record.
        unused: Segments made ahead behind one that never ended.
    """

    last: Survey | None
    seq: int
    unused: tuple[Path, ...]


def paths(folder: Path) -> list[Path]:
    """
    Return a journal's segments in their order.

    Raises:
        JournalAccessError, JournalForeignError, JournalMissingError: It has none, has one of
            another name, or one in the middle is gone.
    """
    try:
        names = sorted(each for each in os.listdir(folder) if each.endswith(SUFFIX))
    except OSError as error:
        raise errors.JournalAccessError(f"{folder}: {error.strerror or error}") from None
    for each in names:
        if not _NAME.fullmatch(each):
            raise errors.JournalForeignError(f"{folder / each}: not the name of a segment")
    first = int(names[0].removesuffix(SUFFIX)) if names else 0
    for index, each in enumerate(names, first):
        if each != name(index):
            raise errors.JournalMissingError(f"{folder / name(index)}: no such segment")
    return [folder / each for each in names]


def survey(path: Path) -> Survey:
    """
    Go over one segment that nobody writes to.

    Raises:
        JournalError: What is wrong with it, a torn tail apart.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise errors.JournalAccessError(f"{path}: {error.strerror or error}") from None
    head = read_header(path, data[: HEADER.size])
    place = Place(path, head.crc, 0)
    tail = place.take(data[HEADER.size :], len(data), None)
    ended = tail is Tail.ENDED
    rest = data[place.at + HEAD_BYTES * ended :]
    torn = place.judge(rest)
    if ended and torn:
        raise place.corrupt("something follows the end")
    return Survey(path=path, head=head, seq=place.seq, at=place.at, ended=ended, torn_bytes=torn)


def survey_last(folder: Path) -> Last:
    """
    Find out where a journal that nobody writes to stops.

    Raises:
        JournalError: What is wrong there.
    """
    there = paths(folder)
    unused: list[Path] = []
    while there:
        last = survey(there[-1])
        if last.seq:
            return Last(last=last, seq=last.seq - 1, unused=tuple(unused))
        if last.head.index == 1:
            return Last(last=last, seq=0, unused=tuple(unused))
        if len(there) == 1:
            raise errors.JournalMissingError(
                f"{last.path}: has no record, and the segment before it is gone"
            )
        before = survey(there[-2])
        if before.head.born_ns != last.head.born_ns:
            raise errors.JournalForeignError(f"{last.path}: a segment of another journal")
        if before.ended:
            return Last(last=last, seq=before.seq - 1, unused=tuple(unused))
        unused.append(there.pop())
    return Last(last=None, seq=0, unused=())
