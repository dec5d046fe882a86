"""
The fast send path over sockets: no order is lost or doubled, whatever the other side does.

Before a byte was written the ordinary client takes over; once one was, nothing is sent again and
what is not known is said to be unknown.
"""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any

import pytest
from hotpath import (
    CREDENTIALS,
    RESTING,
    SECOND,
    SIGNER,
    accepted,
    accepting,
    against_a_peer,
    ids_of,
    tended,
    venue,
)
from peer import Peer, http
from waiting import until

from polyarb import clock, errors
from polyarb.domain.answer import Accepted, Cause, Later, Reason, Refused, Unknown, Why
from polyarb.exchange.auth import l2_headers
from polyarb.exchange.fastpath import Way
from polyarb.exchange.transport import Session

pytestmark = pytest.mark.asyncio


def meaning(said: object) -> object:
    match said:
        case Refused():
            return said.reason
        case Unknown():
            return said.why
        case Later():
            return said.cause
    return None


# -- the way it should go


@pytest.mark.parametrize("count", [1, 2, 15])
async def test_what_is_sent_is_what_the_general_path_would_send(count: int) -> None:
    async with against_a_peer() as (peer, path):
        path.fast.build([RESTING] * count)
        asked = path.fast.asked
        body = path.fast.body
        flight = path.fast.send()
        answers = await flight.answers
        assert flight.way is Way.DIRECT
        assert [type(answer) for answer in answers] == [Accepted] * count
        [post] = peer.posts
        head, _, sent = post.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        assert first == "POST /orders HTTP/1.1"
        assert sent == body
        headers = dict(line.split(":", 1) for line in lines)
        assert len(headers) == len(lines)
        headers = {name: value.strip() for name, value in headers.items()}
        seconds = int(headers["POLY_TIMESTAMP"])
        wanted = l2_headers(CREDENTIALS, "POST", "/orders", body, seconds, SIGNER.address)
        assert wanted.items() <= headers.items()
        assert headers["Content-Length"] == str(len(body))
        assert headers["Content-Type"] == "application/json"
        assert headers["Host"] == peer.url.removeprefix("http://")
        assert ids_of(post) == [one.order_id for one in asked]


async def test_nothing_is_awaited_before_the_kernel_has_it() -> None:
    async with against_a_peer() as (peer, path):
        [line] = [kept.line for kept in path.lines._kept][:1]
        fd = line._transport.get_extra_info("socket").fileno()
        sent = socket.socket(fileno=socket.dup(fd))  # type: ignore[attr-defined]
        before = _sent_bytes(sent)
        path.send(RESTING)
        assert _sent_bytes(sent) - before > 500
        sent.close()
        await until(lambda: peer.posts, "the request")


