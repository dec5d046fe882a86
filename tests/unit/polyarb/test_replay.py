"""Replay: the same bytes give the same books, and the report says what the checks really found."""

import hashlib
import io
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import recorded
from conftest import captures
from feeds import CONT, PING, TEXT, Library, Line, book, change, closing, dump, frame, text
from recorded import NO, START_MS, YES
from rich.console import Console

from polyarb import clock, errors
from polyarb.control import cli
from polyarb.control.integrity import LONG_NS, Integrity
from polyarb.control.replay import Player, replay, show, shown_book, state_digest
from polyarb.core.book import State
from polyarb.core.decode import Decoder
from polyarb.journal import frames
from polyarb.journal.frames import FrameWriter, Kind, Record

VECTORS = Path(__file__).parents[2] / "vectors"
STORY = [VECTORS / "recorded.jsonl", VECTORS / "recorded.ndjson"]
STORY_DIGEST = "cc1040782353aa6f289c799da793c63c5994d61437138852dbe0397c38e975e9"
MS = 1_000_000
WALL_NS = 1_790_000_000_000_000_000

CAPTURED = {
    "2025-07-03_btc-hourly_v1_part1.jsonl": 91,
    "2025-12-23_btc-15m_three-frames.ndjson": 3,
    "2026-05-14_btc-5m_burst_part1_506ms.ndjson": 126,
    "2026-09-07_esports-match_both-tokens_153s.ndjson": 64,
    "2026-10-02_neg-risk_three-markets_24min.jsonl": 178,
    "singles.jsonl": 12,
}


def played(*paths: Path, **options: Any) -> Player:
    player = Player(64, **options)
    replay(paths, player)
    return player


def integrity(player: Player) -> Integrity:
    assert player.integrity
    return player.integrity


def spans(player: Player) -> dict[str, tuple[list[float], int]]:
    """Return, for each check that fired, how many ms it held each time, and how many still do."""
    return {
        name: ([length / MS for length in span.held], span.open_count)
        for name, span in integrity(player).spans.items()
    }


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict[str, Any]:
    assert cli.main(["replay", *map(str, arguments), "--json"]) == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return said


def tape(folder: Path, records: Sequence[Record], meta: Any = None) -> Path:
    """Write a recording of ours."""
    said = json.dumps({} if meta is None else meta).encode()
    first = frames.encode(Record(Kind.META, 1_000, WALL_NS, said))
    with FrameWriter(folder, first, WALL_NS) as writer:
        for record in records:
            writer.write(frames.encode(record))
    return folder


def opened(tokens: Sequence[str], *, connection: int = 0, epoch: int = 1, ms: int = 0) -> Record:
    said = json.dumps(tokens).encode()
    return Record(Kind.OPEN, 1_000 + ms * MS, WALL_NS, said, connection, epoch)


def closed(tokens: Sequence[str], *, connection: int = 0, epoch: int = 1, ms: int = 0) -> Record:
    said = json.dumps({"tokens": tokens, "reason": "gone"}).encode()
    return Record(Kind.CLOSE, 1_000 + ms * MS, WALL_NS, said, connection, epoch)


def got(data: bytes, *, connection: int = 0, epoch: int = 1, ms: int = 0) -> Record:
    return Record(Kind.READ, 1_000 + ms * MS, WALL_NS, data, connection, epoch)


# -- the story


@pytest.mark.parametrize("path", STORY, ids=lambda path: path.suffix)
def test_the_committed_story_is_the_one_that_is_told(path):
    assert path.read_text() == recorded.lines(path.suffix[1:])


@pytest.mark.parametrize("path", STORY, ids=lambda path: path.suffix)
def test_every_check_fires_as_often_and_as_long_as_the_story_has_it(path):
    player = played(path)
    assert player.frames == len(recorded.story())
    assert player.rejected == {"end": 1}
    assert spans(player) == {"crossed": ([40, 40], 0), "hash": ([0, 0, 30, 30], 0)}
    found = integrity(player)
    assert (found.matched, found.untold, found.mismatched, found.unproven) == (16, 4, 4, 0)
    market = found.market(recorded.CONDITION)
    assert (market.min_size, market.neg_risk, market.last) == ("15", True, "0.520")


