"""
What only the owner of a simulated exchange can do: money, modes, ticks, resolutions, faults.

No key is asked for; the exchange listens on loopback.
"""

from typing import TYPE_CHECKING, Any, Final, Never

import msgspec

from polyarb.errors import MalformedError
from polyarb.sim.catalog import Event
from polyarb.sim.decimals import ONE_E6, PRICE, parse, size
from polyarb.sim.http import Handler, HttpError, Request, Response, dump, load, ok
from polyarb.sim.ledger import LedgerError, Wallet
from polyarb.sim.signatures import shown

if TYPE_CHECKING:
    from polyarb.sim.mispricing import Capture, Mispricing, Mispricings
    from polyarb.sim.venue import Venue

MODES: Final = ("normal", "restarting", "post_only", "cancel_only", "disabled")
TICKS_E4: Final = (1_000, 100, 50, 25, 10, 1)
SIGNATURE_TYPES: Final = (0, 1, 2, 3)
USD_MAX: Final = 10**12
SECONDS_MAX: Final = 10**9


def show_help(_venue: "Venue", _request: Request) -> Response:
    """GET /admin."""
    return ok(HELP)


def deposit(venue: "Venue", request: Request) -> Response:
    """POST /admin/deposit."""
    body = _body(request, "wallet", "address", "signature_type", "usd", "approve")
    cash_e6, approve = parse(body.get("usd"), 6), body.get("approve", False)
    if not cash_e6 or cash_e6 > USD_MAX * ONE_E6:
        _refuse("usd", body.get("usd"), f"a positive decimal of up to 6 places and {USD_MAX}")
    if type(approve) is not bool:
        _refuse("approve", approve, "true or false")
    wallet = _wallet(venue, body)
    venue.deposit(wallet, cash_e6)
    if approve:
        venue.set_up(wallet)
    return ok({"wallet": wallet.address, "balance": size(wallet.cash_e6)})


def _wallet(venue: "Venue", body: dict[str, Any]) -> Wallet:
    if ("wallet" in body) == ("address" in body):
        raise HttpError(400, "give either wallet or address")
    if "wallet" in body:
        known = venue.ledger.wallets.get(_address(body, "wallet"))
        if known is None:
            _refuse("wallet", body["wallet"], "a wallet of an EOA that has an API key")
        return known
    eoa = _address(body, "address")
    kind = body.get("signature_type", 0)
    if type(kind) is not int or kind not in SIGNATURE_TYPES:
        _refuse("signature_type", kind, "0, 1, 2 or 3")
    other = venue.ledger.wallets.get(eoa)
    if other is not None and other.owner != eoa:
        _refuse("address", eoa, "an EOA; name other wallets as wallet")
    return venue.accounts.wallets(eoa)[kind]


def issue_key(venue: "Venue", request: Request) -> Response:
    """POST /admin/relayer-key: what the venue's web site would hand to the owner of an EOA."""
    body = _body(request, "address")
    eoa = _address(body, "address")
    other = venue.ledger.wallets.get(eoa)
    if other is not None and other.owner != eoa:
        _refuse("address", eoa, "an EOA")
    credential = venue.accounts.find(eoa, 0) or venue.accounts.create(eoa)
    return ok({"key": credential.key, "address": eoa})


def set_mode(venue: "Venue", request: Request) -> Response:
    """POST /admin/mode."""
    body = _body(request, "mode", "for_s")
    mode, for_ms = body.get("mode"), parse(body.get("for_s", 0), 3)
    if type(mode) is not str or mode not in MODES:
        _refuse("mode", mode, f"one of {', '.join(MODES)}")
    if for_ms is None or for_ms > SECONDS_MAX * 1_000:
        _refuse("for_s", body["for_s"], f"seconds, 0..{SECONDS_MAX}, to three decimals")
    venue.set_mode(mode, for_ms / 1_000)
    return ok({"mode": mode, "for_s": size(for_ms * 1_000)})


def set_tick(venue: "Venue", request: Request) -> Response:
    """POST /admin/tick."""
    body = _body(request, "condition_id", "tick")
    condition, tick_e4 = body.get("condition_id"), parse(body.get("tick"), 4)
    market = venue.catalog.markets.get(condition) if type(condition) is str else None
    if market is None or market.closed:
        _refuse("condition_id", condition, "an open market of the catalogue")
    if tick_e4 not in TICKS_E4:
        allowed = ", ".join(PRICE[tick] for tick in TICKS_E4)
        _refuse("tick", body.get("tick"), f"one of {allowed}")
    venue.set_tick(market, tick_e4)
    return ok({"condition_id": market.condition_id, "tick": PRICE[tick_e4]})


