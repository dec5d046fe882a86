"""What the venue believes a wallet holds and has approved (protocol.md section 16)."""

from typing import TYPE_CHECKING, Final

from polyarb.sim import calls
from polyarb.sim.auth import l2
from polyarb.sim.http import Handler, HttpError, Request, Response, ok
from polyarb.sim.ledger import UNLIMITED, Wallet
from polyarb.sim.signatures import Generation, checksum, exchange

if TYPE_CHECKING:
    from polyarb.sim.venue import Venue

COLLATERAL: Final = "COLLATERAL"
CONDITIONAL: Final = "CONDITIONAL"
CONDITIONAL_V2: Final = "CONDITIONAL-V2"  # position ids of the V3 exchange


def read_balance(venue: "Venue", request: Request) -> Response:
    """GET /balance-allowance."""
    kind, wallet, token = _asked(venue, request)
    units = wallet.tokens(token) if token else wallet.cash_e6
    balance = str(venue.faults.balance(wallet, token, units))
    approved = wallet.approved[kind != COLLATERAL]
    allowed = {s: str(UNLIMITED if s in approved else 0) for s in _spenders(venue, kind)}
    if venue.config.generation == "v1":
        neg_risk = token != "" and venue.catalog.tokens[token][0].neg_risk
        spender = exchange(Generation.V1, neg_risk, venue.config.chain_id).address
        return ok({"balance": balance, "allowance": allowed[spender]})
    return ok(
        {"balance": balance, "allowances": {checksum(s): text for s, text in allowed.items()}}
    )


def update_balance(venue: "Venue", request: Request) -> Response:
    """GET /balance-allowance/update: the view is older than the ledger only by a fault."""
    venue.faults.believed.pop(_asked(venue, request)[1].address, None)
    return ok("")


def _asked(venue: "Venue", request: Request) -> tuple[str, Wallet, str]:
    """Return (asset type, wallet, token or ""); raises HttpError."""
    credential = l2(venue, request, reads=True)
    kind = request.first("asset_type")
    if kind not in {COLLATERAL, CONDITIONAL, CONDITIONAL_V2}:
        raise HttpError(400, "Invalid asset type")
    wallets = venue.accounts.wallets(credential.eoa)
    number = request.first("signature_type")
    if number not in {str(wallet.kind) for wallet in wallets}:
        raise HttpError(400, "Invalid signature_type")
    wallet = wallets[int(number)]
    if kind == COLLATERAL:
        return kind, wallet, ""
    token = request.first("token_id")
    listed = venue.catalog.tokens.get(token)
    if listed is None or listed[0].v3 != (kind == CONDITIONAL_V2):
        raise HttpError(400, "Invalid token id")
    return kind, wallet, token


def _spenders(venue: "Venue", kind: str) -> list[str]:
    """Return who must be able to move that asset."""
    chain_id = venue.config.chain_id
    if venue.config.generation == "v1":
        return [exchange(Generation.V1, neg_risk, chain_id).address for neg_risk in (False, True)]
    v2 = [exchange(Generation.V2, neg_risk, chain_id).address for neg_risk in (False, True)]
    v2 += [calls.ADAPTER, calls.NEG_RISK_ADAPTER]
    v3 = [exchange(Generation.V3, False, chain_id).address, calls.ROUTER]
    return {COLLATERAL: v2 + v3, CONDITIONAL: v2, CONDITIONAL_V2: v3}[kind]


ROUTES: Final[dict[str, Handler]] = {
    "GET /balance-allowance": read_balance,
    "GET /balance-allowance/update": update_balance,
}
