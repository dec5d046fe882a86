"""
What a Polygon node is asked by clients of the venue: JSON-RPC over POST /rpc.

Reads of balances and approvals, a clock, and the transactions of plain EOAs, which no relayer
carries. Gas costs nothing. Only legacy transactions with a chain id (EIP-155) are taken.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from polyarb.errors import MalformedError
from polyarb.sim.calls import (
    CONDITIONAL_TOKENS,
    POSITION_MANAGER,
    PUSD,
    USDCE,
    decode_raw,
    read_data,
    selector,
)
from polyarb.sim.chain import EOA, OPERATIONS, SECOND, State, Transaction
from polyarb.sim.http import Handler, Request, Response, load, ok
from polyarb.sim.ledger import UNLIMITED
from polyarb.sim.signatures import RawCall, keccak, parse_address, recover, shown

if TYPE_CHECKING:
    from polyarb.sim.venue import Venue

BATCH_MAX: Final = 100
BLOCK_NS: Final = 2 * SECOND
GAS: Final = 200_000
GAS_PRICE: Final = 30_000_000_000
NEG_RISK_TOKENS: Final = "0xd91e80cf2e7be2e162c6513ced06f1dd0da35296"  # the first NegRiskAdapter
TOKENS: Final = (CONDITIONAL_TOKENS, NEG_RISK_TOKENS, POSITION_MANAGER)


class RpcError(Exception):
    """A refusal in the terms of JSON-RPC 2.0 section 5.1, and of nodes."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def _revert(why: str) -> RpcError:
    return RpcError(3, f"execution reverted: {why}")


def rpc(venue: "Venue", request: Request) -> Response:
    """POST /rpc: one request, or an array of them."""
    body = load(request.body)
    if type(body) is not list:
        return ok(_answer(venue, body))
    if not 1 <= len(body) <= BATCH_MAX:
        return ok(_error(None, -32600, f"a batch of {len(body)} is outside 1..{BATCH_MAX}"))
    return ok([_answer(venue, item) for item in body])


def _error(number: int | None, code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}}


def _answer(venue: "Venue", item: object) -> dict[str, Any]:
    if type(item) is not dict or type(item.get("params", [])) is not list:
        return _error(None, -32600, "a request is an object with an array of params")
    number, name = item.get("id"), item.get("method")
    if type(number) is not int:
        return _error(None, -32600, f"id {shown(number)} is not an integer")
    if type(name) is not str or name not in METHODS:
        return _error(number, -32601, f"the method {shown(name)} is none of {', '.join(METHODS)}")
    try:
        result = METHODS[name](venue, item.get("params", []))
    except RpcError as refusal:
        return _error(number, refusal.code, str(refusal))
    except MalformedError as wrong:
        return _error(number, -32602, str(wrong))
    return {"jsonrpc": "2.0", "id": number, "result": result}


def _first(params: list[Any]) -> object:
    if not params:
        raise MalformedError("params are empty")
    return params[0]


# Blocks and gas


def _chain_id(venue: "Venue", _params: list[Any]) -> str:
    return hex(venue.config.chain_id)


