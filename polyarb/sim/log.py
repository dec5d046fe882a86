"""The venue's event log: one JSON array a line, the same for the same seed and actions."""

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from polyarb.errors import InputError

BATCH: Final = 256


class LogFile:
    """
    Where an event log goes; a disk that fills up later ends the log, but not the venue.

    Args:
        path: Created, or emptied.

    Attributes:
        started: Whether the venue runs: from now on trouble is told once, not raised.

    Raises:
        InputError: It cannot be created, or written before the venue runs.
    """

    def __init__(self, path: Path) -> None:
        self.started = False
        self._path = path
        self._broken = False
        try:
            self._file = path.open("wb", buffering=0)
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from None

    def write(self, batch: str) -> None:
        """Write whole lines."""
        left = b"" if self._broken else batch.encode()
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            self._broken = True
            if not self.started:
                raise InputError(f"{self._path}: {error.strerror}") from None
            print(
                f"polyarb: {self._path}: {error.strerror}; the event log ends here", file=sys.stderr
            )

    def close(self) -> None:
        """Close it."""
        self._file.close()


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
