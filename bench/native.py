"""Compile the C programs and loops with the flags that trade, into a folder that goes away."""

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from cffi import FFI

import build_ext

BENCH: Final = Path(__file__).resolve().parent
FLAGS: Final = [*build_ext.CFLAGS, "-D_GNU_SOURCE", f"-I{build_ext.CSRC}", f"-I{BENCH}"]

LOOPS: Final = """
uint64_t loop_library_sign(uintptr_t, uintptr_t, uintptr_t, const uint8_t *, const uint8_t *,
                           size_t, size_t, uint8_t *);
uint64_t loop_core_sign(uintptr_t, const void *, const uint8_t *, size_t, size_t, uint8_t *);
uint64_t loop_build(uintptr_t, void *, void *, const void *, size_t, uint64_t, char *, size_t,
                    void *, size_t, size_t);
uint64_t loop_hmac(uintptr_t, const void *, const void *, size_t, size_t, char *);
uint64_t loop_encode(uintptr_t, const void *, const void *, const void *, size_t, const char *,
                     size_t, char *, size_t, size_t *, size_t, size_t);
uint64_t loop_size(uintptr_t, void *, void *, size_t, size_t, void *, void *);
"""


class Native:
    """What is compiled, each once and when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ffi = FFI()
        self.ffi.cdef(LOOPS)

    def run(self, program: str, *arguments: str) -> dict[str, Any]:
        """Compile ``bench/<program>.c`` against the core, run it and return its JSON."""
        target = self.folder / program
        if not target.exists():
            self._gcc(BENCH / f"{program}.c", self._archive, "-lpthread", "-lm", "-o", target)
        done = subprocess.run(
            [str(target), *arguments], capture_output=True, text=True, check=False, timeout=600
        )
        assert done.returncode == 0, f"{program} exited {done.returncode}\n{done.stderr}"
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    @cached_property
    def loops(self) -> Any:
        """The functions of ``loops.c``."""
        target = self.folder / "loops.so"
        self._gcc("-shared", "-fPIC", "-fvisibility=default", BENCH / "loops.c", "-o", target)
        return self.ffi.dlopen(str(target))

    @cached_property
    def _archive(self) -> Path:
        """The whole core as a static library."""
        objects = []
        with ThreadPoolExecutor(max_workers=2) as pool:
            for source in build_ext.sources():
                objects.append(self.folder / (source.replace("/", "_") + ".o"))
                pool.submit(self._gcc, "-c", build_ext.ROOT / source, "-o", objects[-1])
        archive = self.folder / "libpolyarb.a"
        subprocess.run(["ar", "rcs", str(archive), *map(str, objects)], check=True)
        return archive

    @staticmethod
    def _gcc(*arguments: str | Path) -> None:
        command = ["gcc", *FLAGS, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@contextmanager
def compiled() -> Iterator[Native]:
    """Give a `Native` whose folder is removed at the end."""
    with TemporaryDirectory(prefix="polyarb-bench-") as folder:
        yield Native(Path(folder))
