"""
Segments of recorded frames: the format, its writer, its reader and its repair.

A recording is a folder of segments whose names sort in their order. A segment is a header, then
blocks, each compressed by itself and checked twice: its head, so that a length can be trusted, and
its payload. A block holds records, each with a checksum of its own. An orderly end is an empty
block.

Whatever a killed writer leaves at the end of its segment, the part of a block that made it to the
disk, is a *torn tail* and cut by the next writer. Anything else that is wrong is an error.

    segment   header, blocks
    header    magic 8, version u16, unused u16, index u32, wall_ns i64, unused u64, crc u32
    block     magic 4, stored_bytes u32, plain_bytes u32, record_count u32, payload crc u32,
              crc u32 of the 20 bytes before; then the payload: zlib of the records
    record    bytes u32 (all of it), crc u32 of what follows, kind u8, unused u8, connection u16,
              epoch u32, recv_ns i64, wall_ns i64, data

Every integer is little-endian. ``recv_ns`` is CLOCK_MONOTONIC, ``wall_ns`` Unix time. ``epoch``
counts the sockets that a connection has had; FRAME and META belong to none and have 0 in both.
"""

import enum
import fcntl
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final, Self

from polyarb import errors

VERSION: Final = 1
SUFFIX: Final = ".frames"
DATA_BYTES_MAX: Final = 1 << 26
"""Of one record: as much as the largest receive buffer holds."""
BLOCK_BYTES: Final = 1 << 18
"""Plain bytes after which a block is closed."""
SEGMENT_BYTES: Final = 1 << 26
"""Stored bytes after which a segment is closed."""
LEVEL: Final = 1
"""Of zlib: a tenth of the size for JSON, at several times the speed of the default."""

MAGIC: Final = b"PAFRAMES"
_HEADER: Final = struct.Struct("<8sHHIqQI")
_BLOCK_MAGIC: Final = b"BLK\n"
_BLOCK: Final = struct.Struct("<4sIIIII")
_RECORD: Final = struct.Struct("<BxHIqq")
_PREFIX: Final = struct.Struct("<II")
RECORD_HEAD_BYTES: Final = _PREFIX.size + _RECORD.size
_PLAIN_BYTES_MAX: Final = DATA_BYTES_MAX + RECORD_HEAD_BYTES + BLOCK_BYTES
_CONNECTION_MAX: Final = 0xFFFF


class Kind(enum.IntEnum):
    """What a record's data is."""

    META = 1
    """JSON: what is recorded; the first record of each segment."""
    OPEN = 2
    """JSON array: token ids that the connection carries from now on, on a socket of this epoch."""
    READ = 3
    """What one read of the socket brought, WebSocket framing included."""
    CLOSE = 4
    """JSON ``{"tokens", "reason"}``: those it no longer carries."""
    FRAME = 5
    """One whole frame, or a body of REST, that went to the books."""
    LOST = 6
    """JSON: reads that were not recorded; the next one begins with a frame."""


_KINDS: Final = frozenset(Kind)


@dataclass(frozen=True, slots=True)
class Record:
    """
    One record.

    Attributes:
        kind: Of `data`.
        recv_ns: Monotonic.
        wall_ns: Unix time.
        data: The bytes.
        connection: Which connection of the feed, 0..65535.
        epoch: Which socket of it.
    """

    kind: Kind
    recv_ns: int
    wall_ns: int
    data: bytes
    connection: int = 0
    epoch: int = 0


def head(
    kind: int, recv_ns: int, wall_ns: int, data: bytes, *, connection: int = 0, epoch: int = 0
) -> bytes:
    """Return what stands before `data` in a record; head and data may be written one by one."""
    rest = _RECORD.pack(kind, connection, epoch, recv_ns, wall_ns)
    crc = zlib.crc32(data, zlib.crc32(rest))
    return _PREFIX.pack(RECORD_HEAD_BYTES + len(data), crc) + rest


def encode(record: Record) -> bytes:
    """
    Return the record's bytes.

    Raises:
        RangeError: More data, or a larger number, than the format holds.
    """
    if len(record.data) > DATA_BYTES_MAX:
        raise errors.RangeError(f"record of {len(record.data)} bytes, at most {DATA_BYTES_MAX}")
    try:
        first = head(
            record.kind,
            record.recv_ns,
            record.wall_ns,
            record.data,
            connection=record.connection,
            epoch=record.epoch,
        )
    except struct.error as error:
        raise errors.RangeError(f"record: {error}") from None
    return first + record.data


