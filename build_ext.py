"""
Compile ``polyarb._core``: the headers that ``csrc/polyarb.h`` includes are its only declaration.

The marked regions (``cffi:begin`` .. ``cffi:end``) of those headers are what cffi parses; the
same text is compiled. Other builds (tests, fuzzers, sanitizers) import `sources` and `CFLAGS`
from here, so that they compile what trades.
"""

import os
import re
from pathlib import Path
from typing import Any

from cffi import FFI
from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext

MODULE = "polyarb._core"
ROOT = Path(__file__).resolve().parent
CSRC = ROOT / "csrc"
REGION = re.compile(r"/\* cffi:begin \*/(.*?)/\* cffi:end \*/", re.DOTALL)
INCLUDE = re.compile(r'^#include "([^"]+)"', re.MULTILINE)

# Portable on purpose: no -march=native. Kernels name their own target and are chosen at run time.
CFLAGS = [
    *("-std=c11", "-D_DEFAULT_SOURCE", "-O3", "-fno-strict-aliasing", "-fvisibility=hidden"),
    *("-Wall", "-Wextra", "-Wshadow", "-Wconversion"),
]


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


# What cffi does around every call and the core has no use for. It lets go of the interpreter lock:
# our calls last microseconds and wait for nothing, and whoever lets go of the lock may not have it
# back for 5 ms (performance.md section 3). It keeps errno: the core never sets it. It takes the
# arguments' tuple apart by a function with a variable argument list, and makes an enumeration's
# value an int by looking at its type. About 55 ns a call together.
CALLS = """
#undef Py_BEGIN_ALLOW_THREADS
#undef Py_END_ALLOW_THREADS
#define Py_BEGIN_ALLOW_THREADS {
#define Py_END_ALLOW_THREADS }
#undef _cffi_restore_errno
#undef _cffi_save_errno
#define _cffi_restore_errno() ((void)0)
#define _cffi_save_errno() ((void)0)

static inline int pa_unpack(PyObject *args, const char *name, Py_ssize_t count,
                            PyObject **slots[]) {
    if (PyTuple_GET_SIZE(args) != count) {
        PyErr_Format(PyExc_TypeError, "%s expected %zd arguments, got %zd", name, count,
                     PyTuple_GET_SIZE(args));
        return 0;
    }
    for (Py_ssize_t i = 0; i < count; ++i) {
        *slots[i] = PyTuple_GET_ITEM(args, i);
    }
    return 1;
}
#define PyArg_UnpackTuple(args, name, count, most, ...) \
    pa_unpack(args, name, count, (PyObject **[]){__VA_ARGS__})

static inline PyObject *pa_from_c(char *p, struct _cffi_ctypedescr *type) {
    return _cffi_from_c_deref(p, type);
}
#undef _cffi_from_c_deref
#define _cffi_from_c_deref(p, type) \
    _Generic(result, pa_status: PyLong_FromLong(*(int *)(p)), default: pa_from_c(p, type))
"""


def builder() -> FFI:
    """Return the cffi builder; it must run in the project's root, as setuptools does."""
    ffi = FFI()
    ffi.cdef(cdef())
    ffi.set_source(MODULE, f'#include "polyarb.h"{CALLS}', sources=sources(), **options())
    return ffi


def options() -> dict[str, list[Any]]:
    """Return compiler options; POLYARB_CFLAGS and POLYARB_LDFLAGS add to them (sanitizers)."""
    return {
        "include_dirs": ["csrc"],
        "define_macros": [("_CFFI_NO_LIMITED_API", None)],  # CALLS looks into a tuple
        "extra_compile_args": CFLAGS + os.environ.get("POLYARB_CFLAGS", "").split(),
        "extra_link_args": os.environ.get("POLYARB_LDFLAGS", "").split(),
    }


class BuildCore(build_ext):
    """The ``build_ext`` command of pyproject.toml: generate the binding, compile the core."""

    def build_extension(self, ext: Extension) -> None:
        """Fill in what pyproject.toml cannot say, then compile."""
        generated = Path(self.build_temp) / "_core.c"
        generated.parent.mkdir(parents=True, exist_ok=True)
        builder().emit_c_code(str(generated))
        ext.sources = [str(generated), *sources()]
        ext.depends = [str(path.relative_to(ROOT)) for path in CSRC.rglob("*.h")]
        for name, value in options().items():
            setattr(ext, name, value)
        super().build_extension(ext)


def main() -> None:
    """Build in place, for work on the core; ``pip install`` goes through `BuildCore` as well."""
    os.chdir(ROOT)
    command = BuildCore(
        Distribution({"ext_modules": [Extension(MODULE, [])], "packages": ["polyarb"]})
    )
    command.inplace = True
    command.ensure_finalized()
    command.run()


if __name__ == "__main__":
    main()
