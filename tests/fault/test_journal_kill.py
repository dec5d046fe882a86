"""A trade journal whose writer is killed, hundreds of times: nothing that was appended is lost."""

import mmap
import os
import random
import signal
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import journals
from journals import SEGMENT_BYTES, WALL_NS

from polyarb.journal import writer
from polyarb.journal.follower import Follower
from polyarb.journal.record import Note
from polyarb.journal.writer import Journal

SEED = int(os.environ.get("POLYARB_FUZZ_SEED") or random.SystemRandom().randrange(1 << 32))
KILLS = 300
APPENDED, CUT, READY = 0, 8, 16


def numbered(seq: int) -> Note:
    """Return the record of this number; some are long, so that a kill finds them half written."""
    return Note(str(seq), "x" * (100_000 if seq % 7 == 0 else seq % 200))


def word(shared: mmap.mmap, at: int) -> int:
    return int.from_bytes(shared[at : at + 8], "little")


@contextmanager
def killed_writer(folder: Path, shared: mmap.mmap) -> Iterator[int]:
    """Run a writer that appends without end, for as long as the block lasts."""
    child = os.fork()
    if child == 0:
        try:
            journal = Journal(folder, WALL_NS, segment_bytes=SEGMENT_BYTES)
            cut = word(shared, CUT) + len(journal.repaired)
            struct.pack_into("<q", shared, CUT, cut)
            shared[READY] = 1
            while True:
                seq = journal.append(numbered(journal.seq + 1), WALL_NS)
                struct.pack_into("<q", shared, APPENDED, seq)
                if seq % 5 == 0:
                    journal.tend(WALL_NS)
        finally:
            os._exit(1)
    try:
        yield child
    finally:
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), f"the writer ended by itself, seed {SEED}"


def test_what_was_appended_survives_every_kill(tmp_path, monkeypatch):
    """No disk is asked, which no kill of a process can make a difference to."""
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(writer.os, name, lambda _: None)
    chance = random.Random(SEED)
    shared = mmap.mmap(-1, mmap.PAGESIZE)
    seen = 0
    with Follower(tmp_path) as follower:
        for kill in range(KILLS):
            shared[READY] = 0
            goal = word(shared, APPENDED) + chance.randrange(30)
            with killed_writer(tmp_path, shared):
                while kill % 10 and (not shared[READY] or word(shared, APPENDED) < goal):
                    os.sched_yield()
            while found := follower.read():
                for entry in found:
                    seen += 1
                    assert (entry.seq, entry.record) == (seen, numbered(seen)), f"seed {SEED}"
            # The last one may be in the journal without its writer having lived to say so.
            assert word(shared, APPENDED) <= seen <= word(shared, APPENDED) + 1, f"seed {SEED}"
    with Journal(tmp_path, WALL_NS, segment_bytes=SEGMENT_BYTES) as journal:
        assert journal.seq == seen
        cut = word(shared, CUT) + len(journal.repaired)
    assert journals.records(tmp_path) == [numbered(seq) for seq in range(1, seen + 1)]
    assert seen > KILLS
    print(f"{KILLS} kills, {seen} records, {cut} torn tails cut")
