"""One connection against a hand-made server: RFC 6455 in every spelling, split at every byte."""

import functools
import json

import pytest
from conftest import vectors
from feeds import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    SECOND,
    TEXT,
    URL,
    Library,
    Line,
    answer,
    book,
    change,
    closing,
    dump,
    frame,
    text,
)

from polyarb.core.decode import Bad, Kind
from polyarb.errors import MalformedError, RangeError
from polyarb.feed.channel import (
    HANDSHAKE_MAX,
    NOTICE_MAX,
    Changed,
    ChannelConfig,
    Closed,
    Messages,
    Notice,
    Opened,
    State,
    market_frames,
    parse_url,
)

MASK = b"\x01\x02\x03\x04"
SNAPSHOT = dump(book("1", 1000))
FIRST = {4_000: 10_000_000}
AFTER = {4_000: 10_000_000, 4_100: 7_000_000}
MOVE = dump(change("1", 1001, "0.41", "7"))
BACK = dump(change("1", 1002, "0.41", "0"))


@pytest.fixture(scope="module")
def shared() -> Library:
    return Library(["1", "2"])


@pytest.fixture
def library(shared: Library) -> Library:
    shared.forget()
    return shared


@pytest.fixture
def line(library: Library) -> Line:
    return Line(library).opened()


# -- frames, whole and in pieces


def padded(size: int) -> bytes:
    """Return a flat price_change of exactly `size` bytes that sets 0.41 to 7."""
    row = {"event_type": "price_change", "asset_id": "1", "price": "0.41"}
    made = dump({**row, "side": "BUY", "size": "7"})
    assert len(made) <= size
    return made.ljust(size)


