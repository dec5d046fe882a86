"""``python -m polyarb exchange``: its line, its summary, its exit codes."""

import json
import subprocess
import sys

import pytest

from polyarb.control import cli


def test_the_scenarios_are_listed_with_what_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["exchange", "--scenario", "list"]) == 0
    rows = [line.split("  ", 1) for line in capsys.readouterr().out.splitlines()]
    assert {"default", "quiet", "still", "storm"} <= {name.strip() for name, _ in rows}
    assert all(about.strip() for _, about in rows)


def test_the_help_of_exchange_explains_its_line_and_has_examples(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["exchange", "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    for said in ("clob_url", "--scenario", "Ctrl-C", "examples:\n  python -m polyarb exchange"):
        assert said in shown


def test_exchange_prints_one_line_of_json_and_ends_with_a_summary(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["exchange", "--scenario", "still", "--duration", "0", "--seed", "7"]) == 0
    shown = capsys.readouterr()
    (line,) = shown.out.splitlines()
    told = json.loads(line)
    assert told["clob_url"].startswith("http://127.0.0.1:")
    assert told["gamma_url"] == told["clob_url"] + "/gamma"
    assert told["market_ws_url"] == told["clob_url"].replace("http", "ws", 1) + "/ws/market"
    assert (told["seed"], told["scenario"], told["chain_id"]) == (7, "still", 137)
    account = told["account"]
    assert set(account["wallets"]) == {"0", "1", "2", "3"}
    assert account["funder"] == account["wallets"][str(account["signature_type"])]
    assert "ledger check   OK" in shown.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--scenario", "nix"], "no scenario 'nix'; allowed: "),
        (["--scenario", "nix.toml"], "nix.toml: No such file or directory"),
        (["--gamma", "nix.json"], "nix.json: No such file or directory"),
        (["--books", "nix.json"], "nix.json: No such file or directory"),
        (["--log", "/nix/log"], "/nix/log: No such file or directory"),
        (["--balance", "1e3"], "balance '1e3' is no amount of up to six decimals"),
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1 port 0: "),
    ],
)
def test_what_exchange_cannot_use_ends_with_2_and_is_named(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["exchange", "--duration", "0", *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"polyarb: {said}")


@pytest.mark.parametrize(
    "arguments",
    [["--port", "65536"], ["--port", "x"], ["--signature-type", "4"], ["--duration", "soon"]],
)
def test_bad_arguments_of_exchange_end_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["exchange", *arguments])
    assert ended.value.code == 2


def test_exchange_needs_no_core() -> None:
    """Whoever only wants the exchange need not have a compiler's work at hand."""
    script = (
        "import sys; sys.modules['polyarb._core'] = None\n"
        "from polyarb.control import cli\n"
        "sys.exit(cli.main(['exchange', '--duration', '0']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
