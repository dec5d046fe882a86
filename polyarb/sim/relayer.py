"""
The relayer: signed batches of calls come in, states go out (protocol.md section 24.4).

Who may use it: the holder of an API key, named as RELAYER_API_KEY with the EOA as
RELAYER_API_KEY_ADDRESS, or as builder key with HMAC headers. Whose wallet acts is proven by the
signature over the batch alone. Transfers and the wrapping of USDC.e are refused: collateral comes
and goes by POST /admin/deposit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from polyarb.errors import MalformedError
from polyarb.sim import signatures
from polyarb.sim.accounts import KINDS, Credential
from polyarb.sim.calls import (
    MULTISEND,
    decode_raw,
    read_calls,
    read_data,
    unpack_multisend,
    unpack_proxy,
)
from polyarb.sim.chain import CREATE, OPERATIONS, SECOND, State, Transaction
from polyarb.sim.http import Handler, HttpError, Request, Response, load, ok
from polyarb.sim.ledger import Wallet
from polyarb.sim.signatures import (
    ProxyTransaction,
    RawCall,
    SafeTransaction,
    checksum,
    parse_address,
    read_uint,
    shown,
)

if TYPE_CHECKING:
    from polyarb.sim.venue import Venue

PREFIX: Final = "/relayer"
BAD_KEY: Final = "Invalid API key"
QUOTA: Final = 25  # submissions a minute (section 18.1)
MINUTE_NS: Final = 60 * SECOND
METADATA_MAX: Final = 500

# Section 24.2, and polymarket-client 0.14.0 for the hub of the Gas Station Network.
PROXY_FACTORY: Final = "0xab45c5a4b0c941a2f231c04c3f49182e1a254052"
DEPOSIT_FACTORY: Final = "0x00000000000fb5c9adea0298d729a0cb3823cc07"
RELAY_HUB: Final = "0xd216153c06e857cd7f72665e0af1d7d82172f494"
RELAY: Final = "0x7e1a7e1a7e1a7e1a7e1a7e1a7e1a7e1a7e1a7e1a"  # ours; any address would do

SIGNATURE_TYPES: Final = {"PROXY": 1, "SAFE": 2, "WALLET": 3}


@dataclass(frozen=True, slots=True)
class _Signed:
    """What a submission says once it is read: who signed what for which wallet."""

    signer: str | None
    wallet: str
    calls: tuple[RawCall, ...]
    deadline_s: int | None = None


def submit(venue: "Venue", request: Request) -> Response:
    """POST /submit."""
    _count(venue, request.peer)
    credential = _credential(venue, request)
    body = load(request.body)
    if type(body) is not dict:
        raise HttpError(400, "Invalid payload")
    try:
        transaction = _read(venue, body, credential.eoa)
    except MalformedError as wrong:
        raise HttpError(400, str(wrong)) from None
    venue.chain.send(transaction)
    return ok(
        {"transactionID": transaction.id, "transactionHash": "", "state": transaction.state.value}
    )


def read_transaction(venue: "Venue", request: Request) -> Response:
    """GET /v1/account/transactions/*."""
    credential = _credential(venue, request)
    found = venue.chain.transactions.get(request.rest)
    if found is None or credential.eoa not in {found.submitter, found.wallet.owner}:
        raise HttpError(404, "transaction not found")
    answer = {
        "transaction_id": found.id,
        "transaction_hash": found.hash,
        "state": found.state.value,
        "type": found.kind,
        "from": checksum(found.wallet.owner),
        "proxy_wallet": checksum(found.wallet.address),
        "nonce": str(found.nonce),
    }
    return ok(answer | ({"error_msg": found.error} if found.error else {}))


def read_params(venue: "Venue", request: Request) -> Response:
    """GET /v1/account/transactions/params."""
    _credential(venue, request)
    eoa, kind = _asked(request)
    return ok({"address": checksum(eoa), "nonce": _nonce(venue, eoa, kind)})


def read_relay(venue: "Venue", request: Request) -> Response:
    """GET /relay-payload: the relay that the owner of a proxy wallet signs for."""
    _credential(venue, request)
    return ok({"address": checksum(RELAY), "nonce": _nonce(venue, *_asked(request))})


def read_deployed(venue: "Venue", request: Request) -> Response:
    """GET /deployed; asks for no key."""
    try:
        address = parse_address(request.first("address"))
    except MalformedError as wrong:
        raise HttpError(400, f"address: {wrong}") from None
    wallet = venue.ledger.wallets.get(address)
    kinds = [SIGNATURE_TYPES.get(name) for name in request.query.get("type", SIGNATURE_TYPES)]
    return ok({"deployed": bool(wallet and wallet.kind in kinds and _exists(venue, wallet))})


def _exists(venue: "Venue", wallet: Wallet) -> bool:
    """Say whether a wallet is deployed; proxies and Safes of known EOAs are."""
    return wallet.kind != SIGNATURE_TYPES["WALLET"] or wallet.address in venue.chain.deployed


# Who asks


def _count(venue: "Venue", peer: str) -> None:
    """Count a submission; raises HttpError 429 over the quota."""
    if not venue.config.ip_limits:
        return
    seen = venue.chain.submissions[peer]
    while seen and seen[0] <= venue.now_ns - MINUTE_NS:
        seen.popleft()
    if len(seen) >= QUOTA:
        wait_s = 1 + (seen[0] + MINUTE_NS - venue.now_ns) // SECOND
        raise HttpError(429, "Too Many Requests", {"Retry-After": str(wait_s)})
    seen.append(venue.now_ns)


def _credential(venue: "Venue", request: Request) -> Credential:
    """Return the credential behind a request; raises HttpError 401."""
    headers, keys = request.headers, venue.accounts.keys
    if "relayer_api_key" in headers:
        found = keys.get(headers["relayer_api_key"])
        if found and headers.get("relayer_api_key_address", "").lower() != found.eoa:
            found = None
    else:
        found = keys.get(headers.get("poly_builder_api_key", ""))
        if found and not _signed_by(venue, request, found):
            found = None
    if found is None or found.read_only:
        raise HttpError(401, BAD_KEY)
    return found


def _signed_by(venue: "Venue", request: Request, builder: Credential) -> bool:
    headers = request.headers
    timestamp = headers.get("poly_builder_timestamp", "")
    try:
        age_s = abs(read_uint(timestamp, "timestamp", 64) - venue.now_ns // SECOND)
    except MalformedError:
        return False
    return (
        age_s <= venue.config.skew_s
        and headers.get("poly_builder_passphrase") == builder.passphrase
        and signatures.check_hmac(
            headers.get("poly_builder_signature"),
            builder.secret,
            timestamp=timestamp,
            method=request.method,
            path=request.path.removeprefix(PREFIX),  # clients sign without the base URL's path
            body=request.body,
        )
    )


# What is asked


def _asked(request: Request) -> tuple[str, str]:
    """Return (EOA, type) of a query."""
    kind = request.first("type")
    if kind not in SIGNATURE_TYPES:
        raise HttpError(400, f"type {shown(kind)} is none of {', '.join(SIGNATURE_TYPES)}")
    try:
        return parse_address(request.first("address")), kind
    except MalformedError as wrong:
        raise HttpError(400, f"address: {wrong}") from None


def _nonce(venue: "Venue", eoa: str, kind: str) -> str:
    return str(venue.chain.nonces[KINDS[SIGNATURE_TYPES[kind]](eoa)])


def _read(venue: "Venue", body: dict[str, Any], submitter: str) -> Transaction:
    """Return the transaction of a submission, every check passed; HttpError or MalformedError."""
    kind, owner = body.get("type"), parse_address(body.get("from"))
    metadata = body.get("metadata", "")
    if type(metadata) is not str or len(metadata) > METADATA_MAX:
        raise MalformedError(f"metadata is not a text of up to {METADATA_MAX} characters")
    if kind == CREATE:
        _same("to", body.get("to"), DEPOSIT_FACTORY)
        signed = _Signed(owner, KINDS[3](owner), ())
        nonce = venue.chain.nonces[signed.wallet]  # a creation has none
    elif type(kind) is str and kind in _READERS:
        nonce = read_uint(body.get("nonce"), "nonce")
        signed = _READERS[kind](venue.config.chain_id, body, owner, nonce)
    else:
        known = ", ".join((*_READERS, CREATE))
        raise MalformedError(f"type {shown(kind)} is none of {known}")
    if signed.signer != owner:
        raise HttpError(400, "invalid signature")
    if signed.deadline_s is not None and signed.deadline_s <= venue.now_ns // SECOND:
        raise HttpError(400, f"deadline {signed.deadline_s} has passed")
    decoded = tuple(decode_raw(call) for call in signed.calls)
    if not all(type(call) in OPERATIONS for call in decoded):
        raise HttpError(400, "USDC.e is not simulated: POST /admin/deposit brings collateral in")
    wallet = venue.accounts.wallet(owner, signed.wallet, SIGNATURE_TYPES.get(kind, 3))
    if kind == "WALLET" and not _exists(venue, wallet):
        raise HttpError(400, "wallet registry validation failed: the wallet is not deployed")
    _check_turn(venue, wallet, nonce)
    return Transaction(
        id=venue.uuid(),
        kind=kind,
        wallet=wallet,
        submitter=submitter,
        nonce=nonce,
        calls=decoded,
        deadline_s=signed.deadline_s,
    )


def _check_turn(venue: "Venue", wallet: Wallet, nonce: int) -> None:
    """Refuse what must wait or be signed again; these texts are what the SDK retries on."""
    active = venue.chain.active(wallet)
    if active:
        new = active.state == State.NEW
        busy = f"wallet busy: active action {active.id}" if new else "wallet has in-flight action"
        raise HttpError(400, busy)
    expected = venue.chain.nonces[wallet.address]
    if nonce != expected:
        raise HttpError(400, f"batch nonce {nonce} does not match on-chain nonce {expected}")


def _read_wallet(chain_id: int, body: dict[str, Any], owner: str, nonce: int) -> _Signed:
    """Read the batch of a deposit wallet, the older kind included."""
    params = _object(body, "depositWalletParams")
    _same("to", body.get("to"), DEPOSIT_FACTORY)
    wallet = parse_address(params.get("depositWallet"))
    if not signatures.owns_wallet(owner, wallet, SIGNATURE_TYPES["WALLET"]):
        raise MalformedError(f"depositWallet {wallet} is no deposit wallet of {owner}")
    deadline_s = read_uint(params.get("deadline"), "deadline")
    batch = read_calls(params.get("calls"))
    signer = signatures.deposit_batch_signer(
        wallet, nonce, deadline_s, batch, chain_id=chain_id, signature=body.get("signature")
    )
    return _Signed(signer, wallet, batch, deadline_s)


def _read_safe(chain_id: int, body: dict[str, Any], owner: str, nonce: int) -> _Signed:
    """Read a Safe transaction: one call, or several by a delegatecall of the multisend."""
    params = _object(body, "signatureParams")
    wallet = signatures.safe_wallet(owner)
    _same("proxyWallet", body.get("proxyWallet"), wallet)
    transaction = SafeTransaction(
        safe=wallet,
        to=parse_address(body.get("to")),
        value=read_uint(body.get("value", 0), "value"),
        data=read_data(body.get("data")),
        operation=read_uint(params.get("operation"), "operation", 8),
        nonce=nonce,
        safe_tx_gas=read_uint(params.get("safeTxnGas"), "safeTxnGas"),
        base_gas=read_uint(params.get("baseGas"), "baseGas"),
        gas_price=read_uint(params.get("gasPrice"), "gasPrice"),
        gas_token=parse_address(params.get("gasToken")),
        refund_receiver=parse_address(params.get("refundReceiver")),
    )
    signer = signatures.safe_signer(transaction, chain_id, body.get("signature"))
    to, value, data = transaction.to, transaction.value, transaction.data
    if transaction.operation == 0:
        return _Signed(signer, wallet, (RawCall(target=to, value=value, data=data),))
    if transaction.operation == 1 and to == MULTISEND and not value:
        return _Signed(signer, wallet, unpack_multisend(data))
    raise MalformedError(
        f"operation {transaction.operation} on {to} with value {value}: only calls, and "
        f"delegatecalls of {MULTISEND}, are relayed"
    )


def _read_proxy(_chain_id: int, body: dict[str, Any], owner: str, nonce: int) -> _Signed:
    """Read a relay request for a proxy wallet."""
    params = _object(body, "signatureParams")
    wallet = signatures.proxy_wallet(owner)
    _same("proxyWallet", body.get("proxyWallet"), wallet)
    _same("to", body.get("to"), PROXY_FACTORY)
    _same("relayHub", params.get("relayHub"), RELAY_HUB)
    _same("relay", params.get("relay"), RELAY)
    transaction = ProxyTransaction(
        owner=owner,
        to=PROXY_FACTORY,
        data=read_data(body.get("data")),
        relayer_fee=read_uint(params.get("relayerFee"), "relayerFee"),
        gas_price=read_uint(params.get("gasPrice"), "gasPrice"),
        gas_limit=read_uint(params.get("gasLimit"), "gasLimit"),
        nonce=nonce,
        relay_hub=RELAY_HUB,
        relay=RELAY,
    )
    signer = signatures.proxy_signer(transaction, body.get("signature"))
    return _Signed(signer, wallet, unpack_proxy(transaction.data))


_READERS: Final[dict[str, Callable[[int, dict[str, Any], str, int], _Signed]]] = {
    "PROXY": _read_proxy,
    "SAFE": _read_safe,
    "WALLET": _read_wallet,
}


def _object(body: dict[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    if type(value) is not dict:
        raise MalformedError(f"{name} is {type(value).__name__}, not an object")
    return value


def _same(name: str, value: object, expected: str) -> None:
    if parse_address(value) != expected:
        raise MalformedError(f"{name} {shown(value)} is not {expected}")


_PATHS: Final[dict[str, Handler]] = {
    "POST /submit": submit,
    "GET /v1/account/transactions/params": read_params,
    "GET /v1/account/transactions/*": read_transaction,
    "GET /relay-payload": read_relay,
    "GET /deployed": read_deployed,
}

ROUTES: Final[dict[str, Handler]] = {
    path.replace(" ", f" {prefix}"): handler
    for prefix in (PREFIX, "")
    for path, handler in _PATHS.items()
}