def split(buffer: bytes | bytearray) -> tuple[list[bytes], int]:
    """
    Return the whole records at the front of a stream of them, and how many bytes they take.

    Raises:
        RecordingCorruptError: A length that no record has.
    """
    found, at = [], 0
    while len(buffer) - at >= _PREFIX.size:
        (size, _) = _PREFIX.unpack_from(buffer, at)
        if not RECORD_HEAD_BYTES <= size <= RECORD_HEAD_BYTES + DATA_BYTES_MAX:
            raise errors.RecordingCorruptError(f"a record of {size} bytes")
        if len(buffer) - at < size:
            break
        found.append(bytes(buffer[at : at + size]))
        at += size
    return found, at


def decode(encoded: bytes) -> Record:
    """
    Return one record from exactly its bytes.

    Raises:
        RecordingCorruptError: Its length, checksum or kind is wrong.
    """
    if len(encoded) < RECORD_HEAD_BYTES:
        raise errors.RecordingCorruptError(f"a record of {len(encoded)} bytes")
    size, crc = _PREFIX.unpack_from(encoded)
    if size != len(encoded) or zlib.crc32(encoded[_PREFIX.size :]) != crc:
        raise errors.RecordingCorruptError("a record's checksum is wrong")
    kind, connection, epoch, recv_ns, wall_ns = _RECORD.unpack_from(encoded, _PREFIX.size)
    if kind not in _KINDS:
        raise errors.RecordingCorruptError(f"a record of kind {kind}")
    data = encoded[RECORD_HEAD_BYTES:]
    return Record(Kind(kind), recv_ns, wall_ns, data, connection, epoch)


