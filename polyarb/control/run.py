"""``python -m polyarb run``: the engine on the embedded exchange, or on any other."""

import argparse
import asyncio
import gc
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from polyarb import clock, errors
from polyarb.book.registry import Registry
from polyarb.control import config as configuration
from polyarb.control import embedded
from polyarb.control.config import Config, usd_e6
from polyarb.control.dealer import Dealer
from polyarb.control.engine import Decision, Engine
from polyarb.control.markets import CLOB_URL, GAMMA_URL
from polyarb.control.projection import Projection, database_url
from polyarb.core.account import Account
from polyarb.core.book import Books
from polyarb.detection import custom
from polyarb.detection.build import BUILDERS, Built, build
from polyarb.detection.policy import Policy
from polyarb.detection.relation import Kind
from polyarb.domain.basket import BasketPlan, Result
from polyarb.domain.market import Event
from polyarb.domain.money import units_text
from polyarb.exchange.auth import Credentials
from polyarb.exchange.catalog import Catalog, Universe
from polyarb.exchange.client import Client
from polyarb.exchange.discovery import Discovery
from polyarb.exchange.gamma import read_file
from polyarb.exchange.signing import OrderSigner

JOURNAL: Final = "journal"
MARKET_WS_URL: Final = "wss://ws-subscriptions-clob.polymarket.com/ws/market"


@dataclass(frozen=True, slots=True, kw_only=True)
class Urls:
    """
    Where the services are that a run needs.

    Attributes:
        told: What the embedded exchange says of itself and of the account it was born with; None
            for any other.
    """

    clob: str
    gamma: str
    market_ws: str
    told: Mapping[str, Any] | None = None


def run(given: argparse.Namespace) -> int:
    """Run until the time is over or Ctrl-C; return the exit code."""
    try:
        config = configuration.load(given.config, os.environ)
        return asyncio.run(_run(given, config))
    except errors.InputError as error:
        _say(str(error))
        return 2
    except errors.PolyarbError as error:
        _say(str(error))
        return 1


async def _run(given: argparse.Namespace, config: Config) -> int:
    stop = asyncio.Event()
    interrupted = []
    loop = asyncio.get_running_loop()

    def end(number: signal.Signals) -> None:
        interrupted.append(number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end, number)
    async with _urls(given, config) as urls, _client(urls) as client:
        folder = _folder(given, config, urls)
        discovery, catalog = await _catalog(config, client)
        universe = _universe(config)
        selected = universe.select(catalog.events.values(), clock.wall_ms())
        if not selected.markets:
            raise errors.InputError("universe: no market that can be traded is in it")
        engine = Engine(
            config,
            catalog=catalog,
            discovery=discovery,
            markets=selected.markets,
            build=_builder(config, catalog),
            client=client,
            market_ws_url=urls.market_ws,
            dealer=_dealer(given, config, urls, folder),
            say=_say,
            on_signal=partial(_signal, _named(catalog), set())
            if not given.json
            else lambda _: None,
        )
        _say(f"{len(selected.markets)} markets, {len(engine.detector)} relations")
        began_ns = clock.monotonic_ns()
        gc.collect()
        gc.freeze()  # what there is now stays
        async with _projection(config, folder):
            await engine.run(stop, given.duration)
        done = {
            "mode": given.mode,
            "seed": given.seed,
            "duration_s": round((clock.monotonic_ns() - began_ns) / 1e9, 3),
            **engine.summary(),
        }
    print(json.dumps(done) if given.json else text(done))
    return 130 if interrupted else 0


@asynccontextmanager
async def _urls(given: argparse.Namespace, config: Config) -> AsyncIterator[Urls]:
    """Yield where the exchange is; an embedded one lives as long as this."""
    at = config.exchange
    if given.mode != "sim" or at.clob_url:
        yield Urls(
            clob=at.clob_url or CLOB_URL,
            gamma=at.gamma_url or GAMMA_URL,
            market_ws=at.market_ws_url or MARKET_WS_URL,
        )
        return
    _say("starting the embedded exchange")
    async with embedded.exchange(seed=given.seed, scenario=given.scenario) as told:
        yield Urls(
            clob=told["clob_url"],
            gamma=told["gamma_url"],
            market_ws=told["market_ws_url"],
            told=told,
        )


def _folder(given: argparse.Namespace, config: Config, urls: Urls) -> Path | None:
    """Return the run's folder, made; None for a run that does not trade."""
    if urls.told is None or not config.execution.trading:
        return None
    folder: Path = given.run_dir or Path("runs") / datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    folder.mkdir(parents=True, exist_ok=True)
    _say(f"the journal is in {folder}")
    return folder


def _projection(config: Config, folder: Path | None) -> AbstractAsyncContextManager[object]:
    """Return what writes the run's database, if there is to be one."""
    if folder is None or not config.database.url:
        return nullcontext()
    url = database_url(config.database.url, folder)
    sync = config.journal.fsync == "interval"
    return Projection(folder / JOURNAL, url, sync=sync, say=_say)


