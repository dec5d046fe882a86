"""A TCP server that does to each request what a test says, byte by byte."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

Answer = bytes | None | Callable[["Peer", asyncio.StreamWriter], Awaitable[None]]
"""Bytes; None to close without any; or what to do."""

HEADS = 64 * 1024


def http(body: bytes = b"OK", *lines: str, status: str = "200 OK") -> bytes:
    """Return an answer."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


class Peer:
    """
    Answers ``GET`` as `trial` says and ``POST`` as `answer` says.

    Attributes:
        posts: The POSTs received, whole.
        gets: How many GETs.
        connections: How many were ever opened.
        writers: Those that are open.
    """

    def __init__(self) -> None:
        self.trial: Answer = http()
        self.answer: Answer = http(b"[]")
        self.posts: list[bytes] = []
        self.gets = 0
        self.connections = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.tasks: set[asyncio.Task[Any]] = set()
        self.reading = asyncio.Event()
        self.reading.set()
        self.url = ""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        task = asyncio.current_task()
        assert task
        self.tasks.add(task)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.lower().split(b"\r\n")
                size = sum(int(x.split(b":")[1]) for x in lines if x.startswith(b"content-length:"))
                post = head.startswith(b"POST")
                if post:
                    await self.reading.wait()
                whole = head + await reader.readexactly(size)
                if post:
                    self.posts.append(whole)
                else:
                    self.gets += 1
                if not await self._say(self.answer if post else self.trial, writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            if writer in self.writers:
                self.writers.remove(writer)
            writer.close()

    async def _say(self, answer: Answer, writer: asyncio.StreamWriter) -> bool:
        if answer is None:
            return False
        if isinstance(answer, bytes):
            writer.write(answer)
        else:
            await answer(self, writer)
        return not writer.is_closing()


@contextlib.asynccontextmanager
async def listening(tls: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[Peer]:
    """Serve on loopback."""
    peer = Peer()
    server = await asyncio.start_server(
        peer._serve, "127.0.0.1", 0, ssl=tls, limit=HEADS, **options
    )
    port = server.sockets[0].getsockname()[1]
    peer.url = f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
    try:
        yield peer
    finally:
        server.close()
        for writer in [*peer.writers]:
            writer.transport.abort()
        peer.reading.set()
        if peer.tasks:
            await asyncio.wait(peer.tasks, timeout=5)
