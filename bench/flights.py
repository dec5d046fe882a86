"""
Fly random baskets through random faults, in virtual time: ``python -m bench.flights``.

Nothing is measured against anything: the question is whether every promise holds, however often
one looks. Each world is a trial of ``tests/trials.py``, and a failure prints the seed that repeats
it; it ends after `FAILED_MOST` of them. The exit code is 1 if there was any.
"""

import argparse
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import count, islice
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from trials import Tally, fly

FAILED_MOST: Final = 20
SHARED: Final = Path("/dev/shm")  # noqa: S108  (journals of worlds that end with the process)


def main() -> int:
    """Run what is asked for; return the exit code."""
    options = _options()
    seeds = (
        count(options.seed)
        if options.worlds is None
        else islice(count(options.seed), options.worlds)
    )
    begun = time.monotonic()
    done, failed = Counter[str](), 0
    outcomes, faults = Counter[str](), Counter[str]()
    for tally, error in _flown(seeds, options):
        if tally is None:
            failed += 1
            print(error, file=sys.stderr, flush=True)
            if failed == FAILED_MOST:
                break
        else:
            done.update(worlds=tally.worlds, baskets=tally.baskets)
            outcomes += tally.outcomes
            faults += tally.faults
            if not options.quiet and done["worlds"] % 50 == 0:
                _report(done, time.monotonic() - begun)
    _report(done, time.monotonic() - begun)
    print("  ended:", _listed(outcomes))
    print("  went wrong:", _listed(faults))
    print(f"  worlds in which a promise was broken: {failed}")
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.flights",
        description="Random baskets through random faults and restarts, in virtual time.",
    )
    parser.add_argument("--baskets", type=int, default=2_000, help="at least; default: 2000")
    parser.add_argument("--worlds", type=int, help="so many worlds, whatever they come to")
    parser.add_argument("--seed", type=int, default=1, help="of the first world; default: 1")
    parser.add_argument("--jobs", type=int, default=1, help="processes; default: 1")
    parser.add_argument("--quiet", action="store_true", help="only the end")
    return parser.parse_args()


def _flown(seeds: Iterator[int], options: argparse.Namespace) -> Iterator[tuple[Tally | None, str]]:
    """Yield (tally, "") or (None, error) of worlds, until there are enough baskets."""
    baskets = 0
    with ProcessPoolExecutor(options.jobs, max_tasks_per_child=400) as pool:
        running: set[Future[tuple[Tally | None, str]]] = set()
        while True:
            enough = options.worlds is None and baskets >= options.baskets
            wanted = 0 if enough else 2 * options.jobs - len(running)
            running |= {pool.submit(_fly, seed) for seed in islice(seeds, wanted)}
            if not running:
                return
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                tally, error = future.result()
                baskets += tally.baskets if tally else 0
                yield tally, error


def _fly(seed: int) -> tuple[Tally | None, str]:
    with tempfile.TemporaryDirectory(dir=SHARED if SHARED.is_dir() else None) as folder:
        try:
            return fly(Path(folder) / "world" / "journal", seed), ""
        except Exception:
            return None, f"seed {seed}\n{traceback.format_exc()}"


def _report(done: Counter[str], took_s: float) -> None:
    rate = done["baskets"] / took_s
    print(
        f"{done['baskets']:,} baskets in {done['worlds']:,} worlds, {took_s:,.0f} s: "
        f"{rate:,.0f} baskets a second",
        flush=True,
    )


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in counts.most_common())


if __name__ == "__main__":
    sys.exit(main())
