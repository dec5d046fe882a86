"""Waiting for what happens in its own time: over sockets, in other tasks."""

import asyncio
from collections.abc import Callable
from typing import Any

WAIT_S = 20.0


async def until(holds: Callable[[], Any], what: str, within_s: float = WAIT_S) -> None:
    """Wait for a condition, looking again every few milliseconds."""
    try:
        async with asyncio.timeout(within_s):
            while not holds():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"never came: {what}") from None
