"""
Recorded frames, where they are there: POLYARB_CAPTURES, or ``../shared/captures`` beside the tree.

They are not part of this repository, so every test that wants them is a visible skip without.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import conftest


def folder() -> Path:
    """Return the captures' folder, or skip the test."""
    return conftest.captures()


def names() -> list[str]:
    """Return the names of the recorded streams, none if there are no captures."""
    streams = conftest.captures_root() / "ws"
    return sorted(path.name for path in streams.iterdir()) if streams.is_dir() else []


def frames(path: Path) -> Iterator[bytes]:
    """Yield the frames of a ``.jsonl`` or ``.ndjson`` file in order."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and path.suffix == ".jsonl":
            yield json.loads(line)["frame"].encode()
        elif line:
            yield line.encode()