def _dealer(
    given: argparse.Namespace, config: Config, urls: Urls, folder: Path | None
) -> Callable[[Account, Books, Registry], Dealer] | None:
    """Return what makes the dealer: on the embedded exchange, with the account it was born with."""
    told = urls.told
    if told is None or folder is None:
        return None
    born = told["account"]
    signer = OrderSigner(
        born["private_key"],
        signature_type=born["signature_type"],
        funder=born["funder"],
        chain_id=told["chain_id"],
    )
    keys = Credentials(born["api_key"], born["api_secret"], born["api_passphrase"])

    def make(account: Account, books: Books, registry: Registry) -> Dealer:
        return Dealer(
            config,
            clob_url=urls.clob,
            user_ws_url=told["user_ws_url"],
            signer=signer,
            credentials=keys,
            account=account,
            books=books,
            registry=registry,
            folder=folder / JOURNAL,
            say=_say,
            closed=_closed if not given.json else lambda plan, result: None,
        )

    return make


def _closed(plan: BasketPlan, result: Result) -> None:
    _say(
        f"basket {plan.id}: {result.outcome}, {units_text(result.sets_e6, 6)} sets, "
        f"earns at least ${signed_usd(result.pnl_e6)}"
    )


def signed_usd(cash_e6: int) -> str:
    """Return micro-dollars as people write them."""
    return f"{'-' if cash_e6 < 0 else ''}{units_text(abs(cash_e6), 6)}"


def _client(urls: Urls) -> Client:
    return Client(clob_url=urls.clob, gamma_url=urls.gamma)


def _universe(config: Config) -> Universe:
    wanted = config.universe
    return Universe(
        tags=wanted.tags,
        events=wanted.events,
        conditions=wanted.conditions,
        min_volume_e6=usd_e6(wanted.min_volume_usd),
        max_days=wanted.max_days,
        max_tokens=wanted.max_tokens,
    )


async def _catalog(config: Config, client: Client) -> tuple[Discovery | None, Catalog]:
    """Load the catalogue, from a file or from Gamma; only the latter goes on."""
    if config.universe.catalogue:
        return None, Catalog(read_file(Path(config.universe.catalogue)).events())
    discovery = Discovery(client, [_universe(config)])
    await discovery.load(clock.monotonic_ns())
    return discovery, discovery.catalog


def _builder(config: Config, catalog: Catalog) -> Callable[[Iterable[Event]], Built]:
    """Return what makes relations of events, those of the operator's file among them."""
    detection = config.detection
    known = {str(kind): kind for kind in BUILDERS}
    for name in detection.builders:
        if name not in known:
            allowed = ", ".join(known)
            raise errors.RangeError(f"detection.builders: {name!r} is none of {allowed}")
    kinds: list[Kind] = [known[name] for name in detection.builders]
    if detection.same_market:
        kinds.append(Kind.CROSSED)
    elif Kind.COMPLEMENT in kinds:
        kinds.remove(Kind.COMPLEMENT)  # a violated one is an integrity alarm, see the keeper
    policy = Policy(same_market=detection.same_market)
    path = Path(detection.relations) if detection.relations else None

    def made(events: Iterable[Event]) -> Built:
        built = build(events, kinds, policy)
        if path:
            built.add(custom.read_file(path, catalog.events.values(), policy))
        return built

    return made


def _named(catalog: Catalog) -> Callable[[str], str]:
    def name(token: str) -> str:
        found = catalog.by_token(token)
        return f"{found[0].outcomes[found[1]]} of {found[0].slug}" if found else token

    return name


def _signal(name: Callable[[str], str], shown: set[int], decision: Decision) -> None:
    """Show the first decision of each opportunity that would have been a trade."""
    plan = decision.verdict.plan
    if decision.verdict.skip is not None or plan is None or decision.number in shown:
        return
    shown.add(decision.number)
    sized = plan.sized
    legs = ", ".join(name(leg.token) for leg in decision.seen.legs)
    _say(
        f"{decision.seen.relation}: {units_text(sized.sets_e6, 6)} sets for "
        f"${units_text(sized.cost_e6 + sized.fee_e6, 6)}, "
        f"profit ${units_text(sized.profit_e6, 6)}: {legs}"
    )


def text(done: Mapping[str, Any]) -> str:
    """Return what a run came to, for people."""
    skipped = ", ".join(f"{name} {count}" for name, count in done["skipped"].items()) or "none"
    lines = [
        f"{done['duration_s']:.1f} s in mode {done['mode']}: {done['messages']:,} messages, "
        f"{done['books_ready']} of {done['books_total']} books live, "
        f"{done['relations']} relations",
        f"opportunities {done['opportunities']}, decisions to trade {done['accepted']}, "
        f"skipped: {skipped}",
    ]
    for kind, lived in done["survival"].items():
        life, ends = lived["life_ns"], ", ".join(f"{e} {n}" for e, n in lived["ends"].items())
        lines.append(
            f"  {kind:12} {lived['count']:>5} ended ({ends}), lived {life['p50'] / 1e6:.0f} ms in "
            f"the middle, {life['p90'] / 1e6:.0f} at p90; best edge "
            f"${units_text(lived['mean_best_edge_e6'], 6)} a set on average"
        )
    traded = done["trading"]
    if traded is None:
        lines.append("nothing was traded: trading is off")
    else:
        lines.append(
            f"baskets {traded['executed']}: complete {traded['complete']}, partial "
            f"{traded['partial']}, unwound {traded['unwound']}, failed {traded['failed']}, blocked "
            f"{traded['blocked']}, stranded {traded['stranded']}, open {traded['open']}; earn at "
            f"least ${signed_usd(traded['pnl_e6'])}"
        )
    return "\n".join(lines)


def _say(line: str) -> None:
    print(f"polyarb: {line}", file=sys.stderr, flush=True)
