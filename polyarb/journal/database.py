"""
Where a journal is projected to: SQLite, or PostgreSQL through psycopg if the URL says so.

Records and how far they go are written in one transaction, so each has its effect exactly once
whenever either side is killed.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import unquote, urlsplit

from polyarb import errors
from polyarb.journal import tables
from polyarb.journal.record import Entry

BUSY_S: Final = 5.0
"""How long another's lock is waited for."""
CONNECT_S: Final = 10


class _Connection(Protocol):
    """What both drivers have."""

    def execute(self, statement: str, values: Sequence[object] = ..., /) -> Any: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Driver:
    """
    What they have not in common.

    Attributes:
        connect: Open a connection.
        placeholder: For a value.
        passing: Errors that may pass by themselves.
        any_error: Of the driver.
        begin: Opens a transaction; "" where the driver does.
        batch: Wraps many statements.
    """

    connect: Callable[[], _Connection]
    placeholder: str
    passing: type[Exception]
    any_error: type[Exception]
    begin: str
    batch: Callable[[Any], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True)
class Position:
    """
    How far the database goes.

    Attributes:
        born_ns: Names the journal; 0 if there is nothing yet.
        seq: Last record in it.
        crc: Its checksum.
    """

    born_ns: int = 0
    seq: int = 0
    crc: int = 0


class Database:
    """
    The projector's side of a database. A context manager.

    Args:
        url: ``sqlite:FILE``, ``sqlite:///ABSOLUTE/FILE`` or ``postgresql://...``, as libpq has it.

    Raises:
        DatabaseError: The URL names no database that we know, what is needed for it is not
            installed, or its tables are of another version.
        DatabaseUnreachableError: It does not answer.
    """

    def __init__(self, url: str) -> None:
        self._driver = _driver(url)
        with self._told():
            self._connection = self._driver.connect()
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def position(self) -> Position:
        """Return how far it goes."""
        with self._transaction():
            rows = self._run("SELECT version, born_ns, seq, crc FROM journal").fetchall()
        if not rows:
            return Position()
        version, born_ns, seq, crc = rows[0]
        if version != tables.VERSION:
            raise errors.DatabaseError(
                f"tables of version {version}, this build knows {tables.VERSION}: rebuild them"
            )
        return Position(born_ns, seq, crc)

    def write(self, at: Position, entries: Sequence[Entry], born_ns: int) -> Position:
        """
        Write what follows `at`, all or nothing, and return the new position.

        Raises:
            DatabaseOwnedError: The database is somewhere else than `at`: another projector.
            DatabaseUnreachableError: Nothing was written, or it was and the answer is lost:
                ask for the position.
            DatabaseError: It refuses for another reason.
        """
        last = entries[-1]
        with self._transaction():
            self._move(at, Position(born_ns, last.seq, last.crc), last.wall_ns)
            with self._driver.batch(self._connection):
                for entry in entries:
                    for statement, values in tables.statements(entry):
                        self._run(statement, *map(_storable, values))
        return Position(born_ns, last.seq, last.crc)

    def reset(self) -> None:
        """Drop all tables and make them again, empty."""
        with self._transaction():
            for statement in (*tables.DROP, *tables.CREATE):
                self._run(statement)

    def close(self) -> None:
        """Close the connection."""
        with suppress(self._driver.any_error):
            self._connection.close()

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _prepare(self) -> None:
        with self._transaction():
            if self._driver.placeholder == "%s":
                (encoding,) = self._run("SHOW server_encoding").fetchone()
                if encoding != "UTF8":
                    raise errors.DatabaseError(f"server encoding {encoding}, it must be UTF8")
            for statement in tables.CREATE:
                self._run(statement)

    def _move(self, old: Position, new: Position, wall_ns: int) -> None:
        """Take the row that only one may take."""
        values = (new.born_ns, new.seq, new.crc, wall_ns)
        if old.seq:
            done = self._run(
                "UPDATE journal SET born_ns = ?, seq = ?, crc = ?, wall_ns = ?"
                " WHERE born_ns = ? AND seq = ? AND crc = ?",
                *values,
                *(old.born_ns, old.seq, old.crc),
            )
        else:
            done = self._run(
                "INSERT INTO journal (one, version, born_ns, seq, crc, wall_ns)"
                " VALUES (1, ?, ?, ?, ?, ?) ON CONFLICT (one) DO NOTHING",
                tables.VERSION,
                *values,
            )
        if done.rowcount != 1:
            raise errors.DatabaseOwnedError(
                f"the database does not stand at record {old.seq} any more: another projector"
                " writes to it"
            )

    def _run(self, statement: str, *values: object) -> Any:
        return self._connection.execute(statement.replace("?", self._driver.placeholder), values)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Commit what is done inside, or take it back."""
        with self._told():
            try:
                if self._driver.begin:
                    self._connection.execute(self._driver.begin)
                yield
                self._connection.commit()
            except BaseException:
                with suppress(self._driver.any_error):
                    self._connection.rollback()
                raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell the driver's errors as ours."""
        try:
            yield
        except self._driver.passing as error:
            raise errors.DatabaseUnreachableError(_one_line(error)) from None
        except self._driver.any_error as error:
            raise errors.DatabaseError(_one_line(error)) from None


def _driver(url: str) -> _Driver:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise errors.DatabaseError("database.url is no URL") from None
    if parts.scheme == "sqlite":
        if parts.netloc or not parts.path or parts.query or parts.fragment:
            raise errors.DatabaseError("database.url must be sqlite:FILE or sqlite:///FILE")
        return _sqlite(unquote(parts.path))
    if parts.scheme in {"postgresql", "postgres"}:
        return _postgresql(url)
    raise errors.DatabaseError(  # never the whole of it: there may be a password in it
        f"database.url begins with {parts.scheme[:20]!r}, not with sqlite: or postgresql:"
    )


def _sqlite(path: str) -> _Driver:
    def connect() -> _Connection:
        with suppress(OSError):  # for this user only; if it cannot be made, SQLite says why
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    return _Driver(
        connect, "?", sqlite3.OperationalError, sqlite3.Error, "BEGIN IMMEDIATE", nullcontext
    )


def _postgresql(url: str) -> _Driver:
    try:
        import psycopg  # noqa: PLC0415 -- only those who use it need it
    except ImportError as error:
        raise errors.DatabaseError(
            f"PostgreSQL needs the extra: pip install 'polyarb[postgres]' ({error})"
        ) from None

    def connect() -> Any:
        return psycopg.connect(
            url, connect_timeout=CONNECT_S, client_encoding="utf8", application_name="polyarb"
        )

    return _Driver(
        connect,
        "%s",
        psycopg.OperationalError,
        psycopg.Error,
        "",
        lambda connection: connection.pipeline(),
    )


def _storable(value: object) -> object:
    """Return a value that both take: PostgreSQL has no NUL in texts."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
