"""HTTP connections: kept, opened ahead of need, and nothing is ever sent twice."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import aiohttp
import pytest

from polyarb import __version__, errors
from polyarb.domain.wire import HttpResponse
from polyarb.exchange.transport import HttpPort, Session, TooLongError

T = TypeVar("T")
SECOND = 10**9
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\nX-Y: z\r\n\r\nok"


class Service:
    """
    A TCP server that reads requests as bytes and answers as it is told.

    Args:
        answers: In turn, the last one for ever; None closes the connection instead.
    """

    def __init__(self, *answers: bytes | None) -> None:
        self._answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = 0
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        size = int(line.split(b":")[1])
                self.requests.append(head + await reader.readexactly(size))
                answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
                if answer is None:
                    break
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def run(self, act: Callable[[HttpPort], Awaitable[T]], **options: Any) -> T:
        """Serve while `act` uses a port, and return what it returns."""

        async def whole() -> T:
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            host, number = server.sockets[0].getsockname()[:2]
            try:
                async with Session(**options) as session:
                    return await act(HttpPort(session, f"http://{host}:{number}/base/"))
            finally:
                server.close()

        return asyncio.run(whole())


def test_a_request_is_sent_as_it_was_signed() -> None:
    service = Service(OK)
    body = '{"a":"ä","b":[1,2]}'.encode()

    async def act(port: HttpPort) -> HttpResponse:
        return await port.request(
            "POST", "/orders", headers={"POLY_SIGNATURE": "x_-=", "POLY_ADDRESS": "0xAb"}, body=body
        )

    answer = service.run(act)
    assert (answer.status, answer.body, answer.headers["x-y"]) == (200, b"ok", "z")
    [sent] = service.requests
    head, _, sent_body = sent.partition(b"\r\n\r\n")
    assert sent_body == body
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /base/orders HTTP/1.1"
    assert "POLY_SIGNATURE: x_-=" in lines
    assert "POLY_ADDRESS: 0xAb" in lines
    assert f"User-Agent: polyarb/{__version__}" in lines
    assert "Content-Type: application/json" in lines
    assert f"Content-Length: {len(body)}" in lines


def test_a_cursor_survives_the_query() -> None:
    service = Service(OK)
    service.run(
        lambda port: port.request("GET", "/data/orders", query={"next_cursor": "MA==", "x": "a+/&"})
    )
    assert service.requests[0].startswith(
        b"GET /base/data/orders?next_cursor=MA%3D%3D&x=a%2B/%26 HTTP/1.1\r\n"
    ) or service.requests[0].startswith(
        b"GET /base/data/orders?next_cursor=MA==&x=a%2B/%26 HTTP/1.1\r\n"
    )


def test_a_delete_without_a_body_has_none() -> None:
    service = Service(OK)
    service.run(lambda port: port.request("DELETE", "/cancel-all"))
    head = service.requests[0].lower()
    assert head.endswith(b"\r\n\r\n")
    assert b"content-type" not in head


def test_connections_are_kept_and_opened_ahead() -> None:
    service = Service(OK)

    async def act(port: HttpPort) -> int:
        warm = await port.warm(3)
        for _ in range(5):
            await port.request("GET", "/x")
        await asyncio.gather(*(port.request("GET", "/x") for _ in range(3)))
        return warm + await port.warm(3)

    assert service.run(act) == 6
    assert service.connections == 3
    assert [request.split(b" ")[1] for request in service.requests[:3]] == [b"/base/ok"] * 3


def test_connections_are_kept_warm_whatever_happens_to_them() -> None:
    service = Service(OK, None, OK)

    async def act(port: HttpPort) -> None:
        task = asyncio.create_task(port.keep_warm(2, every_s=0.001))
        async with asyncio.timeout(20):
            while len(service.requests) < 12:
                await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    service.run(act)
    assert service.connections == 3, "one was lost and opened again"


def test_a_connection_sends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    made = aiohttp.ClientSession._request

    async def spy(self: aiohttp.ClientSession, *arguments: Any, **named: Any) -> Any:
        answer = await made(self, *arguments, **named)
        transport = answer.connection and answer.connection.transport
        if transport:
            held = transport.get_extra_info("socket")
            seen.append(held.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        return answer

    monkeypatch.setattr(aiohttp.ClientSession, "_request", spy)
    late = OK[:-2]

    async def act(port: HttpPort) -> None:
        with pytest.raises(TimeoutError):
            await port.request("GET", "/x", timeout_ns=SECOND // 10)

    Service(late).run(act)
    assert seen
    assert all(seen)


@pytest.mark.parametrize("method", ["POST", "DELETE", "GET"])
def test_nothing_is_sent_twice_when_a_kept_connection_breaks(method: str) -> None:
    """What aiohttp does for a DELETE unless it is told not to."""
    service = Service(OK, None)

    async def act(port: HttpPort) -> None:
        await port.request(method, "/x", body=b"{}")
        with pytest.raises(ConnectionError) as caught:
            await port.request(method, "/x", body=b"{}")
        assert not isinstance(caught.value, ConnectionRefusedError)

    service.run(act)
    assert len(service.requests) == 2
    assert service.connections == 1


def test_a_redirect_is_an_answer() -> None:
    moved = b"HTTP/1.1 307 Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    service = Service(moved)
    assert service.run(lambda port: port.request("POST", "/x", body=b"{}")).status == 307
    assert len(service.requests) == 1


def test_a_late_answer_is_not_waited_for() -> None:
    async def act(port: HttpPort) -> None:
        with pytest.raises(TimeoutError, match=r"POST http://.*/x: no answer in 0\.05 s"):
            await port.request("POST", "/x", body=b"{}", timeout_ns=SECOND // 20)

    Service(b"").run(act)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"HTTP/1.1 200 OK\r\nContent-Length: 1",
        b"\x16\x03\x01garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
def test_a_broken_answer_is_a_connection_error(answer: bytes | None) -> None:
    answers = (answer,) if answer is None or not answer.endswith(b"1") else (answer, None)

    async def act(port: HttpPort) -> None:
        with pytest.raises((ConnectionError, TimeoutError)) as caught:
            await port.request("POST", "/x", body=b"{}", timeout_ns=SECOND // 5)
        assert not isinstance(caught.value, ConnectionRefusedError)

    Service(*answers).run(act)


def test_an_answer_above_the_bound_is_not_taken_in() -> None:
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b" " * 5000

    async def act(port: HttpPort) -> None:
        with pytest.raises(TooLongError, match="5000 bytes, above 1000"):
            await port.request("GET", "/x")

    Service(large).run(act, body_max=1000)


def test_nobody_there_means_that_nothing_was_sent() -> None:
    async def ask(url: str) -> None:
        async with Session() as session:
            await HttpPort(session, url).request("POST", "/x", body=b"{}")

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        number = taken.getsockname()[1]
        for url in (f"http://127.0.0.1:{number}", "http://no-such-host.invalid"):
            with pytest.raises(ConnectionRefusedError, match=r"POST http://.*/x: "):
                asyncio.run(ask(url))


def test_a_peer_that_speaks_no_tls_was_sent_nothing() -> None:
    service = Service(OK)

    async def act(port: HttpPort) -> None:
        async with Session(tls=ssl.create_default_context()) as session:
            secure = HttpPort(session, port.base_url.replace("http://", "https://"))
            with pytest.raises(ConnectionRefusedError):
                await secure.request("POST", "/x", body=b"{}", timeout_ns=SECOND // 2)

    service.run(act)
    assert service.requests == []


def test_no_free_connection_means_that_nothing_was_sent() -> None:
    service = Service(b"")

    async def act(port: HttpPort) -> None:
        async with asyncio.TaskGroup() as group:
            first = group.create_task(_asked(port, 2 * SECOND))
            await asyncio.sleep(0)
            second = group.create_task(_asked(port, SECOND // 5))
        assert type(first.result()) is TimeoutError
        assert type(second.result()) is ConnectionRefusedError

    service.run(act, connections_max=1)
    assert len(service.requests) == 1


async def _asked(port: HttpPort, timeout_ns: int) -> BaseException | None:
    try:
        await port.request("POST", "/x", body=b"{}", timeout_ns=timeout_ns)
    except OSError as error:
        return error
    return None


def test_no_error_shows_a_header() -> None:
    hidden = "pass-phrase-of-the-tests"

    async def act(port: HttpPort) -> list[str]:
        said = []
        for timeout_ns in (SECOND // 20, SECOND):
            with pytest.raises((ConnectionError, TimeoutError)) as caught:
                await port.request(
                    "POST", "/x", headers={"POLY_PASSPHRASE": hidden}, timeout_ns=timeout_ns
                )
            error: BaseException | None = caught.value
            assert error is not None
            assert error.__suppress_context__
            said.append(repr(error))
        return said

    assert hidden not in "".join(Service(b"", None).run(act))


def test_bad_addresses_and_times_are_refused() -> None:
    with pytest.raises(errors.MalformedError, match="base_url 'ftp://x'"):
        HttpPort(Session(), "ftp://x")

    async def act(port: HttpPort) -> None:
        with pytest.raises(errors.RangeError, match="timeout_ns"):
            await port.request("GET", "/x", timeout_ns=0)

    Service(OK).run(act)
