"""
The folders of csrc/ and polyarb/ look upstream, never downstream (the map in README.md).

A folder, module or outside library that has no row here is a failure too: adding one means saying
where it stands.
"""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

EVERYTHING = frozenset({"*"})

# Open to every row below except themselves: errors and clock rest on the standard library alone.
OPEN = frozenset({"errors", "clock"})

PYTHON = {
    "errors": frozenset(),
    "clock": frozenset(),
    "__init__": OPEN,
    "domain": OPEN,
    "core": OPEN | {"domain"},
    "feed": OPEN | {"core", "domain"},
    "book": OPEN | {"feed", "core", "domain"},
    "detection": OPEN | {"book", "core", "domain"},
    "risk": OPEN | {"core", "domain"},
    "execution": OPEN | {"risk", "core", "domain"},
    "exchange": OPEN | {"core", "domain"},
    "journal": OPEN | {"domain"},
    "sim": OPEN | {"domain"},
    "monitor": OPEN | {"core", "journal", "domain"},
    "control": EVERYTHING,
    "__main__": OPEN | {"control"},
}

# What reaches outside, and the files (or folders, with a slash) that may.
DOORS = {
    "websockets": ("feed/channel.py", "sim/server.py"),
    "aiohttp": ("exchange/transport.py", "sim/server.py"),
    "yarl": ("exchange/transport.py",),  # aiohttp's URLs
    "coincurve": ("exchange/signing.py", "sim/signatures.py"),
    "Crypto": ("sim/signatures.py",),
    "rich": ("control/", "monitor/"),
    "msgspec": (
        "control/config.py",
        "control/ledger.py",
        "exchange/gamma.py",
        "exchange/client.py",
        "journal/record.py",
        "sim/",
    ),
    "psycopg": ("journal/database.py",),
    "stamina": ("exchange/client.py",),
    "polyarb._core": ("core/",),
    "cffi": ("core/",),
    "_cffi_backend": ("core/",),
    "time": ("clock.py",),
}

C = {
    "base": frozenset(),
    "trace": frozenset({"base"}),
    "stream": frozenset({"base"}),
    "decode": frozenset({"base"}),
    "book": frozenset({"base", "decode"}),
    "scan": frozenset({"base", "book"}),
    "basket": frozenset({"base", "book", "scan"}),
    "tick": frozenset({"base", "trace", "stream", "decode", "book", "scan", "basket"}),
    "account": frozenset({"base"}),
    "digest": frozenset({"base"}),
    "sign": frozenset({"base", "digest"}),
    "encode": frozenset({"base", "digest"}),
    "request": frozenset({"base", "account", "digest", "sign", "encode"}),
    "polyarb.h": EVERYTHING,
    "polyarb.c": EVERYTHING,
}

# The core knows no Python and no sockets.
NO_SYSTEM_HEADER = re.compile(r"Python\.h|sys/socket\.h|netdb\.h|netinet/.*|arpa/.*")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)


def imports(path: Path, root: Path) -> list[str]:
    """Return the absolute dotted name of everything `path` imports, anywhere in it."""
    package = list(path.relative_to(root).parts[:-1])
    names = []
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            # "from polyarb import errors" names a module; what else it may name does no harm.
            names += [f"{module}.{alias.name}" for alias in node.names]
    return names


def python_violations(root: Path) -> list[str]:
    """Return one line for each import under ``root/polyarb`` that the tables do not allow."""
    return [
        f"{path.relative_to(root)}: {fault}"
        for path in sorted((root / "polyarb").rglob("*.py"))
        for name in imports(path, root)
        if (fault := python_fault(path.relative_to(root / "polyarb").as_posix(), name))
    ]


def python_fault(file: str, name: str) -> str | None:
    """Return what is wrong with `file` (``core/base.py``) importing `name`, or None."""
    row = file.split("/", maxsplit=1)[0].removesuffix(".py")
    if row not in PYTHON:
        return f"{row} has no row in PYTHON"
    top, _, rest = name.partition(".")
    door = f"polyarb.{rest.split('.')[0]}" if top == "polyarb" else top
    if door in DOORS:
        through = any(file == d or (d.endswith("/") and file.startswith(d)) for d in DOORS[door])
        return None if through else f"{door} has its door in {', '.join(DOORS[door])}"
    if top != "polyarb":
        return None if top in sys.stdlib_module_names else f"{top} has no row in DOORS"
    target = rest.split(".")[0]
    if target == "__version__":  # a fact of the package, not a room of it
        return None
    if target not in PYTHON:
        return f"imports polyarb.{target}, which has no row in PYTHON"
    if target == row or {target, "*"} & PYTHON[row]:
        return None
    return f"{row} may not import {target}"


