"""
The process that turns the trade journal into a database: ``python -m polyarb.journal.projector``.

It is told what to do by one line of JSON on stdin, since a URL may hold a password, and ends once
stdin does and all there is has been written: so it outlives an engine that was killed, by what the
engine left. It says lines of JSON on stdout: when it stands somewhere, when the database is gone or
there again, and at its end. Signals for the engine are not for it.

The engine never waits for it. It follows the files (`polyarb.journal.follower`), and how far it
came is written together with what it wrote. Where the journal's policy is to have the disk asked by
this process, a thread does that, whatever the database does; and nothing is in the database that
the disk does not have.
"""

import json
import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from polyarb import errors
from polyarb.journal import segment
from polyarb.journal.database import Database, Position
from polyarb.journal.follower import Follower
from polyarb.journal.record import Unread

POLL_S: Final = 0.02
AGAIN_S: Final = (0.1, 0.5, 2.0, 5.0)
"""Between tries to reach a database that is gone; the last one again and again."""
SYNC_MS_MAX: Final = 60_000


class Syncer:
    """
    Ask the disk to have a journal, from a process that is not its writer.

    Args:
        folder: Of the journal.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._since = ""
        self._lock = threading.Lock()

    def sync(self) -> None:
        """Wait until the disk has all that is there now. Raises JournalAccessError."""
        with self._lock:
            there = [path for path in segment.paths(self._folder) if path.name >= self._since]
            for path in there:
                _sync(path)
            if there:  # the last may have been made ahead of its time
                self._since = there[-2:][0].name

    def every(
        self, interval_s: float, stop: threading.Event, failed: Callable[[str], None]
    ) -> None:
        """Do so until told to stop; the first failure ends it."""
        try:
            while not stop.wait(interval_s):
                self.sync()
        except errors.JournalError as error:
            failed(str(error))


class Projector:
    """
    Follow one journal into one database.

    Args:
        folder: Of the journal.
        url: Of the database.
        syncer: Asked before records go into the database; None if the disk is not to be asked.
        rebuild: Make the tables again, from the first record there is.

    Attributes:
        at: How far the database goes.
        unread: Records of newer builds met so far.

    Raises:
        DatabaseError, DatabaseUnreachableError: As `Database`.
        DatabaseOwnedError: It holds another journal.
        JournalMissingError: The journal lacks what the database has: it must be rebuilt.
        JournalError: The journal cannot be read.
    """

    def __init__(
        self, folder: Path, url: str, *, syncer: Syncer | None = None, rebuild: bool = False
    ) -> None:
        self._folder = folder
        self._url = url
        self._syncer = syncer
        self._database: Database
        self._follower: Follower
        self.at: Position
        self.unread = 0
        self._open(rebuild=rebuild)

    def step(self) -> int:
        """
        Write what is there, up to some bound; return how many records.

        Raises:
            JournalError: The journal cannot be read any further.
            DatabaseUnreachableError: Nothing more until `reconnect`.
            DatabaseError, DatabaseOwnedError: The database cannot be used any more.
        """
        entries = self._follower.read()
        if not entries:
            return 0
        if self._syncer:
            self._syncer.sync()
        self.at = self._database.write(self.at, entries, self._follower.born_ns)
        self.unread += sum(isinstance(entry.record, Unread) for entry in entries)
        return len(entries)

    def reconnect(self) -> None:
        """Begin again where the database says it stands. Raises as the class."""
        self.close()
        self._open(rebuild=False)

    def close(self) -> None:
        """Close both sides."""
        self._follower.close()
        self._database.close()

    def _open(self, *, rebuild: bool) -> None:
        database = Database(self._url)
        try:
            if rebuild:
                database.reset()
            at = database.position()
            with Follower(self._folder) as first:
                born_ns = first.born_ns
            if at.seq and born_ns not in {0, at.born_ns}:
                raise errors.DatabaseOwnedError(
                    f"the database holds the journal begun at {at.born_ns}, not the one in "
                    f"{self._folder}, begun at {born_ns}"
                )
            self._follower = Follower(self._folder, at.seq, at.crc)
        except BaseException:
            database.close()
            raise
        self._database = database
        self.at = at


def run(source: int, folder: Path, url: str, *, sync_ms: int, rebuild: bool) -> dict[str, Any]:
    """Project until `source` ends and nothing is left; return the last line to say."""
    syncer = Syncer(folder) if sync_ms else None
    failed: list[str] = []
    stop = threading.Event()
    projector = Projector(folder, url, syncer=syncer, rebuild=rebuild)
    _say({"seq": projector.at.seq})
    if syncer:
        arguments = (sync_ms / 1e3, stop, failed.append)
        threading.Thread(target=syncer.every, args=arguments, daemon=True).start()
    try:
        ended = False
        while not failed:
            if not _step(projector, source):
                if ended:
                    break
                ended = _ended(source, POLL_S)
    finally:
        stop.set()
        projector.close()
    return {"seq": projector.at.seq, "unread": projector.unread, "error": "".join(failed)}


def main() -> int:
    """Do what the line on stdin says; return 1 if it had to stop early."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        said = run(sys.stdin.fileno(), **_asked(sys.stdin.fileno()))
    except errors.PolyarbError as error:
        said = {"error": str(error), "kind": type(error).__name__}
    _say(said)
    return 1 if said["error"] else 0


