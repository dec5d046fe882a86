"""
Tell strategies that a book changed: off the receive path, latest wins.

Between two deliveries any number of changes of a token become one. Nothing is queued: who is slow
sees the newest state, and only that it changed.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress

Callback = Callable[[str], None]
"""Called with the token; it reads the book by itself."""


class Changes:
    """
    Who wants to hear of which slot.

    Args:
        schedule: Runs a callable soon, outside the caller: ``loop.call_soon``. One delivery is
            under way at most.
        failed: Told of an exception in a callback; the others are called all the same.
    """

    __slots__ = ("_dirty", "_failed", "_listeners", "_pending", "_schedule")

    def __init__(
        self,
        schedule: Callable[[Callable[[], None]], object],
        failed: Callable[[Exception], None],
    ) -> None:
        self._schedule = schedule
        self._failed = failed
        self._listeners: dict[int, tuple[str, list[Callback]]] = {}
        self._dirty: set[int] = set()
        self._pending = False

    def listen(self, slot: int, token: str, callback: Callback) -> Callable[[], None]:
        """Call `callback` after changes of a slot; the result ends that, again: no effect."""
        _, callbacks = self._listeners.setdefault(slot, (token, []))
        callbacks.append(callback)

        def end() -> None:
            with suppress(ValueError):
                callbacks.remove(callback)
            if not callbacks and self._listeners.get(slot, ("", None))[1] is callbacks:
                del self._listeners[slot]

        return end

    def forget(self, slot: int) -> None:
        """Drop the listeners of a slot that goes to another token."""
        self._listeners.pop(slot, None)
        self._dirty.discard(slot)

    def mark(self, slots: Iterable[int]) -> None:
        """Take note of changes. The only part on the receive path."""
        listeners = self._listeners
        if not listeners:
            return
        self._dirty.update(slot for slot in slots if slot in listeners)
        if self._dirty and not self._pending:
            self._pending = True
            self._schedule(self._deliver)

    def _deliver(self) -> None:
        self._pending = False
        dirty, self._dirty = self._dirty, set()
        for slot in dirty:
            token, callbacks = self._listeners.get(slot, ("", []))
            for callback in tuple(callbacks):
                try:
                    callback(token)
                except Exception as error:  # a strategy's fault is not the feed's
                    self._failed(error)


async def follow(listen: Callable[[Callback], Callable[[], None]]) -> AsyncIterator[str]:
    """Yield a token each time it has changed since the last look; ends when closed."""
    changed = asyncio.Event()

    def wake(token: str) -> None:
        seen.append(token)
        changed.set()

    seen: list[str] = []
    end = listen(wake)
    try:
        while True:
            await changed.wait()
            changed.clear()
            token = seen[-1]
            seen.clear()
            yield token
    finally:
        end()
