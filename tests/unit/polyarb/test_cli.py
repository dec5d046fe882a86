"""The command line: what it prints, its exit codes, and that a wrong build does not pass."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import polyarb.__main__
from polyarb.control import cli, selfcheck
from polyarb.core.base import kernels
from polyarb.exchange.signing import BACKENDS


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One call a timing: the figures are not what is tested."""
    monkeypatch.setattr(selfcheck, "ROUNDS", 1)
    monkeypatch.setattr(selfcheck, "CALLS", 1)


def test_without_a_command_the_build_proves_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["selfcheck"]) == 0
    shown = capsys.readouterr().out
    assert "all known answers reproduced" in shown
    assert all(f"keccak, {name}" in shown for name in kernels())
    assert all(f"orders signed by {backend}" in shown for backend in BACKENDS)


def test_json_is_one_object_with_every_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["selfcheck", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] is True
    assert said["kernels"] == kernels()
    assert len(said["checks"]) == 3 * len(kernels()) + len(BACKENDS) + 1
    assert all(outcome.startswith("ok, ") for outcome in said["checks"].values())
    assert all(nanoseconds > 0 for nanoseconds in said["timings_ns"].values())


def test_a_wrong_answer_fails_and_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    loads = json.loads

    def tampered(text: str) -> Any:
        answers = loads(text)
        answers["orders"][0]["body"] = answers["orders"][0]["body"].replace("BUY", "SELL")
        return answers

    monkeypatch.setattr(selfcheck.json, "loads", tampered)
    assert cli.main(["selfcheck"]) == 1
    shown = capsys.readouterr().out
    assert "FAILED: do not trade with this build" in shown
    assert "FAILED: v1-shared-" in shown


def test_an_interrupt_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> dict[str, Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr(selfcheck, "run_checks", interrupted)
    assert cli.main(["selfcheck"]) == 130


def test_without_arguments_it_is_a_short_run(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setitem(cli.COMMANDS, "run", lambda given: asked.append(given) or 0)
    monkeypatch.setattr(sys, "argv", ["polyarb"])
    assert cli.main() == 0
    (given,) = asked
    assert (given.mode, given.duration, given.config) == ("sim", 30, None)


def test_an_interrupt_before_the_command_runs_ends_with_130(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "main", interrupted)
    assert polyarb.__main__.main() == 130


@pytest.mark.parametrize("arguments", [["bogus"], ["selfcheck", "--bogus"]])
def test_bad_usage_ends_with_2_and_says_what_there_is(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m polyarb" in capsys.readouterr().err


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["selfcheck", "--help"])
    assert ended.value.code == 0
    assert "example:\n  " in capsys.readouterr().out


def test_a_bad_kernel_ends_with_2_and_no_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "polyarb"],
        env={**os.environ, "POLYARB_KERNEL": "sse9"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("polyarb: POLYARB_KERNEL 'sse9' cannot run here; allowed: scalar")
    assert "Traceback" not in done.stderr


def test_a_folder_without_the_core_says_how_to_build_it(tmp_path: Path) -> None:
    package = Path(polyarb.__main__.__file__).parent
    for source in (*package.rglob("*.py"), *package.rglob("*.json")):
        copy = tmp_path / "polyarb" / source.relative_to(package)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(source.read_text())
    done = subprocess.run(
        [sys.executable, "-S", "-m", "polyarb"],  # -S: not the installed polyarb's core either
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "run `pip install -e .` here" in done.stderr
    assert "Traceback" not in done.stderr