def test_json_has_exactly_the_members_of_the_contract(capsys):
    """The books are those that the story's own account of them says."""
    said = as_json(capsys, STORY[0])
    assert list(said) == ["frames", "rejected", "tokens", "state_digest"]
    assert said["rejected"] == {"end": 1}
    assert list(said["tokens"]) == [YES, NO]
    teller = recorded.Teller()
    teller.last = "0.520"
    for price, side, size in [
        ("0.49", "BUY", "21"),
        ("0.4", "BUY", "7"),
        ("0.41", "BUY", "8"),
        ("0.52", "SELL", "20.000001"),
        ("0.3", "BUY", "3"),
        ("0.31", "BUY", "4"),
    ]:
        teller.set(price, side, size)
    for token in (YES, NO):
        bids, asks = (
            [[level["price"], level["size"]] for level in reversed(side)]
            for side in teller.sides(token)
        )
        assert said["tokens"][token] == {
            "state": "live",
            "best_bid": bids[0][0],
            "best_ask": asks[0][0],
            "bids": bids,
            "asks": asks,
            "hash": teller.hash(token, START_MS + 240),
        }
    shown = {
        token: {name: value for name, value in book.items() if name != "hash"}
        for token, book in said["tokens"].items()
    }
    text = json.dumps(shown, sort_keys=True, separators=(",", ":"))
    assert said["state_digest"] == hashlib.sha256(text.encode()).hexdigest() == STORY_DIGEST


def test_the_digest_is_the_same_every_time_at_any_speed_and_unchecked(capsys):
    digests = {as_json(capsys, path)["state_digest"] for path in STORY * 3}
    digests.add(as_json(capsys, STORY[0], "--speed", "20")["state_digest"])
    digests.add(as_json(capsys, STORY[0], "--speed", "max")["state_digest"])
    digests.add(played(STORY[0], check=False).result()["state_digest"])
    assert digests == {STORY_DIGEST}


def test_recorded_speed_takes_the_recorded_time():
    began_ns = clock.monotonic_ns()
    replay([STORY[0]], Player(64, check=False), speed=2)
    took_ns = clock.monotonic_ns() - began_ns
    assert 160 * MS <= took_ns < 2_000 * MS


def test_the_summary_is_plain_lines_in_a_pipe_and_a_table_on_a_terminal():
    player = played(STORY[0])
    plain, fancy = io.StringIO(), io.StringIO()
    show(player, Console(file=plain, width=200, highlight=False, soft_wrap=True))
    show(player, Console(file=fancy, width=200, force_terminal=True))
    for expected in (
        "15 frames, 2 tokens: 2 live\n",
        "refused: end 1\n",
        "hashes: 16 came out (4 with a last trade not told yet), 4 did not",
        "crossed: fired 2, median ms 40.0, longest ms 40.0, over 1 s 0, at the end 0\n",
        f"state {STORY_DIGEST}\n",
    ):
        assert expected in plain.getvalue()
    assert "\x1b[" not in plain.getvalue()
    assert "┃" in fancy.getvalue()


def test_two_streams_are_played_one_after_the_other(tmp_path, capsys):
    """The second one is older by its clock; that makes nothing of it late, or long."""
    other = tmp_path / "other.jsonl"
    frame_text = dump([book("7", 5), book("8", 5)]).decode()
    other.write_text(json.dumps({"recv_ns": 9, "frame": frame_text}) + "\n")
    said = as_json(capsys, STORY[0], other)
    assert [said["tokens"][token]["state"] for token in (YES, NO, "7", "8")] == ["live"] * 4
    assert said["frames"] == 16


# -- hashes


def test_a_hash_of_2025_ends_with_the_asks_and_its_changes_carry_another():
    first = {"event_type": "book", "asset_id": "5", "market": "0xabc", "timestamp": "1000"}
    levels = {"bids": [{"price": "0.4", "size": "1"}], "asks": [{"price": "0.6", "size": "2"}]}
    said = {"market": "0xabc", "asset_id": "5", "timestamp": "1000", "hash": "", **levels}
    sha = hashlib.sha1(dump(said)).hexdigest()  # noqa: S324
    player = Player(8)
    player.play(Record(Kind.FRAME, 1, 1, dump([first | levels | {"hash": sha}])))
    moved = {"price": "0.41", "side": "BUY", "size": "3"}
    old = first | {"event_type": "price_change", "changes": [moved], "timestamp": "1001"}
    player.play(Record(Kind.FRAME, 2, 2, dump([old | {"hash": "5" * 40}])))
    found = integrity(player)
    assert (found.matched, found.mismatched, found.unproven) == (1, 0, 1)
    assert player.result()["tokens"]["5"]["hash"] == sha
    assert player.result()["tokens"]["5"]["best_bid"] == "0.41"


