"""
Run the benchmarks and print one table: ``python -m bench``, in the project's root.

The exit code says only whether everything was correct: on a shared machine a missed goal is a
figure to look at, not a failure.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import build_ext
from bench import (
    bench_book,
    bench_catalogue,
    bench_digest,
    bench_exchange,
    bench_feed,
    bench_hmac,
    bench_journal,
    bench_record,
    bench_relations,
    bench_request,
    bench_scan,
    bench_send,
    bench_sign,
    bench_sizing,
    bench_tick,
)
from bench.inputs import Inputs, Run
from bench.native import BENCH, compiled
from bench.paired import Goal, Row, select, table
from polyarb.core.base import kernel, kernels, sha256_accelerated

ROUNDS: Final = 7
PACKAGES: Final = (
    *("cffi", "coincurve", "pycryptodome", "pytest-benchmark", "py-clob-client-v2", "eth-account"),
    *("eth-keys", "websockets", "orjson", "msgspec", "numpy"),
)

# performance.md row 19 and the trace unit's own bound, by (name, threads).
ROW_19: Final = {
    ("breaker_can_execute", 1): Goal(must=1),
    ("stamp_and_salt", 1): Goal(must=6),
    ("reserve", 1): Goal(must=10),
    ("reserve", 2): Goal(must=60),
    ("stamp_and_salt", 2): Goal(must=60),
    ("histogram_record", 1): Goal(must=25),
}


def account(run: Run) -> Iterator[Row]:
    """
    Yield the rows of bench_account.c.

    Rows 15 and 16 of performance.md are about a store of many words that is not there yet; what
    this core has of the kind is the balance, two words that are read as one consistent pair.
    """
    items = run.native.run("bench_account", "1000000000" if run.rounds else "1000000")["rows"]
    for item in items:
        if item["name"] == "read_pair_beside_a_writer":
            assert item["note"].startswith("0 torn"), item["note"]
        yield _imported(item, judged=run.rounds > 0)
    figures = {item["name"]: item["median"] for item in items}
    if run.rounds:
        yield Row(
            name="consistent pair, against a plain copy",
            ours=figures["read_pair"],
            against=figures["copy_pair"],
            ratios=(figures["read_pair"] / figures["copy_pair"],),
            note="the loop is in both; row 15 is about a slot of many words",
        )


def trace(run: Run) -> Iterator[Row]:
    """Yield the rows of bench_trace.c."""
    for item in run.native.run("bench_trace")["rows"]:
        yield _imported(item, judged=run.rounds > 0)


def binding(run: Run) -> Iterator[Row]:
    """Yield the rows of bench_binding.py, which pytest-benchmark runs in a process of its own."""
    out = run.native.folder / "binding.json"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += [str(BENCH / "bench_binding.py")]
    if run.rounds == 0:
        command.append("--benchmark-disable")
    else:
        command += ["--benchmark-min-time=0.02", "--benchmark-max-time=0.3", "--benchmark-quiet"]
        command.append(f"--benchmark-json={out}")
    done = subprocess.run(
        command, cwd=BENCH.parent, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if run.rounds == 0:
        yield Row(name="crossings", note="ran")
        return
    for item in json.loads(out.read_text(encoding="utf-8"))["benchmarks"]:
        name = item["name"].removeprefix("test_").replace("_", " ")
        stats = item["stats"]
        note = f"quartiles {stats['q1'] * 1e9:.0f} and {stats['q3'] * 1e9:.0f} ns"
        yield Row(name=f"crossing: {name}", ours=stats["median"] * 1e9, note=note)


def store(run: Run) -> Iterator[Row]:
    """Yield the rows of bench_store.c; rows 15 and 16 of performance.md among them."""
    items = run.native.run("bench_store", "1000000000" if run.rounds else "1000000")["rows"]
    figures = {item["name"]: item["median"] for item in items}
    for item in items:
        if item["name"] == "read_beside_a_writer":
            assert item["note"].startswith("0 torn"), item["note"]
        yield _imported(item, judged=run.rounds > 0)
    for what in ("top", "depth") if run.rounds else ():
        ours, against = figures[f"read_{what}"], figures[f"copy_{what}"]
        yield Row(
            name=f"15 read {what}, against a plain copy",
            ours=ours,
            against=against,
            ratios=(ours / against,),
            goal=Goal(must=2, stretch=1.5),
            note="the loop is in both; the copy is of the same words, unpacked alike",
        )


SUITES: Final[dict[str, Callable[[Run], Iterator[Row]]]] = {
    "book": bench_book.rows,
    "store": store,
    "scan": bench_scan.rows,
    "sizing": bench_sizing.rows,
    "digest": bench_digest.rows,
    "sign": bench_sign.rows,
    "request": bench_request.rows,
    "hmac": bench_hmac.rows,
    "account": account,
    "trace": trace,
    "binding": binding,
    "exchange": bench_exchange.rows,
    "feed": bench_feed.rows,
    "send": bench_send.rows,
    "tick_to_trade": bench_tick.rows,
    "record": bench_record.rows,
    "journal": bench_journal.rows,
    "catalogue": bench_catalogue.rows,
    "relations": bench_relations.rows,
}


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; return 1 if something was incorrect."""
    options = _parse(arguments)
    inputs = Inputs()
    done: list[Row] = []
    wrong = 0
    started = time.monotonic()
    with compiled() as native:
        run = Run(inputs=inputs, rounds=0 if options.smoke else options.rounds, native=native)
        for name in options.row:
            print(f"{name} ...", file=sys.stderr, flush=True)
            try:
                done.extend(SUITES[name](run))
            except AssertionError as error:
                wrong += 1
                done.append(Row(name=name, note=f"INCORRECT: {error}"))
    for line in _host(options.rounds if not options.smoke else 0):
        print(f"- {line}" if options.markdown else line)
    print()
    print(table(done, markdown=options.markdown))
    print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
    if wrong:
        print(f"{wrong} of {len(options.row)} suites gave wrong results", file=sys.stderr)
    return 1 if wrong else 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.split("\n")[1])
    parser.add_argument("--smoke", action="store_true", help="run everything once, judge no time")
    parser.add_argument(
        "--row", action="append", default=[], metavar="NAME", help=f"only: {', '.join(SUITES)}"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help="5 or more")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    try:
        options.row = select(list(SUITES), options.row)
    except ValueError as error:
        parser.error(str(error))
    return options


