"""The node: what clients read from the chain, and the transactions EOAs send themselves."""

import contextlib
import json
from typing import Any

import pytest
import simclient
from simcalls import MAX, approve, approve_tokens, merge, redeem, split, word
from simclient import SECOND, Client

from polyarb.sim import calls, rpc
from polyarb.sim.calls import selector
from polyarb.sim.http import HttpError, Request
from polyarb.sim.signatures import RawCall, keccak

UNIT = 10**6
OTHER = "0x" + "11" * 20
HOSTILE: list[Any] = [
    None, True, -1, 0, 1.5, "", "0x", "0xzz", "\ud800", 10**1000, [], {}, [[]], [{}], {"a": 1},
    "0x" + "f" * 40, "0xc0", "0xf8", "0xff" + "ff" * 9, "0xb8ff", "0x02", ["latest"],
]  # fmt: skip


class Floor:
    def __init__(self, signature_type: int = 0) -> None:
        self.venue = simclient.venue([simclient.market()], relayer_ms=500)
        self.ann = Client(self.venue, signature_type=signature_type, cash_e6=100 * UNIT)
        self.market = next(iter(self.venue.catalog.markets.values()))

    def post(self, body: object) -> Any:
        answer = self.ann.wait(self.ann.send("POST", "/rpc", body, auth=False))
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    def ask(self, method: str, *params: Any) -> Any:
        answer = self.post({"jsonrpc": "2.0", "id": 3, "method": method, "params": list(params)})
        assert answer.keys() == {"jsonrpc", "id", "result"}, answer
        assert answer["id"] == 3
        return answer["result"]

    def refused(self, method: str, *params: Any) -> tuple[int, str]:
        answer = self.post({"jsonrpc": "2.0", "id": 3, "method": method, "params": list(params)})
        return answer["error"]["code"], answer["error"]["message"]

    def view(self, target: str, signature: str, *words: int | str) -> list[int]:
        data = "0x" + (selector(signature) + b"".join(map(word, words))).hex()
        raw = bytes.fromhex(self.ask("eth_call", {"to": target, "data": data}, "latest")[2:])
        return [int.from_bytes(raw[at : at + 32], "big") for at in range(0, len(raw), 32)]

    def raw(self, call: RawCall, nonce: int = 0, **changes: Any) -> str:
        """Return a signed legacy transaction (EIP-155)."""
        chain_id = changes.pop("chain_id", 137)
        head = [nonce, 30_000_000_000, 200_000]
        fields = [*map(whole, head), bytes.fromhex(call.target[2:]), whole(call.value), call.data]
        digest = keccak(rlp([*fields, whole(chain_id), b"", b""]))
        signed = self.ann.sign_digest(digest)
        v = signed[64] - 27 + 35 + 2 * chain_id
        r, s = (signed[at : at + 32].lstrip(b"\0") for at in (0, 32))
        return "0x" + rlp([*fields, whole(v), r, s]).hex()

    def run(self, seconds: float) -> None:
        simclient.run(self.venue, self.venue.now_ns + int(seconds * SECOND))


def whole(number: int) -> bytes:
    return number.to_bytes(32, "big").lstrip(b"\0")


def rlp(value: bytes | list[bytes]) -> bytes:
    """Encode as the Ethereum yellow paper, appendix B."""
    if isinstance(value, list):
        body, base = b"".join(map(rlp, value)), 0xC0
    elif len(value) == 1 and value[0] < 0x80:
        return value
    else:
        body, base = value, 0x80
    if len(body) <= 55:
        return bytes([base + len(body)]) + body
    size = whole(len(body))
    return bytes([base + 55 + len(size)]) + size + body


def test_chain_clock_and_gas() -> None:
    floor = Floor()
    assert floor.ask("eth_chainId") == "0x89"
    block = floor.ask("eth_getBlockByNumber", "latest", False)
    assert int(block["timestamp"], 16) == floor.venue.now_ns // SECOND
    assert floor.ask("eth_blockNumber") == block["number"]
    assert int(floor.ask("eth_estimateGas", {"from": OTHER, "to": OTHER}), 16) == 200_000
    assert int(floor.ask("eth_gasPrice"), 16) > 0


def test_balances_and_approvals_are_the_wallets() -> None:
    floor = Floor(3)
    wallet, yes, no = floor.ann.address, *map(int, floor.market.tokens)
    floor.venue.ledger.split(floor.ann.wallet, floor.market, 7 * UNIT)
    assert floor.view(calls.PUSD, "balanceOf(address)", wallet) == [93 * UNIT]
    assert floor.view(calls.USDCE, "balanceOf(address)", wallet) == [0]
    for target in (calls.CONDITIONAL_TOKENS, rpc.NEG_RISK_TOKENS):
        assert floor.view(target, "balanceOf(address,uint256)", wallet, yes) == [7 * UNIT]
    v3 = floor.view(calls.POSITION_MANAGER, "balanceOf(address,uint256)", wallet, yes)
    assert v3 == [0]
    name, ctf = "balanceOfBatch(address[],uint256[])", calls.CONDITIONAL_TOKENS
    arguments = (64, 160, 2, wallet, OTHER, 2, yes, no)
    assert floor.view(ctf, name, *arguments) == [32, 2, 7 * UNIT, 0]
    allowance, approved = "allowance(address,address)", "isApprovedForAll(address,address)"
    assert floor.view(calls.PUSD, allowance, wallet, calls.ADAPTER) == [MAX]
    assert floor.view(calls.PUSD, allowance, wallet, OTHER) == [0]
    assert floor.view(calls.USDCE, allowance, wallet, calls.ADAPTER) == [0]
    assert floor.view(ctf, approved, wallet, calls.ADAPTER) == [1]
    assert floor.view(ctf, approved, wallet, OTHER) == [0]
    assert floor.view(ctf, approved, OTHER, OTHER) == [0]


