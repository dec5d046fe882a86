"""What the client makes of answers, of none, and of those that are not what they should be."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import aiohttp
import pytest
import stamina
from aiohttp import web

from polyarb import __version__, errors
from polyarb.exchange import client as client_module
from polyarb.exchange.client import Client, retry_wait

T = TypeVar("T")
Answer = web.StreamResponse | Callable[[web.Request], Awaitable[web.StreamResponse]]
NOW_NS = 1_790_000_000 * 10**9


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """Let attempts follow one another; how long they would wait is tested by itself."""
    stamina.set_testing(True, attempts=4)
    yield
    stamina.set_testing(False)


class Service:
    """An HTTP server that gives prepared answers in turn, the last one for ever."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.addresses: set[Any] = set()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        self.asked.append((request.method, request.path_qs, dict(request.headers), body))
        assert request.transport
        self.addresses.add(request.transport.get_extra_info("peername"))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, web.Response):
            return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
        assert callable(answer)
        return await answer(request)  # type: ignore[arg-type]

    def run(self, act: Callable[[Client], Awaitable[T]], **options: Any) -> T:
        """Serve while `act` uses a client, and return what it returns."""

        async def whole() -> T:
            server = web.Server(self._handle)
            runner = web.ServerRunner(server, shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0][:2]
            base = f"http://{host}:{port}"
            try:
                async with Client(
                    clob_url=base, gamma_url=f"{base}/gamma/", **({"timeout_s": 5} | options)
                ) as client:
                    return await act(client)
            finally:
                await runner.cleanup()

        return asyncio.run(whole())


def ok(body: object) -> web.Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return web.Response(body=raw, content_type="application/json")


def time_s(client: Client) -> Awaitable[int]:
    return client.time_s()


@pytest.mark.parametrize("body", [b"1790000000", {"time": 1790000000}, {"time": "1790000000"}])
def test_the_time_comes_bare_or_in_an_object(body: object) -> None:
    service = Service(ok(body))
    assert service.run(time_s) == 1_790_000_000
    [(method, path, headers, _)] = service.asked
    assert (method, path) == ("GET", "/time")
    assert headers["User-Agent"] == f"polyarb/{__version__}"
    assert "gzip" in headers["Accept-Encoding"]


def test_queries_repeat_names_and_are_quoted() -> None:
    service = Service(ok(b"{}"))
    query = [("id", "1"), ("id", "2"), ("after_cursor", "a+/=&")]
    assert service.run(lambda client: client.gamma("/events/keyset", query, bytes.decode)) == "{}"
    assert service.asked[0][1] == "/gamma/events/keyset?id=1&id=2&after_cursor=a%2B/%3D%26"


def test_connections_are_kept_and_send_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    made = aiohttp.ClientSession.request

    def spy(self: aiohttp.ClientSession, *arguments: Any, **named: Any) -> Any:
        for waiting in self.connector._conns.values():  # type: ignore[union-attr]
            for protocol, _ in waiting:
                kept = protocol.transport.get_extra_info("socket")
                seen.append(kept.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        return made(self, *arguments, **named)

    monkeypatch.setattr(aiohttp.ClientSession, "request", spy)

    async def thrice(client: Client) -> None:
        for _ in range(3):
            await client.time_s()

    service = Service(ok(b"5"))
    service.run(thrice)
    assert len(service.addresses) == 1
    assert len(seen) == 2
    assert all(seen)


# -- books


def test_books_come_as_they_were_sent() -> None:
    service = Service(ok(b' [{"asset_id": "1"}]\n'))
    assert service.run(lambda client: client.books(["1", "2"])) == b' [{"asset_id": "1"}]\n'
    [(method, path, headers, body)] = service.asked
    assert (method, path, body) == ("POST", "/books", b'[{"token_id":"1"},{"token_id":"2"}]')
    assert headers["Content-Type"] == "application/json"


def test_many_books_are_asked_for_in_parts_and_come_as_one_array() -> None:
    async def echo(request: web.Request) -> web.Response:
        asked = [each["token_id"] for each in json.loads(await request.read())]
        return ok([{"asset_id": name} for name in asked if name != "7"])

    names = [str(number) for number in range(1, 1202)]
    service = Service(echo)
    told = json.loads(service.run(lambda client: client.books(names)))
    assert [each["asset_id"] for each in told] == [name for name in names if name != "7"]
    assert [len(json.loads(body)) for *_, body in service.asked] == [500, 500, 201]


def test_no_books_need_no_question_and_empty_parts_leave_no_comma() -> None:
    service = Service(ok(b"[]"))
    assert service.run(lambda client: client.books([])) == b"[]"
    assert not service.asked
    names = [str(number) for number in range(501)]
    assert service.run(lambda client: client.books(names)) == b"[]"


# -- what goes wrong


async def torn(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "100"})
    await response.prepare(request)
    await response.write(b'[{"asset')
    assert request.transport
    request.transport.abort()
    return response


async def gone(request: web.Request) -> web.StreamResponse:
    assert request.transport
    request.transport.abort()
    return web.Response()