def test_a_market_of_which_no_hash_comes_out_is_not_called_wrong():
    player = Player(8)
    for n in range(40):
        player.play(Record(Kind.FRAME, n, n, dump([book("5", 1_000 + n) | {"hash": "0" * 40}])))
    found = integrity(player)
    assert (found.matched, found.mismatched, found.unproven) == (0, 0, 40)
    assert player.result()["tokens"]["5"]["hash"] is None


def test_a_snapshot_that_says_size_and_risk_is_believed():
    teller = recorded.Teller(neg_risk=False, min_size="77.5")
    more = {"min_order_size": "77.5", "neg_risk": False, "tick_size": "0.01"}
    first = teller.book(YES, START_MS, last_trade_price="0.500", **more)
    player = Player(8)
    player.play(Record(Kind.FRAME, 1, 1, recorded.dump(first).encode()))
    assert integrity(player).matched == 1


# -- recordings of ours


def test_reads_go_through_the_channel_wherever_they_were_cut(tmp_path):
    """Fragments, control frames, refused frames and all, as they came; live books are the same."""
    stream = b"".join(
        [
            text([book("1", 10), book("2", 10, "0.40:10", "0.60:10")]),
            frame(PING, b"?"),
            text(change("1", 11, "0.41", "5")),
            frame(TEXT, dump(change("1", 12, "0.42", "6"))[:50], fin=False),
            frame(PING, b"!"),
            frame(CONT, dump(change("1", 12, "0.42", "6"))[50:]),
            text(b'{"event_type":"book","asset_id":"1"'),
            text(change("2", 13, "0.3", "9")),
        ]
    )
    tokens = ["1", "2"]
    library = Library(tokens)
    line = Line(library).opened()
    chance = random.Random(5)
    cuts = sorted(chance.sample(range(1, len(stream)), 12))
    parts = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    for part in parts:
        line.feed(part)
    meta = {"markets": [{"tokens": [token]} for token in tokens]}
    folder = tape(tmp_path, [opened(tokens), *map(got, parts)], meta)
    player = played(folder)
    live = {token: shown_book(library.books, slot) for token, slot in library.slots.items()}
    assert player.result()["state_digest"] == state_digest(live)
    assert player.result()["tokens"]["1"]["best_bid"] == "0.42"
    assert player.rejected == {"end": 1}


def test_books_of_a_lost_socket_are_empty_until_they_come_again(tmp_path):
    first, second = text([book("1", 10)]), text([book("1", 9)])
    records = [opened(["1"]), got(first), closed(["1"], ms=5)]
    player = played(tape(tmp_path / "a", records))
    assert player.result()["tokens"]["1"]["state"] == "warming"
    records += [opened(["1"], epoch=2, ms=6), got(second, epoch=2, ms=6)]
    player = played(tape(tmp_path / "b", records))
    assert player.result()["tokens"]["1"]["state"] == "live"


def test_a_token_that_another_connection_carries_keeps_its_book(tmp_path):
    records = [
        opened(["1"]),
        opened(["1"], connection=1),
        got(text([book("1", 10)])),
        closed(["1"], ms=5),
    ]
    player = played(tape(tmp_path, records, {"drop_older": True}))
    assert player.result()["tokens"]["1"]["state"] == "live"


def test_what_came_with_the_handshake_comes_before_the_opening(tmp_path):
    records = [got(text([book("1", 10)])[:40]), opened(["1"]), got(text([book("1", 10)])[40:])]
    player = played(tape(tmp_path, records))
    assert player.result()["tokens"]["1"]["state"] == "live"


def test_after_a_close_frame_nothing_of_that_socket_counts(tmp_path):
    records = [opened(["1"]), got(closing(1000) + text([book("1", 10)]))]
    player = played(tape(tmp_path, records, {"markets": [{"tokens": ["1"]}]}))
    assert player.result()["tokens"]["1"]["state"] == "warming"


