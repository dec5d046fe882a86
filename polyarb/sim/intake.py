"""
One posted order, from JSON to something that may be matched.

The checks run in the order of protocol.md section 27.2; what needs the book or the balance as it is
at the moment of matching is checked there (`Venue.execute`).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from polyarb.errors import MalformedError
from polyarb.sim.accounts import Credential
from polyarb.sim.auth import owned_wallet
from polyarb.sim.catalog import Market
from polyarb.sim.decimals import ONE_E4, ONE_E6, PRICE, ceil_div, size
from polyarb.sim.http import HttpError
from polyarb.sim.ledger import Wallet
from polyarb.sim.matching import Order
from polyarb.sim.signatures import (
    Generation,
    OrderHash,
    SignedFields,
    is_position_id,
    order_digest,
    read_fields,
    verify_order,
)

if TYPE_CHECKING:
    from polyarb.sim.venue import Venue

KINDS: Final = ("GTC", "GTD", "FOK", "FAK")
AT_ONCE: Final = ("FOK", "FAK")
AMOUNT_DECIMALS: Final = {1_000: 3, 100: 4, 50: 5, 25: 6, 10: 5, 1: 6}
"""Decimals of price x size on each tick (protocol.md section 10.2)."""

MARKET_UNIT: Final = 100
"""FOK and FAK takers are cut at four decimals: the most that rounding can take off."""

CENT_E6: Final = 10_000
BAD_BODY: Final = "Invalid order payload"
GTD_AHEAD_S: Final = 180


@dataclass(frozen=True, slots=True)
class Envelope:
    """An item of a request: the signed part still as JSON, and what is said around it."""

    order: dict[str, Any]
    owner: str
    kind: str
    post_only: bool


def open_envelope(item: object) -> Envelope:
    """Return the item of a POST body; raises HttpError 400 where its shape is wrong."""
    if not isinstance(item, dict) or not isinstance(item.get("order"), dict):
        raise HttpError(400, BAD_BODY)
    kind, post_only = item.get("orderType", "GTC"), item.get("postOnly", False)
    if kind not in KINDS or not isinstance(item.get("owner"), str):
        raise HttpError(400, BAD_BODY)
    if not isinstance(post_only, bool) or not isinstance(item.get("deferExec", False), bool):
        raise HttpError(400, BAD_BODY)
    return Envelope(item["order"], item["owner"], kind, post_only)


def accept(venue: "Venue", credential: Credential, item: object, leg: int = 0) -> Order:
    """
    Return a checked order, ready for `Venue.submit`.

    Raises:
        HttpError: Refused, with the venue's text.
    """
    envelope = open_envelope(item)
    if envelope.owner != credential.key:
        raise HttpError(400, "the order owner has to be the owner of the API KEY")
    _restricted(venue, credential, envelope)
    _mode(venue, envelope)
    generation, fields = _read(venue, envelope)
    market, outcome = _market(venue, fields)
    hashed = order_digest(
        generation, market is not None and market.neg_risk, venue.config.chain_id, fields
    )
    wallet = _signed(venue, credential, envelope, fields, hashed)
    if market is None:
        raise HttpError(404, "market not found")
    if market.closed or not market.accepting:
        raise HttpError(400, "the market is not yet ready to process new orders")
    order = _order(hashed.order_id, wallet, (market, outcome), envelope, fields)
    order.owner, order.leg = credential.key, leg
    _sizes(venue, order, fields)
    order.expires_s = _expiration(venue, envelope)
    age_ms = abs(fields.timestamp - venue.now_ns // 1_000_000)
    if venue.config.order_age_s and age_ms > 1_000 * venue.config.order_age_s:
        raise HttpError(400, "invalid timestamp")
    if order.id in venue.orders:
        raise HttpError(400, f"order {order.id} is invalid. Duplicated.")
    _allowed(venue, order)
    refusal = venue.faults.refusal(order)
    if refusal:
        raise HttpError(*refusal)
    return order


def _restricted(venue: "Venue", credential: Credential, envelope: Envelope) -> None:
    maker = str(envelope.order.get("maker", "")).lower()
    for address in (credential.eoa, maker):
        if address in venue.accounts.banned:
            raise HttpError(400, f"'{address}' address banned")
        if address in venue.accounts.closed_only and envelope.order.get("side") != "SELL":
            raise HttpError(400, f"'{address}' address in closed only mode")


def _mode(venue: "Venue", envelope: Envelope) -> None:
    if venue.mode == "post_only" and not envelope.post_only:
        wait = venue.mode_ends_in_s()
        raise HttpError(
            503,
            "post-only mode: only post-only orders and cancels are allowed",
            {"Retry-After": str(wait)},
            code="post_only_mode",
            retry_after_seconds=wait,
        )


def _read(venue: "Venue", envelope: Envelope) -> tuple[Generation, SignedFields]:
    order = envelope.order
    modern = "timestamp" in order
    if modern != (venue.config.generation == "v2"):
        raise HttpError(400, "order_version_mismatch")
    generation = Generation.V2 if modern else Generation.V1
    try:
        fields = read_fields(generation, order)
    except MalformedError:
        raise HttpError(400, BAD_BODY) from None
    if modern and is_position_id(fields.token_id):
        generation = Generation.V3
    return generation, fields


def _market(venue: "Venue", fields: SignedFields) -> tuple[Market | None, int]:
    return venue.catalog.tokens.get(str(fields.token_id), (None, 0))


def _signed(
    venue: "Venue",
    credential: Credential,
    envelope: Envelope,
    fields: SignedFields,
    hashed: OrderHash,
) -> Wallet:
    """Return the wallet that the signature binds."""
    kind = fields.signature_type
    if kind in {0, 1, 2} and fields.signer.lower() != credential.eoa:
        raise HttpError(400, "the order signer address has to be the address of the API KEY")
    verdict = verify_order(fields, hashed, envelope.order.get("signature"), credential.eoa)
    if verdict.owner is None:
        raise HttpError(400, "invalid signature")
    if (kind == 0 and not venue.config.allow_eoa) or not owned_wallet(
        credential.eoa, fields.maker, kind
    ):
        raise HttpError(400, "maker address not allowed, please use the deposit wallet flow")
    return venue.accounts.wallet(credential.eoa, fields.maker.lower(), kind)


def _order(
    order_id: str,
    wallet: Wallet,
    where: tuple[Market, int],
    envelope: Envelope,
    fields: SignedFields,
) -> Order:
    market, outcome = where
    buy = fields.side == 0
    cash, shares = fields.maker_amount, fields.taker_amount
    if not buy:
        cash, shares = shares, cash
    if not cash or not shares or max(cash, shares) >= 2**63:
        raise HttpError(400, "invalid amounts, maker and taker amount must be above 0")
    at_once = envelope.kind in AT_ONCE
    price = _rounded_price if at_once else _exact_price
    return Order(
        id=order_id,
        wallet=wallet,
        market=market,
        outcome=outcome,
        buy=buy,
        price_e4=_on_grid(
            order_id, market.tick_e4, cash, shares, price(market.tick_e4, buy, cash, shares)
        ),
        size_e6=shares,
        budget_e6=cash if at_once and buy else 0,
        kind=envelope.kind,
        post_only=envelope.post_only,
    )


def _on_grid(order_id: str, tick: int, cash: int, shares: int, price: int | None) -> int:
    """Return a limit price that the tick and its range allow; raises HttpError for all others."""
    if price is not None and price % tick == 0 and tick <= price <= ONE_E4 - tick:
        return price
    exact = cash * ONE_E4 // shares
    shown = PRICE[exact] if exact <= ONE_E4 else size(exact * 100)
    raise HttpError(
        400,
        f"order {order_id} is invalid. Price ({shown}) breaks minimum tick size rule: "
        f"{PRICE[tick]}",
    )


def _rounded_price(tick: int, buy: bool, cash: int, shares: int) -> int | None:
    """
    Return the limit of a FOK or FAK, whose second amount was rounded down.

    So it says a price a little worse than it means: the grid price next to it, on the side that
    the rounding came from. None where that is farther away than rounding goes.
    """
    price = cash * ONE_E4 // (shares * tick) if buy else ceil_div(cash * ONE_E4, shares * tick)
    price *= tick
    unit = max(MARKET_UNIT, 10 ** (6 - AMOUNT_DECIMALS[tick]))
    lost = unit * (price if buy else ONE_E4)
    return price if abs(cash * ONE_E4 - price * shares) <= lost else None


def _exact_price(tick: int, buy: bool, cash: int, shares: int) -> int | None:
    """Return the limit of a GTC or GTD; raises HttpError where the cash was rounded to cents."""
    price, rest = divmod(cash * ONE_E4, shares)
    if not rest:
        return price
    price = (2 * cash * ONE_E4 + shares * tick) // (2 * shares * tick) * tick
    expected = price * shares // ONE_E4
    if abs(cash - expected) > CENT_E6 or not tick <= price <= ONE_E4 - tick:
        return None
    raise HttpError(
        400,
        f"invalid amounts, the {'maker' if buy else 'taker'} amount for a ${PRICE[price]} order of "
        f"size {size(shares)} should be '{size(expected)}' but the value submited is "
        f"'{size(cash)}'.",
    )


def _sizes(venue: "Venue", order: Order, fields: SignedFields) -> None:
    market = order.market
    decimals = AMOUNT_DECIMALS[market.tick_e4]
    cash = fields.maker_amount if order.buy else fields.taker_amount
    shares = order.size_e6
    side = "buy" if order.buy else "sell"
    if order.kind in AT_ONCE:
        fine = max(4, decimals) if venue.config.taker_decimals == "tick" else 4
        if fields.maker_amount % 10**4 or fields.taker_amount % 10 ** (6 - fine):
            raise HttpError(
                400,
                f"invalid amounts, the market {side} orders maker amount supports a max accuracy "
                f"of 2 decimals, taker amount a max of {fine} decimals",
            )
    elif shares % 10**4 or cash % 10 ** (6 - decimals):
        maker, taker = (decimals, 2) if order.buy else (2, decimals)
        raise HttpError(
            400,
            f"invalid amounts, the {side} orders maker amount supports a max accuracy of {maker} "
            f"decimals, taker amount a max of {taker} decimals",
        )
    resting = order.kind not in AT_ONCE
    if shares < market.min_size_e6 and (resting or venue.config.market_min_size):
        raise HttpError(
            400,
            f"order {order.id} is invalid. Size ({size(shares)}) lower than the minimum: "
            f"{size(market.min_size_e6)}",
        )
    marketable = not resting or (not order.post_only and venue.book(market).crosses(order))
    if order.buy and marketable and cash < ONE_E6:
        raise HttpError(
            400, f"invalid amount for a marketable BUY order (${size(cash)}), min size: $1"
        )
    if order.post_only and not resting:
        raise HttpError(400, "invalid post-only order: post-only is for GTC and GTD orders only")


def _expiration(venue: "Venue", envelope: Envelope) -> int:
    given = envelope.order.get("expiration")
    text = str(given)
    if given is None:
        raise HttpError(400, BAD_BODY)
    if isinstance(given, bool) or not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise HttpError(400, "invalid expiration")
    expires = int(text)
    if envelope.kind == "GTD":
        fits = expires >= venue.now_ns // 1_000_000_000 + GTD_AHEAD_S
    else:
        fits = expires == 0
    if not fits:
        raise HttpError(400, "invalid expiration")
    return expires


def _allowed(venue: "Venue", order: Order) -> None:
    """Hold the order against its wallet's approval of the exchange."""
    if not venue.approved(order):
        raise HttpError(
            400,
            "not enough balance / allowance: the allowance is not enough -> "
            f"spender: {venue.exchange_of(order.market)}, allowance: 0",
        )
