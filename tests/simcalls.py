"""What wallets send to the relayer and to a node: calls encoded word by word, batches signed."""

from collections.abc import Sequence
from typing import Any

from simclient import SECOND, Client

from polyarb.sim import calls, relayer, signatures
from polyarb.sim.chain import CREATE
from polyarb.sim.signatures import RawCall

KIND_NAMES = ("EOA", "PROXY", "SAFE", "WALLET")
MAX = 2**256 - 1
MILLION = 10**6


def word(value: int | str) -> bytes:
    """Return a number, or an address or bytes32 in hex, as 32 bytes."""
    return (int(value, 16) if isinstance(value, str) else value).to_bytes(32, "big")


def call(target: str, signature: str, *words: int | str) -> RawCall:
    """Return a call whose arguments are words as they stand."""
    data = calls.selector(signature) + b"".join(map(word, words))
    return RawCall(target=target, value=0, data=data)


def approve(spender: str, amount: int = MAX, token: str = calls.PUSD) -> RawCall:
    return call(token, "approve(address,uint256)", spender, amount)


def approve_tokens(
    operator: str, approved: bool = True, token: str = calls.CONDITIONAL_TOKENS
) -> RawCall:
    return call(token, "setApprovalForAll(address,bool)", operator, int(approved))


def adapter(neg_risk: bool) -> str:
    return calls.NEG_RISK_ADAPTER if neg_risk else calls.ADAPTER


def split(condition: str, amount: int, neg_risk: bool = False) -> RawCall:
    name = "splitPosition(address,bytes32,bytes32,uint256[],uint256)"
    return call(adapter(neg_risk), name, calls.PUSD, 0, condition, 160, amount, 2, 1, 2)


def merge(condition: str, amount: int, neg_risk: bool = False) -> RawCall:
    name = "mergePositions(address,bytes32,bytes32,uint256[],uint256)"
    return call(adapter(neg_risk), name, calls.PUSD, 0, condition, 160, amount, 2, 1, 2)


def redeem(condition: str, neg_risk: bool = False) -> RawCall:
    name = "redeemPositions(address,bytes32,bytes32,uint256[])"
    return call(adapter(neg_risk), name, calls.PUSD, 0, condition, 128, 2, 1, 2)


def convert(market_id: str, index_set: int, amount: int) -> RawCall:
    name = "convertPositions(bytes32,uint256,uint256)"
    return call(calls.NEG_RISK_ADAPTER, name, market_id, index_set, amount)


def router_split(condition: str, amount: int) -> RawCall:
    return call(calls.ROUTER, "split(bytes31,uint256)", condition + "00", amount)


def router_merge(condition: str, amount: int) -> RawCall:
    return call(calls.ROUTER, "merge(bytes31,uint256)", condition + "00", amount)


def router_redeem(condition: str, outcome: int, amount: int) -> RawCall:
    return call(calls.ROUTER, "redeem(bytes31,uint256,uint256)", condition + "00", outcome, amount)


def submission(
    client: Client, batch: Sequence[RawCall], *, nonce: int = 0, deadline_s: int | None = None
) -> dict[str, Any]:
    """Return the body of POST /submit, signed for the client's wallet."""
    build = (None, _proxy, _safe, _wallet)[client.signature_type]
    assert build
    body: dict[str, Any] = {
        "type": KIND_NAMES[client.signature_type],
        "from": signatures.checksum(client.eoa),
        "nonce": str(nonce),
        "metadata": "",
    }
    if deadline_s is None:
        deadline_s = client.venue.now_ns // SECOND + 600
    return body | build(client, batch, nonce, deadline_s)


def creation(client: Client) -> dict[str, Any]:
    """Return the body that asks for a deposit wallet."""
    return {"type": CREATE, "from": client.eoa, "to": relayer.DEPOSIT_FACTORY, "metadata": ""}


def _wallet(
    client: Client, batch: Sequence[RawCall], nonce: int, deadline_s: int
) -> dict[str, Any]:
    chain_id = client.venue.config.chain_id
    digest = signatures.deposit_batch_digest(
        client.address, nonce, deadline_s, batch, chain_id=chain_id
    )
    return {
        "to": signatures.checksum(relayer.DEPOSIT_FACTORY),
        "signature": "0x" + client.sign_digest(digest).hex(),
        "depositWalletParams": {
            "depositWallet": signatures.checksum(client.address),
            "deadline": str(deadline_s),
            "calls": [
                {"target": c.target, "value": str(c.value), "data": "0x" + c.data.hex()}
                for c in batch
            ],
        },
    }


def _safe(client: Client, batch: Sequence[RawCall], nonce: int, _deadline_s: int) -> dict[str, Any]:
    """One call as it is, several as packed calls of the multisend; signed as a message."""
    target, data, operation = batch[0].target, batch[0].data, 0
    if len(batch) > 1:
        packed = b"".join(
            b"\0" + bytes.fromhex(c.target[2:]) + word(c.value) + word(len(c.data)) + c.data
            for c in batch
        )
        padded = packed + bytes(-len(packed) % 32)
        data = calls.selector("multiSend(bytes)") + word(32) + word(len(packed)) + padded
        target, operation = calls.MULTISEND, 1
    transaction = signatures.SafeTransaction(
        safe=client.address, to=target, value=0, data=data, operation=operation, nonce=nonce
    )
    digest = signatures.safe_transaction_hash(transaction, client.venue.config.chain_id)
    raw = client.sign_digest(signatures.personal_digest(digest))
    return {
        "to": target,
        "proxyWallet": client.address,
        "data": "0x" + data.hex(),
        "signature": "0x" + raw[:64].hex() + f"{raw[64] + 4:02x}",
        "signatureParams": {
            "baseGas": "0",
            "gasPrice": "0",
            "gasToken": signatures.ZERO_ADDRESS,
            "operation": str(operation),
            "refundReceiver": signatures.ZERO_ADDRESS,
            "safeTxnGas": "0",
        },
    }


def _proxy(
    client: Client, batch: Sequence[RawCall], nonce: int, _deadline_s: int
) -> dict[str, Any]:
    tails = [
        word(1) + word(c.target) + word(c.value) + word(128) + word(len(c.data))
        + c.data + bytes(-len(c.data) % 32)
        for c in batch
    ]  # fmt: skip
    starts = [32 * len(batch) + sum(map(len, tails[:place])) for place in range(len(tails))]
    data = (
        calls.selector("proxy((uint8,address,uint256,bytes)[])")
        + word(32)
        + word(len(batch))
        + b"".join(map(word, starts))
        + b"".join(tails)
    )
    transaction = signatures.ProxyTransaction(
        owner=client.eoa,
        to=relayer.PROXY_FACTORY,
        data=data,
        relayer_fee=0,
        gas_price=0,
        gas_limit=200_000,
        nonce=nonce,
        relay_hub=relayer.RELAY_HUB,
        relay=relayer.RELAY,
    )
    digest = signatures.personal_digest(signatures.proxy_transaction_hash(transaction))
    return {
        "to": relayer.PROXY_FACTORY,
        "proxyWallet": client.address,
        "data": "0x" + data.hex(),
        "signature": "0x" + client.sign_digest(digest).hex(),
        "signatureParams": {
            "gasLimit": "200000",
            "gasPrice": "0",
            "relay": relayer.RELAY,
            "relayHub": relayer.RELAY_HUB,
            "relayerFee": "0",
        },
    }
