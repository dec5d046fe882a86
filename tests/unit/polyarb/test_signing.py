"""Signers: byte for byte the SDKs' signatures, on every backend, and nothing of the key shown."""

import dataclasses
import gc
import pickle
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import coincurve
import pytest
from conftest import vectors
from orders import GENERATIONS, order_of

from polyarb import errors
from polyarb.core import keccak256
from polyarb.core.digest import HmacKey, OrderBatch
from polyarb.core.sign import Secp256k1, Signer
from polyarb.domain.order import Generation
from polyarb.exchange import signing
from polyarb.exchange.signing import BACKENDS, GROUP_ORDER, Backend, OrderSigner

KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
EOA = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
WALLET = "0x9983A9EF289ebAdf562fD8F558870DA9FA06cd6b"
ORDERS = [(g, case) for g, name in GENERATIONS.items() for case in vectors(name)]


def signer_of(case: dict[str, Any], backend: Backend | None = None) -> OrderSigner:
    inputs = case["inputs"]
    return OrderSigner(
        inputs["private_key"],
        signature_type=inputs["signature_type"],
        funder=inputs["funder"],
        chain_id=inputs["chain_id"],
        backend=backend,
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("generation", "case"), ORDERS, ids=lambda v: v["id"] if isinstance(v, dict) else v
)
def test_signed_orders_equal_the_vectors(
    generation: str, case: dict[str, Any], backend: Backend
) -> None:
    [signed] = signer_of(case, backend).sign([order_of(generation, case)])
    assert "0x" + signed.digest.hex() == case["digest"]
    assert signed.order_id == case["order_id"]
    assert signed.signature == case["signature"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_mixed_batch_is_signed_as_its_orders_alone(backend: Backend) -> None:
    same = [
        order_of(generation, case)
        for generation, case in ORDERS
        if case["inputs"]["private_key"] == KEY
        and case["inputs"]["signature_type"] == 0
        and case["inputs"]["chain_id"] == 137
    ][-15:]
    assert len({order.generation for order in same}) > 1
    signer = OrderSigner(KEY, backend=backend)
    together = signer.sign(same)
    assert together == [signer.sign([order])[0] for order in same]


def test_signatures_recover_to_the_signer_with_low_s() -> None:
    signer = OrderSigner(KEY)
    for i in range(32):
        digest = keccak256(bytes([i]))
        raw = bytes.fromhex(signer.sign_digest(digest)[2:])
        assert raw[64] in (27, 28)
        assert int.from_bytes(raw[32:64], "big") <= GROUP_ORDER // 2
        key = coincurve.PublicKey.from_signature_and_message(
            raw[:64] + bytes([raw[64] - 27]), digest, hasher=None
        )
        assert keccak256(key.format(compressed=False)[1:])[12:].hex() == EOA[2:].lower()


def test_digests_at_and_above_the_group_order_are_signed_as_coincurve_does() -> None:
    """RFC 6979 reduces the digest first; libsecp256k1 does, and so must ours."""
    key = coincurve.PrivateKey(bytes.fromhex(KEY[2:]))
    signers = [OrderSigner(KEY, backend=backend) for backend in BACKENDS]
    for value in (0, 1, GROUP_ORDER - 1, GROUP_ORDER, GROUP_ORDER + 1, 2**256 - 1):
        digest = value.to_bytes(32, "big")
        expected = key.sign_recoverable(digest, hasher=None)
        for signer in signers:
            raw = bytes.fromhex(signer.sign_digest(digest)[2:])
            assert raw == expected[:64] + bytes([27 + expected[64]])


@pytest.mark.parametrize(
    ("private_key", "exception", "says"),
    [
        ("0x" + "0" * 64, errors.KeyMaterialError, "private_key is zero"),
        (bytes(32), errors.KeyMaterialError, "private_key is zero"),
        (f"{GROUP_ORDER:064x}", errors.KeyMaterialError, "not below the order of secp256k1"),
        ("f" * 64, errors.KeyMaterialError, "not below the order of secp256k1"),
        (KEY[:-1], errors.KeyMaterialError, "of 65 characters is not 64 hexadecimal digits"),
        (KEY + "0", errors.KeyMaterialError, "of 67 characters"),
        (KEY + "\n", errors.KeyMaterialError, "of 67 characters"),
        ("0x" + "g" * 64, errors.KeyMaterialError, "not 64 hexadecimal digits"),
        ("", errors.KeyMaterialError, "of 0 characters"),
        (bytes.fromhex(KEY[2:])[:-1], errors.KeyMaterialError, "has 31 bytes, not 32"),
        (None, errors.ArgumentTypeError, "not NoneType"),
        (int(KEY, 16), errors.ArgumentTypeError, "not int"),
    ],
)
def test_what_is_no_key_is_refused_without_being_shown(
    private_key: Any, exception: type[Exception], says: str
) -> None:
    with pytest.raises(exception, match=says) as caught:
        OrderSigner(private_key)
    shown = "".join(traceback.format_exception(caught.value))
    for secret in (KEY[2:34], str(int(KEY, 16)), "g" * 64, "f" * 64):
        assert secret not in shown


@pytest.mark.parametrize(
    ("arguments", "exception", "says"),
    [
        (
            {"signature_type": 1},
            errors.WalletMismatchError,
            r"type 1 \(POLY_PROXY\) needs a funder",
        ),
        ({"signature_type": 3}, errors.WalletMismatchError, r"type 3 \(POLY_1271\) needs a funder"),
        (
            {"funder": WALLET},
            errors.WalletMismatchError,
            "trades from the key's own address 0xf39F",
        ),
        (
            {"signature_type": 2, "funder": EOA},
            errors.WalletMismatchError,
            "is the key's own address",
        ),
        (
            {"signature_type": 3, "funder": EOA},
            errors.WalletMismatchError,
            "is the key's own address",
        ),
        (
            {"signature_type": 3, "funder": "0x" + "0" * 40},
            errors.WalletMismatchError,
            "zero address",
        ),
        ({"signature_type": 3, "funder": WALLET[:-1]}, errors.MalformedError, "funder"),
        ({"signature_type": 3, "funder": WALLET[:-1] + "B"}, errors.MalformedError, "funder"),
        ({"signature_type": 3, "funder": 5}, errors.ArgumentTypeError, "funder"),
        ({"signature_type": 4}, errors.RangeError, "signature_type 4 is outside 0..3"),
        ({"signature_type": None}, errors.RangeError, "signature_type None"),
        ({"signature_type": True}, errors.RangeError, "signature_type True"),
        ({"chain_id": 1}, errors.RangeError, "chain_id 1 is none of 137, 80002"),
        ({"backend": "openssl"}, errors.RangeError, "backend 'openssl' is none of native"),
    ],
)
def test_key_funder_and_type_are_checked_against_each_other(
    arguments: dict[str, Any], exception: type[Exception], says: str
) -> None:
    with pytest.raises(exception, match=says):
        OrderSigner(KEY, **arguments)


def test_a_lower_case_funder_is_taken_and_checksummed() -> None:
    assert OrderSigner(KEY, signature_type=3, funder=WALLET.lower()).funder == WALLET
    assert OrderSigner(KEY, funder=EOA.lower()).funder == EOA
    assert OrderSigner(bytes.fromhex(KEY[2:])).address == OrderSigner(KEY[2:]).address == EOA


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"maker": WALLET}, "maker 0x9983.* is not the funder 0xf39F"),
        ({"signer": WALLET}, "signer 0x9983.* is not 0xf39F"),
        ({"signature_type": 1}, "signature_type 1 of the order is not the signer's 0"),
    ],
)
def test_orders_of_another_account_are_not_signed(change: dict[str, Any], says: str) -> None:
    order = dataclasses.replace(
        order_of("v2", vectors("v2_orders")[0]), maker=EOA, signer=EOA, signature_type=0
    )
    signer = OrderSigner(KEY)
    assert signer.sign([order])
    with pytest.raises(errors.WalletMismatchError, match=says):
        signer.sign([order, dataclasses.replace(order, **change)])