def c_violations(root: Path) -> list[str]:
    """Return one line for each #include under ``root/csrc`` that the table does not allow."""
    return [
        f"{path.relative_to(root)}: {fault}"
        for path in sorted((root / "csrc").rglob("*.[ch]"))
        for bracket, name in INCLUDE.findall(path.read_text())
        if (fault := c_fault(path.relative_to(root / "csrc").parts[0], bracket, name))
    ]


def c_fault(row: str, bracket: str, name: str) -> str | None:
    """Return what is wrong with a file of `row` including `name`, or None."""
    if row not in C:
        return f"{row} has no row in C"
    if bracket == "<":
        return f"the core may not include <{name}>" if NO_SYSTEM_HEADER.fullmatch(name) else None
    target = name.split("/", maxsplit=1)[0]
    if target not in C:
        return f'includes "{name}", whose folder has no row in C'
    if target == row or {target, "*"} & C[row]:
        return None
    return f"{row} may not include {target}"


def reference_violations(root: Path) -> list[str]:
    """Return one line for each import of a slow twin that is neither the stdlib's nor a twin's."""
    return [
        f"{path.relative_to(root)}: {name}"
        for path in sorted((root / "tests" / "reference").rglob("*.py"))
        for name in imports(path, root)
        if name.split(".")[0] not in sys.stdlib_module_names | {"reference"}
    ]


def test_python_looks_upstream_and_outside_only_through_its_doors():
    assert python_violations(ROOT) == []


def test_the_core_looks_upstream():
    assert c_violations(ROOT) == []


def test_the_slow_twins_rest_on_the_standard_library_alone():
    assert reference_violations(ROOT) == []


def test_the_checkers_read_the_tree_they_judge():
    """An empty list of violations means nothing if no import was seen."""
    money = imports(ROOT / "polyarb" / "domain" / "money.py", ROOT)
    assert "polyarb.errors.RangeError" in money
    assert "decimal.Decimal" in money
    assert '"base/status.h"' in (ROOT / "csrc" / "base" / "fixed.h").read_text()
    assert len(list((ROOT / "csrc").rglob("*.[ch]"))) > len(C) / 2


def test_no_row_allows_what_would_close_a_circle():
    for table in (PYTHON, C):
        rest = {row: set(allowed) for row, allowed in table.items() if allowed != EVERYTHING}
        while leaves := {row for row, allowed in rest.items() if not allowed & set(rest)}:
            rest = {row: allowed for row, allowed in rest.items() if row not in leaves}
        assert not rest


def write(root: Path, file: str, text: str) -> None:
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("domain/money.py", "import polyarb.core.base", "domain may not import core"),
        ("domain/money.py", "from polyarb.exchange import auth", "domain may not import exchange"),
        ("domain/money.py", "from ..core import base", "domain may not import core"),
        ("domain/money.py", "from .. import risk", "domain may not import risk"),
        ("core/digest.py", "from polyarb.exchange.auth import X", "core may not import exchange"),
        ("exchange/auth.py", "from polyarb import risk", "exchange may not import risk"),
        ("exchange/a/b.py", "from ...risk import limits", "exchange may not import risk"),
        ("exchange/auth.py", "def f():\n    import polyarb.sim", "exchange may not import sim"),
        (
            "exchange/auth.py",
            "if 0:\n    from polyarb.control import cli",
            "may not import control",
        ),
        ("sim/venue.py", "from polyarb.core import digest", "sim may not import core"),
        ("errors.py", "import polyarb.clock", "errors may not import clock"),
        ("risk/limits.py", "from polyarb.news import x", "polyarb.news, which has no row"),
        ("news/feed.py", "import re", "news has no row"),
        (
            "exchange/auth.py",
            "from polyarb._core import lib",
            "polyarb._core has its door in core/",
        ),
        ("exchange/auth.py", "import polyarb._core", "polyarb._core has its door in core/"),
        ("exchange/auth.py", "from polyarb import _core", "polyarb._core has its door in core/"),
        ("exchange/orders.py", "import coincurve", "coincurve has its door in exchange/signing.py"),
        ("exchange/client.py", "import aiohttp", "aiohttp has its door in exchange/transport.py"),
        ("feed/market.py", "import os, websockets", "websockets has its door in feed/channel.py"),
        ("control/engine.py", "from websockets import connect", "websockets has its door"),
        ("risk/limits.py", "from time import time", "time has its door in clock.py"),
        ("risk/limits.py", "import requests", "requests has no row in DOORS"),
    ],
)
def test_a_wrong_import_is_found(tmp_path, file, text, fault):
    write(tmp_path, f"polyarb/{file}", text)
    (line,) = python_violations(tmp_path)
    assert line.startswith(f"polyarb/{file}: ")
    assert fault in line


