"""Whatever a client sends: one answer to each request, no 500, and the ledger still balances."""

import json
from typing import Any

import simclient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simclient import Client

from polyarb.sim.catalog import Structure
from polyarb.sim.router import ROUTES
from polyarb.sim.venue import Venue

SETTINGS = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**260)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["", "0x", "-1", "1e9", "9" * 200, "0x" + "f" * 64, "NaN", "\0", "BUY", "é"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
PATHS = sorted(ROUTES)
PARAMETERS = (
    *("token_id", "market", "id", "next_cursor", "limit", "after_cursor", "offset", "before"),
    *("side", "condition_ids", "clob_token_ids", "address", "type", "user", "asset_type", "slug"),
    *("signature_type", "fidelity", "order", "end_date_min", "volume_num_min", "tag_id"),
)


def venue() -> Venue:
    markets = [simclient.market(number) for number in range(3)]
    return simclient.venue(markets, structure=Structure.NEGRISK, ip_limits=False, limits="off")


def answered_once(client: Client, *arguments: Any, **named: Any) -> int:
    """Send a request, let the answer come, and return its status."""
    answers = client.send(*arguments, **named)
    response = client.wait(answers)
    assert len(answers) == 1
    assert not client.venue.counts["internal_errors"], client.venue.last_error
    return response.status


@SETTINGS
@given(
    st.sampled_from(PATHS),
    st.text(max_size=90),
    VALUES,
    st.dictionaries(st.sampled_from(PARAMETERS), st.text(max_size=12)),
)
def test_no_route_breaks_on_any_body_or_query(
    route: str, rest: str, body: object, query: dict[str, str]
) -> None:
    method, _, path = route.partition(" ")
    client = Client(venue(), signature_type=0)
    path = path.replace("*", rest)
    status = answered_once(client, method, path, encoded(body), query=query)
    assert 200 <= status < 600
    client.venue.check()


def encoded(body: object) -> bytes:
    try:
        return json.dumps(body).encode()
    except UnicodeEncodeError:
        return b"\xed\xa0\x80"


@SETTINGS
@given(st.sampled_from(PATHS), st.binary(max_size=200))
def test_no_route_breaks_on_bytes(route: str, body: bytes) -> None:
    method, _, path = route.partition(" ")
    answered_once(Client(venue(), signature_type=0), method, path.replace("*", "x"), body)


@SETTINGS
@given(st.data())
def test_an_order_with_one_wrong_member_is_refused_or_means_what_it_says(
    data: st.DataObject,
) -> None:
    """Nothing that the signature covers can change without being noticed."""
    client = Client(venue())
    market = next(iter(client.venue.catalog.markets.values()))
    item = client.order(market.tokens[0], "BUY", "0.4", "10")
    where = data.draw(st.sampled_from(["order", "item"]))
    target = item["order"] if where == "order" else item
    member = data.draw(st.sampled_from(sorted(target)))
    before = target[member]
    if data.draw(st.booleans()):
        target[member] = data.draw(VALUES)
    else:
        del target[member]
    for path, body in (("/order", item), ("/orders", [item, item])):
        answered_once(client, "POST", path, encoded(body))
    if client.venue.open_orders(client.credential.key):
        unsigned = {
            "expiration",
            "orderType",
            "deferExec",
            "postOnly",
            "owner",
            "metadata",
            "builder",
        }
        same = str(target.get(member)).lower() == str(before).lower()
        assert same or member in unsigned
    client.venue.check()


@SETTINGS
@given(
    st.sampled_from(["/ws/market", "/ws/user"]), st.lists(VALUES | st.text(max_size=30), max_size=6)
)
def test_no_socket_message_breaks_the_venue(path: str, messages: list[object]) -> None:
    client = Client(venue())
    market = next(iter(client.venue.catalog.markets.values()))
    feeds = client.venue.feeds if path == "/ws/market" else client.venue.users
    sink = simclient.Collector(client.venue)
    channel = feeds.open(sink)
    start = {"type": "market", "assets_ids": list(market.tokens), "custom_feature_enabled": True}
    held = client.credential
    auth = {"apiKey": held.key, "secret": held.secret, "passphrase": held.passphrase}
    log_in = {"type": "user", "auth": auth}
    for message in (log_in, start, *messages, {"type": "user", "auth": []}):
        text = message if isinstance(message, str) else encoded(message).decode(errors="replace")
        feeds.receive(channel, text)
    for operation in ("subscribe", "unsubscribe", None, 7, [], {}):
        for tokens in (["x"], [1, None], "x", {}, [list(market.tokens)]):
            told = {"operation": operation, "assets_ids": tokens, "markets": tokens}
            feeds.receive(channel, json.dumps(told))
    client.place(market.tokens[0])
    simclient.run(client.venue, client.venue.now_ns + 10**9)
    client.venue.check()
