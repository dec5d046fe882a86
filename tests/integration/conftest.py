"""The simulated exchange as a process of its own, for tests that talk to it over real sockets."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
ARGUMENTS = ("--port", "0", "--seed", "7", "--scenario", "still")
START_S = 30.0
END_S = 10.0

# httpx, urllib and websockets all ask the environment for a proxy; loopback never wants one.
for _name in ("NO_PROXY", "no_proxy"):
    os.environ[_name] = ",".join(filter(None, [os.environ.get(_name), "127.0.0.1", "localhost"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """
    A running venue: where its services are, and the account it was born with.

    Attributes:
        account: ``private_key, address, wallets {"0".."3"}, api_key, api_secret, api_passphrase``.
    """

    clob_url: str
    market_ws_url: str
    user_ws_url: str
    gamma_url: str
    data_url: str
    relayer_url: str
    rpc_url: str
    admin_url: str
    chain_id: int
    account: dict[str, Any]

    def get(self, url: str) -> Any:
        """Return the JSON that a GET of `url` answers."""
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  (the venue's own)
            return json.load(answer)

    def command(self, name: str, /, **body: object) -> Any:
        """Tell the venue what no client could: ``command("deposit", wallet=…, usd="1000")``."""
        request = urllib.request.Request(  # noqa: S310
            f"{self.admin_url}/{name}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.loads(answer.read() or b"null")


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[Exchange]:
    """Start ``polyarb exchange``, yield it once it says where it is, end it with SIGINT."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "polyarb", "exchange", *arguments],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=said,
            start_new_session=True,  # a Ctrl-C at pytest is not a Ctrl-C at the venue
        )

        def tail() -> str:
            said.seek(0, os.SEEK_END)
            said.seek(max(0, said.tell() - 4096))
            return said.read().decode(errors="replace")

        try:
            line = _first_line(process)
            assert line, f"no line on stdout (waited up to {START_S} s); it said:\n{tail()}"
            yield Exchange(**_known(json.loads(line)))
            assert process.poll() is None, f"ended by itself; it said:\n{tail()}"
            process.send_signal(signal.SIGINT)
            assert process.wait(END_S) == 0, tail()
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def _first_line(process: subprocess.Popen[bytes]) -> bytes:
    """Return the first line on stdout, empty if there is none in time; go on emptying the pipe."""
    stdout = process.stdout
    assert stdout
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def read() -> None:
        lines.put(stdout.readline())
        for _ in stdout:
            pass

    threading.Thread(target=read, daemon=True).start()
    try:
        return lines.get(timeout=START_S)
    except queue.Empty:
        return b""


def _known(line: dict[str, Any]) -> dict[str, Any]:
    return {name: line[name] for name in Exchange.__slots__}


@pytest.fixture(scope="session")
def exchange() -> Iterator[Exchange]:
    """One quiet venue for the session: static two-sided books and nobody who moves."""
    with running(*ARGUMENTS) as venue:
        yield venue
