"""
Compile ``polyarb._core``: the headers that ``csrc/polyarb.h`` includes are its only declaration.

The marked regions (``cffi:begin`` .. ``cffi:end``) of those headers are what cffi parses; the
same text is compiled. Other builds (tests, fuzzers, sanitizers) import `sources` and `CFLAGS`
from here, so that they compile what trades.
"""

import os
import re
from pathlib import Path

from cffi import FFI

ROOT = Path(__file__).resolve().parent
CSRC = ROOT / "csrc"
REGION = re.compile(r"/\* cffi:begin \*/(.*?)/\* cffi:end \*/", re.DOTALL)
INCLUDE = re.compile(r'^#include "([^"]+)"', re.MULTILINE)

# Portable on purpose: no -march=native. Kernels name their own target and are chosen at run time.
CFLAGS = ["-std=c11", "-O3", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-fno-strict-aliasing"]


def public_headers() -> list[Path]:
    """Return the headers `csrc/polyarb.h` includes, in its order, and itself last."""
    umbrella = CSRC / "polyarb.h"
    return [CSRC / name for name in INCLUDE.findall(umbrella.read_text())] + [umbrella]


def cdef() -> str:
    """Return the declarations cffi parses: every marked region, in include order."""
    return "\n".join(
        region for header in public_headers() for region in REGION.findall(header.read_text())
    )


def sources() -> list[str]:
    """Return every C source of the core, relative to the project's root."""
    return sorted(str(path.relative_to(ROOT)) for path in CSRC.rglob("*.c"))


# Run by setuptools in the project's root, where the relative paths of an sdist hold.
ffibuilder = FFI()
ffibuilder.cdef(cdef())
ffibuilder.set_source(
    "polyarb._core",
    '#include "polyarb.h"',
    sources=sources(),
    include_dirs=["csrc"],
    extra_compile_args=CFLAGS + os.environ.get("POLYARB_CFLAGS", "").split(),
    extra_link_args=os.environ.get("POLYARB_LDFLAGS", "").split(),
)

if __name__ == "__main__":
    ffibuilder.compile(verbose=True)
