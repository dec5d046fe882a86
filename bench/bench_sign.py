"""
One signature: the library's own, ours through it, coincurve's call, eth-account's.

Question: what does a signature cost inside C with either nonce, and how much does everything
around it add in Python? Input: the digests of all 128 baskets' first legs, one secret key. Every
signature recovers to the account's address, with a low s and v 27 or 28.
"""

from collections.abc import Iterator, Sequence
from time import perf_counter_ns
from typing import Any

import coincurve

from bench.inputs import HALF_ORDER, Run
from bench.paired import INPUTS, Row, Side, paired
from polyarb._core import ffi, lib
from polyarb.core.digest import checksum_address, keccak256
from polyarb.domain.order import SIDE_CODE, Order
from polyarb.exchange.signing import OrderSigner, _library

SIGNATURE_BYTES = 65


def rows(run: Run) -> Iterator[Row]:
    """Yield the rows of this module."""
    inputs = run.inputs
    signer = inputs.signer(backend="native")
    orders = inputs.orders(signer, 1)
    digests = [signer.sign(batch)[0].digest for batch in orders]
    library, out = library_side(run, digests)
    native, ours = core_side(run, signer, digests)
    plain, theirs = core_side(run, inputs.signer(backend="native-library-nonce"), digests)
    yield paired(
        "one signature inside C, own nonce", native, library, rounds=run.rounds,
        note="against libsecp256k1 with its default nonce",
    )  # fmt: skip
    yield paired(
        "one signature inside C, library's nonce", plain, library, rounds=run.rounds,
        note="against the same without the signer",
    )  # fmt: skip
    assert bytes(out) == bytes(ours) == bytes(theirs)
    assert_recovers(digests, bytes(out), inputs.address)
    yield paired(
        "OrderSigner.sign of one order", _signer(signer, orders), library, rounds=run.rounds,
        note="against one raw signature: the price of the general path",
    )  # fmt: skip
    yield _coincurve(run, native, digests)
    yield from _eth_account(run, signer, orders)


def library_side(run: Run, digests: Sequence[bytes], per_input: int = 1) -> tuple[Side, Any]:
    """
    Return libsecp256k1's own signing, in C without Python in between, and where it writes.

    Args:
        run: Gives the key.
        digests: INPUTS * per_input of them.
        per_input: How many signatures one input takes.
    """
    library = _library()
    assert library is not None, "coincurve's libsecp256k1 is not accessible"
    secret = bytes.fromhex(run.inputs.account["private_key"][2:])
    joined = b"".join(digests)
    out = ffi.new("uint8_t[]", SIGNATURE_BYTES * len(digests))
    loop = run.native.loops.loop_library_sign
    where = (library.context, library.sign_recoverable, library.serialize_compact)

    def side(first: int, last: int, _library: object = library) -> int:
        elapsed = loop(*where, secret, joined, first * per_input, last * per_input, out)
        assert elapsed > 0, "the library refused to sign"
        return int(elapsed)

    return side, out


def core_side(run: Run, signer: OrderSigner, digests: Sequence[bytes]) -> tuple[Side, Any]:
    """Return pa_signer_sign in C without Python in between, and where it writes."""
    native = signer.core[0]
    assert native is not None
    joined = b"".join(digests)
    out = ffi.new("uint8_t[]", SIGNATURE_BYTES * len(digests))
    loop = run.native.loops.loop_core_sign
    sign = int(ffi.cast("uintptr_t", ffi.addressof(lib, "pa_signer_sign")))

    def side(first: int, last: int) -> int:
        elapsed = loop(sign, native.cdata, joined, first, last, out)
        assert elapsed > 0, "the signer refused to sign"
        return int(elapsed)

    return side, out