def _sent_bytes(connection: socket.socket) -> int:
    """Return tcpi_bytes_acked + notsent + unacked as far as the kernel tells: tcpi_bytes_sent."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return int(struct.unpack_from("=Q", info, 200)[0])


async def test_requests_one_after_another_use_one_connection() -> None:
    async with against_a_peer() as (peer, path):
        for _ in range(20):
            flight = path.send(RESTING, RESTING)
            assert flight.way is Way.DIRECT
            await flight.answers
        assert peer.connections == 2
        assert len({id_ for post in peer.posts for id_ in ids_of(post)}) == 40


# -- before a byte was written


async def test_without_a_line_the_ordinary_client_sends_it_once() -> None:
    async with against_a_peer() as (peer, path):
        path.lines.close()
        path.fast.build([RESTING] * 2)
        asked = path.fast.asked
        body = path.fast.body
        flight = path.fast.send()
        assert flight.way is Way.ORDINARY
        assert [type(answer) for answer in await flight.answers] == [Accepted] * 2
        [post] = peer.posts
        assert post.partition(b"\r\n\r\n")[2] == body
        assert ids_of(post) == [one.order_id for one in asked]


async def test_while_every_line_is_busy_the_ordinary_client_sends() -> None:
    async with against_a_peer() as (peer, path):
        flights = [path.send(RESTING) for _ in range(5)]
        assert [flight.way for flight in flights] == [Way.DIRECT] * 2 + [Way.ORDINARY] * 3
        for flight in flights:
            assert [type(answer) for answer in await flight.answers] == [Accepted]
        ids = [id_ for post in peer.posts for id_ in ids_of(post)]
        assert sorted(ids) == sorted(one.order_id for f in flights for one in f.asked)


async def test_a_line_that_closed_before_is_not_written_to() -> None:
    async with against_a_peer() as (peer, path):
        peer.trial = http(status="503 Down")
        for writer in [*peer.writers]:
            writer.close()
        await until(lambda: path.lines.failures, "the end of the lines")
        flight = path.send(RESTING)
        assert flight.way is Way.ORDINARY
        await flight.answers
        peer.trial = http()
        await until(lambda: path.lines.ready_count() == 2, "new lines")
        assert path.send(RESTING).way is Way.DIRECT
        await until(lambda: len(peer.posts) == 2, "both")


async def test_a_line_that_idled_too_long_is_not_written_to() -> None:
    async with against_a_peer(lines={"refresh_ns": 3600 * SECOND}) as (peer, path):
        for kept in path.lines._kept:
            kept.fresh_until_ns -= 2 * 3600 * SECOND
        assert path.lines.ready_count() == 0
        flight = path.send(RESTING)
        assert flight.way is Way.ORDINARY
        await flight.answers
        assert len(peer.posts) == 1


async def test_a_spent_budget_sends_nothing() -> None:
    async with against_a_peer() as (peer, path):
        path.throttle.spend("POST /orders", 2_000, clock.monotonic_ns())
        flight = path.send(RESTING, RESTING)
        assert flight.way is Way.NOWHERE
        [one, two] = await flight.answers
        assert isinstance(one, Later)
        assert one == two
        assert one.cause is Cause.BUDGET
        assert one.wait_ns
        assert peer.posts == []


async def test_a_build_that_failed_stands_in_no_ones_way() -> None:
    async with against_a_peer() as (peer, path):
        for wrong in (RESTING._replace(token=9), RESTING._replace(maker_amount=-1)):
            with pytest.raises(errors.RangeError):
                path.fast.build([RESTING, RESTING, wrong])
            assert path.fast.asked == []
            with pytest.raises(errors.RangeError, match="send without a build"):
                path.fast.send()
            assert [type(said) for said in await path.send(RESTING).answers] == [Accepted]
        with pytest.raises(errors.RangeError, match="count 0"):
            path.fast.build([])
        with pytest.raises(errors.RangeError, match="index 15"):
            path.fast.build([RESTING] * 16)
        assert len(peer.posts) == 2


async def test_what_was_built_is_sent_once() -> None:
    async with against_a_peer() as (peer, path):
        with pytest.raises(errors.RangeError, match="send without a build"):
            path.fast.send()
        flight = path.send(RESTING)
        with pytest.raises(errors.RangeError, match="send without a build"):
            path.fast.send()
        with pytest.raises(errors.RangeError, match="body of no build"):
            _ = path.fast.body
        path.fast.build([RESTING])
        with pytest.raises(errors.RangeError, match="token 9"):
            path.fast.build([RESTING._replace(token=9)])
        with pytest.raises(errors.RangeError, match="send without a build"):
            path.fast.send()
        await flight.answers
        assert len(peer.posts) == 1


# -- once a byte was written


async def _reset(_: Peer, writer: asyncio.StreamWriter) -> None:
    end = writer.get_extra_info("socket")
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _cut(peer: Peer, writer: asyncio.StreamWriter) -> None:
    writer.write(accepted(ids_of(peer.posts[-1]))[:-20])
    await writer.drain()
    writer.close()


async def _early_then_reset(peer: Peer, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    await writer.drain()
    await _reset(peer, writer)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (None, Why.BROKEN),
        (_reset, Why.BROKEN),
        (_cut, Why.BROKEN),
        (_early_then_reset, Why.BROKEN),
        (b"", Why.TIMED_OUT),
        (b"HTTP/1.1 100 Continue\r\n\r\n", Why.TIMED_OUT),
        (b"garbage\r\n\r\n", Why.BROKEN),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", Why.BROKEN),
        (http(b"", "Location: /orders", status="307 Temporary Redirect"), Why.UNREADABLE),
        (http(b"", "Location: /orders", status="308 Permanent Redirect"), Why.UNREADABLE),
        (http(b"", status="408 Request Timeout"), Why.UNRECOGNISED),
        (http(b"<html>", status="502 Bad Gateway"), Why.SERVER_ERROR),
        (http(b""), Why.UNREADABLE),
        (http(b"[]"), Why.MISSING),
    ],
)
async def test_once_written_it_is_unknown_and_never_sent_again(answer: Any, why: Why) -> None:
    async with against_a_peer(timeout_ns=SECOND // 5) as (peer, path):
        peer.answer = answer
        flight = path.send(RESTING, RESTING)
        assert flight.way is Way.DIRECT
        assert [meaning(said) for said in await flight.answers] == [why] * 2
        peer.answer = accepting
        await until(lambda: path.lines.ready_count() == 2, "lines as before")
        assert [type(said) for said in await path.send(RESTING).answers] == [Accepted]
        assert len(peer.posts) == 2
        assert path.fast.sent == {Way.DIRECT: 2, Way.ORDINARY: 0, Way.NOWHERE: 0}


async def test_a_failing_write_leaves_it_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    async with against_a_peer() as (peer, path):
        line = path.lines._kept[0].line

        def failing(_: bytes) -> None:
            raise RuntimeError("the transport is closed")

        monkeypatch.setattr(line, "write", failing)
        flight = path.send(RESTING)
        assert [meaning(said) for said in await flight.answers] == [Why.BROKEN]
        assert not line.ready
        assert peer.posts == []
        assert path.fast.sent[Way.ORDINARY] == 0


async def test_an_end_that_was_on_its_way_leaves_it_unknown() -> None:
    """The peer closed, and the loop does not know yet: bytes go where nobody reads them."""
    async with against_a_peer() as (peer, path):
        for writer in [*peer.writers]:
            end = writer.get_extra_info("socket")
            end.shutdown(socket.SHUT_RDWR)
        flight = path.send(RESTING)
        assert flight.way is Way.DIRECT
        assert [meaning(said) for said in await flight.answers] == [Why.BROKEN]
        assert peer.posts == []


async def test_an_answer_that_closes_is_followed_by_the_spare() -> None:
    async def closing(peer: Peer, writer: asyncio.StreamWriter) -> None:
        whole = accepted(ids_of(peer.posts[-1]))
        writer.write(whole.replace(b"Content-Type", b"Connection: close\r\nContent-Type"))
        await writer.drain()
        writer.close()

    async with against_a_peer() as (peer, path):
        peer.answer = closing
        for _ in range(4):
            flight = path.send(RESTING)
            assert flight.way is Way.DIRECT
            assert [type(said) for said in await flight.answers] == [Accepted]
            await until(lambda: path.lines.ready_count() == 2, "another line")
        assert len(peer.posts) == 4
        assert peer.connections == 6


async def test_an_end_while_answers_are_awaited_leaves_them_unknown() -> None:
    async with against_a_peer() as (peer, path):
        peer.answer = b""
        flights = [path.send(RESTING), path.send(RESTING)]
        path.lines.close()
        for flight in flights:
            assert [meaning(said) for said in await flight.answers] == [Why.BROKEN]


# -- lines


async def test_lines_are_used_before_the_server_ends_them() -> None:
    async with against_a_peer(lines={"refresh_ns": SECOND // 20}) as (peer, path):
        await until(lambda: peer.gets >= 8, "lines in use")
        assert peer.connections == 2
        assert path.lines.failures == 0
        assert path.lines.ready_count()


async def test_a_keep_alive_header_shortens_the_wait() -> None:
    async with against_a_peer() as (peer, path):
        path.lines.close()
        peer.trial = http(b"OK", "Keep-Alive: timeout=4, max=100")
        await until(lambda: path.lines.ready_count() == 2, "new lines")
        for kept in path.lines._kept:
            assert kept.fresh_until_ns - kept.due_ns == SECOND
            assert kept.due_ns <= clock.monotonic_ns() + 2 * SECOND


@pytest.mark.parametrize(
    "trial", [None, http(status="503 Down"), http(b"OK", "Connection: close"), http(status="302 F")]
)
async def test_lines_that_do_not_stand_the_trial_are_none(trial: Any) -> None:
    async with against_a_peer() as (peer, path):
        peer.trial = trial
        path.lines.close()
        await until(lambda: path.lines.failures, "a failure")
        assert path.lines.ready_count() == 0
        assert path.lines.last_failure
        flight = path.send(RESTING)
        assert flight.way is Way.ORDINARY
        await flight.answers
        peer.trial = http()
        await until(lambda: path.lines.ready_count() == 2, "lines again")


# -- the simulated exchange


async def test_orders_at_the_exchange() -> None:
    async with venue() as there, Session() as session, tended(there.path(session)) as path:
        for _ in range(3):
            flight = path.send(RESTING, RESTING._replace(token=1))
            assert flight.way is Way.DIRECT
            assert [type(said) for said in await flight.answers] == [Accepted] * 2
        opened = {order.order_id for order in await path.client.open_orders()}
        assert len(opened) == 6


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    ("fault", "values", "expected", "exists"),
    [
        ("error", {}, Why.SERVER_ERROR, False),
        ("error_200", {"text": "odd"}, Why.UNRECOGNISED, False),
        ("html_error", {}, Why.SERVER_ERROR, False),
        ("html_error", {"status": 403}, Reason.BLOCKED, False),
        ("too_many_requests", {}, Cause.THROTTLED, False),
        ("request_lost", {}, Why.BROKEN, False),
        ("order_timed_out", {}, Reason.TIMED_OUT, False),
        ("order_body_error", {}, Reason.EXECUTION, False),
        ("response_lost", {}, Why.BROKEN, True),
        ("accepted_then_500", {}, Why.SERVER_ERROR, True),
        ("slow", {"seconds": 1.5}, Why.TIMED_OUT, True),
        ("reset_mid_response", {}, Why.BROKEN, True),
        ("truncated_body", {}, Why.UNREADABLE, True),
        ("leg_refused", {}, Reason.BALANCE, False),
    ],
)
async def test_what_becomes_of_an_order_is_never_guessed(
    count: int, *, fault: str, values: Mapping[str, Any], expected: object, exists: bool
) -> None:
    async with venue() as there, Session() as session, tended(there.path(session)) as path:
        path_of = {} if fault == "leg_refused" else {"match": {"path": "POST /orders"}}
        before = there.venue.counts["requests"]
        there.fault(fault, **path_of, **values)
        flight = path.send(*[RESTING] * count)
        assert flight.way is Way.DIRECT
        answers = await flight.answers
        assert [meaning(said) for said in answers] == [expected] * count
        requests = there.venue.counts["requests"] - before
        assert requests <= 1 + path.lines.failures + 2  # ours, and trials of new lines
        for one, said in zip(flight.asked, answers, strict=True):
            if isinstance(said, Unknown):
                found = await path.client.order(one.order_id)
                assert (found is not None) is exists


async def test_a_storm_of_faults_loses_and_doubles_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = Random(20_260_101)
    names = (
        *("error", "html_error", "request_lost", "order_timed_out", "order_body_error"),
        *("response_lost", "accepted_then_500", "slow", "reset_mid_response", "truncated_body"),
    )
    async with venue() as there, Session() as session:
        path = there.path(session, timeout_ns=SECOND // 4)
        posts: Counter[bytes] = Counter()
        take = there.server.exchange.request

        def counted(request: Any) -> None:
            posts.update([request.body] if request.path == "/orders" else [])
            take(request)

        monkeypatch.setattr(there.server.exchange, "request", counted)
        async with tended(path):
            flights = []
            for _ in range(150):
                fault = None
                if rng.random() < 0.5:
                    name = rng.choice(names)
                    values = {"seconds": 0.5} if name == "slow" else {}
                    fault = there.fault(name, count=1, match={"path": "POST /orders"}, **values)
                together = [path.send(*[RESTING] * rng.randrange(1, 4)) for _ in range(2)]
                flights += together
                await asyncio.wait([flight.answers for flight in together])
                if fault is not None:
                    there.clear(fault)
                await path.client.cancel_all()
            assert len({one.order_id for flight in flights for one in flight.asked}) == sum(
                len(flight.asked) for flight in flights
            )
            for flight in flights:
                for one, said in zip(flight.asked, flight.answers.result(), strict=True):
                    if isinstance(said, Accepted | Refused | Later):
                        found = await path.client.order(one.order_id)
                        assert (found is not None) is isinstance(said, Accepted), said
        assert path.fast.sent[Way.DIRECT] > 200, path.fast.sent
        assert posts.most_common(1)[0][1] == 1  # nothing arrived twice,
        assert posts.total() == len(flights)  # and everything arrived
        said = [answer for flight in flights for answer in flight.answers.result()]
        assert {type(answer) for answer in said} >= {Accepted, Unknown, Refused}
        assert Why.DUPLICATED not in map(meaning, said)
