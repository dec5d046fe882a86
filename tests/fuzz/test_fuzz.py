"""A short run of every fuzz target, under the address sanitizer; ``.ci/run`` has a longer one."""

import os
import random
from pathlib import Path

import native
import pytest

HERE = Path(__file__).parent
TARGETS = sorted(path.stem for path in HERE.glob("fuzz_*.c"))


@pytest.mark.parametrize("target", TARGETS)
def test_no_input_breaks_the_target(target: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The seed is printed on failure and taken back from POLYARB_FUZZ_SEED."""
    seed = os.environ.get("POLYARB_FUZZ_SEED") or str(random.SystemRandom().getrandbits(32))
    out = tmp_path_factory.getbasetemp() / "native"
    binary = native.program(HERE / f"{target}.c", "address", out, HERE / "driver.c")
    assert f"seed {seed}" in native.run(binary, "20000", seed)
