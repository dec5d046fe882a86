"""The venue's event log: one JSON array a line, the same for the same seed and actions."""

import hashlib
from collections.abc import Callable
from typing import Final

BATCH: Final = 256


class EventLog:
    """
    Lines as they happen, and a digest of all of them.

    Times are nanoseconds since the venue started, so that two runs at different hours compare.

    Args:
        write: Where each batch of lines goes; nowhere by default.
    """

    def __init__(self, write: Callable[[str], object] | None = None) -> None:
        self._write = write
        self._sha = hashlib.sha256()
        self._lines: list[str] = []
        self.count = 0

    def add(self, line: str) -> None:
        """Append one line, without its end."""
        self._lines.append(line)
        self.count += 1
        if len(self._lines) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Hand over what has gathered."""
        if self._lines:
            batch = "\n".join(self._lines) + "\n"
            self._lines.clear()
            self._sha.update(batch.encode())
            if self._write:
                self._write(batch)

    def digest(self) -> str:
        """Return the SHA-256 of everything so far."""
        self.flush()
        return self._sha.hexdigest()