def resolve(venue: "Venue", request: Request) -> Response:
    """POST /admin/resolve."""
    body = _body(request, "event", "winners")
    event, winners = _event(venue, body.get("event")), body.get("winners")
    if type(winners) is not list or any(type(w) is not int or w not in {0, 1, 2} for w in winners):
        _refuse("winners", winners, "an array of 0 (YES), 1 (NO) or 2 (half to each)")
    try:
        venue.resolve(event, winners)
    except ValueError as wrong:
        raise HttpError(400, str(wrong)) from None
    return ok({"event": event.slug, "winners": winners})


def _event(venue: "Venue", name: object) -> Event:
    for event in venue.catalog.events:
        if name in (event.id, event.slug) and not any(market.closed for market in event.markets):
            return event
    return _refuse("event", name, "id or slug of an event that is not resolved")


def list_faults(venue: "Venue", _request: Request) -> Response:
    """GET /admin/faults."""
    return ok(venue.faults.describe())


def add_fault(venue: "Venue", request: Request) -> Response:
    """POST /admin/faults."""
    try:
        spec = msgspec.json.decode(request.body)  # with floats as such
        if type(spec) is not dict:
            raise HttpError(400, "a fault is an object")
        return ok({"id": venue.faults.add(spec)})
    except (MalformedError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise HttpError(400, str(wrong)) from None


def remove_fault(venue: "Venue", request: Request) -> Response:
    """DELETE /admin/faults, or /admin/faults/*."""
    number: object = request.rest or _body(request, "id").get("id")
    fault_id = parse(number, 0)
    if fault_id is None:
        _refuse("id", number, "the id of a fault")
    try:
        venue.faults.remove(fault_id)
    except MalformedError as wrong:
        raise HttpError(400, str(wrong)) from None
    return ok({"id": fault_id})


def restrict(venue: "Venue", request: Request) -> Response:
    """POST /admin/restrict."""
    body = _body(request, "address", "closed_only", "banned")
    address = _address(body, "address")
    sets = {"closed_only": venue.accounts.closed_only, "banned": venue.accounts.banned}
    given = {name: body[name] for name in sets if name in body}
    if not given:
        raise HttpError(400, "give closed_only or banned, true or false")
    for name, value in given.items():
        if type(value) is not bool:
            _refuse(name, value, "true or false")
    for name, value in given.items():
        (sets[name].add if value else sets[name].discard)(address)
        venue.say("restrict", address, name, value)
    return ok({"address": address, **{name: address in held for name, held in sets.items()}})


def read_ledger(venue: "Venue", _request: Request) -> Response:
    """GET /admin/ledger."""
    ledger, wrong = venue.ledger, ""
    try:
        venue.check()
    except LedgerError as error:
        wrong = str(error)
    return ok(
        {
            "ok": not wrong,
            "error": wrong,
            "deposited": size(ledger.deposited_e6),
            "cash": size(sum(wallet.cash_e6 for wallet in ledger.wallets.values())),
            "locked": size(ledger.locked_e6.total()),
            "escrow": size(ledger.escrowed[""]),
            "vault": size(ledger.vault.cash_e6),
            "wallets": len(ledger.wallets),
        }
    )


def read_status(venue: "Venue", _request: Request) -> Response:
    """GET /admin/status."""
    counts = dict(venue.counts)
    behind_ms = counts.pop("behind_ms", 0)
    status = {
        "uptime_s": size((venue.now_ns - venue.start_ns) // 1_000),
        "mode": venue.mode,
        "markets": len(venue.catalog.markets),
        "counts": counts,
        "faults": [
            {"id": active["id"], "name": row["name"]}
            for row in venue.faults.describe()
            for active in row["active"]
            if active["on"]
        ],
        "log_lines": venue.log.count,
        "behind_ms": behind_ms,
    }
    # Only this figure depends on the host; the log holds the length of every answer.
    return Response(status=200, body=dump(status) + b" " * (20 - len(str(behind_ms))))


def list_mispricings(venue: "Venue", request: Request) -> Response:
    """GET /admin/mispricings."""
    after = parse(request.first("after", "0"), 0)
    if after is None:
        _refuse("after", request.first("after"), "the id of a mispricing")
    records = _scorer(venue).records()
    return ok({"mispricings": [_mispricing(record) for record in records if record.id > after]})


def _mispricing(record: "Mispricing") -> dict[str, Any]:
    relation = record.relation
    return {
        "id": record.id,
        "episode": record.episode,
        "kind": relation.kind.value,
        "event": relation.event.slug,
        "legs": [
            {"token_id": market.tokens[outcome], "outcome": market.outcomes[outcome]}
            for market, outcome in relation.legs
        ],
        "opened_ns": record.opened_ns,
        "closed_ns": record.closed_ns,
        "ended": record.ended,
        "edge": size(record.edge_e6),
        "size": size(record.size_e6),
        "profit": size(record.profit_e6),
        "decoy": record.decoy,
    }


def read_score(venue: "Venue", request: Request) -> Response:
    """GET /admin/score."""
    owner = request.first("owner")
    if owner not in venue.accounts.keys:
        _refuse("owner", owner, "an API key")
    score = _scorer(venue).score(owner)
    return ok(
        {
            "owner": owner,
            "episodes": score.episodes,
            "available": size(score.available_e6),
            "captured": size(score.captured_e6),
            "captures": [_capture(capture) for capture in score.captures],
            "decoys": [_capture(capture) for capture in score.decoys],
        }
    )


def _capture(capture: "Capture") -> dict[str, Any]:
    return {
        "id": capture.mispricing.id,
        "size": size(capture.size_e6),
        "profit": size(capture.profit_e6),
        "reaction_ns": capture.reaction_ns,
    }


def _scorer(venue: "Venue") -> "Mispricings":
    if venue.scorer is None:
        raise HttpError(404, "this venue does not watch for mispricings")
    return venue.scorer


def read_digest(venue: "Venue", _request: Request) -> Response:
    """GET /admin/log-digest: of the event log up to this request's own line."""
    return ok({"digest": venue.log.digest(), "lines": venue.log.count})


def _body(request: Request, *members: str) -> dict[str, Any]:
    """Return the object in a body that has none but these members."""
    body = load(request.body)
    if type(body) is not dict:
        raise HttpError(400, f"the body is no object; allowed members: {', '.join(members)}")
    for name in body:
        if name not in members:
            raise HttpError(400, f"unknown member {shown(name)}; allowed: {', '.join(members)}")
    return body


def _address(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    text = value.lower() if type(value) is str else ""
    digits = text.removeprefix("0x")
    if len(text) != 42 or len(digits) != 40 or set(digits) - set("0123456789abcdef"):
        _refuse(name, value, "0x and 40 hex digits")
    return text


def _refuse(name: str, value: object, allowed: str) -> Never:
    if value is None:
        raise HttpError(400, f"{name} is missing; give {allowed}")
    raise HttpError(400, f"{name} {shown(value)} is not {allowed}")


_ROUTES: Final[dict[str, tuple[Handler, str]]] = {
    "GET /admin": (show_help, "this"),
    "POST /admin/deposit": (
        deposit,
        '{"wallet": ADDRESS, "usd": "100"}, or {"address": EOA, "signature_type": 0..3, "usd"}: '
        'bring collateral in; with "approve": true deploy the wallet and approve all contracts',
    ),
    "POST /admin/relayer-key": (
        issue_key,
        '{"address": EOA}: answers the RELAYER_API_KEY of an EOA; it is its API key of nonce 0',
    ),
    "POST /admin/mode": (
        set_mode,
        f'{{"mode": {"|".join(MODES)}, "for_s": 90}}: change the mode; without for_s for good; '
        "after restarting come two minutes of post_only",
    ),
    "POST /admin/tick": (set_tick, '{"condition_id", "tick": "0.001"}: change a market\'s tick'),
    "POST /admin/resolve": (
        resolve,
        '{"event": ID|SLUG, "winners": [0 YES|1 NO|2 half, one for each market]}: resolve an event',
    ),
    "GET /admin/faults": (list_faults, "the faults that exist and those that are on"),
    "POST /admin/faults": (add_fault, '{"name", ...}: turn a fault on; answers its id'),
    "DELETE /admin/faults": (remove_fault, '{"id"}: turn a fault off'),
    "DELETE /admin/faults/*": (remove_fault, "the same, with the id in the path"),
    "POST /admin/restrict": (
        restrict,
        '{"address": EOA|WALLET, "closed_only": true|false, "banned": true|false}',
    ),
    "GET /admin/ledger": (read_ledger, "recount everything; totals in dollars"),
    "GET /admin/status": (
        read_status,
        "uptime, mode, counts, faults that are on, and how many ms the venue is behind the clock",
    ),
    "GET /admin/mispricings": (list_mispricings, "?after=ID: every mispricing so far"),
    "GET /admin/score": (read_score, "?owner=API_KEY: what a client made of them"),
    "GET /admin/log-digest": (read_digest, "SHA-256 and length of the event log so far"),
}

HELP: Final = {name: text for name, (_, text) in _ROUTES.items()}
ROUTES: Final[dict[str, Handler]] = {name: handler for name, (handler, _) in _ROUTES.items()}
