"""``python -m polyarb run`` as a process: the embedded exchange, trades, the summary, the end."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from polyarb.control.ledger import baskets
from polyarb.journal.follower import Follower

KEYS = {
    *("mode", "seed", "duration_s", "kernel", "messages", "frames_rejected", "books_total"),
    *("books_ready", "warmup_ms", "relations", "opportunities", "accepted", "skipped", "survival"),
    *("scan", "hot_path_rest_calls", "trading"),
}


def started(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "polyarb", "run", "--run-dir", str(tmp_path / "run"), *arguments],
        cwd=tmp_path,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[str], within_s: float = 60) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=within_s)
    finally:
        if process.poll() is None:
            process.kill()
    return process.returncode, out, err


def told(out: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


def test_it_trades_and_accounts_for_every_basket(tmp_path: Path) -> None:
    storm = tmp_path / "often.toml"
    storm.write_text("[market]\nmispricings_per_min = 400.0\nrival_ms = 2000.0\n")
    arguments = ("--duration", "10", "--scenario", str(storm), "--seed", "3", "--json")
    code, out, err = ended(started(tmp_path, *arguments))
    assert code == 0, err
    summary = told(out)
    assert summary.keys() >= KEYS
    traded = summary["trading"]
    ends = ("complete", "partial", "unwound", "stranded", "failed", "blocked")
    assert traded["executed"] == sum(traded[end] for end in ends) > 0, err
    assert traded["complete"] > 0
    assert (traded["open"], traded["stranded"]) == (0, 0)
    assert traded["held_e6"] == 0
    assert summary["hot_path_rest_calls"] == summary["scan"]["wrong"] == 0
    with Follower(tmp_path / "run" / "journal") as follower:
        found = baskets(follower.read(1 << 20))
    assert len(found) == traded["executed"] - traded["blocked"]
    assert all(each.closed for each in found.values())
    assert "ledger check   OK" in err
    check_database(tmp_path / "run" / "trades.db", traded)


def check_database(path: Path, traded: dict[str, Any]) -> None:
    """Hold the database of a run against its summary."""
    with closing(sqlite3.connect(path)) as database:

        def rows(text: str) -> list[tuple[Any, ...]]:
            return database.execute(text).fetchall()

        assert rows("SELECT count(*) FROM baskets WHERE state = 'closed'") == [
            (traded["executed"],)
        ]
        assert rows("SELECT sum(pnl_e6) FROM baskets") == [(traded["pnl_e6"],)]
        assert rows("SELECT count(*) FROM fills WHERE state = 'CONFIRMED'")[0][0] > 0
        moves = rows("SELECT change, amount_e6, balance_e6, held_e6 FROM cash ORDER BY seq")
    free_e6 = held_e6 = 0
    for change, amount_e6, free_then_e6, held_then_e6 in moves:
        held_e6 += {"reserved": 1, "committed": -1, "released": -1}.get(change, 0) * amount_e6
        sign = {"reserved": -1, "released": 1, "credited": 1, "reconciled": 1}.get(change, 0)
        free_e6 += sign * amount_e6
        assert (free_e6, held_e6) == (free_then_e6, held_then_e6), change
    assert (free_e6, held_e6) == (traded["balance_e6"], 0)
    assert {change for change, *_ in moves} >= {"reserved", "committed", "reconciled"}


def test_a_database_that_cannot_be_is_said_and_the_run_goes_on(tmp_path: Path) -> None:
    url = "postgresql://someone:hunter2@127.0.0.1:1/nowhere"
    arguments = ("--duration", "2", "--json")
    code, out, err = ended(started(tmp_path, *arguments, POLYARB_DATABASE_URL=url))
    assert code == 0, err
    assert told(out)["trading"]["open"] == 0
    assert "polyarb: database: " in err
    assert "hunter2" not in out + err
    assert "Traceback" not in err


def test_without_a_database_there_is_the_journal_alone(tmp_path: Path) -> None:
    code, _, err = ended(started(tmp_path, "--duration", "1", POLYARB_DATABASE_URL=""))
    assert code == 0, err
    assert not (tmp_path / "run" / "trades.db").exists()
    assert (tmp_path / "run" / "journal").exists()


def test_detection_alone_is_a_mode_of_its_own(tmp_path: Path) -> None:
    process = started(tmp_path, "--duration", "3", "--json", REAL_TRADING_ENABLED="false")
    code, out, err = ended(process)
    assert code == 0, err
    assert told(out)["trading"] is None
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order(tmp_path: Path, number: signal.Signals) -> None:
    process = started(tmp_path, "--json")
    assert process.stderr
    for line in process.stderr:
        if "warm after" in line:
            break
    time.sleep(0.2)
    process.send_signal(number)
    code, out, err = ended(process)
    assert code == 130, err
    assert told(out)["books_ready"] > 0
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"POLYARB_BOOK_MAX_STALE_MS": "0"}, "POLYARB_BOOK_MAX_STALE_MS = 0"),
        ({"POLYARB_DETECTION_BUILDERS": "magic"}, "detection.builders: 'magic' is none of"),
        ({"POLYARB_UNIVERSE_EVENTS": "no-such-event"}, "no market that can be traded"),
        ({"POLYARB_KERNEL": "sse9"}, "sse9"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    tmp_path: Path, environment: dict[str, str], said: str
) -> None:
    code, _, err = ended(started(tmp_path, "--duration", "1", **environment))
    assert code == 2
    assert said in err
    assert "Traceback" not in err
