"""
Recorded frames, where they are there: POLYARB_CAPTURES, or ``../shared/captures`` beside the tree.

They are not part of this repository, so every test that wants them is a visible skip without.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLACES = (ROOT.parent / "shared" / "captures", Path("/work/shared/captures"))


def folder() -> Path:
    """Return the captures' folder, or skip the test."""
    named = os.environ.get("POLYARB_CAPTURES")
    for place in (Path(named),) if named else PLACES:
        if (place / "ws").is_dir():
            return place
    pytest.skip("no captures: set POLYARB_CAPTURES")


def names() -> list[str]:
    """Return the names of the recorded streams, none if there are no captures."""
    named = os.environ.get("POLYARB_CAPTURES")
    for place in (Path(named),) if named else PLACES:
        if (place / "ws").is_dir():
            return sorted(path.name for path in (place / "ws").iterdir())
    return []


def frames(path: Path) -> Iterator[bytes]:
    """Yield the frames of a ``.jsonl`` or ``.ndjson`` file in order."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and path.suffix == ".jsonl":
            yield json.loads(line)["frame"].encode()
        elif line:
            yield line.encode()
