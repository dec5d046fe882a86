"""A PostgreSQL server of the test's own: in a folder of its own, on a Unix socket only."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest


def binaries() -> Path | None:
    """Return the folder of initdb, postgres and pg_ctl, the newest there is."""
    found = [*Path("/usr/lib/postgresql").glob("*/bin")]
    found.sort(key=lambda path: int(path.parent.name) if path.parent.name.isdecimal() else 0)
    initdb = shutil.which("initdb")
    if initdb:
        found.append(Path(initdb).resolve().parent)
    wanted = ("initdb", "postgres", "pg_ctl")
    whole = [path for path in found if all((path / name).exists() for name in wanted)]
    return whole[-1] if whole else None


class Server:
    """
    One server, which may be stopped and started.

    Attributes:
        folder: Of its data and its socket.
    """

    def __init__(self, programs: Path, folder: Path, user: str | None) -> None:
        self._programs = programs
        self._user = user
        self._made = 0
        self.folder = folder
        self._run("initdb", "-D", f"{folder}/data", "-U", "tester", "-A", "trust", "-E", "UTF8",
                  "--locale=C", "--no-sync")  # fmt: skip

    def start(self) -> None:
        options = f"-c listen_addresses='' -c unix_socket_directories='{self.folder}' -c fsync=off"
        self._run("pg_ctl", "-D", f"{self.folder}/data", "-l", f"{self.folder}/log", "-w",
                  "-o", options, "start")  # fmt: skip

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "-D", f"{self.folder}/data", "-m", mode, "-w", "stop")

    def schema(self) -> str:
        """Make an empty schema; return the URL of a database where it is the only one."""
        self._made += 1
        name = f"t{self._made}"
        self._do(f"CREATE SCHEMA {name}")
        return self.url("postgres") + f"&options=-csearch_path%3D{name}"

    def database(self, encoding: str) -> str:
        """Make a database of another encoding; return its URL."""
        self._do(f"CREATE DATABASE other ENCODING '{encoding}' TEMPLATE template0")
        return self.url("other")

    def url(self, name: str) -> str:
        return f"postgresql://tester@/{name}?host={quote(str(self.folder), safe='')}"

    def _do(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments],
            cwd=self.folder,
            user=self._user,
            stdin=subprocess.DEVNULL,
            stdout=(self.folder / "said").open("ab"),
            stderr=subprocess.STDOUT,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"{program}: {(self.folder / 'said').read_text()[-2000:]}"


@contextmanager
def server() -> Iterator[Server]:
    """Run a server; skip where there is none to run."""
    pytest.importorskip("psycopg", reason="no psycopg: the extra `postgres` is not installed")
    programs = binaries()
    if programs is None:
        pytest.skip("no PostgreSQL server on this machine (Debian: postgresql)")
    user = None
    if os.getuid() == 0:  # it refuses to run as root
        names = {entry.pw_name for entry in pwd.getpwall()}
        user = "postgres" if "postgres" in names else "nobody"
    folder = Path(tempfile.mkdtemp(prefix="polyarb-pg-"))
    try:
        if user:
            shutil.chown(folder, user)
        made = Server(programs, folder, user)
        made.start()
        try:
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
