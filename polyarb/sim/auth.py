"""Who is asking: L1 by wallet signature, L2 by HMAC over the raw bytes (sections 4 and 5)."""

import hmac
from typing import TYPE_CHECKING, Final

from polyarb.errors import MalformedError
from polyarb.sim import signatures
from polyarb.sim.accounts import Credential
from polyarb.sim.http import HttpError, Request, Response, ok

if TYPE_CHECKING:
    from polyarb.sim.venue import Venue

BAD_KEY: Final = "Unauthorized/Invalid api key"
BAD_L1: Final = "Invalid L1 Request headers"
NONCE_DIGITS: Final = 78


def l2(venue: "Venue", request: Request, *, reads: bool = False) -> Credential:
    """
    Return the credential whose HMAC covers exactly this request.

    Args:
        venue: Its clock judges the timestamp.
        request: As it came off the wire.
        reads: Whether a read-only key will do.

    Raises:
        HttpError: 401, whatever is wrong.
    """
    credential = venue.accounts.keys.get(request.headers.get("poly_api_key", ""))
    if (
        credential is None
        or (credential.read_only and not reads)
        or request.headers.get("poly_address", "").lower() != credential.eoa
        or not hmac.compare_digest(
            request.headers.get("poly_passphrase", "").encode(errors="replace"),
            credential.passphrase.encode(),
        )
        or not _recent(venue, request.headers.get("poly_timestamp", ""))
        or not signatures.check_hmac(
            request.headers.get("poly_signature", ""),
            credential.secret,
            timestamp=request.headers.get("poly_timestamp", ""),
            method=request.method,
            path=request.path,
            body=request.body,
        )
    ):
        raise HttpError(401, BAD_KEY)
    return credential


def l1(venue: "Venue", request: Request) -> tuple[str, int]:
    """Return (lower-case EOA, nonce) that signed the log-in; raises HttpError 401."""
    headers = request.headers
    timestamp, number = headers.get("poly_timestamp", ""), headers.get("poly_nonce", "0")
    if not _recent(venue, timestamp) or not _digits(number):
        raise HttpError(401, BAD_L1)
    signer = signatures.l1_signer(
        headers.get("poly_address", ""),
        timestamp,
        int(number),
        venue.config.chain_id,
        headers.get("poly_signature", ""),
    )
    if signer is None or signer != headers["poly_address"].lower():
        raise HttpError(401, BAD_L1)
    return signer, int(number)


def _recent(venue: "Venue", timestamp: str) -> bool:
    if not _digits(timestamp):
        return False
    now_s = venue.now_ns // 1_000_000_000 + venue.faults.skew_s
    return abs(int(timestamp) - now_s) <= venue.config.skew_s


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= NONCE_DIGITS


# Endpoints that hand out and take back credentials


def create_key(venue: "Venue", request: Request) -> Response:
    """POST /auth/api-key."""
    eoa, number = l1(venue, request)
    if venue.accounts.find(eoa, number):
        raise HttpError(400, "Could not create api key")
    return ok(venue.accounts.create(eoa, number).public())


def derive_key(venue: "Venue", request: Request) -> Response:
    """GET /auth/derive-api-key."""
    known = venue.accounts.find(*l1(venue, request))
    if known is None:
        raise HttpError(400, "Could not derive api key!")
    return ok(known.public())


def list_keys(venue: "Venue", request: Request) -> Response:
    """GET /auth/api-keys."""
    mine = venue.accounts.of(l2(venue, request, reads=True).eoa)
    return ok({"apiKeys": [held.key for held in mine if not held.read_only]})


def delete_key(venue: "Venue", request: Request) -> Response:
    """DELETE /auth/api-key: its orders go, its user sockets end."""
    credential = l2(venue, request)
    for order in venue.open_orders(credential.key):
        venue.cancel(order.id, credential.key)
    for channel in list(venue.users.channels.values()):
        if channel.owner == credential.key:
            venue.users.end(channel, 1008, "api key deleted")
    venue.accounts.delete(credential)
    return ok("OK")


def create_readonly_key(venue: "Venue", request: Request) -> Response:
    """POST /auth/readonly-api-key."""
    return ok(venue.accounts.create(l2(venue, request).eoa, read_only=True).public())


def list_readonly_keys(venue: "Venue", request: Request) -> Response:
    """GET /auth/readonly-api-keys."""
    mine = venue.accounts.of(l2(venue, request, reads=True).eoa)
    return ok({"readonlyApiKeys": [held.key for held in mine if held.read_only]})


def closed_only(venue: "Venue", request: Request) -> Response:
    """GET /auth/ban-status/closed-only."""
    return ok({"closed_only": l2(venue, request, reads=True).eoa in venue.accounts.closed_only})


def owned_wallet(eoa: str, maker: str, signature_type: int) -> bool:
    """Say whether a wallet of that type belongs to an EOA; hostile text does not."""
    try:
        return signatures.owns_wallet(eoa, maker, signature_type)
    except MalformedError:
        return False


ROUTES: Final = {
    "POST /auth/api-key": create_key,
    "GET /auth/derive-api-key": derive_key,
    "GET /auth/api-keys": list_keys,
    "DELETE /auth/api-key": delete_key,
    "POST /auth/readonly-api-key": create_readonly_key,
    "GET /auth/readonly-api-keys": list_readonly_keys,
    "GET /auth/ban-status/closed-only": closed_only,
}