def _step(projector: Projector, source: int) -> int:
    """Go on by a step; while the database is gone, wait for it, and for nobody else."""
    try:
        return projector.step()
    except errors.DatabaseUnreachableError as error:
        _say({"waiting": str(error)})
    tries = 0
    while True:
        gone = _ended(source, AGAIN_S[min(tries, len(AGAIN_S) - 1)])
        try:
            projector.reconnect()
        except errors.DatabaseUnreachableError:
            tries += 1
            if gone and tries >= len(AGAIN_S):
                raise
        else:
            _say({"seq": projector.at.seq})
            return 1


def _asked(source: int) -> dict[str, Any]:
    """Read and judge the first line, not a byte more."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(source, 1)):
        line += byte
    try:
        asked = json.loads(line)
        taken = {
            "folder": Path(asked.pop("folder")),
            "url": asked.pop("url"),
            "sync_ms": asked.pop("sync_ms", 0),
            "rebuild": asked.pop("rebuild", False),
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        raise errors.MalformedError("the first line must be JSON with folder and url") from None
    if asked:
        raise errors.MalformedError(f"{', '.join(asked)}: none of folder, url, sync_ms, rebuild")
    if type(taken["sync_ms"]) is not int or not 0 <= taken["sync_ms"] <= SYNC_MS_MAX:
        raise errors.RangeError(f"sync_ms {taken['sync_ms']} is outside 0..{SYNC_MS_MAX}")
    if type(taken["rebuild"]) is not bool or type(taken["url"]) is not str:
        raise errors.MalformedError("url must be text, rebuild true or false")
    return taken


def _ended(source: int, wait_s: float) -> bool:
    """Wait for a while; whether `source` ended, and with it whoever wanted this."""
    if not select.select([source], [], [], wait_s)[0]:
        return False
    if os.read(source, 1 << 16):
        return False
    select.select([], [], [], wait_s)
    return True


def _sync(path: Path) -> None:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # made ahead, and taken away again
        return
    except OSError as error:
        raise errors.JournalAccessError(f"{path}: {error.strerror or error}") from None
    try:
        os.fdatasync(file)
    except OSError as error:
        raise errors.JournalAccessError(f"{path}: {error.strerror or error}") from None
    finally:
        os.close(file)


def _say(line: dict[str, Any]) -> None:
    try:
        print(json.dumps(line), flush=True)
    except OSError:  # an engine that was killed listens no more
        sys.stdout = None


if __name__ == "__main__":
    sys.exit(main())