def test_reads_that_were_lost_make_a_gap_until_the_next_snapshot(tmp_path):
    begun = text(change("1", 11, "0.41", "5"))[:30]
    lost = Record(Kind.LOST, 3_000, WALL_NS, b'{"reads": 4, "bytes": 5}', 0, 1)
    records = [opened(["1"]), got(text([book("1", 10)])), got(begun), lost]
    player = played(tape(tmp_path / "a", [*records, got(text(change("1", 12, "0.42", "5")))]))
    assert player.lost == 4
    assert player.result()["tokens"]["1"]["state"] == "gap"
    assert player.result()["tokens"]["1"]["best_bid"] == "0.42"
    player = played(tape(tmp_path / "b", [*records, got(text(book("1", 12)))]))
    assert player.result()["tokens"]["1"]["state"] == "live"


def test_only_tokens_that_the_recording_names_have_books(tmp_path):
    meta = {"markets": [{"tokens": ["1"]}]}
    player = played(tape(tmp_path, [opened(["1"]), got(text([book("1", 1), book("2", 1)]))], meta))
    assert list(player.result()["tokens"]) == ["1"]


def test_rest_bodies_are_applied_where_they_were(tmp_path):
    records = [
        opened(["1"]),
        got(text([book("1", 10)])),
        Record(Kind.FRAME, 2_000, WALL_NS, dump([book("1", 12, "0.45:1")])),
        got(text(change("1", 13, "0.46", "1")), ms=1),
    ]
    player = played(tape(tmp_path, records))
    assert player.result()["tokens"]["1"]["bids"] == [["0.46", "1"], ["0.45", "1"]]


def test_a_killed_recording_is_played_as_far_as_it_goes(tmp_path, capsys):
    folder = tape(tmp_path, [opened(["1"]), got(text([book("1", 10)]))])
    (path,) = frames.segments([folder])
    path.write_bytes(path.read_bytes()[:-24] + b"BLK")
    assert cli.main(["replay", str(folder), "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["tokens"]["1"]["state"] == "live"
    assert "3 bytes of a torn tail" in said.err


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (Kind.META, b"[]"),
        (Kind.META, b'{"markets": [{}]}'),
        (Kind.META, b'{"markets": [{"tokens": ["x"]}]}'),
        (Kind.META, b'{"markets": [{"tokens": ["1"], "tick_e4": "1"}]}'),
        (Kind.META, b'{"markets": 5}'),
        (Kind.OPEN, b""),
        (Kind.OPEN, b'"12"'),
        (Kind.CLOSE, b"{}"),
        (Kind.LOST, b'{"reads": "many"}'),
    ],
)
def test_a_record_that_says_nonsense_is_foreign(kind, data):
    player = Player(8)
    with pytest.raises(errors.RecordingForeignError, match=kind.name):
        player.play(Record(kind, 1, 1, data))


def test_more_tokens_than_there_is_room_for_is_an_error_that_names_the_bound():
    player = Player(1)
    with pytest.raises(errors.CapacityError, match=r"arena\.token_count 1"):
        player.play(Record(Kind.FRAME, 1, 1, dump([book("1", 1), book("2", 1)])))


# -- exit codes


