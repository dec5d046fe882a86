"""The process that turns a run's journal into its database, as long as the run lasts."""

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

START_S: Final = 30.0
END_S: Final = 30.0
"""How long the rest of the journal may take at the end of a run."""

SYNC_MS: Final = 100
"""How often the disk is asked for the journal, where that is the policy."""

SQLITE: Final = "sqlite"


def database_url(wanted: str, folder: Path) -> str:
    """Return the database's address: ``sqlite`` is a file of the run."""
    if wanted != SQLITE:
        return wanted
    return "sqlite:" + quote(str(folder.resolve() / "trades.db"))


class Projection:
    """
    `polyarb.journal.projector` at work on one journal. An async context manager.

    It fails alone: a run goes on without its database, which is made again from the journal.

    Args:
        journal: The journal's folder, which must be there.
        url: Of the database; may hold a password, and goes through a pipe.
        sync: It asks the disk to have the journal, too.
        say: Is told what a person should know.

    Attributes:
        error: Why the database is not whole, "" while it is or becomes so.
        seq: The last record that is known to be in it.
    """

    def __init__(self, journal: Path, url: str, *, sync: bool, say: Callable[[str], None]) -> None:
        self._asked = {"folder": str(journal), "url": url, "sync_ms": SYNC_MS if sync else 0}
        self._say = say
        self._process: asyncio.subprocess.Process
        self._listening: asyncio.Task[None]
        self.error = ""
        self.seq = 0

    async def __aenter__(self) -> "Projection":
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "polyarb.journal.projector"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is the engine's to understand
        )
        assert self._process.stdin
        self._process.stdin.write(json.dumps(self._asked).encode() + b"\n")
        self._listening = asyncio.create_task(self._listen(), name="projector")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let it write what is left, and end it."""
        assert self._process.stdin
        self._process.stdin.close()
        try:
            async with asyncio.timeout(END_S):
                await self._listening
                await self._process.wait()
        except TimeoutError:
            self._fail(f"it did not end in {END_S:g} s")
        finally:
            self._listening.cancel()
            if self._process.returncode is None:
                with suppress(ProcessLookupError):
                    self._process.kill()
                await self._process.wait()

    async def _listen(self) -> None:
        assert self._process.stdout
        last: dict[str, Any] = {}
        async for line in self._process.stdout:
            last = json.loads(line)
            self.seq = last.get("seq", self.seq)
            if last.get("waiting"):
                self._say(f"database: {last['waiting']}; it is tried again")
        if last.get("error"):
            self._fail(last["error"])
        elif "unread" not in last:  # its last line was not its last word
            self._fail("its process ended by itself")

    def _fail(self, why: str) -> None:
        self.error = why
        self._say(f"database: {why}; the journal has everything, and goes on without it")
