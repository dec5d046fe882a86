"""Hashes and digests against the vectors of the official SDKs."""

import gc
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from conftest import vectors
from orders import GENERATIONS, order_of
from reference import eip712

from polyarb import errors
from polyarb._core import ffi
from polyarb.core import checksum_address, keccak256
from polyarb.core.digest import Domains, HmacKey, OrderBatch, is_position_id
from polyarb.domain.order import Generation
from polyarb.exchange.contracts import EXCHANGES, exchange_contracts

ORDERS = [(g, case) for g, name in GENERATIONS.items() for case in vectors(name)]


@pytest.mark.parametrize("flavour", ["plain", "address"])
def test_every_kernel_is_its_scalar_definition(c_program: Callable[..., str], flavour: str) -> None:
    assert "scalar ok" in c_program("unit/csrc/test_digest.c", flavour)


@pytest.mark.parametrize("case", vectors("keccak"), ids=lambda c: c["id"])
def test_keccak_equals_the_vectors(case: dict[str, Any]) -> None:
    assert keccak256(bytes.fromhex(case["input_hex"])).hex() == case["keccak256"]


def test_keccak_takes_any_buffer_of_bytes() -> None:
    assert keccak256(bytearray(b"abc")) == keccak256(memoryview(b"abc")) == keccak256(b"abc")


@pytest.mark.parametrize("value", [None, "abc", 3, 1.5, [97]])
def test_keccak_refuses_what_is_not_bytes(value: Any) -> None:
    with pytest.raises(errors.ArgumentTypeError, match="data must be bytes"):
        keccak256(value)


@pytest.mark.parametrize(
    ("generation", "case"), ORDERS, ids=lambda v: v["id"] if isinstance(v, dict) else v
)
def test_hashes_of_an_order_equal_the_vectors(generation: str, case: dict[str, Any]) -> None:
    chain_id = case["inputs"]["chain_id"]
    domains = Domains(chain_id, exchange_contracts(chain_id))
    batch = OrderBatch([order_of(generation, case)])
    batch.hash(domains)
    neg_risk = case["inputs"]["neg_risk"]
    separator = domains.separator(Generation(generation), neg_risk)
    assert "0x" + separator.hex() == case["domain_separator"]
    assert "0x" + batch.struct_hash(0).hex() == case["struct_hash"]
    assert "0x" + batch.digest(0).hex() == case["digest"] == case["order_id"]
    signed = case["erc7739"]["signed_digest"] if "erc7739" in case else case["digest"]
    assert "0x" + batch.to_sign(0).hex() == signed


@pytest.mark.parametrize("chain_id", EXCHANGES)
def test_separators_equal_the_slow_twin(chain_id: int) -> None:
    domains = Domains(chain_id, exchange_contracts(chain_id))
    kinds = [("v1", False), ("v1", True), ("v2", False), ("v2", True), ("v3", False)]
    for (generation, neg_risk), contract in zip(kinds, EXCHANGES[chain_id], strict=True):
        twin = eip712.domain_separator(generation[1], chain_id, contract)
        assert domains.separator(Generation(generation), neg_risk) == twin


@pytest.mark.parametrize("chain_id", [0, -1, 1, 138, True, None, "137", 137.0])
def test_a_chain_without_contracts_is_refused(chain_id: Any) -> None:
    with pytest.raises(errors.RangeError, match="is none of 137, 80002"):
        exchange_contracts(chain_id)


def test_domains_want_five_addresses() -> None:
    with pytest.raises(errors.RangeError, match="5 addresses of 20 bytes"):
        Domains(137, [b"short"] * 5)
    with pytest.raises(errors.RangeError, match="5 addresses of 20 bytes"):
        Domains(137, [bytes(20)] * 4)
    with pytest.raises(errors.RangeError, match="chain_id 0 is outside"):
        Domains(0, [bytes(20)] * 5)


@pytest.mark.parametrize("count", [0, 16, 100])
def test_a_batch_of_no_order_or_too_many_is_refused(count: int) -> None:
    order = order_of("v2", vectors("v2_orders")[0])
    with pytest.raises(
        errors.CapacityError, match=rf"a batch of {count} orders is outside 1\.\.15"
    ):
        OrderBatch([order] * count)


def test_a_batch_holds_orders_only() -> None:
    with pytest.raises(errors.ArgumentTypeError, match="order must be an Order, not str"):
        OrderBatch(["order"])  # type: ignore[list-item]


def test_position_ids_of_v3_are_recognised() -> None:
    for case in vectors("v3_orders"):
        if "position_id" in case["inputs"]:
            assert is_position_id(int(case["inputs"]["position_id"]))
    for case in vectors("v2_orders"):
        if case["inputs"]["call"] != "ExchangeOrderBuilderV2.build_signed_order":
            assert not is_position_id(int(case["inputs"]["token_id"]))
    reserved = [1 << bit for bit in range(256) if not is_position_id(1 << bit)]
    assert reserved == [1 << bit for bit in range(40, 104)]
    with pytest.raises(errors.RangeError, match="token_id"):
        is_position_id(2**256)


def test_addresses_are_checksummed_as_in_eip55() -> None:
    for text in (
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ):
        assert checksum_address(bytes.fromhex(text[2:])) == text
    with pytest.raises(errors.RangeError, match="address has 19 bytes, not 20"):
        checksum_address(bytes(19))


def test_hmac_key_shows_nothing_and_is_wiped() -> None:
    key = HmacKey(b"a very secret key")
    assert "secret key" not in repr(key)
    assert repr(key) == "HmacKey(<secret>)"
    with pytest.raises(errors.ArgumentTypeError, match="cannot be pickled"):
        pickle.dumps(key)
    memory = key.cdata
    assert any(bytes(ffi.buffer(memory)))
    address = ffi.cast("pa_hmac *", memory)
    backing = ffi.gc(memory, None)  # take the destructor away, to look at what it leaves
    from polyarb.core.digest import _wipe_hmac

    _wipe_hmac(address)
    assert not any(bytes(ffi.buffer(address)))
    del key, backing
    gc.collect()


@pytest.mark.parametrize("part", ["text", None, 5])
def test_hmac_takes_bytes_only(part: Any) -> None:
    with pytest.raises(errors.ArgumentTypeError, match="parts must be bytes"):
        HmacKey(b"k").sign(b"POST", part)


@pytest.mark.parametrize("index", [-1, 2, None, 0.0])
def test_what_is_not_in_a_batch_is_named(index: Any) -> None:
    batch = OrderBatch([order_of("v2", vectors("v2_orders")[0])] * 2)
    domains = Domains(137, exchange_contracts(137))
    for act in (
        lambda: batch.digest(index),
        lambda: batch.signature(index),
        lambda: batch.put_signature(index, domains, bytes(65)),
        lambda: batch.put_transmitted(index, "0x" + "1" * 130),
    ):
        with pytest.raises(errors.InputError, match="index"):
            act()
    with pytest.raises(errors.RangeError, match="signature has 64 bytes"):
        batch.put_signature(0, domains, bytes(64))