def _imported(item: dict[str, Any], *, judged: bool) -> Row:
    """Return the row a C program printed; `judged` False leaves the figures out (smoke)."""
    threads = item.get("threads", 1)
    goal = ROW_19.get((item["name"], threads))
    name = item["name"].replace("_", " ") + (f", {threads} threads" if threads > 1 else "")
    if not judged:
        return Row(name=name, note="ran")
    spread = f"{item['min']:.2f}–{item['max']:.2f} ns"
    note = f"{spread}; {item['note']}" if item["note"] else spread
    return Row(name=f"{'19 ' if goal else ''}{name}", ours=item["median"], goal=goal, note=note)


def _host(rounds: int) -> Iterator[str]:
    """Say on what the figures were taken."""
    features = f"kernel level {kernel()} of {', '.join(kernels())}"
    sha = "with" if sha256_accelerated() else "without"
    yield f"CPU: {_cpu()}, {os.cpu_count()} of them; {features}; {sha} SHA instructions"
    gcc = subprocess.run(["gcc", "--version"], capture_output=True, text=True, check=True)
    yield f"compiler: {gcc.stdout.splitlines()[0]}; {' '.join(build_ext.CFLAGS)}"
    yield f"Python {platform.python_version()}; {', '.join(map(_package, PACKAGES))}"
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    yield f"{platform.system()} {platform.release()}; load {load}; {_tuning()}"
    yield f"{rounds} rounds" if rounds else "smoke: nothing is timed"


def _cpu() -> str:
    for line in _text("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            hypervisor = " (virtual)" if "hypervisor" in _text("/proc/cpuinfo") else ""
            return line.partition(":")[2].strip() + hypervisor
    return platform.machine()


def _tuning() -> str:
    governor = _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip()
    boost = _text("/sys/devices/system/cpu/cpufreq/boost").strip()
    isolated = _text("/sys/devices/system/cpu/isolated").strip()
    return (
        f"governor {governor or 'not visible'}, boost {boost or 'not visible'}, "
        f"isolated CPUs {isolated or 'none'}"
    )


def _package(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name} not installed"


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
