"""Segments of recorded frames: what is written is read back, and whatever is wrong has a name."""

import asyncio
import gzip
import json
import os
import random
import resource
import signal
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from polyarb import errors
from polyarb.journal import frames, recorder, scribe
from polyarb.journal.captured import captured, is_captured
from polyarb.journal.frames import FrameReader, FrameWriter, Kind, Record

META = frames.encode(Record(Kind.META, 5, 1_790_000_000_000_000_000, b'{"markets": []}'))
WALL_NS = 1_790_000_000_000_000_000
HEADER_BYTES = 36
BLOCK_BYTES = 24


def some_records(count: int, seed: int = 1, *, random_bytes: int = 2_000) -> list[Record]:
    chance = random.Random(seed)
    return [
        Record(
            chance.choice([Kind.READ, Kind.FRAME, Kind.OPEN, Kind.CLOSE, Kind.LOST]),
            recv_ns=1_000 + n,
            wall_ns=WALL_NS + n,
            data=chance.choice([b"", b"PONG", b"\0\xff" * 40, chance.randbytes(random_bytes)]),
            connection=chance.randrange(1 << 16),
            epoch=chance.randrange(1 << 32),
        )
        for n in range(count)
    ]


def write(folder: Path, records: list[Record], **options: int) -> list[Path]:
    with FrameWriter(folder, META, WALL_NS, **options) as writer:
        for record in records:
            writer.write(frames.encode(record))
    return frames.segments([folder])


def read(path: Path) -> list[Record]:
    return list(FrameReader(path))


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


# -- segments


def test_everything_written_is_read_back_in_order(tmp_path):
    given = some_records(500)
    (path,) = write(tmp_path, given)
    first, *rest = read(path)
    assert first == frames.decode(META)
    assert rest == given


def test_a_full_segment_is_followed_by_another_that_begins_with_the_meta_record(tmp_path):
    given = some_records(3_000)
    paths = write(tmp_path, given, segment_bytes=500_000)
    assert len(paths) == 3
    assert [FrameReader(path).index for path in paths] == list(range(len(paths)))
    found = []
    for path in paths:
        first, *rest = read(path)
        assert first.kind is Kind.META
        found += rest
    assert found == given


def test_a_record_as_large_as_a_receive_buffer_is_kept_and_a_larger_one_refused(tmp_path):
    large = Record(Kind.READ, 1, WALL_NS, bytes(frames.DATA_BYTES_MAX))
    (path,) = write(tmp_path, [large])
    assert read(path)[1] == large
    with pytest.raises(errors.RangeError, match="at most"):
        frames.encode(Record(Kind.READ, 1, WALL_NS, bytes(frames.DATA_BYTES_MAX + 1)))
    with pytest.raises(errors.RangeError):
        frames.encode(Record(Kind.READ, 1, WALL_NS, b"", connection=1 << 16))


def test_a_segment_cut_anywhere_yields_its_whole_blocks_and_is_called_torn(tmp_path):
    given = some_records(60, random_bytes=20)
    with FrameWriter(tmp_path / "whole", META, WALL_NS) as writer:
        for n, record in enumerate(given):
            writer.write(frames.encode(record))
            if n % 20 == 19:
                writer.flush()
    (path,) = frames.segments([tmp_path / "whole"])
    whole = path.read_bytes()
    expected = [frames.decode(META), *given]
    for cut in range(len(whole)):
        torn = tmp_path / "torn.frames"
        torn.write_bytes(whole[:cut])
        found: list[Record] = []
        kinds = (errors.RecordingTornError, errors.RecordingForeignError)
        with pytest.raises(kinds if cut == 0 else errors.RecordingTornError):
            found.extend(FrameReader(torn))
        assert found == expected[: len(found)]
        assert len(found) in {0, 1, 21, 41, 61}

        frames.repair(torn)
        if cut < HEADER_BYTES:
            assert not torn.exists()
        else:
            assert read(torn) == found
            assert frames.repair(torn) == 0, "a second time there is nothing to do"


def test_a_tail_of_zeros_is_torn(tmp_path):
    """What a file system leaves of a file that grew before its data were written."""
    (path,) = write(tmp_path, some_records(10))
    whole = path.read_bytes()[:-BLOCK_BYTES]
    path.write_bytes(whole + bytes(5_000))
    with pytest.raises(errors.RecordingTornError, match="5000 bytes"):
        read(path)
    assert frames.repair(path) == 5_000
    assert len(read(path)) == 11


