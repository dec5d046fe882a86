"""
The recorder of a running loop: hand a record over in a microsecond, never wait for the disk.

Records go through a pipe to a process of its own (`polyarb.journal.scribe`), which compresses and
writes. A write to a file may block for as long as the disk likes and compression costs a
millisecond a block; a pipe that is full only says so. What the pipe does not take is kept up to a
bound; beyond it reads are left out, counted, and said in the recording: it goes on at the first
read that begins with a whole frame. If this process is killed, the other one reads the rest of the
pipe and ends its segment in order.
"""

import asyncio
import fcntl
import json
import os
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from polyarb import clock, errors
from polyarb.journal import frames
from polyarb.journal.frames import Kind

WAITING_BYTES_MAX: Final = 64 << 20
"""Kept for a pipe that is full; beyond it reads are left out."""
FLUSH_S: Final = 0.005
"""How long a record may lie here: what a kill of this process loses."""
PIECE_BYTES: Final = 1 << 17
"""Written to the pipe at a time: some 20 us of the loop."""
PIPE_BYTES: Final = 1 << 20
END_S: Final = 30.0

_F_SETPIPE_SZ: Final = 1031  # linux/fcntl.h


class Outbox:
    """
    Records on their way out, bounded; what does not fit is told by what does.

    Args:
        waiting_bytes_max: Beyond it reads are left out until half of it is free again.

    Attributes:
        aligned: Whether a connection's next read begins with a whole frame; by default never.
        waiting_bytes: Not taken yet.
        lost: Reads left out.
        lost_bytes: Bytes of them.
    """

    def __init__(self, waiting_bytes_max: int = WAITING_BYTES_MAX) -> None:
        self._most = waiting_bytes_max
        self._pieces: deque[bytes | memoryview] = deque()
        self._losing: dict[int, tuple[int, int]] = {}
        self.aligned: Callable[[int], bool] = lambda _: False
        self.waiting_bytes = 0
        self.lost = 0
        self.lost_bytes = 0

    def add(
        self, kind: Kind, recv_ns: int, wall_ns: int, data: bytes, *, connection: int, epoch: int
    ) -> None:
        """Add a record, whatever waits already: for the few that are no reads."""
        head = frames.head(kind, recv_ns, wall_ns, data, connection=connection, epoch=epoch)
        self._pieces.append(head)
        self._pieces.append(data)
        self.waiting_bytes += len(head) + len(data)

    def add_read(
        self, recv_ns: int, wall_ns: int, data: bytes, *, connection: int, epoch: int
    ) -> None:
        """Add a read, or leave it out."""
        losing = self._losing.get(connection)
        if losing and self.waiting_bytes <= self._most // 2 and self.aligned(connection):
            said = json.dumps({"reads": losing[0], "bytes": losing[1]}).encode()
            self.add(Kind.LOST, recv_ns, wall_ns, said, connection=connection, epoch=epoch)
            del self._losing[connection]
            losing = None
        if losing or self.waiting_bytes + len(data) > self._most:
            count, size = losing or (0, 0)
            self._losing[connection] = (count + 1, size + len(data))
            self.lost += 1
            self.lost_bytes += len(data)
        else:
            self.add(Kind.READ, recv_ns, wall_ns, data, connection=connection, epoch=epoch)

    def opened(self, connection: int) -> None:
        """Take note of a new socket: what is missing of the old one is of no use any more."""
        self._losing.pop(connection, None)

    def take(self, most: int) -> bytes:
        """Take out the next bytes, up to `most`."""
        pieces = self._pieces
        taken: list[bytes | memoryview] = []
        room = most
        while pieces and len(pieces[0]) <= room:
            taken.append(pieces.popleft())
            room -= len(taken[-1])
        if pieces and room:
            first = memoryview(pieces[0])
            taken.append(first[:room])
            pieces[0] = first[room:]
            room = 0
        self.waiting_bytes -= most - room
        return b"".join(taken)

    def put_back(self, rest: bytes) -> None:
        """Give back what was not accepted of what was taken."""
        self._pieces.appendleft(rest)
        self.waiting_bytes += len(rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """
    What a recording came to.

    Attributes:
        records: Written.
        plain_bytes: Of them.
        stored_bytes: On the disk.
        segments: How many files.
        lost: Reads left out because the disk was too slow.
        waiting_bytes_max: The most that waited here.
        error: Why it ended before it was asked to, "" if it did not.
    """

    records: int
    plain_bytes: int
    stored_bytes: int
    segments: int
    lost: int
    waiting_bytes_max: int
    error: str


class Recorder:
    """
    Record what a feed receives: a `polyarb.feed.market.Tap`. Made by `start`; all on one loop.

    Attributes:
        aligned: Told by the feed's owner, so that a recording goes on after a loss: `Outbox`.
        failed: Why nothing is recorded any more, "" while it works. Never an exception: a full
            disk does not stop a feed.
        broken: Set together with `failed`.
        repaired: Torn tails cut at the start, bytes by file.
    """

    def __init__(self, pipe: int, scribe: asyncio.subprocess.Process, waiting_max: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._pipe = pipe
        self._scribe = scribe
        self._outbox = Outbox(waiting_max)
        self._epochs: dict[int, int] = {}
        self._carried: dict[int, set[str]] = {}
        self._due: asyncio.TimerHandle | None = None
        self._full = False
        self._most = 0
        self._ended = False
        self.failed = ""
        self.broken = asyncio.Event()
        self.repaired: dict[str, int] = {}

    @classmethod
    async def start(
        cls,
        folder: Path,
        meta: Mapping[str, Any],
        *,
        waiting_bytes_max: int = WAITING_BYTES_MAX,
    ) -> "Recorder":
        """
        Start the process that writes, and wait until it has the folder.

        Args:
            folder: Of the segments; torn tails in it are repaired.
            meta: What is recorded, for the replay: ``url``, ``tokens`` and so on.
            waiting_bytes_max: See `Outbox`.

        Raises:
            RecordingOwnedError, RecordingError: The folder cannot be recorded into.
        """
        theirs, ours = os.pipe()
        with suppress(OSError):  # an unprivileged user may have used up what pipes may hold
            fcntl.fcntl(ours, _F_SETPIPE_SZ, PIPE_BYTES)
        os.set_blocking(ours, False)
        try:
            scribe = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "polyarb.journal.scribe",
                str(folder),
                stdin=theirs,
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is this process's to understand
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        self = cls(ours, scribe, waiting_bytes_max)
        said = json.dumps(dict(meta)).encode()
        self._outbox.add(
            Kind.META, clock.monotonic_ns(), clock.wall_ns(), said, connection=0, epoch=0
        )
        self._flush()
        answer = await self._answer()
        if "repaired" not in answer:
            os.close(ours)
            await scribe.wait()
            kind = getattr(errors, answer.get("kind", ""), errors.RecordingError)
            raise kind(answer.get("error", f"{folder}: the writing process ended"))
        self.repaired = answer["repaired"]
        return self

    @property
    def waiting_bytes(self) -> int:
        """Not in the pipe yet."""
        return self._outbox.waiting_bytes

    @property
    def lost(self) -> int:
        """Reads left out so far."""
        return self._outbox.lost

    @property
    def aligned(self) -> Callable[[int], bool]:
        """Whether a connection's next read begins with a whole frame."""
        return self._outbox.aligned

    @aligned.setter
    def aligned(self, aligned: Callable[[int], bool]) -> None:
        self._outbox.aligned = aligned

    def up(self, connection: int, tokens: Sequence[str], now_ns: int) -> None:
        """Record that a connection carries `tokens` from now on, as `FeedListener.up` says."""
        self._carry(connection).update(tokens)
        self._add(Kind.OPEN, now_ns, json.dumps(list(tokens)).encode(), connection)

    def down(self, connection: int, tokens: Sequence[str], reason: str, now_ns: int) -> None:
        """Record that it no longer does; with its last token its socket is gone."""
        said = json.dumps({"tokens": list(tokens), "reason": reason}).encode()
        self._add(Kind.CLOSE, now_ns, said, connection)
        left = self._carried.get(connection, set())
        left.difference_update(tokens)
        if not left:
            self._carried.pop(connection, None)

    def read(self, connection: int, recv_ns: int, data: bytes) -> None:
        """Record one read of a connection's socket."""
        if self.failed or self._ended:
            return
        if connection not in self._carried:  # what came with the handshake comes before `up`
            self._carry(connection)
        epoch = self._epochs[connection]
        wall_ns = clock.wall_ns()
        self._outbox.add_read(recv_ns, wall_ns, data, connection=connection, epoch=epoch)
        if self._due is None:
            self._due = self._loop.call_later(FLUSH_S, self._flush)

    def frame(self, recv_ns: int, body: bytes) -> None:
        """Record a frame that came otherwise and went to the books: a REST body."""
        self._add(Kind.FRAME, recv_ns, body, None)

    def end(self) -> None:
        """Record nothing that comes after this."""
        self._ended = True

    async def stop(self) -> Summary:
        """Hand the rest over, wait for the segment's end, and say what it came to; once."""
        self.end()
        with suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                while self._outbox.waiting_bytes and not self.failed:
                    self._flush()
                    await asyncio.sleep(FLUSH_S)
        if self._outbox.waiting_bytes and not self.failed:
            self._fail(f"{self._outbox.waiting_bytes} bytes were not taken in {END_S:.0f} s")
        self._close_pipe()
        answer = await self._answer()
        if not answer and self._scribe.returncode is None:
            with suppress(ProcessLookupError):
                self._scribe.kill()
        await self._scribe.wait()
        return Summary(
            records=answer.get("records", 0),
            plain_bytes=answer.get("plain_bytes", 0),
            stored_bytes=answer.get("stored_bytes", 0),
            segments=answer.get("segments", 0),
            lost=self._outbox.lost,
            waiting_bytes_max=self._most,
            error=answer.get("error", "") or self.failed,
        )

    def _carry(self, connection: int) -> set[str]:
        """Return what a connection carries; with nothing yet, this is a new socket."""
        carried = self._carried.get(connection)
        if carried is None:
            carried = self._carried[connection] = set()
            self._epochs[connection] = self._epochs.get(connection, 0) + 1
            self._outbox.opened(connection)
        return carried

    def _add(self, kind: Kind, now_ns: int, data: bytes, connection: int | None) -> None:
        if self.failed or self._ended:
            return
        epoch = 0 if connection is None else self._epochs.get(connection, 0)
        wall_ns = clock.wall_ns()
        self._outbox.add(kind, now_ns, wall_ns, data, connection=connection or 0, epoch=epoch)
        if self._due is None:
            self._due = self._loop.call_later(FLUSH_S, self._flush)

    def _flush(self) -> None:
        """Write one piece; go on in a later turn of the loop, so that none gets long."""
        self._due = None
        outbox = self._outbox
        self._most = max(self._most, outbox.waiting_bytes)
        if self._full or not outbox.waiting_bytes or self.failed:
            return
        piece = outbox.take(PIECE_BYTES)
        try:
            written = os.write(self._pipe, piece)
        except BlockingIOError:
            written = 0
        except OSError as error:
            self._fail(f"the writing process is gone: {error.strerror}")
            return
        if written < len(piece):
            outbox.put_back(piece[written:])
            self._full = True
            self._loop.add_writer(self._pipe, self._writable)
        elif outbox.waiting_bytes:
            self._due = self._loop.call_later(0, self._flush)

    def _fail(self, why: str) -> None:
        self.failed = why
        self.broken.set()

    def _writable(self) -> None:
        self._loop.remove_writer(self._pipe)
        self._full = False
        if self._due is None:
            self._flush()

    def _close_pipe(self) -> None:
        if self._due:
            self._due.cancel()
        if self._full:
            self._loop.remove_writer(self._pipe)
        self._full = True
        os.close(self._pipe)

    async def _answer(self) -> dict[str, Any]:
        """Return the next line that the other process says; empty if it ended, or takes long."""
        said = self._scribe.stdout
        assert said
        try:
            async with asyncio.timeout(END_S):
                line = await said.readline()
            answer: dict[str, Any] = json.loads(line)
        except (TimeoutError, ValueError):
            return {}
        return answer