def assert_recovers(digests: Sequence[bytes], signatures: bytes, address: str) -> None:
    """Check that each signature is by `address`, with a low s and v in {27, 28}."""
    for i, digest in enumerate(digests):
        raw = signatures[SIGNATURE_BYTES * i : SIGNATURE_BYTES * (i + 1)]
        assert raw[64] in {27, 28}, f"v is {raw[64]}"
        assert 0 < int.from_bytes(raw[32:64], "big") <= HALF_ORDER, "s is high"
        recoverable = raw[:64] + bytes([raw[64] - 27])
        key = coincurve.PublicKey.from_signature_and_message(recoverable, digest, hasher=None)
        owner = keccak256(key.format(compressed=False)[1:])[12:]
        assert checksum_address(owner) == address, f"signed by {owner.hex()}"


def _signer(signer: OrderSigner, orders: list[list[Order]]) -> Side:
    sign = signer.sign

    def side(first: int, last: int) -> int:
        chosen = orders[first:last]
        start = perf_counter_ns()
        for batch in chosen:
            sign(batch)
        return perf_counter_ns() - start

    return side


def _coincurve(run: Run, native: Side, digests: list[bytes]) -> Row:
    key = coincurve.PrivateKey(bytes.fromhex(run.inputs.account["private_key"][2:]))

    def side(first: int, last: int) -> int:
        chosen = digests[first:last]
        start = perf_counter_ns()
        for digest in chosen:
            key.sign_recoverable(digest, hasher=None)
        return perf_counter_ns() - start

    return paired(
        "coincurve's sign_recoverable", side, native, rounds=run.rounds,
        note="the fallback, against ours inside C",
    )  # fmt: skip


def _eth_account(run: Run, signer: OrderSigner, orders: list[list[Order]]) -> Iterator[Row]:
    name = "OrderSigner.sign of one order, against eth-account"
    try:
        from eth_account import Account  # noqa: PLC0415  (optional extra "bench")
    except ImportError:
        yield Row(name=name, note="eth-account is not installed")
        return
    account = Account.from_key(run.inputs.account["private_key"])
    typed = [_typed_data(signer, batch[0]) for batch in orders]
    for i in range(INPUTS):
        theirs = account.sign_typed_data(*typed[i]).signature.to_0x_hex()
        assert signer.sign(orders[i])[0].signature == theirs

    def side(first: int, last: int) -> int:
        chosen = typed[first:last]
        start = perf_counter_ns()
        for domain, types, message in chosen:
            account.sign_typed_data(domain, types, message)
        return perf_counter_ns() - start

    yield paired(
        name, _signer(signer, orders), side, rounds=run.rounds, turn=8, faster=True,
        note="Account.sign_typed_data; the same signatures",
    )  # fmt: skip


def _typed_data(signer: OrderSigner, order: Order) -> tuple[dict[str, Any], ...]:
    contracts = (
        "0xE111180000d2663C0091e4f400237545B87B996B",
        "0xe2222d279d744050d28e00520010520000310F59",
    )  # V2 and V2 neg-risk, protocol.md section 6
    domain = {
        "name": "Polymarket CTF Exchange",
        "version": "2",
        "chainId": signer.chain_id,
        "verifyingContract": contracts[order.neg_risk],
    }
    message = {
        "salt": order.salt,
        "maker": order.maker,
        "signer": order.signer,
        "tokenId": order.token_id,
        "makerAmount": order.maker_amount,
        "takerAmount": order.taker_amount,
        "side": SIDE_CODE[order.side],
        "signatureType": int(order.signature_type),
        "timestamp": order.timestamp,
        "metadata": bytes.fromhex(order.metadata[2:]),
        "builder": bytes.fromhex(order.builder[2:]),
    }
    kinds = {"side": "uint8", "signatureType": "uint8", "maker": "address", "signer": "address"}
    kinds |= {"metadata": "bytes32", "builder": "bytes32"}
    fields = [{"name": name, "type": kinds.get(name, "uint256")} for name in message]
    return domain, {"Order": fields}, message
