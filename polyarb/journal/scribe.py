"""
The process that writes a recording: records from its stdin into segments, until stdin ends.

``python -m polyarb.journal.scribe FOLDER``; `polyarb.journal.recorder` starts it. It says two
lines of JSON on stdout: once it has the folder, and at its end. A signal that stops the recorder
must not stop it in the middle, so it ignores SIGINT and SIGTERM: it ends when nobody can write to
it any more.
"""

import json
import os
import select
import signal
import sys
from pathlib import Path
from typing import Final

from polyarb import clock, errors
from polyarb.journal import frames

BLOCK_S: Final = 0.5
"""A block is closed after so long, however small it is."""
READ_BYTES: Final = 1 << 20
OWNED_TRIES: Final = 50
OWNED_S: Final = 0.1
"""How long the scribe of a killed recorder may take to end, in all five seconds."""


def run(source: int, folder: Path) -> dict[str, object]:
    """Write what `source` yields until it ends; return the last line to say."""
    pending = bytearray()
    while not (whole := frames.split(pending))[0]:
        piece = os.read(source, READ_BYTES)
        if not piece:
            return {"error": "nothing to record"}
        pending += piece
    meta = whole[0][0]
    records = plain_bytes = 0
    error = ""
    writer = _writer(folder, meta)
    _say({"repaired": {str(path): cut for path, cut in writer.repaired.items()}})
    del pending[: len(meta)]
    try:
        with writer:
            due_ns = 0
            piece = b"what came with the first record"
            while piece:
                found, used = frames.split(pending)
                del pending[:used]
                for encoded in found:
                    writer.write(encoded)
                records += len(found)
                plain_bytes += used
                due_ns = _flush(source, writer, due_ns)
                piece = os.read(source, READ_BYTES)
                pending += piece
    except errors.RecordingError as failure:
        error = str(failure)
    return {
        "records": records,
        "plain_bytes": plain_bytes,
        "stored_bytes": writer.stored_bytes,
        "segments": writer.segment_count,
        "error": error,
    }


def main(arguments: list[str]) -> int:
    """Record into the folder named; return 1 if it had to stop early."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        said = run(sys.stdin.fileno(), Path(arguments[0]))
    except errors.RecordingError as error:
        said = {"error": str(error), "kind": type(error).__name__}
    _say(said)
    return 1 if said["error"] else 0


def _writer(folder: Path, meta: bytes) -> frames.FrameWriter:
    wall_ns = frames.decode(meta).wall_ns
    for _ in range(OWNED_TRIES):
        try:
            return frames.FrameWriter(folder, meta, wall_ns)
        except errors.RecordingOwnedError:
            select.select([], [], [], OWNED_S)
    return frames.FrameWriter(folder, meta, wall_ns)


def _flush(source: int, writer: frames.FrameWriter, due_ns: int) -> int:
    """Write a block that is due; wait for input until it is. Return when the next one is, or 0."""
    if not writer.waiting:
        return 0
    now_ns = clock.monotonic_ns()
    due_ns = due_ns or now_ns + int(BLOCK_S * 1e9)
    if due_ns > now_ns and select.select([source], [], [], (due_ns - now_ns) / 1e9)[0]:
        return due_ns
    writer.flush()
    writer.sync()
    return 0


def _say(line: dict[str, object]) -> None:
    try:
        print(json.dumps(line), flush=True)
    except OSError:  # a recorder that was killed listens no more
        sys.stdout = None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
