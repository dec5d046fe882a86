"""Record a market socket, then replay it: the same books as live, and as REST shows them."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from integration.conftest import REPOSITORY, Exchange, running

from polyarb import clock, errors
from polyarb.control.replay import Player, records, replay
from polyarb.journal import frames

WAIT_S = 30.0


@pytest.fixture
def venue() -> Iterator[Exchange]:
    with running("--port", "0", "--seed", "11", "--scenario", "default") as exchange:
        yield exchange


def until(holds: Callable[[], Any], what: str) -> None:
    pause = Event()
    late_ns = clock.monotonic_ns() + int(WAIT_S * 1e9)
    while not holds():
        assert clock.monotonic_ns() < late_ns, f"never came: {what}"
        pause.wait(0.05)


@contextmanager
def recording(venue: Exchange, folder: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """Start ``polyarb record`` of everything the venue has."""
    command = [sys.executable, "-m", "polyarb", "record", "--url", venue.market_ws_url]
    command += ["--gamma", venue.gamma_url, "--clob", venue.clob_url, "--out", str(folder)]
    process = subprocess.Popen(
        [*command, "--json", *more],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(WAIT_S)


def ended(process: subprocess.Popen[str], code: int) -> dict[str, Any]:
    """Wait for a recorder and return what it said."""
    out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == code, err
    said: dict[str, Any] = json.loads(out.splitlines()[-1])
    return said


def interrupted(process: subprocess.Popen[str]) -> dict[str, Any]:
    process.send_signal(signal.SIGINT)
    return ended(process, 130)


def played(folder: Path) -> Player:
    player = Player(1 << 12)
    replay([folder], player)
    return player


def books(folder: Path) -> dict[str, Any]:
    """Return what the recording has come to so far."""
    begun = folder.exists() and frames.segments([folder])  # the folder is there before a segment
    tokens: dict[str, Any] = played(folder).result()["tokens"] if begun else {}
    return tokens


def all_live(folder: Path) -> bool:
    tokens = books(folder)
    return bool(tokens) and all(book["state"] == "live" for book in tokens.values())


def post(url: str, body: Any) -> Any:
    request = urllib.request.Request(  # noqa: S310  (the venue's own)
        url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return json.load(answer)


def rest_books(venue: Exchange, tokens: list[str]) -> dict[str, Any]:
    """Return levels by token, best first, as POST /books shows them."""
    told = post(f"{venue.clob_url}/books", [{"token_id": token} for token in tokens])
    return {
        book["asset_id"]: [
            [[level["price"], level["size"]] for level in reversed(book[side])]
            for side in ("bids", "asks")
        ]
        for book in told
    }


def equal_rest(venue: Exchange, folder: Path) -> bool:
    """Whether every recorded book is as REST shows it, which may still move."""
    tokens = books(folder)
    shown = {token: [book["bids"], book["asks"]] for token, book in tokens.items()}
    return bool(shown) and shown == rest_books(venue, [*tokens])


def test_a_replay_gives_the_live_books_and_those_of_rest(venue, tmp_path):
    with recording(venue, tmp_path / "tape") as process:
        until(lambda: all_live(tmp_path / "tape"), "every book")
        until(lambda: played(tmp_path / "tape").frames > 150, "some traffic")
        venue.command("mode", mode="disabled")
        until(lambda: equal_rest(venue, tmp_path / "tape"), "the books of REST")
        said = interrupted(process)
    players = [played(tmp_path / "tape") for _ in range(2)]
    assert {p.result()["state_digest"] for p in players} == {said["state_digest"]}
    assert equal_rest(venue, tmp_path / "tape")
    assert said["frames"] == players[0].frames
    assert said["live"] == said["tokens"] == len(players[0].tokens) > 100
    assert (said["lost"], said["error"], said["rejected"]) == (0, "", {})
    checks = players[0].integrity
    assert checks
    assert checks.matched > 100
    assert checks.unproven == 0
    assert checks.spans.keys() <= {"hash"}


def test_a_recorder_that_is_killed_leaves_a_recording_that_goes_on(venue, tmp_path):
    tape = tmp_path / "tape"
    with recording(venue, tape) as process:
        until(lambda: all_live(tape), "every book")
        process.kill()
        process.wait(WAIT_S)
    (first,) = frames.segments([tape])

    def closed() -> bool:
        try:
            return len(list(frames.FrameReader(first))) > 0
        except errors.RecordingTornError:
            return False

    until(closed, "the orderly end by the process that writes")
    kept = played(tape).frames

    with recording(venue, tape) as process:
        until(lambda: played(tape).frames > kept + 100, "the second session")
        said = interrupted(process)
    assert len(frames.segments([tape])) == 2
    assert played(tape).result()["state_digest"] == said["state_digest"]


def test_a_writer_that_is_killed_ends_the_recorder_and_the_next_one_repairs(venue, tmp_path):
    tape = tmp_path / "tape"
    with recording(venue, tape) as process:
        until(lambda: all_live(tape), "every book")
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) == 1
        os.kill(int(children[0]), signal.SIGKILL)
        said = ended(process, 1)
    assert "the writing process is gone" in said["error"]
    (first,) = frames.segments([tape])
    with first.open("ab") as torn:  # as if it had been killed in the middle of a block
        torn.write(first.read_bytes()[36:60])
    with recording(venue, tape, "--duration", "1") as process:
        out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0
    assert f"{first}: cut 24 bytes of a torn tail" in err
    assert played(tape).result()["state_digest"] == json.loads(out)["state_digest"]


@pytest.mark.parametrize("more", [[], ["--redundant", "--tokens-per-connection", "60"]])
def test_whatever_the_socket_does_the_replay_ends_like_the_live_books(venue, tmp_path, more):
    tape = tmp_path / "tape"
    with recording(venue, tape, *more) as process:
        until(lambda: all_live(tape), "every book")
        for name in ("fragmented_frame", "malformed_frame", "duplicate_frames", "binary_frame"):
            post(f"{venue.admin_url}/faults", {"name": name, "count": 8, "probability": 0.3})
        until(lambda: sum(played(tape).rejected.values()) >= 3, "refused frames")
        post(f"{venue.admin_url}/faults", {"name": "abort_1006", "count": 1})
        until(lambda: "1006" in _reasons(tape), "a lost connection")
        until(lambda: all_live(tape), "every book again")
        said = interrupted(process)
    player = played(tape)
    assert player.result()["state_digest"] == said["state_digest"]
    assert player.rejected == said["rejected"]
    assert player.frames == said["frames"]


def _reasons(folder: Path) -> str:
    """Return what the CLOSE records so far say."""
    found = records(folder, lambda _: None)
    return " ".join(r.data.decode() for r in found if r.kind is frames.Kind.CLOSE)


def test_a_folder_in_use_is_refused(venue, tmp_path):
    with recording(venue, tmp_path / "tape"):
        until(lambda: all_live(tmp_path / "tape"), "every book")
        with recording(venue, tmp_path / "tape") as second:
            _, err = second.communicate(timeout=WAIT_S)
            assert second.returncode == 2
            assert "another process records there" in err