def test_exit_codes_of_bad_files(tmp_path, capsys):
    assert cli.main(["replay", str(tmp_path / "none.jsonl")]) == 2
    foreign = tmp_path / "x.jsonl"
    foreign.write_text("hello\n")
    assert cli.main(["replay", str(foreign)]) == 1
    assert "x.jsonl: line 1" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert cli.main(["replay", str(tmp_path / "empty")]) == 1
    assert "without segments" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        cli.main(["replay", str(foreign), "--speed", "-1"])
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("url", "tokens", "said"),
    [
        ("ws://127.0.0.1:1/ws/market", "12x", "12x"),
        ("ws://127.0.0.1:1/ws/market", ",", "no market to record"),
        ("http://127.0.0.1:1/", "1", "no ws:// or wss:// URL"),
    ],
)
def test_a_recording_that_cannot_begin_leaves_nothing_behind(tmp_path, capsys, url, tokens, said):
    out = tmp_path / "tape"
    assert cli.main(["record", "--url", url, "--tokens", tokens, "--out", str(out)]) == 2
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_a_recording_without_an_exchange_is_empty_and_ends_in_time(tmp_path, capsys):
    out = tmp_path / "tape"
    arguments = ["--url", "ws://127.0.0.1:1/ws/market", "--tokens", "1:2,3", "--out", str(out)]
    assert cli.main(["record", *arguments, "--duration", "0.2", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["frames"], said["tokens"], said["live"], said["records"]) == (0, 3, 0, 0)
    assert as_json(capsys, out)["state_digest"] == said["state_digest"]


# -- whatever comes


@pytest.mark.parametrize("seed", range(8))
def test_no_bytes_stop_a_replay(seed):
    """Frames of the story, damaged: refused or applied, never an exception."""
    chance = random.Random(seed)
    player = Player(1 << 12)
    for _ in range(300):
        _, said = chance.choice(recorded.story())
        data = bytearray(said.encode())
        for _ in range(chance.randrange(4)):
            at = chance.randrange(len(data))
            data[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
        player.play(Record(Kind.FRAME, 1, 1, bytes(data)))
    result = player.result()
    assert sum(result["rejected"].values()) > 10
    assert result["frames"] == 300


def test_what_lasts_over_a_second_is_counted():
    player = Player(8)
    at = [0, 10, 10 + LONG_NS + 1]
    crossed = [book("1", 1), book("1", 2, "0.7:1", "0.6:1"), book("1", 3)]
    for ns, said in zip(at, crossed, strict=True):
        player.play(Record(Kind.FRAME, 1 + ns, 1 + ns, dump([said])))
    integrity(player).finish()
    span = integrity(player).spans["crossed"]
    assert (span.count, span.held, span.long_count, span.open_count) == (1, [LONG_NS + 1], 1, 0)


# -- what was captured


@pytest.mark.parametrize(("name", "count"), CAPTURED.items())
def test_captured_streams_are_applied_whole_and_the_same_every_time(name, count, capsys):
    path = captures("ws") / name
    first, second = (as_json(capsys, path) for _ in range(2))
    assert first == second
    assert first["frames"] == count
    assert first["rejected"] == {}


def test_captured_hashes_come_out_but_for_the_changes_that_were_sent_late():
    """Seven frames of the burst carry hashes of changes that came 29 and 56 ms later."""
    ws = captures("ws")
    burst = played(ws / "2026-05-14_btc-5m_burst_part1_506ms.ndjson")
    assert (integrity(burst).mismatched, spans(burst)) == (7, {"hash": ([56], 0)})
    esports = played(ws / "2026-09-07_esports-match_both-tokens_153s.ndjson")
    assert spans(esports) == {"hash": ([0, 0], 0)}, "two changes of one millisecond, one hash"
    nominee = played(ws / "2026-10-02_neg-risk_three-markets_24min.jsonl")
    assert integrity(nominee).matched == 6 + 354 - 6
    assert max(spans(nominee)["hash"][0]) < 2
    for player in (burst, esports, nominee):
        assert integrity(player).unproven == 0
    hourly = played(ws / "2025-07-03_btc-hourly_v1_part1.jsonl")
    assert integrity(hourly).matched == 6, "every book; what its changes carry is no book's hash"
    assert spans(hourly) == {}


def test_captured_books_end_with_the_hash_the_exchange_gave_them():
    """The last state of each token, against the last hash in the file."""
    decoder = Decoder()
    for name in (
        "2026-09-07_esports-match_both-tokens_153s.ndjson",
        "2026-10-02_neg-risk_three-markets_24min.jsonl",
    ):
        path = captures("ws") / name
        last: dict[str, str] = {}
        for line in path.read_text().splitlines():
            raw = json.loads(line)["frame"] if path.suffix == ".jsonl" else line
            for record in decoder.decode(raw.encode()).records:
                if record.token and record.hash:
                    last[record.token] = record.hash
        tokens = played(path).result()["tokens"]
        assert {token: shown["hash"] for token, shown in tokens.items()} == last
        assert {shown["state"] for shown in tokens.values()} == {State.LIVE.name.lower()}


def test_replay_runs_without_the_simulator_or_the_network(tmp_path):
    """It is what an operator has after a crash: it must not need more than the files."""
    import subprocess

    code = (
        "import sys; from polyarb.control import replay; "
        "print([m for m in sys.modules if m.startswith(('polyarb.sim', 'aiohttp'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
