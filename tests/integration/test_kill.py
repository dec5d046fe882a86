"""
The engine is killed at every step of the submit path, hundreds of times, over real sockets.

The exchanges are a process of their own that lives on. Each life takes up what the one before left
(see `tests/kills.py`), and must find the exchange's books and its own journal to tell the same:
no order that nobody recorded, none twice, none open, no trade, token or cash that is not accounted
for. Each chain goes through the steps of one kind of basket, in the life that trades it or in the
one that takes it up, until a life has no more. ``POLYARB_KILL_STRIDE`` says how many steps apart
the kills are: 1 is every one of them; ``POLYARB_KILL_FIRST`` is where to begin, anew for each run.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kills
import pytest

STRIDE = int(os.environ.get("POLYARB_KILL_STRIDE", "10"))
FIRST = int(os.environ.get("POLYARB_KILL_FIRST") or 1 + random.SystemRandom().randrange(STRIDE))
STEPS_MAX = 500
MEMORY = Path("/dev/shm")  # noqa: S108  (no disk: a kill leaves the same, and it is quicker)
WORK = [(kind, phase) for kind in kills.KINDS for phase in kills.PHASES]
SCRIPT = [sys.executable, kills.__file__]
PATH = {"PYTHONPATH": os.pathsep.join([str(Path(kills.__file__).parent), *sys.path])}


@pytest.fixture(scope="module")
def exchanges() -> Iterator[list[dict[str, Any]]]:
    process = subprocess.Popen(
        [*SCRIPT, "exchanges", str(len(WORK))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | PATH,
    )
    try:
        assert process.stdout
        yield json.loads(process.stdout.readline())
        assert process.poll() is None
        process.communicate(timeout=30)
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder in memory, where there is one."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="polyarb-kill-", dir=MEMORY) as made:
        yield Path(made)


def test_no_kill_loses_or_doubles_anything(exchanges: list[dict[str, Any]], folder: Path) -> None:
    work = [
        {"kind": kind, "phase": phase, "steps": [*range(FIRST, STEPS_MAX, STRIDE)]}
        for kind, phase in WORK
    ]
    done = subprocess.run(
        [*SCRIPT, "chains", str(folder)],
        input=json.dumps({"exchanges": exchanges, "work": work}).encode() + b"\n",
        stdout=subprocess.PIPE,
        env=os.environ | PATH,
        check=False,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    failures = [line for line in lines if "failed" in line]
    told = "\n".join(line["failed"] for line in failures[:3])
    assert not failures, f"POLYARB_KILL_FIRST={FIRST} POLYARB_KILL_STRIDE={STRIDE}\n{told}"
    killed = Counter(line["killed"] for line in lines if "killed" in line)
    checks = sum("checked" in line for line in lines)
    print(f"{killed.total()} kills, {checks} checks: {dict(killed)}")
    assert checks >= killed.total() // 2
    assert len(killed) > 12, "not every kind of step was met"