@pytest.mark.parametrize("count", [0, 16])
def test_batches_outside_1_to_15_are_refused(count: int) -> None:
    order = order_of("v2", vectors("v2_orders")[0])
    with pytest.raises(errors.CapacityError, match=r"outside 1\.\.15"):
        OrderSigner(KEY).sign([order] * count)


@pytest.mark.parametrize("value", [None, "order", 7])
def test_only_orders_are_signed(value: Any) -> None:
    with pytest.raises(errors.ArgumentTypeError, match="order must be an Order"):
        OrderSigner(KEY).sign([value])
    with pytest.raises(errors.RangeError, match="digest has 31 bytes"):
        OrderSigner(KEY).sign_digest(bytes(31))


def test_the_key_is_in_no_repr_and_no_pickle() -> None:
    signer = OrderSigner(KEY)
    assert KEY[2:] not in repr(signer)
    assert EOA in repr(signer)
    native = signer.core[0]
    assert native is None or repr(native) == "Signer(<secret>)"
    for thing in (signer, native):
        with pytest.raises(errors.ArgumentTypeError, match="cannot be pickled"):
            pickle.dumps(thing)


def test_a_wiped_signer_signs_no_more() -> None:
    library = signing._library()
    assert library is not None
    signer = Signer(library, bytes.fromhex(KEY[2:]), own_nonce=True)
    assert len(signer.sign_digest(bytes(32))) == 65
    signer.wipe()
    with pytest.raises(errors.KeyMaterialError, match="signing: PA_E_KEY"):
        signer.sign_digest(bytes(32))


