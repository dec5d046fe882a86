"""What a resync keeps of a connection begins and ends with whole messages."""

import pytest
from feeds import CONT, TEXT, Library, Line, book, change, dump, frame, text

from polyarb.feed.channel import Messages

TOKENS = ["1", "2"]
FIRST, SECOND, THIRD = (change("1", 20 + i, "0.41", str(i + 1)) for i in range(3))


def opened(library=None):
    line = Line(library or Library(TOKENS)).opened()
    line.feed(text([book(token, 10) for token in TOKENS]))
    return line


@pytest.mark.parametrize("cut", range(0, len(text(SECOND)) + 1, 7))
def test_it_begins_with_the_message_that_is_under_way(cut):
    library, kept = Library(TOKENS), []
    line = opened(library)
    before = text(FIRST) + text(SECOND)
    line.feed(before[: len(text(FIRST)) + cut])
    begun = line.channel.overhear(lambda ns, data: kept.append(data))
    line.feed(before[len(text(FIRST)) + cut :])
    line.feed(text(THIRD))
    expected = [SECOND, THIRD] if cut < len(text(SECOND)) else [THIRD]
    assert Messages().receive(begun + b"".join(kept)) == [dump(each) for each in expected]
    assert library.bids("1")[4100] == 3_000_000


def test_it_does_not_begin_inside_a_fragmented_message():
    line = opened()
    whole = dump(FIRST)
    line.feed(frame(TEXT, whole[:20], fin=False))
    assert line.channel.overhear(lambda ns, data: None) is None
    line.feed(frame(CONT, whole[20:]))
    assert line.channel.overhear(lambda ns, data: None) == b""


def test_it_ends_when_told():
    line, kept = opened(), []
    line.channel.overhear(lambda ns, data: kept.append(data))
    line.channel.overhear(None)
    line.feed(text(FIRST))
    assert kept == []


def test_a_connection_that_is_not_open_has_nothing_to_hear():
    line = Line(Library(TOKENS))
    assert line.channel.overhear(lambda ns, data: None) is None
