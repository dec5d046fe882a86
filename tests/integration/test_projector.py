"""The trade journal in a database: both kinds of database, and the process that writes them."""

import json
import os
import random
import select
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import journals
import postgres
import pytest
from journals import SEGMENT_BYTES, WALL_NS, fill, intent, order_id, settled

from polyarb import errors
from polyarb.journal import database, projector, record, segment, tables
from polyarb.journal.database import Database, Position
from polyarb.journal.follower import Follower
from polyarb.journal.projector import Projector, Syncer
from polyarb.journal.record import Note, Outcome, Purpose, Witness
from polyarb.journal.writer import Journal

ROOT = Path(__file__).parents[2]
A, B = order_id(1), order_id(2)


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    with postgres.server() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'trades.db'}"
    return request.getfixturevalue("server").schema()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal", WALL_NS, segment_bytes=SEGMENT_BYTES) as opened:
        yield opened


def append(journal: Journal, *records: record.Record) -> None:
    for each in records:
        journal.append(each, WALL_NS + journal.seq + 1)


def query(url: str, text: str) -> list[tuple[Any, ...]]:
    if url.startswith("sqlite:"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:"))) as connection:
            return connection.execute(text).fetchall()
    import psycopg

    with psycopg.connect(url) as connection:
        return connection.execute(text).fetchall()


def project(folder: Path, url: str, **options: Any) -> int:
    """Bring a database up to date; return how many records that took."""
    running = Projector(folder, url, **options)
    try:
        count = 0
        while step := running.step():
            count += step
        return count
    finally:
        running.close()


def dump(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return every table, in an order that does not depend on the database."""
    return {
        name: sorted(
            (tuple(map(_plain, row)) for row in query(url, f"SELECT * FROM {name}")),  # noqa: S608
            key=str,
        )
        for name in tables.TABLES
    }


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value


# -- what the tables say


def test_one_record_of_each_kind_makes_these_rows(url, journal):
    append(journal, *journals.one_of_each())
    assert project(journal.folder, url) == len(record.KINDS) + 1
    at = WALL_NS
    rows = dump(url)
    market = (journals.TRADED, journals.CONDITION, 1, "BUY")
    plan = ("b-1", "open", "FAK", *market, 4_200, 10_000_000, 4_200_000, 10_000_000, 4_200_000)
    times = (at + 5, at + 6)
    no_cancel = "the order is already canceled or matched"
    assert rows["orders"] == [
        (A, *plan, 12_345, "matched", "", "", 0, *times, at + 7, None, None),
        (B, *plan, 12_345, "live", no_cancel, "<html>", 0, *times, at + 8, at + 9, at + 11),
    ]
    traded = (journals.TRADED, "BUY", 10_000_000, 4_200_000, 12_345)
    assert rows["fills"] == [("t-1", A, "b-1", *traded, "MATCHED", 0, "", at + 10, at + 10)]
    sums = (4_200_000, 24_690, 4_150_000, -74_690, 0)
    plan = ("b-1", "negrisk_yes:1", "FAK", 2, 10_000_000, 500_000, 8_424_690)
    assert rows["baskets"] == [
        (*plan, "closed", "one leg is missing", "unwound", *sums, at + 5, at + 14, at + 14)
    ]
    assert rows["cash"] == [(4, at + 4, "b-1", "reserved", 8_424_690, 91_575_310, 8_424_690)]
    assert rows["skips"] == [(3, at + 3, "stale", 17, "ladder:3", "bid 0.41, 3 s old")]
    what = ("s-1", "merge", "submitted", journals.CONDITION, 10_000_000, 10_000_000)
    assert rows["settlements"] == [(*what, "", 7, "b-1", "", at + 15, at + 15)]
    assert [row[2:] for row in query(url, "SELECT * FROM events ORDER BY seq")] == [
        ("started", "run-1", f"polyarb 0.1.0, kernel avx2, mode sim, account 0x{'a' * 40}"),
        ("resumed", "start", "books are live"),
        ("cancel", "b-1", "1 orders: time-out"),
        ("note", "reconcile", "a foreign order 0x9 is left alone"),
    ]
    assert rows["unread"] == rows["stages"] == []


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ([], "intended"),
        ([record.Sent("b", (A,), 1)], "sent"),
        ([record.Answer("b", A, Outcome.REFUSED, reason="tick")], "refused"),
        ([record.Answer("b", A, Outcome.LATER)], "later"),
        ([record.Answer("b", A, Outcome.ACCEPTED, "Delayed")], "delayed"),
        ([record.Answer("b", A, Outcome.ACCEPTED)], "accepted"),
        ([record.Answer("b", A, Outcome.UNKNOWN), record.Sent("b", (A,), 1)], "unknown"),
        (
            [
                record.Answer("b", A, Outcome.UNKNOWN),
                record.Seen(A, "MATCHED", 10_000_000, Witness.REST, "b"),
            ],
            "matched",
        ),
        (
            [
                record.Seen(A, "MATCHED", 10_000_000, Witness.USER, "b"),
                record.Answer("b", A, Outcome.ACCEPTED, "live"),
            ],
            "matched",
        ),
        ([record.Seen(A, "ORDER_STATUS_CANCELED", 0, Witness.REST)], "canceled"),
        ([record.CancelAnswer(A, True)], "canceled"),
        ([record.CancelAnswer(A, False, "matched")], "intended"),
    ],
)
def test_an_order_is_in_the_state_that_was_heard_of_it_last(url, journal, said, state):
    append(journal, intent("b", 1), *said)
    project(journal.folder, url)
    assert query(url, "SELECT state FROM orders") == [(state,)]


def test_what_an_order_matched_does_not_shrink(url, journal):
    append(journal, intent("b", 1))
    for matched_e6 in (0, 5, 3, 9, 9, 0):
        append(journal, record.Seen(A, "LIVE", matched_e6, Witness.USER, "b"))
    project(journal.folder, url)
    assert query(url, "SELECT matched_e6 FROM orders") == [(9,)]


def test_an_order_that_was_never_intended_is_in_the_table_without_a_plan(url, journal):
    append(journal, record.Seen("0xforeign", "LIVE", 7, Witness.REST))
    project(journal.folder, url)
    found = query(url, "SELECT order_id, basket, purpose, state, matched_e6 FROM orders")
    assert found == [("0xforeign", "", None, "live", 7)]


def test_a_fill_is_one_row_whatever_is_sent_again_and_its_end_stands(url, journal):
    for state, tx in [("MATCHED", ""), ("MATCHED", ""), ("MINED", "0xa"), ("CONFIRMED", "0xb")]:
        append(journal, fill("t", 1, "b", state, tx))
    append(journal, fill("t", 1, "b", "MATCHED"), fill("t", 2, "b"), fill("u", 1, "b"))
    append(journal, fill("v", 1, "b"), fill("v", 1, "b", "FAILED"), fill("v", 1, "b", "MINED"))
    project(journal.folder, url)
    found = query(url, "SELECT trade_id, order_id, state, tx FROM fills ORDER BY 1, 2")
    assert found == [
        ("t", A, "CONFIRMED", "0xb"),
        ("t", B, "MATCHED", ""),
        ("u", A, "MATCHED", ""),
        ("v", A, "FAILED", ""),
    ]


def test_an_unwind_adds_orders_to_its_basket_and_changes_no_plan(url, journal):
    append(journal, intent("b", 1), record.Sent("b", (A,), 5), record.Phase("b", "unwinding", "x"))
    append(journal, intent("b", 2, 3, purpose=Purpose.UNWIND), record.Sent("b", (B,), 6))
    project(journal.folder, url)
    assert query(url, "SELECT leg_count, state, why FROM baskets") == [(1, "unwinding", "x")]
    found = query(url, "SELECT purpose, state FROM orders ORDER BY order_id")
    assert found == [("open", "sent"), ("unwind", "sent"), ("unwind", "intended")]


def test_a_stranded_basket_stays_so_and_stages_are_rows(url, journal):
    closed = record.Closed("b", record.Result.STRANDED, 5, 1, 0, -2, 5, {"sign": 44_000, "ack": 9})
    append(journal, intent("b", 1), closed)
    project(journal.folder, url)
    found = query(url, "SELECT state, result, pnl_e6, exposure_e6 FROM baskets")
    assert found == [("stranded", "stranded", -2, 5)]
    assert query(url, "SELECT stage, ns FROM stages ORDER BY 1") == [("ack", 9), ("sign", 44_000)]


def test_a_settlement_is_one_row_and_its_end_stands(url, journal):
    for state in ("planned", "submitted", "unknown", "mined", "confirmed", "submitted"):
        append(journal, settled("s", state, tx="0xabc" if state == "mined" else ""))
    project(journal.folder, url)
    assert query(url, "SELECT state, tx FROM settlements") == [("confirmed", "0xabc")]


def test_skips_are_counted_by_reason(url, journal):
    append(journal, *(record.Skip("stale", n) for n in (5, 7)), record.Skip("cool-down", 1))
    project(journal.folder, url)
    counted = "SELECT reason, CAST(SUM(skipped) AS BIGINT) FROM skips GROUP BY 1 ORDER BY 1"
    assert query(url, counted) == [("cool-down", 1), ("stale", 12)]


def test_records_of_a_newer_build_are_kept(url, journal, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(record, "encode", lambda _: (4_000, 3, b"\xffnew"))
        append(journal, Note("a", ""))
    append(journal, Note("b", ""))
    running = Projector(journal.folder, url)
    assert (running.step(), running.unread) == (2, 1)
    running.close()
    found = query(url, "SELECT seq, kind, version, payload FROM unread")
    assert found == [(1, 4_000, 3, "ff6e6577")]


def test_any_text_and_any_number_can_be_stored(url, journal):
    texts = ["\0", "a\0b", "''; DROP TABLE orders; --", "%s ? {}", "\U0001f4a9é", "x" * 100_000]
    append(journal, *(Note(f"{n}", text) for n, text in enumerate(texts)))
    most, least = 2**63 - 1, -(2**63)
    append(journal, record.Cash(record.CashChange.RECONCILED, least, most, least, "\0"))
    append(journal, record.Seen("i" * 256, "LIVE", most, Witness.USER, "b" * 256))
    project(journal.folder, url)
    found = [text for (text,) in query(url, "SELECT said FROM events ORDER BY seq")]
    assert found == [text.replace("\0", "\ufffd") for text in texts]
    cash = query(url, "SELECT basket, amount_e6, balance_e6, held_e6 FROM cash")
    assert cash == [("\ufffd", least, most, least)]
    assert query(url, "SELECT matched_e6 FROM orders") == [(most,)]


# -- how far it goes


def test_in_any_steps_and_with_any_stops_the_rows_are_the_same(url, journal, tmp_path, monkeypatch):
    chance = random.Random(7)
    given = journals.some_records(600, seed=7)
    append(journal, *given)
    whole = f"sqlite:{tmp_path / 'whole.db'}"
    assert project(journal.folder, whole) == 600
    left = 600
    while left:
        running = Projector(journal.folder, url)
        read = running._follower.read
        monkeypatch.setattr(
            running._follower, "read", lambda read=read: read(chance.randrange(1, 40))
        )
        for _ in range(chance.randrange(1, 4)):
            left -= running.step()
        running.close()
    assert dump(url) == dump(whole)
    assert project(journal.folder, url) == 0


def test_a_step_that_fails_leaves_nothing(url, journal, monkeypatch):
    append(journal, *journals.one_of_each())
    statements = tables.statements

    def failing(entry: record.Entry) -> Iterator[tables.Statement]:
        yield from statements(entry)
        if entry.seq == 9:
            yield "INSERT INTO orders (order_id) VALUES (?)", (None,)

    with monkeypatch.context() as patch:
        patch.setattr(tables, "statements", failing)
        with pytest.raises(errors.DatabaseError, match=r"NOT NULL|not-null"):
            project(journal.folder, url)
    assert not any(dump(url).values())
    assert project(journal.folder, url) == len(journals.one_of_each())


def test_two_projectors_do_not_write_one_database(url, journal):
    append(journal, Note("a", ""))
    first, second = Projector(journal.folder, url), Projector(journal.folder, url)
    assert first.step() == 1
    with pytest.raises(errors.DatabaseOwnedError, match="does not stand at record 0 any more"):
        second.step()
    append(journal, Note("b", ""))
    second.reconnect()
    assert second.step() == 1
    with pytest.raises(errors.DatabaseOwnedError, match="does not stand at record 1 any more"):
        first.step()
    first.close()
    second.close()
    assert len(query(url, "SELECT * FROM events")) == 2


def test_another_journal_is_refused(url, journal, tmp_path):
    append(journal, Note("a", ""))
    project(journal.folder, url)
    with Journal(tmp_path / "other", WALL_NS + 1, segment_bytes=SEGMENT_BYTES) as other:
        append(other, Note("a", ""))
        with pytest.raises(errors.DatabaseOwnedError, match=f"begun at {WALL_NS}, not the one"):
            project(other.folder, url)
        assert project(other.folder, url, rebuild=True) == 1


def test_a_journal_that_lost_what_the_database_has_is_told_and_rebuilt(url, journal, tmp_path):
    """What a power cut may do where the disk is never asked."""
    append(journal, Note("a", ""))
    left = tmp_path / "left"
    left.mkdir()
    (path,) = segment.paths(journal.folder)
    (left / path.name).write_bytes(path.read_bytes())
    append(journal, Note("lost", ""), Note("lost", ""))
    project(journal.folder, url)
    with pytest.raises(errors.JournalMissingError, match="ends with record 1; record 3 was there"):
        project(left, url)
    with Journal(left, WALL_NS, segment_bytes=SEGMENT_BYTES) as later:
        append(later, Note("b", ""), Note("c", ""), Note("d", ""))
        with pytest.raises(errors.JournalMissingError, match="record 3 is another one"):
            project(left, url)
        assert project(left, url, rebuild=True) == 4
        assert project(left, url) == 0
    assert query(url, "SELECT subject FROM events ORDER BY seq") == [(c,) for c in "abcd"]


def test_tables_of_another_version_are_refused_and_rebuilt(url, journal):
    append(journal, Note("a", ""))
    project(journal.folder, url)
    with Database(url) as opened, opened._transaction():
        opened._run("UPDATE journal SET version = 99")
    with pytest.raises(errors.DatabaseError, match="tables of version 99, this build knows 1"):
        project(journal.folder, url)
    assert project(journal.folder, url, rebuild=True) == 1


def test_the_disk_is_asked_before_the_database_knows(url, journal, monkeypatch):
    asked = []
    append(journal, Note("a", ""))
    syncer = Syncer(journal.folder)
    monkeypatch.setattr(syncer, "sync", lambda: asked.append(query(url, "SELECT * FROM events")))
    project(journal.folder, url, syncer=syncer)
    assert asked == [[]]
    assert len(query(url, "SELECT * FROM events")) == 1


def test_the_disk_is_asked_for_every_segment_that_may_have_changed(journal, monkeypatch):
    asked: list[str] = []
    monkeypatch.setattr("polyarb.journal.projector._sync", lambda path: asked.append(path.name))
    syncer = Syncer(journal.folder)
    for n in range(12):
        append(journal, Note(f"{n}", "x" * 500_000))
        journal.tend(1)
        asked.clear()
        syncer.sync()
        names = [path.name for path in segment.paths(journal.folder)]
        assert asked[-2:] == names[-2:]
        assert len(asked) <= 3


def dirty_kb(path: Path) -> int:
    """Return how much of our mapping of a file its disk does not have."""
    lines = iter(Path("/proc/self/smaps").read_text().splitlines())
    assert any(line.endswith(str(path)) for line in lines)
    found = {}
    for line in lines:
        if line.startswith("VmFlags"):
            break
        found.update([line.split()[:2]])
    return int(found["Shared_Dirty:"]) + int(found["Private_Dirty:"])


def test_another_process_gets_the_writers_pages_to_the_disk(journal):
    kind = subprocess.run(
        ["stat", "-f", "-c", "%T", journal.folder], capture_output=True, text=True, check=True
    )
    if kind.stdout.strip() in {"tmpfs", "ramfs"}:
        pytest.skip("temporary files are in memory here; set TMPDIR to a disk")
    append(journal, *(Note("n", "x" * 3_000) for _ in range(100)))
    (path,) = segment.paths(journal.folder)
    assert dirty_kb(path) >= 300
    code = "import sys, pathlib; from polyarb.journal.projector import Syncer as S; "
    code += "S(pathlib.Path(sys.argv[1])).sync()"
    subprocess.run([sys.executable, "-c", code, journal.folder], cwd=ROOT, check=True)
    assert dirty_kb(path) == 0
    append(journal, Note("n", "x" * 3_000))
    assert 0 < dirty_kb(path) < 300


def test_a_disk_that_does_not_take_it_ends_the_process(journal, tmp_path, monkeypatch):
    def refuse(path: Path) -> None:
        raise errors.JournalAccessError(f"{path}: Input/output error")

    monkeypatch.setattr(projector, "_sync", refuse)
    append(journal, Note("a", ""))
    source, ours = os.pipe()
    url = f"sqlite:{tmp_path / 'trades.db'}"
    with pytest.raises(errors.JournalAccessError, match="Input/output error"):
        projector.run(source, journal.folder, url, sync_ms=60_000, rebuild=False)
    assert rows(url) == 0
    project(journal.folder, url)
    said = projector.run(source, journal.folder, url, sync_ms=1, rebuild=False)
    assert said["error"].endswith("Input/output error")
    os.close(source)
    os.close(ours)


# -- databases that are not there


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("", "begins with ''"),
        ("mysql://me:hunter2@db/x", "begins with 'mysql', not with sqlite: or postgresql:"),
        ("hunter2", "begins with ''"),
        ("sqlite://me:hunter2@host/x", "must be sqlite:FILE or sqlite:///FILE"),
        ("sqlite:", "must be sqlite:FILE"),
        ("http://[hunter2", "is no URL"),
        ("postgresql://me:hunter2@/x?nonsense=1", "nonsense"),
    ],
)
def test_a_url_that_names_none_is_refused_without_its_password(bad, says):
    if bad.startswith("postgresql"):
        pytest.importorskip("psycopg", reason="the extra `postgres` is not installed")
    with pytest.raises(errors.DatabaseError, match=says) as caught:
        Database(bad)
    assert "hunter2" not in str(caught.value)


def test_without_psycopg_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(errors.DatabaseError, match=r"pip install 'polyarb\[postgres\]'"):
        Database("postgresql://localhost/x")


def test_files_that_are_no_database_are_refused(tmp_path):
    (tmp_path / "text").write_text("no database " * 100)
    with pytest.raises(errors.DatabaseError, match="not a database"):
        Database(f"sqlite:{tmp_path / 'text'}")
    with pytest.raises(errors.DatabaseUnreachableError, match="unable to open"):
        Database(f"sqlite://{tmp_path}/no/such/folder.db")


def test_a_file_made_for_it_is_for_this_user_only(tmp_path):
    Database(f"sqlite:///{tmp_path}/a b.db".replace(" ", "%20")).close()
    assert (tmp_path / "a b.db").stat().st_mode & 0o777 == 0o600


def test_a_locked_file_is_waited_for_and_then_unreachable(tmp_path, journal, monkeypatch):
    monkeypatch.setattr(database, "BUSY_S", 0.01)
    url = f"sqlite:{tmp_path / 'trades.db'}"
    append(journal, Note("a", ""))
    running = Projector(journal.folder, url)
    with closing(sqlite3.connect(tmp_path / "trades.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(errors.DatabaseUnreachableError, match="locked"):
            running.step()
    running.reconnect()
    assert running.step() == 1
    running.close()


def test_a_server_of_another_encoding_is_refused(server):
    with pytest.raises(errors.DatabaseError, match="server encoding LATIN1, it must be UTF8"):
        Database(server.database("LATIN1"))


def test_a_server_that_is_not_there_is_unreachable(server):
    for url in (server.url("nothing"), "postgresql://me:hunter2@/x?host=/nowhere"):
        with pytest.raises(errors.DatabaseUnreachableError) as caught:
            Database(url)
        assert "hunter2" not in str(caught.value)


# -- the process


class Process:
    """A projector of its own, told what the engine would tell it."""

    def __init__(self, **asked: Any) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "polyarb.journal.projector"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._child.stdin
        self._child.stdin.write(json.dumps(asked) + "\n")
        self._child.stdin.flush()
        self.pid = self._child.pid

    def said(self) -> dict[str, Any]:
        """Return the next line."""
        assert self._child.stdout
        return json.loads(self._child.stdout.readline())

    def end(self) -> tuple[int, dict[str, Any]]:
        """End its stdin; return its exit code and its last line."""
        out, _ = self._child.communicate(timeout=60)
        return self._child.returncode, json.loads(out.splitlines()[-1])

    def kill(self) -> None:
        self._child.kill()
        self._child.communicate(timeout=60)


@contextmanager
def process(**asked: Any) -> Iterator[Process]:
    running = Process(**asked)
    try:
        yield running
    finally:
        running.kill()


def until(holds: Callable[[], bool]) -> None:
    for _ in range(4_000):
        if holds():
            return
        select.select([], [], [], 0.005)
    raise AssertionError("never came")


def rows(url: str) -> int:
    return len(query(url, "SELECT seq FROM events"))


def test_the_process_follows_and_ends_with_all_there_is(url, journal):
    with process(folder=str(journal.folder), url=url, sync_ms=1) as running:
        assert running.said() == {"seq": 0}
        append(journal, Note("a", ""))
        until(lambda: rows(url) == 1)
        for number in (signal.SIGINT, signal.SIGTERM):  # these are for the engine
            os.kill(running.pid, number)
        append(journal, *(Note("b", "") for _ in range(3_000)))
        assert running.end() == (0, {"seq": 3_001, "unread": 0, "error": ""})
    assert rows(url) == 3_001


def test_a_killed_process_is_followed_by_one_that_goes_on(url, journal, tmp_path):
    chance = random.Random(3)
    given = 0
    for _ in range(8):
        with process(folder=str(journal.folder), url=url) as running:
            assert set(running.said()) == {"seq"}
            append(journal, *journals.some_records(400, seed=given))
            given += 400
            goal = chance.randrange(given - 399, given)
            until(lambda goal=goal: query(url, "SELECT seq FROM journal") >= [(goal - 300,)])
    assert given - project(journal.folder, url) >= 400  # some of it was written by them
    whole = f"sqlite:{tmp_path / 'whole.db'}"
    project(journal.folder, whole)
    assert dump(url) == dump(whole)


def test_the_process_waits_for_a_database_that_is_gone(server, journal):
    url = server.schema()
    with process(folder=str(journal.folder), url=url) as running:
        assert running.said() == {"seq": 0}
        append(journal, Note("a", ""))
        until(lambda: rows(url) == 1)
        server.stop()
        append(journal, Note("b", ""))
        assert "waiting" in running.said()
        server.start()
        assert running.said() == {"seq": 1}
        until(lambda: rows(url) == 2)
        assert running.end()[1]["seq"] == 2


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({}, "the first line must be JSON with folder and url"),
        ({"folder": "x", "url": "mysql:hunter2"}, "begins with 'mysql'"),
        ({"folder": "/no/such", "url": "sqlite:t.db"}, "/no/such: No such file"),
        ({"folder": "x", "url": "sqlite:t.db", "sync_ms": -1}, "sync_ms -1 is outside 0..60000"),
        ({"folder": "x", "url": "sqlite:t.db", "sink": 1}, "sink: none of folder, url, sync_ms"),
        ({"folder": "x", "url": 5}, "url must be text"),
    ],
)
def test_the_process_says_why_it_cannot_begin(asked, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with process(**asked) as running:
        code, said = running.end()
    assert code == 1
    assert says in said["error"]
    assert "hunter2" not in json.dumps(said)


def test_a_journal_that_becomes_unreadable_ends_the_process(url, journal):
    append(journal, *(Note("a", "") for _ in range(10)))
    (path,) = segment.paths(journal.folder)
    with path.open("r+b") as file:
        file.seek(64 + 40 * 5 + 20)
        file.write(b"\xff" * 4)
    with process(folder=str(journal.folder), url=url) as running:
        assert running.said() == {"seq": 0}
        code, said = running.end()
    assert code == 1
    assert said["kind"] == "JournalCorruptError"
    assert f"{path}: byte " in said["error"]
    with Follower(journal.folder) as follower:
        assert len(follower.read()) == 5
        assert Database(url).position() == Position(WALL_NS, 5, follower.crc)
        with pytest.raises(errors.JournalCorruptError):
            follower.read()
    assert rows(url) == 5