def parts(message: bytes, count: int, opcode: int = TEXT, between: bytes = b"") -> bytes:
    """Return a message in `count` fragments with `between` after each but the last."""
    step = -(-len(message) // count)
    pieces = [message[at : at + step] for at in range(0, len(message), step)]
    return between.join(
        frame(CONT if n else opcode, piece, fin=n == len(pieces) - 1)
        for n, piece in enumerate(pieces)
    )


STREAMS = {
    "text": (text(SNAPSHOT) + text(MOVE), AFTER, None),
    "longest_7_bit": (text(SNAPSHOT) + text(padded(125)), AFTER, None),
    "shortest_16_bit": (text(SNAPSHOT) + text(padded(126)), AFTER, None),
    "needless_16_bit": (text(SNAPSHOT) + frame(TEXT, padded(100), length=2), AFTER, None),
    "needless_64_bit": (text(SNAPSHOT) + frame(TEXT, padded(100), length=8), AFTER, None),
    "empty_text": (text(SNAPSHOT) + text(b"") + text(MOVE), AFTER, None),
    "pong_text": (text(SNAPSHOT) + text(b"PONG") + text(MOVE), AFTER, None),
    "control": (
        text(SNAPSHOT) + frame(PING, b"a") + frame(PONG) + frame(PING, b"b" * 125) + text(MOVE),
        AFTER,
        None,
    ),
    "fragments": (text(SNAPSHOT) + parts(MOVE, 3), AFTER, None),
    "fragments_with_control_between": (
        text(SNAPSHOT) + parts(MOVE, 4, between=frame(PING, b"x") + frame(PONG, b"y")),
        AFTER,
        None,
    ),
    "empty_fragments": (
        text(SNAPSHOT) + frame(TEXT, fin=False) + frame(CONT, fin=False) + frame(CONT, MOVE),
        AFTER,
        None,
    ),
    "one_byte_fragments": (text(SNAPSHOT) + parts(MOVE, len(MOVE)), AFTER, None),
    "fragments_keep_their_place": (parts(SNAPSHOT, 2) + text(MOVE) + text(BACK), FIRST, None),
    "binary": (frame(BINARY, SNAPSHOT) + text(MOVE), AFTER, None),
    "binary_fragments": (parts(SNAPSHOT, 3, BINARY) + text(MOVE), AFTER, None),
    "code_point_split_by_fragments": (
        text(SNAPSHOT) + parts('{"event_type":"é€","note":"é€"}'.encode(), 31) + parts(MOVE, 2),
        AFTER,
        None,
    ),
    "malformed_text": (text(SNAPSHOT) + text(MOVE[:-1]) + text(MOVE), AFTER, None),
    "invalid_utf8": (text(SNAPSHOT) + text(MOVE.replace(b"0xab", b"\xc3\x28")), FIRST, None),
    "close": (text(SNAPSHOT) + closing(1000, b"bye") + text(MOVE), FIRST, (1000, "bye")),
    "close_without_code": (text(SNAPSHOT) + closing(None) + text(MOVE), FIRST, (1005, "")),
    "masked": (text(SNAPSHOT) + frame(TEXT, MOVE, mask=MASK) + text(MOVE), FIRST, 1002),
    "masked_ping": (text(SNAPSHOT) + frame(PING, b"", mask=MASK) + text(MOVE), FIRST, 1002),
    **{
        f"reserved_bits_{rsv}": (
            text(SNAPSHOT) + frame(TEXT, MOVE, rsv=rsv) + text(MOVE),
            FIRST,
            1002,
        )
        for rsv in range(1, 8)
    },
    **{
        f"opcode_{opcode}": (text(SNAPSHOT) + frame(opcode, MOVE) + text(MOVE), FIRST, 1002)
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    },
    "continuation_of_nothing": (text(SNAPSHOT) + frame(CONT, MOVE) + text(MOVE), FIRST, 1002),
    "text_inside_a_message": (
        text(SNAPSHOT) + frame(TEXT, MOVE[:9], fin=False) + text(MOVE) + frame(CONT, MOVE[9:]),
        FIRST,
        1002,
    ),
    "binary_inside_a_message": (
        text(SNAPSHOT) + frame(TEXT, MOVE[:9], fin=False) + frame(BINARY, MOVE),
        FIRST,
        1002,
    ),
    "close_inside_a_message": (
        text(SNAPSHOT) + frame(TEXT, MOVE[:9], fin=False) + closing(1000),
        FIRST,
        1002,
    ),
    "fragmented_ping": (text(SNAPSHOT) + frame(PING, b"x", fin=False) + text(MOVE), FIRST, 1002),
    "long_ping": (text(SNAPSHOT) + frame(PING, b"x" * 126) + text(MOVE), FIRST, 1002),
    "long_close": (text(SNAPSHOT) + closing(1000, b"x" * 124) + text(MOVE), FIRST, 1002),
    "short_close": (text(SNAPSHOT) + frame(CLOSE, b"\x03") + text(MOVE), FIRST, 1002),
    "close_reason_no_utf8": (text(SNAPSHOT) + closing(1000, b"\xff\xfe"), FIRST, 1007),
}
"""Stream → (its bytes, bids of token 1 at its end, how it closes: code, (code, reason) or None)."""

PONGS = {
    "control": [b"a", b"b" * 125],
    "fragments_with_control_between": [b"x"] * 3,
}


def outcome(library: Library, chunks: list[bytes]) -> tuple[object, ...]:
    """Return all that a stream delivered in these reads leaves behind."""
    library.forget()
    line = Line(library).opened()
    for chunk in chunks:
        line.feed(chunk)
    counts = line.counts
    end = line.closed and tuple(line.closed)
    return (
        library.sides("1"),
        end,
        [frame for frame in line.said() if frame[0] == PONG],
        (counts.data, counts.pongs, counts.texts, counts.slow, dict(counts.rejected)),
        [event for event in line.events if isinstance(event, Notice)],
    )


@functools.cache
def whole(library: Library, name: str) -> tuple[object, ...]:
    return outcome(library, [STREAMS[name][0]])


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_in_one_read(library, name):
    _, bids, close = STREAMS[name]
    sides, end, pongs, _, _ = whole(library, name)
    assert sides[0] == bids
    if isinstance(close, int):
        assert end[0] == close
        assert end[1], "a violation has its reason"
    else:
        assert end == close
    assert pongs == [(PONG, payload) for payload in PONGS.get(name, [])]


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_split_at_any_byte_ends_the_same(library, name):
    data = STREAMS[name][0]
    for at in range(1, len(data)):
        assert outcome(library, [data[:at], data[at:]]) == whole(library, name), at


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_byte_by_byte_ends_the_same(library, name):
    data = STREAMS[name][0]
    assert outcome(library, [data[n : n + 1] for n in range(len(data))]) == whole(library, name)


@pytest.mark.parametrize(
    ("size", "length"),
    [
        *((125, 0), (125, 2), (125, 8), (126, 2), (126, 8), (127, 2), (32_767, 2), (65_535, 2)),
        *((65_535, 8), (65_536, 8), (70_000, 8), (200_000, 8)),
    ],
)
@pytest.mark.parametrize("capacity", [4096, 1 << 16, 1 << 20])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_every_encoding_of_a_length_in_a_buffer_of_any_size(
    library, size, length, capacity, opcode
):
    """What the buffer cannot hold takes the slow way and ends up in the same book."""
    line = Line(library, capacity=capacity).opened(text(SNAPSHOT))
    line.feed(frame(opcode, padded(size), length=length) + text(dump(change("1", 9, "0.4", "1"))))
    assert library.bids("1")[4_100] == 7_000_000
    assert line.closed is None
    header = 2 + length
    assert line.counts.slow == (opcode == BINARY or size + header > capacity)
    assert line.splitter.pending == 0


@pytest.mark.parametrize(
    "claimed", [1 << 63, (1 << 64) - 1, (1 << 63) - 1, 1 << 40, (16 << 20) + 1]
)
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_length_beyond_the_bound_is_refused_from_its_header_alone(line, claimed, opcode):
    line.feed(frame(opcode, b"x", length=8, claimed=claimed))
    assert line.closed
    assert line.closed.code == 1009
    assert line.said()[-1][0] == CLOSE


def test_fragments_together_are_bounded_too(library):
    line = Line(library, config=ChannelConfig(message_bytes_max=1 << 14)).opened()
    line.feed(frame(TEXT, b" " * 10_000, fin=False))
    assert line.closed is None
    line.feed(frame(CONT, b" " * 10_000, fin=False))
    assert line.closed
    assert line.closed.code == 1009


def test_a_message_of_the_greatest_length_is_taken(library):
    line = Line(library, config=ChannelConfig(message_bytes_max=1 << 14)).opened(text(SNAPSHOT))
    line.feed(parts(padded(1 << 14), 7))
    assert library.bids("1") == AFTER


@pytest.mark.parametrize("forms", ["text", "fragments", "long"])
def test_eight_megabytes_change_the_book_and_nothing_stays_behind(library, forms):
    line = Line(library).opened(text(SNAPSHOT))
    message = MOVE.ljust(8 << 20)
    line.feed(
        {"text": text, "long": lambda m: frame(BINARY, m), "fragments": lambda m: parts(m, 9)}[
            forms
        ](message)
    )
    assert library.bids("1") == AFTER
    assert line.counts.slow == 1
    assert line.closed is None
    assert line.splitter.capacity == 1 << 16
    assert line.splitter.pending == 0


def test_what_comes_in_any_order_in_one_read_is_applied_in_that_order(library):
    """A fragmented book between changes must not overtake or be overtaken."""
    line = Line(library).opened(text(SNAPSHOT))
    later = dump(book("1", 2000, "0.3:1"))
    before = library.books.counters()
    line.feed(text(MOVE) + parts(later, 3) + text(dump(change("1", 2001, "0.31", "2"))))
    assert library.bids("1") == {3_000: 1_000_000, 3_100: 2_000_000}
    after = library.books.counters()
    assert after["deltas_applied"] - before["deltas_applied"] == 2


def test_many_pings_and_texts_in_one_read(library):
    """More raw pieces and notices than one report holds."""
    line = Line(library).opened(text(SNAPSHOT))
    pings = b"".join(frame(PING, str(n).encode()) for n in range(1_000))
    line.feed(pings + text(b"hello") * 500 + text(MOVE) + pings)
    assert library.bids("1") == AFTER
    assert len(line.said()) == 2_000
    assert line.counts.texts == 500
    assert line.splitter.pending == 0


# -- closing


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999]
)
def test_a_close_is_echoed_once_and_ends_the_connection(line, code):
    (end,) = line.feed(closing(code, "für heute".encode()))
    assert end == Closed(code, "für heute")
    assert line.said() == [(CLOSE, code.to_bytes(2, "big") + "für heute".encode())]
    assert line.channel.state is State.CLOSING
    assert line.channel.lost("end of stream") == []
    assert line.channel.state is State.CLOSED
    assert line.channel.next_deadline() is None


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
def test_a_close_code_nobody_may_send_is_a_violation(line, code):
    (end,) = line.feed(closing(code))
    assert end.code == 1002
    assert line.said()[0][1][:2] == (1002).to_bytes(2, "big")


