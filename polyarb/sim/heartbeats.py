"""
The dead-man switch (protocol.md section 17): silence cancels the open orders of an API key.

The first heartbeat arms it for good. A look every `CHECK_NS` after the deadline takes away what is
open, orders placed since included, until the next heartbeat.
"""

from typing import TYPE_CHECKING, Final

from polyarb.sim.accounts import Credential
from polyarb.sim.auth import l2
from polyarb.sim.http import Handler, HttpError, Request, Response, dump, load, ok
from polyarb.sim.matching import Status

if TYPE_CHECKING:
    from polyarb.sim.venue import Venue

SECOND: Final = 1_000_000_000
CHECK_NS: Final = 5 * SECOND


def beat(venue: "Venue", request: Request) -> Response:
    """POST /v1/heartbeats: each answer names the id that the next one must send."""
    credential = l2(venue, request)
    body = load(request.body)
    sent = body.get("heartbeat_id") if type(body) is dict else 0
    if sent is not None and type(sent) is not str:
        raise HttpError(400, "Invalid payload")
    expected = credential.heartbeat_id or ""
    if (sent or "") != expected:
        answer = {"error_msg": "Invalid Heartbeat ID", "heartbeat_id": expected}
        return Response(status=400, body=dump(answer))
    credential.heartbeat_id = venue.uuid()
    _arm(venue, credential)
    return ok({"heartbeat_id": credential.heartbeat_id})


def beat_without_id(venue: "Venue", request: Request) -> Response:
    """POST /heartbeats: the older form."""
    _arm(venue, l2(venue, request))
    return ok({"status": "ok"})


def _arm(venue: "Venue", credential: Credential) -> None:
    credential.beat += 1
    silent_ns = venue.now_ns - venue.start_ns + venue.config.heartbeat_s * SECOND
    at_ns = venue.start_ns + -(-silent_ns // CHECK_NS) * CHECK_NS  # looks are 5 s apart for all
    venue.schedule(at_ns, _check, venue, credential, credential.beat)


def _check(venue: "Venue", credential: Credential, beat_number: int) -> None:
    if credential.beat != beat_number:
        return
    # Not `Venue.open_orders`: the orders of a key that was deleted meanwhile must go, too.
    wallets = venue.accounts.wallets_of(credential.eoa)
    resting = [order for wallet in wallets for order in wallet.orders.values()]
    lost = [order for order in resting if order.owner == credential.key]
    if lost:
        venue.say("heartbeat_lost", credential.eoa, len(lost))
    for order in lost:
        venue.remove(order, Status.CANCELED)
    if venue.accounts.keys.get(credential.key) is credential:
        venue.schedule(venue.now_ns + CHECK_NS, _check, venue, credential, beat_number)


ROUTES: Final[dict[str, Handler]] = {
    "POST /v1/heartbeats": beat,
    "POST /heartbeats": beat_without_id,
}