BROKEN: dict[str, tuple[Answer, type[errors.RetryError]]] = {
    "429": (web.Response(status=429, text="Too Many Requests"), errors.ThrottledError),
    "425": (web.Response(status=425, text="restarting"), errors.UnavailableError),
    "500": (web.Response(status=500, body=b'{"error":"oh"}'), errors.UnavailableError),
    "502 HTML": (web.Response(status=502, text="<html>Cloudflare"), errors.UnavailableError),
    "HTML": (ok(b"\n <!DOCTYPE html><html>"), errors.GarbledError),
    "half": (ok(b'[{"asset_id": "1'), errors.GarbledError),
    "empty": (ok(b""), errors.GarbledError),
    "no array": (ok(b'{"error":"x"}'), errors.GarbledError),
    "latin-1": (ok(b"\xff\xfe"), errors.GarbledError),
    "deep": (ok(b"[" * 100_000), errors.GarbledError),
    "torn": (torn, errors.UnreachableError),
    "gone": (gone, errors.UnreachableError),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_read_is_repeated_until_it_makes_sense(name: str) -> None:
    broken, _ = BROKEN[name]
    service = Service(broken, broken, ok(b"[]"))
    assert service.run(lambda client: client.books(["1"])) == b"[]"
    assert len(service.asked) == 3


@pytest.mark.parametrize("name", BROKEN)
def test_what_stays_broken_is_an_error_that_says_so(name: str) -> None:
    broken, expected = BROKEN[name]
    service = Service(broken)
    with pytest.raises(errors.RetryError, match="POST http://127") as caught:
        service.run(lambda client: client.books(["1"]))
    assert type(caught.value) is expected
    assert len(service.asked) == 4
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("status", [301, 400, 401, 403])
def test_what_asking_again_cannot_mend_is_not_repeated(status: int) -> None:
    body = b'{"error":"Payload exceeds the limit"}'
    service = Service(web.Response(status=status, body=body, headers={"Location": "/x"}))
    with pytest.raises(errors.DeniedError, match=f"{status} 'Payload exceeds the limit'") as caught:
        service.run(lambda client: client.books(["1"]))
    assert caught.value.status == status
    assert len(service.asked) == 1


def test_what_is_not_there_is_none_where_that_may_be() -> None:
    service = Service(web.Response(status=404, text="<html>"))
    assert service.run(lambda client: client.gamma("/events/9", (), bytes.decode)) is None
    for act in (time_s, lambda client: client.books(["1"])):
        with pytest.raises(errors.DeniedError, match="404"):
            service.run(act)
    assert len(service.asked) == 3


def test_a_late_answer_is_not_waited_for() -> None:
    async def late(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    service = Service(late, late, ok(b"7"))
    assert service.run(time_s, timeout_s=0.05) == 7
    with pytest.raises(errors.UnreachableError, match=r"no answer in 0\.05 s"):
        Service(late).run(time_s, timeout_s=0.05)


@pytest.mark.parametrize("known", [True, False])
def test_a_body_above_the_bound_is_not_taken_in(known: bool) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if known:
            response.headers["Content-Length"] = str(10**12)
        await response.prepare(request)
        while True:
            await response.write(b" " * 65_536)

    service = Service(endless)
    with pytest.raises(errors.GarbledError, match="above 1000"):
        service.run(time_s, body_max=1000)


def test_a_bomb_is_measured_unpacked() -> None:
    async def bomb(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_compression(web.ContentCoding.gzip)
        await response.prepare(request)
        await response.write(b" " * 10_000_000)
        return response

    with pytest.raises(errors.GarbledError, match="above 100000"):
        Service(bomb).run(time_s, body_max=100_000)


def test_nobody_at_the_address_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{taken.getsockname()[1]}"

        async def ask() -> None:
            async with Client(clob_url=base, gamma_url=base) as client:
                await client.time_s()

        with pytest.raises(errors.UnreachableError, match=r"GET .*/time: "):
            asyncio.run(ask())


@pytest.mark.parametrize("url", ["", "clob.example", "ftp://clob.example", "http://", "http://[x"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(errors.MalformedError, match="gamma_url"):
        Client(clob_url="http://a", gamma_url=url)


# -- how long to wait


@pytest.mark.parametrize(
    ("header", "told", "expected"),
    [
        ("3", {}, 3.0),
        (" 0 ", {}, 0.0),
        ("Mon, 21 Sep 2026 14:13:30 GMT", {}, 10.0),
        ("Mon, 21 Sep 2026 14:13:10 -0000", {}, 0.0),
        ("-3", {}, None),
        ("soon", {"retry_after_seconds": 2}, 2.0),
        (None, {"retry_after_seconds": 1.5}, 1.5),
        (None, {"retry_after_seconds": True}, None),
        (None, {"retry_after_seconds": -1}, None),
        (None, {}, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(
    header: str | None, told: dict[str, Any], expected: float | None
) -> None:
    assert client_module._wait_s(header, told, NOW_NS) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.ThrottledError("", 7.0), 7.0),
        (errors.UnavailableError("", 0.0), client_module.WAIT_S_MIN),
        (errors.ThrottledError(""), True),
        (errors.ThrottledError("", 3600.0), False),
        (errors.GarbledError(""), True),
        (errors.UnreachableError(""), True),
        (errors.DeniedError("", 400), False),
        (KeyError(), False),
    ],
)
def test_what_was_asked_for_is_waited_for(error: Exception, expected: bool | float) -> None:
    assert retry_wait(error) == expected
    assert type(retry_wait(error)) is type(expected)