def _block_number(venue: "Venue", _params: list[Any]) -> str:
    return hex(venue.now_ns // BLOCK_NS)


def _block(venue: "Venue", params: list[Any]) -> dict[str, str]:
    return {"number": _block_number(venue, params), "timestamp": hex(venue.now_ns // SECOND)}


def _gas_price(_venue: "Venue", _params: list[Any]) -> str:
    return hex(GAS_PRICE)


def _gas(_venue: "Venue", _params: list[Any]) -> str:
    return hex(GAS)


# Reads of contracts


class _Words:
    """The arguments of a read: whole words, the last of which must be the last."""

    def __init__(self, data: bytes) -> None:
        if len(data) % 32:
            raise _revert(f"{len(data)} bytes of arguments are not whole words")
        self._words = [int.from_bytes(data[at : at + 32], "big") for at in range(0, len(data), 32)]
        self._at = 0

    def uint(self) -> int:
        if self._at == len(self._words):
            raise _revert(f"{self._at} words of arguments are too few")
        self._at += 1
        return self._words[self._at - 1]

    def address(self) -> str:
        value = self.uint()
        if value >> 160:
            raise _revert(f"{value:#x} is not an address")
        return f"0x{value:040x}"

    def expect(self, value: int) -> None:
        found = self.uint()
        if found != value:
            raise _revert(f"{found:#x} in the place of {value:#x}")

    def count(self) -> int:
        """Read the length of an array that all of the rest must hold."""
        value = self.uint()
        if value > len(self._words) - self._at:
            raise _revert(f"an array of {value:#x} passes the end")
        return value

    def end(self) -> None:
        if self._at != len(self._words):
            raise _revert(f"{len(self._words) - self._at} words follow the arguments")


def _call(venue: "Venue", params: list[Any]) -> str:
    """Answer eth_call."""
    asked = _first(params)
    if type(asked) is not dict:
        raise MalformedError("the first of params is not an object")
    target, data = parse_address(asked.get("to")), read_data(asked.get("data"))
    read = READS.get(data[:4])
    if read is None or target not in read[0]:
        raise _revert(f"{target} has no view 0x{data[:4].hex()}")
    words = _Words(data[4:])
    values = read[1](venue, target, words)
    words.end()
    return "0x" + "".join(f"{value:064x}" for value in values)


def _cash(venue: "Venue", target: str, words: _Words) -> list[int]:
    wallet = venue.ledger.wallets.get(words.address())
    return [wallet.cash_e6 if wallet and target == PUSD else 0]


def _allowance(venue: "Venue", target: str, words: _Words) -> list[int]:
    wallet, spender = venue.ledger.wallets.get(words.address()), words.address()
    allowed = wallet and target == PUSD and spender in wallet.approved[0]
    return [UNLIMITED if allowed else 0]


def _approved(venue: "Venue", _target: str, words: _Words) -> list[int]:
    wallet, operator = venue.ledger.wallets.get(words.address()), words.address()
    return [int(wallet is not None and operator in wallet.approved[1])]


def _shares(venue: "Venue", target: str, owner: str, number: int) -> int:
    wallet, listed = venue.ledger.wallets.get(owner), venue.catalog.tokens.get(str(number))
    if wallet is None or listed is None or listed[0].v3 != (target == POSITION_MANAGER):
        return 0
    return wallet.tokens(str(number))


def _balance(venue: "Venue", target: str, words: _Words) -> list[int]:
    return [_shares(venue, target, words.address(), words.uint())]


def _balances(venue: "Venue", target: str, words: _Words) -> list[int]:
    words.expect(64)
    second = words.uint()
    owners = [words.address() for _ in range(words.count())]
    if second != 32 * (3 + len(owners)):
        raise _revert(f"the second array is at {second:#x}")
    words.expect(len(owners))
    shares = [_shares(venue, target, owner, words.uint()) for owner in owners]
    return [32, len(shares), *shares]


_Read = Callable[["Venue", str, _Words], list[int]]

READS: Final[dict[bytes, tuple[tuple[str, ...], _Read]]] = {
    selector(signature): (targets, read)
    for signature, targets, read in (
        ("balanceOf(address)", (PUSD, USDCE), _cash),
        ("allowance(address,address)", (PUSD, USDCE), _allowance),
        ("isApprovedForAll(address,address)", TOKENS, _approved),
        ("balanceOf(address,uint256)", TOKENS, _balance),
        ("balanceOfBatch(address[],uint256[])", TOKENS, _balances),
    )
}
"""Selector: the contracts that have the view, and what it returns, in words."""


# Transactions of EOAs


def _transaction_count(venue: "Venue", params: list[Any]) -> str:
    return hex(venue.chain.nonces[parse_address(_first(params))])


def _send(venue: "Venue", params: list[Any]) -> str:
    """Answer eth_sendRawTransaction."""
    raw = read_data(_first(params))
    fields = _legacy(raw)
    nonce, value = _number(fields[0]), _number(fields[4])
    sender = _sender(fields, venue.config.chain_id)
    target = "0x" + fields[3].hex()
    call = decode_raw(RawCall(target=parse_address(target), value=value, data=fields[5]))
    if type(call) not in OPERATIONS:
        raise _revert("USDC.e is not simulated")
    expected = venue.chain.nonces[sender]
    if nonce != expected:
        how = "low" if nonce < expected else "high"
        raise RpcError(-32000, f"nonce too {how}: next nonce {expected}, tx nonce {nonce}")
    transaction = Transaction(
        id=venue.uuid(),
        kind=EOA,
        wallet=venue.accounts.wallets(sender)[0],
        submitter=sender,
        nonce=nonce,
        calls=(call,),
        hash="0x" + keccak(raw).hex(),
    )
    venue.chain.send(transaction)
    return transaction.hash


def _receipt(venue: "Venue", params: list[Any]) -> dict[str, Any] | None:
    wanted = _first(params)
    found = venue.chain.by_hash.get(wanted.lower()) if type(wanted) is str else None
    if found is None or found.state == State.EXECUTED:
        return None
    return {
        "transactionHash": found.hash,
        "blockNumber": _block_number(venue, params),
        "gasUsed": hex(GAS),
        "logs": [],
        "status": "0x0" if found.state == State.FAILED else "0x1",
    }


def _legacy(raw: bytes) -> list[bytes]:
    """Return the nine fields of a legacy transaction out of its RLP."""
    if not raw or raw[0] < 0xC0:
        raise MalformedError("not a legacy transaction: RLP of a list, with a chain id (EIP-155)")
    body, rest = _rlp_string(raw, 0xC0)
    fields: list[bytes] = []
    while body and len(fields) < 10:
        field, body = _rlp_string(body, 0x80)
        fields.append(field)
    if rest or len(fields) != 9:
        raise MalformedError("not a legacy transaction: RLP of nine fields and nothing more")
    return fields


def _rlp_string(data: bytes, base: int) -> tuple[bytes, bytes]:
    """
    Return what an RLP item holds, and what follows it (Ethereum yellow paper, appendix B).

    Args:
        data: Not empty.
        base: 0x80 for a string, 0xc0 for a list.
    """
    first = data[0]
    if first < 0x80 == base:
        return data[:1], data[1:]
    start, size = 1, first - base
    if size > 55:
        start += size - 55
        size = int.from_bytes(data[1:start], "big")
    if not 0 <= first - base < 64 or start > len(data) or size > len(data) - start:
        raise MalformedError("RLP: an item of the wrong kind, or one that passes the end")
    return data[start : start + size], data[start + size :]


def _rlp(fields: list[bytes]) -> bytes:
    """Return the RLP of a list of strings."""
    return _rlp_head(body := b"".join(map(_rlp_item, fields)), 0xC0) + body


def _rlp_item(field: bytes) -> bytes:
    return field if len(field) == 1 and field[0] < 0x80 else _rlp_head(field, 0x80) + field


def _rlp_head(body: bytes, base: int) -> bytes:
    if len(body) < 56:
        return bytes([base + len(body)])
    size = len(body).to_bytes(4, "big").lstrip(b"\0")
    return bytes([base + 55 + len(size)]) + size


def _number(field: bytes) -> int:
    if field[:1] == b"\0" or len(field) > 32:
        raise MalformedError(f"0x{field[:40].hex()} is not an RLP integer of up to 32 bytes")
    return int.from_bytes(field, "big")


def _sender(fields: list[bytes], chain_id: int) -> str:
    """Return who signed a legacy transaction for this chain (EIP-155)."""
    v, r, s = (_number(field) for field in fields[6:])
    parity = v - 35 - 2 * chain_id
    if parity not in {0, 1}:
        raise RpcError(-32000, f"invalid chain id for signer: v {v} is not of chain {chain_id}")
    chain = chain_id.to_bytes(4, "big").lstrip(b"\0")
    digest = keccak(_rlp([*fields[:6], chain, b"", b""]))
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([27 + parity])
    sender = recover(digest, signature)
    if sender is None:
        raise RpcError(-32000, "invalid sender")
    return sender


METHODS: Final[dict[str, Callable[["Venue", list[Any]], object]]] = {
    "eth_chainId": _chain_id,
    "eth_blockNumber": _block_number,
    "eth_getBlockByNumber": _block,
    "eth_gasPrice": _gas_price,
    "eth_estimateGas": _gas,
    "eth_call": _call,
    "eth_getTransactionCount": _transaction_count,
    "eth_sendRawTransaction": _send,
    "eth_getTransactionReceipt": _receipt,
}

ROUTES: Final[dict[str, Handler]] = {"POST /rpc": rpc}