def test_a_peer_that_does_not_end_the_transport_is_cut_off(line):
    line.feed(closing(1000))
    due = line.channel.next_deadline()
    assert due == line.now_ns + ChannelConfig().close_ns
    assert line.channel.tick(due - 1) == []
    assert line.channel.state is State.CLOSING
    assert line.channel.tick(due) == []
    assert line.channel.state is State.CLOSED


def test_nothing_is_applied_after_our_own_close(library):
    line = Line(library).opened(text(SNAPSHOT))
    half = text(MOVE)
    line.feed(half[:20])
    (end,) = line.channel.close(1000, "renewed", line.now_ns)
    assert end == Closed(1000, "renewed")
    assert line.said() == [(CLOSE, b"\x03\xe8renewed")]
    assert line.feed(half[20:] + text(MOVE) + closing(1000)) == []
    assert library.bids("1") == FIRST
    assert line.said() == []


def test_the_end_of_a_transport_without_a_close_frame_is_1006(line):
    line.feed(text(SNAPSHOT)[:10])
    assert line.channel.lost("reset by peer") == [Closed(1006, "reset by peer")]
    assert line.channel.state is State.CLOSED
    assert line.channel.lost("again") == []
    assert line.splitter.pending == 0


# -- opening


@pytest.mark.parametrize("behind", [b"", text(SNAPSHOT), text(SNAPSHOT) + text(MOVE)[:30]])
def test_a_handshake_split_at_any_byte(library, behind):
    sample = Line(library)
    sample.channel.connect()
    size = len(answer(sample.channel.data_to_send()) + behind)
    for at in range(1, size):
        library.forget()
        line = Line(library)
        line.channel.connect()
        data = answer(line.channel.data_to_send()) + behind
        line.feed(data[:at])
        line.feed(data[at:])
        assert line.channel.state is State.OPEN
        assert line.events[0] == Opened()
        assert library.bids("1") == (FIRST if behind else {})
        line.feed(text(MOVE)[line.splitter.pending :])
        assert library.bids("1") == (AFTER if behind else {})