def test_the_imports_the_map_allows_are_no_violations(tmp_path):
    for file, text in [
        ("clock.py", "import time"),
        ("domain/money.py", "from decimal import Decimal\nfrom polyarb.errors import RangeError"),
        ("core/base.py", "from polyarb import errors\nfrom polyarb._core import ffi, lib"),
        ("exchange/auth.py", "from polyarb.core.base import integer\nfrom . import wallets"),
        ("exchange/signing.py", "import coincurve"),
        ("exchange/transport.py", "import aiohttp\nfrom polyarb.clock import Clock"),
        ("feed/channel.py", "import websockets.client"),
        ("sim/server.py", "import aiohttp, websockets"),
        ("control/engine.py", "from polyarb import exchange, feed, sim"),
        ("__main__.py", "from polyarb.control.cli import main"),
    ]:
        write(tmp_path, f"polyarb/{file}", text)
    assert python_violations(tmp_path) == []


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("base/fixed.c", '#include "trace/clock.h"', "base may not include trace"),
        ("digest/keccak.c", '#include "sign/signer.h"', "digest may not include sign"),
        ("sign/signer.c", '#  include "request/request.h"', "sign may not include request"),
        ("encode/batch.c", '  #include "sign/signer.h"', "encode may not include sign"),
        ("account/account.c", '#include "digest/keccak.h"', "account may not include digest"),
        ("digest/keccak.c", '#include "polyarb.h"', "digest may not include polyarb.h"),
        ("digest/keccak.c", '#include "keccak.h"', "no row in C"),
        ("news/feed.c", "#include <stdint.h>", "news has no row"),
        ("base/arena.c", "#include <sys/socket.h>", "may not include <sys/socket.h>"),
        ("base/arena.c", "#include <Python.h>", "may not include <Python.h>"),
    ],
)
def test_a_wrong_include_is_found(tmp_path, file, text, fault):
    write(tmp_path, f"csrc/{file}", f"/* a unit */\n{text}\n")
    (line,) = c_violations(tmp_path)
    assert line.startswith(f"csrc/{file}: ")
    assert fault in line


def test_the_includes_the_map_allows_are_no_violations(tmp_path):
    for file, text in [
        ("base/cpu.c", '#include "base/cpu.h"\n#include <cpuid.h>'),
        ("request/request.c", '#include "sign/signer.h"\n#include "account/account.h"'),
        ("polyarb.h", '#include "base/status.h"\n#include "request/request.h"'),
        ("polyarb.c", '#include "polyarb.h"\n#include "digest/keccak.h"'),
    ]:
        write(tmp_path, f"csrc/{file}", text)
    assert c_violations(tmp_path) == []


def test_a_twin_that_borrows_what_it_judges_is_found(tmp_path):
    write(tmp_path, "tests/reference/keccak.py", "import hashlib\nfrom polyarb.core import digest")
    write(tmp_path, "tests/reference/eip712.py", "from reference.keccak import keccak256")
    assert reference_violations(tmp_path) == [
        "tests/reference/keccak.py: polyarb.core.digest",
    ]


def test_every_folder_is_installed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = set(project["tool"]["setuptools"]["packages"])
    found = {path.parent.name for path in (ROOT / "polyarb").glob("*/__init__.py")}
    assert packages == {"polyarb"} | {f"polyarb.{name}" for name in found}