def test_a_library_without_addresses_is_refused() -> None:
    nothing = Secp256k1(context=0, sign_recoverable=0, serialize_compact=0, owner=None)
    with pytest.raises(errors.RangeError, match="libsecp256k1: PA_E_RANGE"):
        Signer(nothing, bytes(31) + b"\x01", own_nonce=False)
    with pytest.raises(errors.KeyMaterialError, match="32 bytes, not 31"):
        Signer(nothing, bytes(31), own_nonce=False)


def test_coincurve_signs_where_its_symbols_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "_library", lambda: None)
    case = vectors("v2_orders")[0]
    signer = signer_of(case)
    assert signer.backend == "coincurve"
    [signed] = signer.sign([order_of("v2", case)])
    assert signed.signature == case["signature"]
    with pytest.raises(errors.SelfTestError, match="backend 'native' does not agree"):
        OrderSigner(KEY, backend="native")


def test_coincurve_signs_where_c_disagrees_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A native path that gives other bytes is never given out."""
    honest = Signer.sign_digest

    def flipped(self: Signer, digest: bytes) -> bytes:
        raw = bytearray(honest(self, digest))
        raw[0] ^= 1
        return bytes(raw)

    monkeypatch.setattr(Signer, "sign_digest", flipped)
    assert OrderSigner(KEY).backend == "coincurve"
    with pytest.raises(errors.SelfTestError, match="does not agree with coincurve"):
        OrderSigner(KEY, backend="native-library-nonce")


def test_the_library_s_own_nonces_are_used_without_sha_instructions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signing, "sha256_accelerated", lambda: False)
    assert OrderSigner(KEY).backend == "native-library-nonce"


def test_separators_of_a_signer_are_those_of_the_protocol() -> None:
    signer = OrderSigner(KEY)
    known = {
        (Generation.V1, False): "1a573e3617c78403b5b4b892827992f027b03d4eaf570048b8ee8cdd84d151be",
        (Generation.V1, True): "82cb6aa85babb812f4b521a12b10f0cbc68d2b44be7bc02c047004f544adb49f",
        (Generation.V2, False): "3264e159346253e26a64e00b69032db0e7d32f94628de3e6eecb50304d7af3d2",
        (Generation.V2, True): "9b858f53327b0bd13af8ec14cfb35234fb9eb7b0504d1a4e61f433840d30e81a",
        (Generation.V3, False): "466c63910185bbd55e8679264200c4e0abdcbb0c6264eb3d41d13326022e095b",
    }
    for (generation, neg_risk), separator in known.items():
        assert signer.domain_separator(generation, neg_risk).hex() == separator


def test_a_signer_s_memory_goes_with_it() -> None:
    """Its parts refer to each other in no cycle that would keep the key alive."""
    gc.collect()
    gc.disable()
    try:
        before = sum(isinstance(thing, Signer) for thing in gc.get_objects())
        signer = OrderSigner(KEY, backend="native")
        del signer
        assert sum(isinstance(thing, Signer) for thing in gc.get_objects()) == before
    finally:
        gc.enable()


def test_wiping_beside_a_signing_thread_does_not_crash() -> None:
    library = signing._library()
    assert library is not None
    for _ in range(50):
        signer = Signer(library, bytes.fromhex(KEY[2:]), own_nonce=False)
        refused = threading.Event()

        def sign(signer: Signer = signer, refused: threading.Event = refused) -> None:
            try:
                while True:
                    signer.sign_digest(bytes(32))
            except errors.KeyMaterialError:
                refused.set()

        thread = threading.Thread(target=sign)
        thread.start()
        signer.wipe()
        thread.join(timeout=30)
        assert refused.is_set()


def test_parts_of_a_batch_cannot_be_exchanged() -> None:
    batch = OrderBatch([order_of("v2", vectors("v2_orders")[0])])
    with pytest.raises(AttributeError):
        batch.done = batch.orders  # type: ignore[misc]


def test_one_hmac_key_serves_several_threads() -> None:
    key = HmacKey(b"secret")
    texts = [bytes([i]) * 5000 for i in range(4)]
    expected = [key.sign(text) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda i: key.sign(texts[i % 4]), range(4000)))
    assert got == expected * 1000