def test_the_subscription_is_the_first_frame(library):
    line = Line(library, tokens=["1", "2"])
    line.channel.connect()
    request = line.channel.data_to_send()
    assert request.startswith(b"GET /ws/market HTTP/1.1\r\nHost: venue.test\r\n")
    assert b"User-Agent: polyarb/" in request
    line.feed(answer(request))
    ((opcode, payload),) = line.said()
    assert opcode == TEXT
    assert json.loads(payload) == {
        "type": "market",
        "assets_ids": ["1", "2"],
        "custom_feature_enabled": True,
    }


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9999\r\n\r\n", "HTTP/1.1 403 Forbidden"),
        (b"HTTP/1.1 503 Busy\r\n\r\n<html>", "HTTP/1.1 503 Busy"),
        (b"HTTP/1.1 302 Found\r\nLocation: ws://other/\r\n\r\n", "302 Found"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "SSH-2.0-OpenSSH"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "Connection"),
        (b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "Accept"),
        (b"HTTP/1.1 101 X\r\nnonsense\r\n\r\n", "HTTP"),
        (b"x" * (HANDSHAKE_MAX + 1), "no HTTP answer"),
    ],
)
def test_a_handshake_that_fails_says_why(library, reply, reason):
    line = Line(library, capacity=1 << 18)
    line.channel.connect()
    line.channel.data_to_send()
    (end,) = line.feed(reply)
    assert end.code == 1006
    assert reason in end.reason
    assert line.channel.state is State.CLOSED


