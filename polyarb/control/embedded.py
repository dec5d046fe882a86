"""The embedded exchange: ``polyarb exchange`` as a process of its own, on loopback."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from polyarb import errors

START_S: Final = 60.0
END_S: Final = 10.0
TOLD_MAX: Final = 1 << 16
"""Bytes of the line in which it says where it is."""


@asynccontextmanager
async def exchange(*, seed: int, scenario: str = "default") -> AsyncIterator[Mapping[str, Any]]:
    """
    Start an exchange, yield what it says of itself, and end it in order.

    It is in a session of its own: a Ctrl-C at the terminal is the engine's, which goes first.

    Raises:
        InputError: It refused its arguments; it has said why on stderr.
        HaltError: It did not start, or ended by itself.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "polyarb", "exchange", "--port", "0"),
        *("--seed", str(seed), "--scenario", scenario),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        limit=TOLD_MAX,
        start_new_session=True,
    )
    try:
        yield await _told(process)
        if process.returncode is not None:
            raise errors.HaltError(f"the embedded exchange ended by itself: {process.returncode}")
    finally:
        await _end(process)


async def _told(process: asyncio.subprocess.Process) -> Mapping[str, Any]:
    """Return its first line."""
    assert process.stdout
    try:
        async with asyncio.timeout(START_S):
            line = await process.stdout.readline()
    except TimeoutError:
        raise errors.HaltError(f"the embedded exchange said nothing in {START_S:g} s") from None
    if not line:
        code = await process.wait()
        wrong = errors.MalformedError if code == 2 else errors.HaltError
        raise wrong(f"the embedded exchange did not start: exit code {code}")
    told: Mapping[str, Any] = json.loads(line)
    return told


async def _end(process: asyncio.subprocess.Process) -> None:
    for ask in (signal.SIGINT, signal.SIGKILL):
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(ask)
            with suppress(TimeoutError):
                async with asyncio.timeout(END_S):
                    await process.wait()
