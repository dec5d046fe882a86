"""One connection held out of the pool: whatever the peer does, nothing is sent twice from it."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
from certificates import certificate
from peer import Peer, http, listening
from waiting import until

from polyarb.domain.wire import HttpResponse
from polyarb.exchange.transport import HttpPort, Line, Session, TooLongError

pytestmark = pytest.mark.asyncio

BODY = b'[{"a":1}]'
POST = b"POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: %6d\r\n\r\n" % len(BODY) + BODY
LARGE = 24 << 20
"""More than the kernel holds between two ends on loopback."""


@contextlib.asynccontextmanager
async def held(secure: bool = False, **options: Any) -> AsyncIterator[tuple[Peer, Line, Session]]:
    """Give a peer, a line to it, and the session it came from."""
    made = certificate() if secure else None
    ours = ssl.create_default_context(cafile=made) if made else None
    theirs = None
    if made:
        theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        theirs.load_cert_chain(made)
    async with listening(theirs) as peer, Session(tls=ours, **options) as session:
        line = await session.line(peer.url, timeout_s=5)
        try:
            yield peer, line, session
        finally:
            line.close()


async def asked(line: Line, request: bytes = POST, timeout_s: float = 5) -> HttpResponse:
    line.write(request)
    return await line.answer(timeout_s)


@pytest.mark.parametrize("secure", [False, True])
async def test_requests_go_over_one_connection_as_they_are(secure: bool) -> None:
    async with held(secure) as (peer, line, _):
        for n in range(5):
            peer.answer = http(b"%d" % n, "X-Y: z")
            said = await asked(line)
            assert (said.status, said.body, said.headers["x-y"]) == (200, b"%d" % n, "z")
            assert line.ready
        assert peer.posts == [POST] * 5
        assert peer.connections == 1


async def test_a_line_sends_at_once() -> None:
    async with held() as (_, line, _session):
        held_socket = line._transport.get_extra_info("socket")
        assert held_socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_the_pool_never_gives_a_line_away() -> None:
    async with held() as (peer, line, session):
        port = HttpPort(session, peer.url)
        await asked(line)
        for _ in range(3):
            await port.request("GET", "/x")
        assert peer.connections == 2
        await asked(line)
        assert peer.connections == 2


@pytest.mark.parametrize(
    ("answer", "status", "body", "kept"),
    [
        (http(b"[]", "Connection: close"), 200, b"[]", False),
        (http(b"[]", "Connection: keep-alive"), 200, b"[]", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n[]", 200, b"[]", False),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + http(b"[]"), 200, b"[]", True),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 3 + http(b"[]"), 200, b"[]", True),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n[\r\n1\r\n]\r\n0\r\n\r\n",
            200,
            b"[]",
            True,
        ),
        (http(b"", "Location: /elsewhere", status="307 Temporary Redirect"), 307, b"", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
        (http(b"<html>", status="502 Bad Gateway"), 502, b"<html>", True),
        (http(b"", status="429 Too Many Requests"), 429, b"", True),
        (http(b"[]") + http(b"[{}]"), 200, b"[]", False),  # which nobody asked for
    ],
)
async def test_what_an_answer_is_and_whether_the_line_stays(
    answer: bytes, status: int, body: bytes, kept: bool
) -> None:
    async with held() as (peer, line, _):
        peer.answer = answer
        said = await asked(line)
        assert (said.status, said.body) == (status, body)
        assert line.ready is kept
        assert peer.posts == [POST]


async def test_an_answer_in_pieces_is_put_together() -> None:
    async def slowly(_: Peer, writer: asyncio.StreamWriter) -> None:
        whole = b"HTTP/1.1 100 Continue\r\n\r\n" + http(b'["' + b"x" * 100 + b'"]')
        for byte in whole:
            writer.write(bytes([byte]))
            await asyncio.sleep(0)

    async with held() as (peer, line, _):
        peer.answer = slowly
        assert len((await asked(line)).body) == 104
        assert line.ready


async def test_a_body_up_to_the_end_of_the_connection() -> None:
    async def to_the_end(_: Peer, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n[]")
        await writer.drain()
        writer.close()

    async with held() as (peer, line, _):
        peer.answer = to_the_end
        assert (await asked(line)).body == b"[]"
        assert not line.ready


async def _reset(_: Peer, writer: asyncio.StreamWriter) -> None:
    end = writer.get_extra_info("socket")
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _cut(_: Peer, writer: asyncio.StreamWriter) -> None:
    writer.write(http(b"[" + b" " * 100)[:-50])
    await writer.drain()
    writer.close()


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize(
    "answer",
    [
        None,
        _reset,
        _cut,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
        b"\x16\x03\x01garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
async def test_no_whole_answer_is_a_connection_error_and_the_end(secure: bool, answer: Any) -> None:
    async with held(secure) as (peer, line, _):
        peer.answer = answer
        lost: list[bool] = []
        line.lost = lambda: lost.append(True)
        with pytest.raises(ConnectionError) as caught:
            await asked(line)
        assert not isinstance(caught.value, ConnectionRefusedError)  # which would be "not sent"
        assert not line.ready
        assert lost == [True]
        assert peer.posts == [POST]


async def test_a_late_answer_is_never_that_of_another_request() -> None:
    async def late(_: Peer, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.2)
        writer.write(http(b"late"))

    async with held() as (peer, line, session):
        peer.answer = late
        with pytest.raises(TimeoutError, match=r"no answer in 0\.05 s"):
            await asked(line, timeout_s=0.05)
        assert not line.ready
        other = await session.line(peer.url, timeout_s=5)
        peer.answer = http(b"own")
        assert (await asked(other)).body == b"own"
        other.close()


@pytest.mark.parametrize("unasked", [http(b"", status="408 Request Timeout"), b"HT", b"\r\n", None])
async def test_whatever_comes_unasked_ends_the_line(unasked: bytes | None) -> None:
    async with held() as (peer, line, _):
        await asked(line)
        [writer] = peer.writers
        if unasked:
            writer.write(unasked)
        else:
            writer.close()
        await until(lambda: not line.ready, "the end of the line")
        assert peer.posts == [POST]


async def test_the_rest_of_an_answer_that_was_too_long_is_not_taken_in() -> None:
    async with held(body_max=1000) as (peer, line, _):
        peer.answer = http(b" " * 5000)
        with pytest.raises(TooLongError, match="above 1000"):
            await asked(line)
        assert not line.ready


# -- the kernel takes less than all


def _large(size: int = LARGE) -> bytes:
    head = b"POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
    return head + bytes(range(256)) * (size // 256)


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("high", [0, 1 << 16])
async def test_what_the_kernel_does_not_take_at_once_follows_whole(
    secure: bool, high: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Partial writes; the transport pauses and resumes whoever writes on the way."""
    async with held(secure) as (peer, line, _):
        line._transport.set_write_buffer_limits(high=high)
        peer.reading.clear()
        request = bytearray(_large())
        given = bytes(request)
        line.write(given)
        request[:] = b"?" * len(request)  # whoever built it builds the next one there
        if not secure:
            assert line._transport.get_write_buffer_size()
        peer.reading.set()
        assert (await line.answer(20)).status == 200
        assert peer.posts == [given]
        assert line.ready
        await asked(line)
        assert peer.posts[1:] == [POST]
    assert not caplog.records