def test_an_extension_that_was_not_offered_is_refused(library):
    line = Line(library)
    line.channel.connect()
    data = answer(
        line.channel.data_to_send(), extra="Sec-WebSocket-Extensions: permessage-deflate\r\n"
    )
    (end,) = line.feed(data)
    assert "no extensions supported" in end.reason


def test_a_wrong_key_is_refused(library):
    other, line = Line(library), Line(library)
    other.channel.connect()
    line.channel.connect()
    (end,) = line.feed(answer(other.channel.data_to_send()))
    assert "Sec-WebSocket-Accept" in end.reason


def test_a_handshake_that_takes_too_long_is_given_up(library):
    line = Line(library)
    due = line.channel.next_deadline()
    assert due == line.now_ns + 10 * SECOND
    line.channel.connect()
    line.feed(b"HTTP/1.1 101 ")
    assert line.channel.tick(due - 1) == []
    assert line.channel.tick(due) == [Closed(1006, "not open after 10 s")]


@pytest.mark.parametrize("url", ["http://venue/", "venue", "ws://venue:port/", "ws://", ""])
def test_a_url_that_is_none_is_refused(url):
    with pytest.raises(MalformedError):
        parse_url(url)
    assert parse_url(URL).port == 80


# -- keep-alive


def test_a_text_ping_every_ten_seconds_and_the_end_after_thirty_without_pong(line):
    channel, start = line.channel, line.now_ns
    for beat in (10, 20):
        assert channel.next_deadline() == start + beat * SECOND
        assert channel.tick(start + beat * SECOND - 1) == []
        assert channel.tick(start + beat * SECOND) == []
        assert line.said() == [(TEXT, b"PING")]
    assert channel.tick(start + 30 * SECOND) == [Closed(1006, "no PONG for 30 s")]
    assert channel.state is State.CLOSED


def test_a_pong_gives_thirty_more_seconds(line):
    channel, start = line.channel, line.now_ns
    channel.tick(start + 10 * SECOND)
    line.now_ns = start + 10 * SECOND + 5
    line.feed(text(b"PONG"))
    assert channel.pong_delay_ns == 5
    assert channel.pong_deadline_ns == start + 40 * SECOND + 5
    for beat in (20, 30):
        assert channel.tick(start + beat * SECOND) == []
    (end,) = channel.tick(start + 40 * SECOND + 5)
    assert end.reason == "no PONG for 30 s"


def test_data_alone_does_not_keep_a_connection(line):
    """The exchange answers PING; one that only sends books has lost half of itself."""
    for second in range(1, 30):
        line.now_ns += SECOND
        line.feed(text(dump(change("1", 1000 + second, "0.41", "7"))))
        assert line.channel.tick(line.now_ns) == []
    assert line.channel.tick(line.now_ns + SECOND) == [Closed(1006, "no PONG for 30 s")]


def test_a_protocol_ping_is_answered_with_its_payload(line):
    line.feed(frame(PING, b"\x00\xff"))
    assert line.said() == [(PONG, b"\x00\xff")]


# -- subscriptions


CASES = [case for case in vectors("ws_frames") if case["call"].startswith("market")]


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_subscription_frames_are_the_official_clients(case):
    before, after = case["before"], case["after"]
    made = market_frames(
        before and before["asset_ids"],
        after["asset_ids"],
        had_custom=before["custom"] if before else after["custom"],
        custom=after["custom"],
    )
    assert made == case["frames"]


def test_the_vectors_are_there():
    assert len(CASES) == 8


def test_tokens_come_and_go_on_an_open_connection(line):
    line.channel.subscribe(["3", "4"])
    line.channel.unsubscribe(["1"])
    assert [json.loads(payload) for _, payload in line.said()] == [
        {"operation": "subscribe", "assets_ids": ["3", "4"], "custom_feature_enabled": True},
        {"operation": "unsubscribe", "assets_ids": ["1"]},
    ]


def test_before_it_is_open_nothing_is_said_of_tokens(library):
    line = Line(library)
    line.channel.subscribe(["3"])
    line.channel.unsubscribe(["1"])
    assert not line.channel.has_data


