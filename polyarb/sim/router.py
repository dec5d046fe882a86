"""From a request to its handler, and from whatever happens there to an answer."""

import hashlib
import traceback
from typing import Final

from polyarb.sim import admin, auth, balances, gamma, heartbeats, relayer, rest, rpc
from polyarb.sim.http import Handler, HttpError, Request, Response, error, refused
from polyarb.sim.venue import Venue

ROUTES: Final[dict[str, Handler]] = {
    **rest.ROUTES,
    **auth.ROUTES,
    **balances.ROUTES,
    **heartbeats.ROUTES,
    **gamma.ROUTES,
    **relayer.ROUTES,
    **rpc.ROUTES,
    **admin.ROUTES,
}


def dispatch(venue: Venue, request: Request) -> None:
    """
    Handle one request; `request.reply` is called exactly once, now or at a later venue time.

    No request takes the venue down: what breaks a handler is counted and answers 500.
    """
    venue.counts["requests"] += 1
    digest = hashlib.sha256(request.body).hexdigest()[:16]
    venue.say("request", request.method, request.path, digest)
    reply = request.reply

    def answer(response: Response) -> None:
        venue.say("response", request.path, response.status, len(response.body))
        try:
            sent, delay_ns = venue.faults.after(request, response)
        except Exception:  # a fault that cannot deal with what another one made
            venue.counts["internal_errors"] += 1
            venue.last_error = traceback.format_exc()
            sent, delay_ns = response, 0
        if delay_ns:
            venue.schedule(venue.now_ns + delay_ns, reply, sent)
        else:
            reply(sent)

    request.reply = answer
    try:
        response = venue.faults.before(request) or _handle(venue, request)
    except HttpError as refusal:
        venue.refuse(refusal)
        response = refused(refusal)
    except Exception:  # the boundary: one bad request must not end the venue
        venue.counts["internal_errors"] += 1
        venue.last_error = traceback.format_exc()
        response = error(500, "Internal server error")
    if response is not None:
        answer(response)


def _handle(venue: Venue, request: Request) -> Response | None:
    name = f"{request.method} {request.path}"
    if venue.config.ip_limits and not request.path.startswith("/admin"):
        # A base URL's path is not part of what is limited.
        plain = name.replace(" /gamma/", " /").replace(" /data-api/", " /")
        wait = venue.address_limits.exceeded(request.peer, plain, venue.now_ns)
        if wait is not None:
            raise HttpError(429, "Too Many Requests", {"Retry-After": str(wait)})
    handler = ROUTES.get(name)
    if handler is None:
        fixed, _, last = name.rpartition("/")
        start, _, inner = fixed.rpartition("/")
        for pattern, request.rest in ((f"{fixed}/*", last), (f"{start}/*/{last}", inner)):
            handler = handler or ROUTES.get(pattern)
            if handler:
                return handler(venue, request)
        raise HttpError(404, "404 page not found")
    return handler(venue, request)
