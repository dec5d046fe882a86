"""``python -m polyarb exchange``: its line, its summary, its exit codes."""

import json
import subprocess
import sys
from pathlib import Path

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
    assert cli.main(["exchange", "--scenario", "still", "--duration", "0.01", "--seed", "7"]) == 0
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
        (["--log", "/dev/full"], "/dev/full: No space left on device"),
        (["--balance", "1e3"], "balance '1e3' is no amount of up to six decimals"),
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1 port 0: "),
    ],
)
def test_what_exchange_cannot_use_ends_with_2_and_is_named(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["exchange", "--duration", "0.01", *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines()[-1].startswith(f"polyarb: {said}")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "65536"], "port '65536' is no whole number in 0..65535"),
        (["--port", "abc"], "port 'abc' is no whole number in 0..65535"),
        (["--markets", "0"], "number of markets '0' is no whole number in 1..100000"),
        (["--markets", "100001"], "'100001' is no whole number in 1..100000"),
        *(
            (["--duration", seconds], f"duration '{seconds}' is no number of seconds above 0")
            for seconds in ("soon", "0", "-1", "nan", "inf", "1e300")
        ),
        (["--signature-type", "4"], "invalid choice: 4"),
        (["--unknown", "7"], "unrecognized arguments: --unknown 7"),
    ],
)
def test_bad_arguments_of_exchange_end_with_2_and_its_own_usage(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["exchange", *arguments])
    assert ended.value.code == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert shown.startswith("usage: python -m polyarb exchange ")


def test_what_of_a_recording_trades_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    market = {
        "id": "1",
        "conditionId": f"0x{1:064x}",
        "outcomes": ["Yes", "No"],
        "outcomePrices": ["1", "0"],
        "closed": True,
        "clobTokenIds": ["1", "2"],
    }
    other = {**market, "id": "2", "conditionId": f"0x{2:064x}", "clobTokenIds": ["3", "4"]}
    path = tmp_path / "gamma.jsonl"
    path.write_text(json.dumps([market, other | {"closed": False}]))
    assert cli.main(["exchange", "--duration", "0.01", "--gamma", str(path)]) == 0
    told = capsys.readouterr().err.splitlines()
    assert told[0] == f"polyarb: loading {path} ..."
    assert told[1] == "polyarb: 1 markets in 1 events; left out: 1 settled"
    path.write_text(json.dumps(market))
    assert cli.main(["exchange", "--duration", "0.01", "--gamma", str(path)]) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[-1] == f"polyarb: {path}: no market to trade; left out: 1 settled"


def test_books_of_other_markets_are_refused_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "books.json"
    path.write_text('{"asset_id": "5", "bids": [], "asks": []}')
    assert cli.main(["exchange", "--duration", "0.01", "--books", str(path)]) == 2
    said = f"polyarb: {path}: no book of a market there is; left out: 1 unknown token\n"
    assert capsys.readouterr().err == said


def test_exchange_needs_no_core() -> None:
    """Whoever only wants the exchange need not have a compiler's work at hand."""
    script = (
        "import sys; sys.modules['polyarb._core'] = None\n"
        "from polyarb.control import cli\n"
        "sys.exit(cli.main(['exchange', '--duration', '0.01']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