# -- what comes out


def test_changes_name_each_book_once(library, line):
    both = text([book("1", 1000), book("2", 1000)])
    (event,) = line.feed(both + text(MOVE))
    assert isinstance(event, Changed)
    assert sorted(event.slots) == sorted(library.slots.values())
    assert (line.channel.data_ns, line.counts.data) == (line.now_ns, 3)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ({"event_type": "new_market", "id": "7", "assets_ids": ["8", "9"]}, Kind.NEW_MARKET),
        (
            {
                "event_type": "tick_size_change",
                "asset_id": "1",
                "old_tick_size": "0.01",
                "new_tick_size": "0.001",
                "timestamp": "5",
            },
            Kind.TICK,
        ),
        ({"event_type": "something_new", "x": [1, {"y": None}]}, Kind.UNKNOWN),
    ],
)
@pytest.mark.parametrize("way", ["fast", "slow"])
def test_other_messages_are_for_python(line, message, kind, way):
    data = text(message) if way == "fast" else parts(dump(message), 3)
    found = [event for event in line.feed(data) if isinstance(event, Notice)]
    assert found == [Notice(kind, message)]


@pytest.mark.parametrize(
    "message",
    [
        b'{"event_type":"something_new","x":"' + b"y" * NOTICE_MAX + b'"}',
        b'{"event_type":"something_new","x":' + b"9" * 5_000 + b"}",
    ],
)
def test_a_message_nobody_can_use_is_counted(line, message):
    assert not [event for event in line.feed(text(message)) if isinstance(event, Notice)]
    assert line.counts.notices_lost + sum(line.counts.rejected.values()) == 1
    assert line.closed is None


def test_a_refused_frame_is_counted_by_reason_with_its_place(library, line):
    line.feed(text(SNAPSHOT))
    line.feed(text(MOVE) + text(MOVE[:-1]) + text(MOVE[:-2] + b"\xff" + MOVE[-2:]))
    assert library.bids("1") == AFTER
    assert sum(line.counts.rejected.values()) == 2
    assert set(line.counts.rejected) <= set(Bad)
    assert line.counts.last_rejected
    assert line.counts.last_rejected.bad_at == len(MOVE) - 1


@pytest.mark.parametrize("name", [name for name, row in STREAMS.items() if row[2] is None])
def test_a_recording_of_the_bytes_gives_the_messages(library, name):
    """What a tap was given makes the same book again, message by message."""
    taken: list[bytes] = []
    line = Line(library, tap=lambda _, data: taken.append(data)).opened()
    data = STREAMS[name][0]
    for at in range(0, len(data), 7):
        line.feed(data[at : at + 7])
    assert b"".join(taken) == data
    library.forget()
    recorded = Messages()
    for chunk in taken:
        for message in recorded.receive(chunk):
            library.ticker.tick(message, 1)
    assert library.bids("1") == STREAMS[name][1]


@pytest.mark.parametrize("name", ["text", "fragments_with_control_between", "binary_fragments"])
def test_who_listens_in_later_hears_every_message_from_there(library, name):
    data = STREAMS[name][0]
    said = Messages().receive(data)
    for at in range(len(data)):
        heard: list[bytes] = []
        line = Line(library).opened()
        line.feed(data[:at])
        begun = line.channel.overhear(lambda _, chunk, heard=heard: heard.append(chunk))
        line.feed(data[at:])
        if begun is not None:
            found = Messages().receive(begun + b"".join(heard))
            assert found == said[len(said) - len(found) :]
            assert len(Messages().receive(data[:at])) + len(found) == len(said)
        heard.clear()
        line.channel.overhear(None)
        line.feed(text(MOVE))
        assert not heard


# -- settings


@pytest.mark.parametrize(
    "setting",
    [{"ping_ns": 0}, {"pong_ns": -1}, {"open_ns": 0}, {"close_ns": 0}, {"message_bytes_max": 1}],
)
def test_a_setting_out_of_range_is_named(setting):
    (name,) = setting
    with pytest.raises(RangeError, match=rf"feed\.{name}"):
        ChannelConfig(**setting)
