"""Build small C programs against the core's own sources, plain or under a sanitizer."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import build_ext  # noqa: E402  (the project's root is not a package)

SANITIZERS = {
    "plain": [],
    "address": ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    "thread": ["-fsanitize=thread"],
}
# What ships is -O3; the sanitizers report better places from -O1, and asserts stay on in both.
FLAGS = [*(f for f in build_ext.CFLAGS if f != "-O3"), "-g", "-Werror", "-fno-omit-frame-pointer"]
ENVIRONMENT = {
    "ASAN_OPTIONS": "abort_on_error=0:exitcode=99",
    "UBSAN_OPTIONS": "print_stacktrace=1:exitcode=99",
    "TSAN_OPTIONS": "exitcode=99:halt_on_error=1",
}


@cache
def core_archive(flavour: str, out: Path) -> Path:
    """Compile every source of the core once for `flavour`; return the static library."""
    objects = []
    folder = out / flavour
    folder.mkdir(parents=True, exist_ok=True)
    for source in build_ext.sources():
        target = folder / (source.replace("/", "_") + ".o")
        objects.append(str(target))
        _gcc(["-c", str(ROOT / source), "-o", str(target), *_flags(flavour)])
    archive = folder / "libpolyarb.a"
    subprocess.run(["ar", "rcs", str(archive), *objects], check=True)
    return archive


@cache
def program(source: Path, flavour: str, out: Path, *more: Path) -> Path:
    """Compile `source` (and `more`) against the core: "plain", "address" or "thread"."""
    target = out / flavour / source.stem
    archive = core_archive(flavour, out)
    sources = map(str, (source, *more))
    _gcc([*sources, "-o", str(target), *_flags(flavour), str(archive), "-lpthread", "-lm"])
    return target


def run(binary: Path, *arguments: str, timeout: float = 300) -> str:
    """Run a compiled program; return its output, or fail with it."""
    done = subprocess.run(
        [str(binary), *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **ENVIRONMENT},
        check=False,
    )
    assert done.returncode == 0, (
        f"{binary.name} exited {done.returncode}\n{done.stdout}{done.stderr}"
    )
    return done.stdout


def _flags(flavour: str) -> list[str]:
    level = "-O3" if flavour == "plain" else "-O1"
    return [
        *FLAGS,
        level,
        *SANITIZERS[flavour],
        "-D_GNU_SOURCE",
        f"-I{ROOT}/csrc",
        f"-I{ROOT}/tests",
    ]


def _gcc(arguments: list[str]) -> None:
    done = subprocess.run(["gcc", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