class FrameWriter:
    """
    Write records into a folder; blocking, for a process that has nothing else to do.

    Takes the folder over: no other writer may have it, and torn tails in it are cut.

    Args:
        folder: Made if it is not there.
        meta: Encoded META record, repeated at the start of each segment.
        wall_ns: Names the first segment.
        segment_bytes: Stored bytes after which another segment begins.

    Attributes:
        repaired: Segments whose torn tail was cut, with the bytes that went.
        segment_count: Begun by this writer.
        stored_bytes: In them.

    Raises:
        RecordingOwnedError: Another process records into `folder`.
        RecordingError: The system refuses, or what is there is no recording.
    """

    def __init__(
        self, folder: Path, meta: bytes, wall_ns: int, *, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self._folder = folder
        self._meta = meta
        self._segment_bytes = segment_bytes
        self._stored = 0
        self.segment_count = 0
        self.stored_bytes = 0
        self._plain: list[bytes] = []
        self._plain_bytes = 0
        self._out: BinaryIO | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise _refused(folder, error) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise errors.RecordingOwnedError(f"{folder}: another process records there") from None
        try:
            self.repaired = {path: cut for path in segments([folder]) if (cut := repair(path))}
            last = segments([folder])[-1:]
            self._index = FrameReader(last[0]).index + 1 if last else 0
            self._open(wall_ns)
        except BaseException:
            os.close(self._lock)
            raise

    @property
    def waiting(self) -> bool:
        """Whether there are records that `flush` would write."""
        return bool(self._plain)

    def write(self, encoded: bytes) -> None:
        """Add one encoded record. Raises RecordingError."""
        self._plain.append(encoded)
        self._plain_bytes += len(encoded)
        if self._plain_bytes >= BLOCK_BYTES:
            self.flush()
            if self._stored >= self._segment_bytes:
                self._end()
                wall_ns = _RECORD.unpack_from(encoded, _PREFIX.size)[4]
                self._open(wall_ns)

    def flush(self) -> None:
        """
        Write what is there as a block, however small. Raises RecordingError.

        A block that the disk has no room for is taken back, so that the segment stays whole.
        """
        if self._plain:
            plain = b"".join(self._plain)
            self._store(zlib.compress(plain, LEVEL), len(plain), len(self._plain))
            self._plain, self._plain_bytes = [], 0

    def sync(self) -> None:
        """Wait until the disk has it."""
        if self._out:
            os.fdatasync(self._out.fileno())

    def close(self) -> None:
        """Write the rest and the orderly end; leave the folder to the next one."""
        try:
            if self._out:
                self.flush()
                self._end()
        finally:
            os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, wall_ns: int) -> None:
        moment = datetime.fromtimestamp(wall_ns // 10**9, UTC)
        name = f"{self._index:06d}-{moment:%Y%m%dT%H%M%S}Z{SUFFIX}"
        path = self._folder / name
        try:
            self._out = path.open("xb", buffering=0)
        except OSError as error:
            raise _refused(path, error) from None
        fields = _HEADER.pack(MAGIC, VERSION, 0, self._index, wall_ns, 0, 0)[:-4]
        self._stored = 0
        self._put(fields + zlib.crc32(fields).to_bytes(4, "little"))
        self._store(zlib.compress(self._meta, LEVEL), len(self._meta), 1)
        self._index += 1
        self.segment_count += 1

    def _end(self) -> None:
        assert self._out
        self._store(b"", 0, 0)
        self.sync()
        self._out.close()
        self._out = None

    def _store(self, payload: bytes, plain_bytes: int, count: int) -> None:
        self._put(_block(payload, plain_bytes, count) + payload)

    def _put(self, data: bytes) -> None:
        out = self._out
        assert out
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[out.write(rest) :]
        except OSError as error:
            with suppress(OSError):
                out.truncate(self._stored)
            out.close()
            self._out = None
            raise _refused(Path(str(out.name)), error) from None
        self._stored += len(data)
        self.stored_bytes += len(data)


class FrameReader:
    """
    The records of one segment, block by block.

    Attributes:
        path: The file.
        index: Its place in its recording.
        closed: Iterated to its orderly end.
        torn_bytes: Of a torn tail, left out.

    Args:
        path: The file. One that is still written ends like a torn one.

    Raises:
        RecordingForeignError, RecordingVersionError, RecordingTornError, RecordingCorruptError:
            What is wrong with it, from here or from the iteration; what is torn only after the
            last whole block.
        RecordingError: The system refuses.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.closed = False
        self.torn_bytes = 0
        try:
            with path.open("rb") as source:
                self.index = _header(path, source.read(_HEADER.size))
        except OSError as error:
            raise _refused(path, error) from None

    def __iter__(self) -> Iterator[Record]:
        """Yield the records in the order written."""
        with self.path.open("rb") as source:
            source.seek(_HEADER.size)
            while not self.closed:
                start = source.tell()
                payload = self._block(source)
                if payload is None:
                    self.torn_bytes = source.seek(0, os.SEEK_END) - start
                    break
                yield from self._records(payload, start)
        if not self.closed:
            raise errors.RecordingTornError(f"{self.path}: {self.torn_bytes} bytes of a torn tail")

    def _block(self, source: BinaryIO) -> tuple[bytes, int, int] | None:
        """Return the next block's payload, plain size and count; None at a torn tail."""
        start = source.tell()
        fields = source.read(_BLOCK.size)
        if len(fields) < _BLOCK.size:
            return None
        magic, stored, plain, count, payload_crc, crc = _BLOCK.unpack(fields)
        if magic != _BLOCK_MAGIC or zlib.crc32(fields[:-4]) != crc:
            if _zeros(fields, source):  # grown by the file system, never written
                return None
            raise self._corrupt(start, "the head of a block is wrong")
        if plain > _PLAIN_BYTES_MAX or stored > _PLAIN_BYTES_MAX + 1024:
            raise self._corrupt(start, f"a block of {stored} bytes, {plain} unpacked")
        if count == 0:
            if source.read(1):
                raise self._corrupt(start, "something follows the end")
            self.closed = True
            return b"", 0, 0
        payload = source.read(stored)
        if len(payload) < stored:
            return None
        if zlib.crc32(payload) != payload_crc:
            if not source.read(1):  # the last block; its pages did not all reach the disk
                source.seek(start + _BLOCK.size + stored)
                return None
            raise self._corrupt(start, "a block's checksum is wrong")
        return payload, plain, count

    def _records(self, block: tuple[bytes, int, int], start: int) -> Iterator[Record]:
        payload, plain_bytes, count = block
        if count == 0:
            return
        try:
            plain = zlib.decompressobj().decompress(payload, plain_bytes + 1)
            encoded, used = split(plain)
            records = [decode(each) for each in encoded]
        except (zlib.error, errors.RecordingCorruptError) as error:
            raise self._corrupt(start, str(error)) from None
        if len(plain) != plain_bytes or used != plain_bytes or len(records) != count:
            raise self._corrupt(start, "a block holds something else than its head says")
        yield from records

    def _corrupt(self, at: int, what: str) -> errors.RecordingCorruptError:
        return errors.RecordingCorruptError(f"{self.path}: byte {at}: {what}")


def segments(paths: Sequence[Path]) -> list[Path]:
    """Return the segments that `paths` name, folders opened, each folder's in its order."""
    found: list[Path] = []
    for path in paths:
        found += sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
    return found


def is_segment(path: Path) -> bool:
    """Whether a file begins as segments do. Raises RecordingError."""
    try:
        with path.open("rb") as source:
            return source.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise _refused(path, error) from None


def repair(path: Path) -> int:
    """
    Cut a segment's torn tail, give it an orderly end, and return how many bytes went.

    Nobody may be writing to it. A segment that ended in order is left as it is; one that was torn
    inside its header is emptied of what there is and removed.

    Raises:
        RecordingError: It is wrong in another way, and stays as it is.
    """
    try:
        with path.open("r+b") as file:
            if _short(path, file):
                size = file.seek(0, os.SEEK_END)
                path.unlink()
                return size
            if _ended(file):
                return 0
            reader = FrameReader(path)
            with suppress(errors.RecordingTornError):
                for _ in reader:
                    pass
            if reader.closed:
                return 0
            keep = file.seek(0, os.SEEK_END) - reader.torn_bytes
            file.truncate(keep)
            file.seek(keep)
            file.write(_block(b"", 0, 0))
            file.flush()
            os.fdatasync(file.fileno())
            return reader.torn_bytes
    except OSError as error:
        raise _refused(path, error) from None


def _block(payload: bytes, plain_bytes: int, count: int) -> bytes:
    """Return the head of a block."""
    crc = zlib.crc32(payload)
    fields = _BLOCK.pack(_BLOCK_MAGIC, len(payload), plain_bytes, count, crc, 0)[:-4]
    return fields + zlib.crc32(fields).to_bytes(4, "little")


def _short(path: Path, file: BinaryIO) -> bool:
    """Whether a segment ends inside its header. Raises RecordingForeignError."""
    file.seek(0)
    start = file.read(_HEADER.size)
    if len(start) == _HEADER.size and any(start):
        return False
    if any(start[: len(MAGIC)]) and not MAGIC.startswith(start[: len(MAGIC)]):
        raise errors.RecordingForeignError(f"{path}: not a recording of ours")
    return True


def _ended(file: BinaryIO) -> bool:
    """Whether the last bytes are the orderly end; cheaper than reading it all."""
    end = _block(b"", 0, 0)
    size = file.seek(0, os.SEEK_END)
    file.seek(max(_HEADER.size, size - len(end)))
    return file.read() == end


def _header(path: Path, fields: bytes) -> int:
    """Judge a segment's header and return its index."""
    if fields[: len(MAGIC)] != MAGIC[: len(fields)] or not fields:
        raise errors.RecordingForeignError(f"{path}: not a recording of ours")
    if len(fields) < _HEADER.size:
        raise errors.RecordingTornError(f"{path}: ends inside its header")
    _, version, _, index, _, _, crc = _HEADER.unpack(fields)
    if zlib.crc32(fields[:-4]) != crc:
        raise errors.RecordingCorruptError(f"{path}: byte 0: the header is wrong")
    if version != VERSION:
        raise errors.RecordingVersionError(f"{path}: version {version}, this build reads {VERSION}")
    return int(index)


def _zeros(first: bytes, source: BinaryIO) -> bool:
    """Whether there is nothing but zeros in `first` and from here to the end."""
    if any(first):
        return False
    while piece := source.read(1 << 20):
        if any(piece):
            return False
    return True


def _refused(path: Path, error: OSError) -> errors.RecordingError:
    return errors.RecordingError(f"{path}: {error.strerror or error}")