@pytest.mark.parametrize("seed", range(4))
def test_no_changed_byte_goes_unnoticed(tmp_path, seed):
    given = some_records(40, seed, random_bytes=50)
    with FrameWriter(tmp_path, META, WALL_NS) as writer:
        for n, record in enumerate(given):
            writer.write(frames.encode(record))
            if n == 20:
                writer.flush()
    (path,) = frames.segments([tmp_path])
    whole = path.read_bytes()
    chance = random.Random(seed)
    expected = [frames.decode(META), *given]
    for at in {*range(HEADER_BYTES + BLOCK_BYTES), *chance.sample(range(len(whole)), 400)}:
        damaged = bytearray(whole)
        damaged[at] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        found: list[Record] = []
        with pytest.raises(errors.RecordingError):
            found.extend(FrameReader(path))
        assert found == expected[: len(found)]
    path.write_bytes(whole)


def test_a_repair_does_not_touch_what_is_more_than_torn(tmp_path):
    (path,) = write(tmp_path, some_records(40))
    damaged = bytearray(path.read_bytes())
    damaged[HEADER_BYTES + 4] ^= 1  # a length inside the file
    path.write_bytes(damaged[:-5])
    with pytest.raises(errors.RecordingCorruptError, match="head of a block"):
        frames.repair(path)
    assert path.read_bytes() == damaged[:-5]
    with pytest.raises(errors.RecordingCorruptError):
        FrameWriter(tmp_path, META, WALL_NS)


def test_what_follows_the_end_is_an_error(tmp_path):
    (path,) = write(tmp_path, [])
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(errors.RecordingCorruptError, match="follows the end"):
        read(path)


@pytest.mark.parametrize("data", [b"\x7fELF" + bytes(100), b"{}\n", b"PAFRAMEZ" + bytes(40), b""])
def test_other_files_are_foreign(tmp_path, data):
    path = tmp_path / "x.frames"
    path.write_bytes(data)
    with pytest.raises(errors.RecordingForeignError):
        FrameReader(path)


def test_another_version_is_named(tmp_path):
    (path,) = write(tmp_path, [])
    data = bytearray(path.read_bytes())
    data[8:10] = struct.pack("<H", frames.VERSION + 1)
    data[32:36] = struct.pack("<I", zlib.crc32(data[:32]))
    path.write_bytes(data)
    with pytest.raises(errors.RecordingVersionError, match=f"version {frames.VERSION + 1}"):
        FrameReader(path)


def block(payload: bytes, plain_bytes: int, count: int) -> bytes:
    crc = zlib.crc32(payload)
    fields = struct.pack("<4sIIII", b"BLK\n", len(payload), plain_bytes, count, crc)
    return fields + struct.pack("<I", zlib.crc32(fields)) + payload


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(block(b"", 2**31, 1), id="claims 2 GB"),
        pytest.param(block(zlib.compress(bytes(1 << 24)), 1_000, 1), id="a bomb"),
        pytest.param(block(zlib.compress(META), len(META), 2), id="fewer records than it says"),
        pytest.param(block(zlib.compress(META), len(META) + 1, 1), id="shorter than it says"),
        pytest.param(block(zlib.compress(META[:-1]), len(META) - 1, 1), id="half a record"),
        pytest.param(block(b"not zlib at all", 10, 1), id="not compressed"),
        pytest.param(block(zlib.compress(bytes(64)), 64, 1), id="a record of no length"),
        pytest.param(
            block(zlib.compress(frames.head(99, 1, 1, b"")), frames.RECORD_HEAD_BYTES, 1),
            id="a kind there is not",
        ),
    ],
)
def test_a_block_that_lies_under_right_checksums_is_corrupt(tmp_path, made):
    (path,) = write(tmp_path, [])
    whole = path.read_bytes()
    path.write_bytes(whole[:-BLOCK_BYTES] + made + whole[-BLOCK_BYTES:])
    with pytest.raises(errors.RecordingCorruptError):
        read(path)


def test_a_folder_has_one_writer(tmp_path):
    with (
        FrameWriter(tmp_path, META, WALL_NS),
        pytest.raises(errors.RecordingOwnedError, match="another process"),
    ):
        FrameWriter(tmp_path, META, WALL_NS)
    write(tmp_path, [])


def test_the_next_writer_cuts_torn_tails_and_goes_on(tmp_path):
    (path,) = write(tmp_path, some_records(10))
    path.write_bytes(path.read_bytes()[:-30])
    with FrameWriter(tmp_path, META, WALL_NS) as writer:
        assert list(writer.repaired) == [path]
    first, second = frames.segments([tmp_path])
    assert FrameReader(second).index == 1
    read(first)


