"""
Digests of a basket (performance.md row 6), and Keccak-256 from Python.

Question: does hashing 2 to 4 orders cost no more than five scalar permutations, at every kernel
level that runs here; and what does a caller in Python pay for one hash, against pycryptodome?
Input: the first leg of all 128 baskets; the 384 bytes of their struct hashes. What is expected
comes from pycryptodome.
"""

from collections.abc import Iterator
from time import perf_counter_ns
from typing import Any

from Crypto.Hash import keccak

from bench.inputs import Run
from bench.paired import INPUTS, Goal, Row, Side, paired, summarize
from polyarb._core import ffi, lib
from polyarb.core import keccak256
from polyarb.core.base import kernel
from polyarb.core.digest import OrderBatch

STRUCT_BYTES = 12 * 32
ROW_6 = Goal(must=5.0, stretch=4.2)


def rows(run: Run) -> Iterator[Row]:
    """Yield the rows of this module."""
    yield from _digests(run)
    yield from _hashes(run)


def reference_keccak(data: bytes) -> bytes:
    """Return pycryptodome's Keccak-256."""
    return keccak.new(digest_bits=256, data=data).digest()


def _digests(run: Run) -> Iterator[Row]:
    signer = run.inputs.signer()
    domains = signer.core[1].cdata
    packed, digests = [], []
    for (order,) in run.inputs.orders(signer, 1):
        batch = OrderBatch([order])
        raw = bytes(ffi.buffer(batch.orders))
        packed.append(raw)
        separator = bytes(domains.separator[batch.orders[0].domain])
        digests.append(
            reference_keccak(b"\x19\x01" + separator + reference_keccak(raw[:STRUCT_BYTES]))
        )
    folder = run.native.folder
    files = []
    for name, content in (
        ("orders", b"".join(packed)),
        ("domains", bytes(ffi.buffer(domains))),
        ("digests", b"".join(digests)),
    ):
        files.append(folder / f"{name}.bin")
        files[-1].write_bytes(content)
    done = run.native.run("bench_digest", *map(str, files), str(run.rounds))
    if run.rounds == 0:
        yield Row(name="6 digests at every level", note="ran")
    for item in done["rows"]:
        yield _digest_row(item)


def _digest_row(item: dict[str, Any]) -> Row:
    count = item["count"]
    active = item["level"] == kernel()
    digests = item["what"] == "digests"
    plural = "s" if count > 1 else ""
    name = f"digest{plural} of {count} order{plural}" if digests else f"keccak of {count} × 384 B"
    judged = digests and active and count > 1
    elsewhere = "" if active else "; not the level that trades here"
    return summarize(
        f"{'6 ' if judged else ''}{name}, {item['level']}",
        item["rounds"],
        item["operations"],
        goal=ROW_6 if judged else None,
        note=f"against one scalar permutation{elsewhere}",
    )


def _hashes(run: Run) -> Iterator[Row]:
    batches = [OrderBatch([order]) for (order,) in run.inputs.orders(run.inputs.signer(), 1)]
    messages = [bytes(ffi.buffer(batch.orders))[:STRUCT_BYTES] for batch in batches]
    joined = b"".join(messages) + b"".join(messages[:3])
    expected = [reference_keccak(message) for message in messages]
    assert [keccak256(message) for message in messages] == expected
    for count in range(1, 5):
        groups = [(messages + messages[:3])[i : i + count] for i in range(INPUTS)]
        out = ffi.new("uint8_t[]", 32 * count)
        for i in range(INPUTS):
            start = joined[STRUCT_BYTES * i :]
            lib.pa_keccak256_many(start, STRUCT_BYTES, STRUCT_BYTES, count, out)
            assert bytes(out) == b"".join(reference_keccak(message) for message in groups[i])
        name = f"keccak256 of {count} × 384 B from Python"
        yield paired(
            name, _by_one(groups), _pycryptodome(groups), rounds=run.rounds, faster=True,
            note="against pycryptodome",
        )  # fmt: skip
        if count > 1:
            yield paired(
                f"{name}, one crossing", _at_once(joined, count, out), _pycryptodome(groups),
                rounds=run.rounds, faster=True, note="against pycryptodome",
            )  # fmt: skip


def _by_one(groups: list[list[bytes]]) -> Side:
    def side(first: int, last: int) -> int:
        chosen = groups[first:last]
        start = perf_counter_ns()
        for group in chosen:
            for message in group:
                keccak256(message)
        return perf_counter_ns() - start

    return side


def _at_once(joined: bytes, count: int, out: Any) -> Side:
    buffer = ffi.from_buffer("uint8_t[]", joined)
    starts = [buffer + STRUCT_BYTES * i for i in range(INPUTS)]
    many = lib.pa_keccak256_many

    def side(first: int, last: int) -> int:
        chosen = starts[first:last]
        start = perf_counter_ns()
        for at in chosen:
            many(at, STRUCT_BYTES, STRUCT_BYTES, count, out)
            ffi.buffer(out)[:]
        return perf_counter_ns() - start

    return side


def _pycryptodome(groups: list[list[bytes]]) -> Side:
    def side(first: int, last: int) -> int:
        chosen = groups[first:last]
        start = perf_counter_ns()
        for group in chosen:
            for message in group:
                keccak.new(digest_bits=256, data=message).digest()
        return perf_counter_ns() - start

    return side