@pytest.mark.parametrize(
    ("target", "data"),
    [
        (OTHER, "0x70a08231" + "00" * 32),
        (calls.PUSD, "0x"),
        (calls.PUSD, "0x12345678"),
        (calls.PUSD, "0x70a08231"),
        (calls.PUSD, "0x70a08231" + "00" * 31),
        (calls.PUSD, "0x70a08231" + "00" * 64),
        (calls.PUSD, "0x70a08231" + "ff" * 32),
        (calls.CONDITIONAL_TOKENS, "0x4e1273f4" + "00" * 64),
        (calls.CONDITIONAL_TOKENS, "0x4e1273f4" + f"{64:064x}{96:064x}{2**255:064x}"),
        (calls.CONDITIONAL_TOKENS, "0x4e1273f4" + f"{64:064x}{96:064x}{0:064x}{1:064x}"),
    ],
)
def test_views_that_are_none_revert(target: str, data: str) -> None:
    code, text = Floor().refused("eth_call", {"to": target, "data": data}, "latest")
    assert code == 3
    assert text.startswith("execution reverted: ")


def test_a_batch_is_answered_item_by_item() -> None:
    floor = Floor()
    body = [
        {"jsonrpc": "2.0", "id": 8, "method": "eth_chainId", "params": []},
        {"jsonrpc": "2.0", "id": 9, "method": "eth_nothing", "params": []},
        {"jsonrpc": "2.0", "id": 10, "method": "eth_chainId"},
    ]
    answers = floor.post(body)
    assert [answer["id"] for answer in answers] == [8, 9, 10]
    assert answers[0]["result"] == answers[2]["result"] == "0x89"
    assert answers[1]["error"]["code"] == -32601


def test_an_eoa_sends_its_own_transactions() -> None:
    floor = Floor()
    condition = floor.market.condition_id
    number = floor.ask("eth_sendRawTransaction", floor.raw(split(condition, 5 * UNIT)))
    assert floor.ask("eth_getTransactionReceipt", number) is None
    assert floor.ask("eth_getTransactionCount", floor.ann.eoa, "pending") == "0x1"
    floor.run(0.5)
    receipt = floor.ask("eth_getTransactionReceipt", number)
    assert (receipt["status"], receipt["transactionHash"]) == ("0x1", number)
    assert floor.ann.wallet.cash_e6 == 95 * UNIT
    # the next one need not wait for the confirmation; one that reverts uses its nonce up as well
    number = floor.ask("eth_sendRawTransaction", floor.raw(merge(condition, 6 * UNIT), 1))
    last = floor.ask("eth_sendRawTransaction", floor.raw(approve(OTHER), 2))
    floor.run(2)
    assert floor.ask("eth_getTransactionReceipt", number)["status"] == "0x0"
    assert floor.ask("eth_getTransactionReceipt", last)["status"] == "0x1"
    assert floor.ann.wallet.positions == dict.fromkeys(floor.market.tokens, 5 * UNIT)
    assert OTHER in floor.ann.wallet.approved[0]
    floor.venue.check()


def test_transactions_that_are_none_are_refused() -> None:
    floor = Floor()
    send, good = "eth_sendRawTransaction", approve_tokens(OTHER)
    assert floor.refused(send, floor.raw(good, 1))[1].startswith("nonce too high: next nonce 0")
    assert "chain id" in floor.refused(send, floor.raw(good, chain_id=1))[1]
    transfer = RawCall(target=calls.PUSD, value=0, data=bytes.fromhex("a9059cbb"))
    assert "no position call" in floor.refused(send, floor.raw(transfer))[1]
    sent = bytes.fromhex(floor.raw(good)[2:])
    for cut in range(0, len(sent), 7):
        floor.refused(send, "0x" + sent[:cut].hex())
    floor.refused(send, "0x" + (sent + b"\0").hex())
    assert not floor.venue.chain.transactions
    floor.ask(send, floor.raw(good))
    assert floor.refused(send, floor.raw(good))[1].startswith("nonce too low: next nonce 1")


def test_a_flipped_bit_is_another_sender_or_nobody() -> None:
    floor = Floor()
    sent = bytes.fromhex(floor.raw(redeem(floor.market.condition_id))[2:])
    for bit in range(0, 8 * len(sent), 11):
        raw = bytearray(sent)
        raw[bit // 8] ^= 1 << bit % 8
        body = {"id": 1, "method": "eth_sendRawTransaction", "params": ["0x" + raw.hex()]}
        floor.post(body)
    senders = {t.wallet.owner for t in floor.venue.chain.transactions.values()}
    assert floor.ann.eoa not in senders


def test_hostile_bodies_are_answered() -> None:
    floor = Floor()

    def ask(body: object) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        status = 400
        with contextlib.suppress(HttpError):
            answer = rpc.rpc(floor.venue, Request(method="POST", path="/rpc", body=raw))
            status = answer.status
            assert json.loads(answer.body)
        assert status in {200, 400}

    for value in HOSTILE:
        ask(value)
        ask([value, value])
        for name in ("id", "method", "params", "jsonrpc"):
            ask({"id": 1, "method": "eth_chainId", "params": []} | {name: value})
        for method in rpc.METHODS:
            ask({"id": 1, "method": method, "params": [value]})
            ask({"id": 1, "method": method, "params": [{"to": value, "data": value}]})
            ask({"id": 1, "method": method, "params": [{"to": calls.PUSD, "data": value}]})
    for raw in (b"", b"[" * 100_000, b"\xff", b"[]", b"[" + b"0," * 101 + b"0]"):
        ask(raw)