def test_a_full_disk_is_an_error_and_leaves_whole_blocks(tmp_path):
    given = some_records(4_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(errors.RecordingError, match="too large"):
            write(tmp_path, given)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    (path,) = frames.segments([tmp_path])
    frames.repair(path)
    first, *found = read(path)
    assert first.kind is Kind.META
    assert found == given[: len(found)]
    assert len(found) > 1_000


# -- captured text


def test_captured_objects_are_read_with_their_times(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"recv_ns": 7, "frame": "a\\u00e9"}\n\n{"type": "b", "frame": "PONG"}\n')
    assert is_captured(path)
    first, second = captured(path)
    assert (first.recv_ns, first.data) == (7, "aé".encode())
    assert (second.recv_ns, second.data) == (0, b"PONG")


def test_an_empty_line_of_raw_frames_belongs_to_the_one_before(tmp_path):
    path = tmp_path / "x.ndjson"
    path.write_bytes(b"\n[1]\n\n\n{}\nPONG")
    assert [record.data for record in captured(path)] == [b"[1]\n", b"{}", b"PONG"]


def test_compressed_captures_are_read_too(tmp_path):
    path = tmp_path / "x.ndjson.gz"
    path.write_bytes(gzip.compress(b"{}\n[]\n"))
    assert is_captured(path)
    assert [record.data for record in captured(path)] == [b"{}", b"[]"]
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(errors.RecordingCorruptError):
        list(captured(path))


@pytest.mark.parametrize(
    "line",
    ["nonsense", "[]", "{}", '{"frame": 5}', '{"frame": "x", "recv_ns": "1"}', "[" * 100_000],
)
def test_a_line_of_another_form_is_foreign_and_an_unfinished_one_torn(tmp_path, line):
    path = tmp_path / "x.jsonl"
    path.write_text('{"frame": "PONG"}\n' + line + "\n")
    with pytest.raises(errors.RecordingForeignError, match="line 2"):
        list(captured(path))
    path.write_text('{"frame": "PONG"}\n' + line)
    found = []
    with pytest.raises(errors.RecordingTornError, match="line 2"):
        found.extend(captured(path))
    assert len(found) == 1


def test_a_line_beyond_every_bound_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("polyarb.journal.captured._LINE_BYTES_MAX", 1_000)
    path = tmp_path / "x.ndjson"
    path.write_bytes(b"x" * 1_000 + b"\n")
    with pytest.raises(errors.RecordingCorruptError, match="line 1"):
        list(captured(path))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(errors.RecordingError, match=r"no\.jsonl: No such file"):
        next(captured(tmp_path / "no.jsonl"))
    with pytest.raises(errors.RecordingError, match=r"no\.frames: No such file"):
        FrameReader(tmp_path / "no.frames")


# -- out of a loop


def test_what_does_not_fit_is_left_out_until_a_frame_begins():
    outbox = recorder.Outbox(10_000)
    begins = False
    outbox.aligned = lambda _: begins

    def read(n: int) -> None:
        outbox.add_read(n, n, b"x" * 1_000, connection=3, epoch=1)

    for n in range(20):
        read(n)
    assert outbox.waiting_bytes <= 10_000
    taken = outbox.take(1 << 20)
    assert outbox.waiting_bytes == 0
    read(20)  # there is room, but in the middle of a frame nothing can go on
    assert outbox.waiting_bytes == 0
    begins = True
    read(21)
    taken += outbox.take(1 << 20)
    records = [frames.decode(each) for each in frames.split(taken)[0]]
    kinds = [record.kind for record in records]
    assert kinds == [Kind.READ] * 9 + [Kind.LOST, Kind.READ]
    assert records[-1].recv_ns == 21
    assert json.loads(records[-2].data) == {"reads": 12, "bytes": 12_000}
    assert outbox.lost == 12


def test_a_new_socket_ends_a_loss():
    outbox = recorder.Outbox(100)
    outbox.add_read(1, 1, bytes(200), connection=0, epoch=1)
    assert outbox.lost == 1
    outbox.opened(0)
    outbox.add_read(2, 2, b"x", connection=0, epoch=2)
    (only,) = frames.split(outbox.take(1_000))[0]
    assert frames.decode(only) == Record(Kind.READ, 2, 2, b"x", 0, 2)


def test_a_large_record_is_taken_in_pieces():
    outbox = recorder.Outbox()
    outbox.add(Kind.FRAME, 1, 2, bytes(100_000), connection=0, epoch=0)
    stream = b""
    while piece := outbox.take(7_000):
        assert len(piece) <= 7_000
        stream += piece[:5_000]
        if rest := piece[5_000:]:
            outbox.put_back(rest)
    (only,) = frames.split(stream)[0]
    assert frames.decode(only).data == bytes(100_000)
    assert outbox.waiting_bytes == 0


@pytest.mark.asyncio
async def test_a_recorder_writes_what_it_is_given(tmp_path):
    made = await recorder.Recorder.start(tmp_path, {"markets": []})
    made.read(0, 10, b"behind the handshake")
    made.up(0, ["1", "2"], 11)
    made.read(0, 12, b"one")
    made.down(0, ["1", "2"], "gone", 13)
    made.up(0, ["1", "2"], 14)
    made.frame(15, b"rest")
    made.end()
    made.read(0, 16, b"not any more")
    summary = await made.stop()
    assert (summary.records, summary.segments, summary.lost, summary.error) == (6, 1, 0, "")
    (path,) = frames.segments([tmp_path])
    assert [(r.kind, r.recv_ns, r.epoch, r.data) for r in read(path)[1:]] == [
        (Kind.READ, 10, 1, b"behind the handshake"),
        (Kind.OPEN, 11, 1, b'["1", "2"]'),
        (Kind.READ, 12, 1, b"one"),
        (Kind.CLOSE, 13, 1, b'{"tokens": ["1", "2"], "reason": "gone"}'),
        (Kind.OPEN, 14, 2, b'["1", "2"]'),
        (Kind.FRAME, 15, 0, b"rest"),
    ]


@pytest.mark.asyncio
async def test_a_disk_that_stands_still_stops_no_loop(tmp_path):
    made = await recorder.Recorder.start(tmp_path, {}, waiting_bytes_max=4 << 20)
    made.aligned = lambda _: True
    made.up(0, ["1"], 1)
    data = random.Random(1).randbytes(50_000)
    longest = 0.0
    with stopped(made._scribe.pid):
        for n in range(400):
            began = time.perf_counter()
            made.read(0, 2 + n, data)
            await asyncio.sleep(0)
            longest = max(longest, time.perf_counter() - began)
    assert longest < 0.25
    assert made.lost > 100
    assert made.waiting_bytes <= 4 << 20
    async with asyncio.timeout(20):
        while made.waiting_bytes:
            await asyncio.sleep(0.01)
    made.read(0, 1_000, b"goes on")
    summary = await made.stop()
    assert summary.lost == made.lost
    (path,) = frames.segments([tmp_path])
    records = read(path)
    *_, lost, last = records
    assert lost.kind is Kind.LOST
    assert last.data == b"goes on"
    reads = sum(record.kind is Kind.READ for record in records)
    assert reads + summary.lost == 401
    assert json.loads(lost.data)["reads"] == summary.lost


@pytest.mark.asyncio
async def test_a_scribe_that_is_killed_ends_the_recording_and_nothing_else(tmp_path):
    made = await recorder.Recorder.start(tmp_path, {})
    made.up(0, ["1"], 1)
    os.kill(made._scribe.pid, signal.SIGKILL)
    async with asyncio.timeout(20):
        while not made.failed:
            made.read(0, 2, b"x" * 1_000)
            await asyncio.sleep(0.005)
    made.read(0, 3, b"x")
    assert made.broken.is_set()
    summary = await made.stop()
    assert "gone" in summary.error

    again = await recorder.Recorder.start(tmp_path, {})
    assert (await again.stop()).error == ""
    for path in frames.segments([tmp_path]):
        read(path)


@pytest.mark.asyncio
async def test_a_folder_that_cannot_be_recorded_into_is_said_at_the_start(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.RecordingError, match="file"):
        await recorder.Recorder.start(tmp_path / "file", {})
    (tmp_path / "000000-x.frames").write_bytes(b"something else" * 10)
    with pytest.raises(errors.RecordingForeignError):
        await recorder.Recorder.start(tmp_path, {})


def test_a_scribe_whose_recorder_was_killed_ends_its_segment_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdout", open(os.devnull, "w"))  # noqa: SIM115
    theirs, ours = os.pipe()
    given = some_records(20)
    stream = META + b"".join(map(frames.encode, given))
    os.write(ours, stream + frames.encode(given[0])[:-3])
    os.close(ours)
    said = scribe.run(theirs, tmp_path)
    os.close(theirs)
    assert said["records"] == 20
    (path,) = frames.segments([tmp_path])
    assert read(path)[1:] == given
