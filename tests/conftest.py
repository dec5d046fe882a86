"""Fixtures every kind of test may use."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import native
import pytest

# No test asserts a time, and this machine may be busy with others'.
hypothesis.settings.register_profile("polyarb", deadline=None)
hypothesis.settings.load_profile("polyarb")

VECTORS = Path(__file__).parent / "vectors"
SANITIZED = "libasan" in os.environ.get("LD_PRELOAD", "")

# pycryptodome asks for RTLD_DEEPBIND, which ends a process under the address sanitizer: what
# imports it, the simulated exchange first of all, is left out there.
_RIGS = "flights|ledger|relayrig|simcalls|simclient|trading"
_DEEPBIND = re.compile(rf"^\s*(?:from|import) (?:Crypto|polyarb\.sim|{_RIGS})\b", re.MULTILINE)
collect_ignore = [
    str(path.relative_to(Path(__file__).parent))
    for path in Path(__file__).parent.rglob("test_*.py")
    if SANITIZED and ("sim" in path.parts or _DEEPBIND.search(path.read_text()))
]


def vectors(name: str) -> list[dict[str, Any]]:
    """Return the cases of ``tests/vectors/<name>.json``."""
    cases: list[dict[str, Any]] = json.loads((VECTORS / f"{name}.json").read_text())["cases"]
    assert cases
    return cases


def captures_root() -> Path:
    """Return where the recordings are, if they are anywhere."""
    shared = Path(__file__).parents[2] / "shared" / "captures"
    return Path(os.environ.get("POLYARB_CAPTURES") or shared)


def captures(folder: str = "") -> Path:
    """Return a folder of the recordings, which are never part of the project; skip without them."""
    root = captures_root()
    if not root.is_dir():
        pytest.skip(f"no recordings at {root}; set POLYARB_CAPTURES")
    return root / folder


@pytest.fixture(scope="session")
def c_program(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Compile and run a C program: ``c_program("unit/csrc/test_fixed.c", "address")``."""
    out = tmp_path_factory.getbasetemp() / "native"
    if SANITIZED:
        pytest.skip("the interpreter runs under a sanitizer; C programs have builds of their own")

    def run(source: str, flavour: str, *arguments: str, timeout: float = 300) -> str:
        binary = native.program(Path(__file__).parent / source, flavour, out)
        return native.run(binary, *arguments, timeout=timeout)

    return run
