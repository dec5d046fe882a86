"""
Frames captured by others, as text files: one frame a line.

``.jsonl`` has an object a line, ``{"recv_ns": <Unix ns>, "frame": "<raw text>"}``; without
``recv_ns`` the time is not known. ``.ndjson`` is the raw text itself without times; an empty line
belongs to the frame before it, which ended with a newline. Either may be compressed (``.gz``).
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, cast

from polyarb import errors
from polyarb.journal.frames import DATA_BYTES_MAX, Kind, Record

SUFFIXES: Final = (".jsonl", ".ndjson")
_LINE_BYTES_MAX: Final = 2 * DATA_BYTES_MAX


def is_captured(path: Path) -> bool:
    """Whether a file's name says that it is one."""
    return path.name.removesuffix(".gz").endswith(SUFFIXES)


def captured(path: Path) -> Iterator[Record]:
    """
    Yield a file's frames; both times are 0 where it does not say.

    Raises:
        RecordingForeignError: A line is not of the form that its name promises.
        RecordingTornError: The last one is cut off; after the others.
        RecordingCorruptError: A line beyond every bound, or a broken compression.
        RecordingError: The system refuses.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as source:
            frames = _objects if ".jsonl" in path.suffixes[-2:] else _raw
            yield from frames(path, cast(BinaryIO, source))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise errors.RecordingCorruptError(f"{path}: {error}") from None
    except OSError as error:
        raise errors.RecordingError(f"{path}: {error.strerror or error}") from None


def _lines(path: Path, source: BinaryIO) -> Iterator[tuple[int, bytes]]:
    number = 0
    while line := source.readline(_LINE_BYTES_MAX + 1):
        number += 1
        if len(line) > _LINE_BYTES_MAX:
            raise errors.RecordingCorruptError(f"{path}: line {number} is beyond every bound")
        yield number, line


def _objects(path: Path, source: BinaryIO) -> Iterator[Record]:
    for number, line in _lines(path, source):
        if line.isspace():
            continue
        try:
            said = json.loads(line)
            frame = said["frame"].encode("utf-8", "surrogatepass")  # then the core refuses it
            recv_ns = said.get("recv_ns", 0)
            if type(recv_ns) is not int or not 0 <= recv_ns < 1 << 63:
                raise ValueError(f"recv_ns {recv_ns!r}")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            torn = not line.endswith(b"\n")
            kind = errors.RecordingTornError if torn else errors.RecordingForeignError
            raise kind(f"{path}: line {number}: {error!r}") from None
        yield Record(Kind.FRAME, recv_ns, recv_ns, frame)


def _raw(path: Path, source: BinaryIO) -> Iterator[Record]:
    frame = b""
    for _, line in _lines(path, source):
        if not line.isspace():
            if frame:
                yield Record(Kind.FRAME, 0, 0, frame.removesuffix(b"\n"))
            frame = line
        elif frame and not frame.endswith(b"\n\n"):
            frame += b"\n"
    if frame:
        yield Record(Kind.FRAME, 0, 0, frame.removesuffix(b"\n"))