async def test_a_peer_that_does_not_read_leaves_it_unknown_and_gets_no_more() -> None:
    async with held() as (peer, line, _):
        peer.reading.clear()
        line.write(_large())
        with pytest.raises(TimeoutError):
            await line.answer(0.1)
        assert not line.ready
        peer.reading.set()
        await until(lambda: not peer.writers, "the end at the peer")
        assert peer.posts == []  # what was unsent is not sent later


async def test_an_answer_before_the_whole_request_was_sent_counts_and_ends_the_line() -> None:
    async with held() as (peer, line, _):
        peer.reading.clear()
        line.write(_large())
        assert line._transport.get_write_buffer_size()
        peer.writers[0].write(http(b"{}", status="429 Too Many Requests"))
        assert (await line.answer(5)).status == 429
        assert not line.ready
        peer.reading.set()
        await until(lambda: not peer.writers, "the end at the peer")
        assert peer.posts == []


# -- misuse and endings


async def test_one_request_at_a_time() -> None:
    async with held() as (peer, line, _):
        peer.answer = b""
        line.write(POST)
        with pytest.raises(AssertionError):
            line.write(POST)
        line.close()
        with pytest.raises(AssertionError):
            line.write(POST)
        await until(lambda: not peer.writers, "the end at the peer")
        assert peer.posts in ([], [POST])


@pytest.mark.parametrize("busy", [False, True])
async def test_closing_the_session_ends_its_lines(busy: bool) -> None:
    async with listening() as peer:
        session = Session()
        async with session, asyncio.timeout(5):
            line = await session.line(peer.url, timeout_s=5)
            peer.answer = b""
            waiting = None
            if busy:
                line.write(POST)
                waiting = asyncio.create_task(line.answer(5))
                await until(lambda: peer.posts, "the request")
        if waiting:
            with pytest.raises(ConnectionError):
                await waiting
        await until(lambda: not line.ready, "the end of the line")


async def test_who_stops_waiting_cuts_the_line() -> None:
    async with held() as (peer, line, _):
        peer.answer = b""
        line.write(POST)
        waiting = asyncio.create_task(line.answer(5))
        await until(lambda: peer.posts, "the request")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not line.ready
        await until(lambda: not peer.writers, "the end at the peer")


async def test_no_line_where_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with Session() as session:
            for url in (f"http://127.0.0.1:{taken.getsockname()[1]}", "http://no-host.invalid"):
                with pytest.raises(ConnectionRefusedError, match="http://"):
                    await session.line(url, timeout_s=5)


async def test_no_line_in_time_where_tls_is_not_answered() -> None:
    async with listening() as peer, Session() as session:
        url = peer.url.replace("http://", "https://")
        with pytest.raises(ConnectionRefusedError):
            await session.line(url, timeout_s=0.2)
