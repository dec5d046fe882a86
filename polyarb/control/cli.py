"""Commands, their arguments and exit codes: 0 done, 1 failed, 2 usage, 130 interrupted."""

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from polyarb import __version__, errors

DEMONSTRATION = ("run", "--duration", "30")
MARKETS_MAX = 100_000  # universe.MOST, without waiting for its import
DURATION_MAX_S = 10**9

CHECK_EXAMPLE = "example:\n  POLYARB_KERNEL=scalar python -m polyarb selfcheck --json"
EXCHANGE_EXAMPLE = """\
The first and only line on stdout, once it listens, is one JSON object: the URLs of every service
(clob_url, market_ws_url, user_ws_url, gamma_url, data_url, relayer_url, rpc_url, geoblock_url,
admin_url), chain_id, seed, scenario, pid, and an account with its private key, its four wallets
and its API credentials. Ctrl-C ends it in order, with a summary on stderr.

examples:
  python -m polyarb exchange --scenario list
  python -m polyarb exchange --port 8080 --scenario storm --seed 7
  python -m polyarb exchange --scenario my.toml --log events.jsonl --duration 60"""

RUN_EXAMPLE = """\
Everything that is not said comes from the configuration: a TOML file, overridden by the
environment, POLYARB_<SECTION>_<KEY>. Ctrl-C ends it in order (exit code 130).

examples:
  python -m polyarb run --duration 30
  POLYARB_DETECTION_MIN_PROFIT_USD=1 python -m polyarb run --scenario storm --seed 7 --json
  python -m polyarb run --mode paper --config polyarb.toml"""

CLOB = "https://clob.polymarket.com"
RECORD_EXAMPLE = """\
The bytes go through a pipe to a process that writes; nothing waits for the disk. Torn tails of a
recorder that was killed are cut at the next start. Ctrl-C ends it in order (exit code 130).

examples:
  python -m polyarb record --url wss://…/ws/market --catalogue markets.jsonl.gz --out tape
  python -m polyarb record --url ws://127.0.0.1:8080/ws/market --out tape --duration 60 \\
      --gamma http://127.0.0.1:8080/gamma --clob http://127.0.0.1:8080 --json"""
REPLAY_EXAMPLE = """\
The same files give the same state_digest every time, at any speed. With --json the last line is
one object: frames, rejected{reason: count}, tokens{id: {state, best_bid, best_ask, bids, asks,
hash}}, state_digest, which covers the tokens but for their hashes.

examples:
  python -m polyarb replay tape
  python -m polyarb replay captured.jsonl --speed 10 --json"""

MARKETS_EXAMPLE = """\
Every filter narrows, several values of one filter widen it; neg-risk events are taken whole.

examples:
  python -m polyarb markets --tags politics crypto --min-volume-usd 10000 --max-days 30
  python -m polyarb markets --catalogue active-markets.jsonl.gz --max-tokens 400 --json
  python -m polyarb markets --url http://127.0.0.1:8080/gamma --event fed-decision-in-june"""


RELATIONS_EXAMPLE = """\
Each relation carries its proof: the states it ranges over, what each leg pays in each, and the
least of them. What is ambiguous gives none, and is counted by its reason. A file of your own
(--relations) is checked in the same way; what it holds that is none is told with its line, and the
exit code is 2.

examples:
  python -m polyarb relations --catalogue active-markets.jsonl.gz --builders ladder,range
  python -m polyarb relations --catalogue active-markets.jsonl.gz --relations mine.toml --json
  python -m polyarb relations --event fed-decision-in-june --explain negrisk_no:fed-decision:1f…"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code. Without any argument it is a short ``run``."""
    given = _parsed((sys.argv[1:] if arguments is None else arguments) or DEMONSTRATION)
    run = COMMANDS.get(given.command, selfcheck)
    try:
        return run(given)
    except KeyboardInterrupt:
        return 130
    except errors.KernelError as error:  # said when the core is first imported
        _say(str(error))
        return 2
    except errors.SelfTestError as error:
        _say(str(error))
        return 1


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the arguments; what is not known is refused with the usage of its own command."""
    whole = parser()
    given, unknown = whole.parse_known_args(arguments)
    if unknown:
        given.usage.error(f"unrecognized arguments: {' '.join(unknown)}")
    return given


def selfcheck(given: argparse.Namespace) -> int:
    """Prove the build on known answers."""
    try:
        # The kernel is chosen when the core is imported; a bad POLYARB_KERNEL is said here.
        from polyarb.control.selfcheck import report, run_checks  # noqa: PLC0415

        checks = run_checks()
    except (errors.KernelError, errors.SelfTestError) as error:
        print(f"polyarb: {error}", file=sys.stderr)
        return 2 if isinstance(error, errors.KernelError) else 1
    print(json.dumps(checks) if getattr(given, "json", False) else report(checks))
    return 0 if checks["ok"] else 1


def exchange(given: argparse.Namespace) -> int:
    """Run the simulated exchange until Ctrl-C; it needs no C core and imports none."""
    from polyarb.sim import scenarios  # noqa: PLC0415  (the other commands need not wait for it)

    if given.scenario == "list":
        found = scenarios.built_in()
        width = max(map(len, found))
        for name, scenario in found.items():
            print(f"{name:{width}}  {scenario.about}")
        return 0
    from polyarb.sim import server  # noqa: PLC0415
    from polyarb.sim.log import LogFile  # noqa: PLC0415

    with ExitStack() as files:
        try:
            scenario = scenarios.find(given.scenario).stocked(
                size=given.markets, gamma=given.gamma, books=given.books
            )
            log = files.enter_context(closing(LogFile(given.log))) if given.log else None
            return server.run(
                scenario,
                host=given.host,
                port=given.port,
                duration_s=given.duration,
                seed=given.seed,
                signature_type=given.signature_type,
                balance_usd=given.balance,
                log=log,
            )
        except errors.InputError as error:
            print(f"polyarb: {error}", file=sys.stderr)
            return 2


def replay(given: argparse.Namespace) -> int:
    """Run recorded frames through the books, and say what they came to."""
    from polyarb.control import replay  # noqa: PLC0415  (needs the core)

    player = replay.Player()
    try:
        replay.replay(given.files, player, speed=given.speed, torn=_say)
    except errors.RecordingError as error:
        _say(str(error))
        return 1 if all(path.exists() for path in given.files) else 2
    except errors.InputError as error:
        _say(str(error))
        return 1
    if given.json:
        print(json.dumps(player.result()))
    else:
        replay.show(player)
    return 0


def record(given: argparse.Namespace) -> int:
    """Record what the market socket sends until the time is over or Ctrl-C."""
    import asyncio  # noqa: PLC0415

    from polyarb.control import record  # noqa: PLC0415
    from polyarb.feed.market import FeedConfig  # noqa: PLC0415

    try:
        markets = record.chosen(
            tokens=given.tokens,
            catalogue=given.catalogue,
            gamma=given.gamma,
            clob=given.clob,
            max_tokens=given.max_tokens,
        )
        config = FeedConfig(
            tokens_per_connection=given.tokens_per_connection, copies=2 if given.redundant else 1
        )
        recording = record.record(
            given.url, markets, given.out, duration_s=given.duration, config=config, say=_say
        )
        done = asyncio.run(recording)
    except (errors.InputError, errors.RetryError) as error:
        _say(str(error))
        return 2 if isinstance(error, errors.InputError) else 1
    print(json.dumps(done) if given.json else record.text(done))
    if done["error"]:
        _say(done["error"])
        return 1
    return 130 if done["interrupted"] else 0


def run(given: argparse.Namespace) -> int:
    """Watch an exchange and decide what would be traded."""
    from polyarb.control.run import run  # noqa: PLC0415

    return run(given)


def _say(line: str) -> None:
    print(f"polyarb: {line}", file=sys.stderr)


def markets(given: argparse.Namespace) -> int:
    """Show what there is to trade."""
    from polyarb.control.markets import run  # noqa: PLC0415

    return run(given)


def relations(given: argparse.Namespace) -> int:
    """Show what must add up, or prove one relation."""
    from polyarb.control.relations import run  # noqa: PLC0415

    return run(given)


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    whole = argparse.ArgumentParser(
        prog="python -m polyarb",
        description="A low-latency arbitrage engine for prediction markets.",
        epilog=f"without any argument: {' '.join(DEMONSTRATION)}",
    )
    whole.set_defaults(usage=whole)  # whose usage an unknown argument is told
    whole.add_argument("--version", action="version", version=f"polyarb {__version__}")
    commands = whole.add_subparsers(dest="command", metavar="COMMAND")
    check = commands.add_parser(
        "selfcheck",
        help="show the build and its kernel, and prove it on known answers",
        description="Show the build and its kernel, reproduce known answers on every kernel and "
        "signing backend, and time the parts of an order's way.",
        epilog=CHECK_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument("--json", action="store_true", help="one JSON object instead of text")
    _add_run(
        commands.add_parser(
            "run",
            help="watch an exchange, find what is mispriced, decide what would be traded",
            description="Watch an exchange, find what is mispriced and decide what would be\n"
            "traded: in mode sim, the default, on an exchange of its own; paper takes live data.\n"
            "Nothing is traded yet.",
            epilog=RUN_EXAMPLE,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    _add_exchange(
        commands.add_parser(
            "exchange",
            help="run a simulated exchange for any client, on this machine",
            description="Run a simulated exchange: CLOB, Gamma, Data API, relayer and both\n"
            "sockets on one port, with makers, takers and a rival, and faults on demand.",
            epilog=EXCHANGE_EXAMPLE,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    _add_record(
        commands.add_parser(
            "record",
            help="record what the market socket sends",
            description="Record the raw bytes of the market socket, with both times of each read,\n"
            "in compressed segments that `replay` reads.",
            epilog=RECORD_EXAMPLE,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    _add_replay(
        commands.add_parser(
            "replay",
            help="run recorded frames through the books again",
            description="Run recorded frames through the same code as live ones, and say what the\n"
            "books came to, which checks fired, and for how long.",
            epilog=REPLAY_EXAMPLE,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    _add_markets(
        commands.add_parser(
            "markets",
            help="show what there is to trade, from Gamma or from a recording",
            description="Show the markets that can be traded and pass the filters, why others\n"
            "cannot be, and what loading them takes.",
            epilog=MARKETS_EXAMPLE,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    _add_relations(
        commands.add_parser(
            "relations",
            help="show what must add up in a catalogue, and the proof of each",
            description="Show the relations between tokens that a catalogue, and a file of your\n"
            "own, give; why others were refused; and the proof of one.",
            epilog=RELATIONS_EXAMPLE,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    for command in commands.choices.values():
        command.set_defaults(usage=command)
    return whole


def _add_run(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--mode", choices=("sim", "paper"), default="sim", help="default: %(default)s")
    add("--config", type=Path, metavar="FILE", help="a TOML file; the environment overrides it")
    add("--duration", type=_duration, metavar="S", help="end after so many seconds")
    add("--seed", type=int, default=1, metavar="N", help="of the embedded exchange (default: 1)")
    add("--scenario", default="default", metavar="NAME|FILE.toml", help="likewise")
    add("--run-dir", type=Path, metavar="DIR", help="of the journal (default: runs/ and the time)")
    add("--json", action="store_true", help="end with one JSON object instead of text")


def _add_exchange(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=_port, default=0, metavar="N", help="0, the default, takes a free one")
    add(
        "--scenario",
        default="default",
        metavar="NAME|FILE.toml",
        help="what it is made of; 'list' shows the built-in ones (default: %(default)s)",
    )
    add("--seed", type=int, default=1, metavar="N", help="of everything random (default: 1)")
    add(
        "--signature-type",
        type=int,
        choices=range(4),
        default=3,
        help="wallet of the account: 0 EOA, 1 proxy, 2 Safe, 3 deposit wallet (default: 3)",
    )
    add(
        "--balance",
        default="10000",
        metavar="USD",
        help="what each of its wallets starts with (default: %(default)s)",
    )
    add("--duration", type=_duration, metavar="S", help="end so many seconds after it listens")
    add("--log", type=Path, metavar="FILE", help="write the event log, one JSON array a line")
    add(
        "--markets",
        type=_markets,
        default=0,
        metavar="N",
        help=f"how many markets to make, 1..{MARKETS_MAX}; the last event is whole. With --gamma: "
        "how many to take at most: the first events that fit, each of them whole",
    )
    add("--gamma", default="", metavar="FILE", help="load the catalogue from Gamma JSON instead")
    add("--books", default="", metavar="FILE", help="open with captured books")


def _add_record(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--url", required=True, metavar="WS", help="of the market socket: wss://…/ws/market")
    add("--out", type=Path, required=True, metavar="DIR", help="where the segments go")
    source = command.add_mutually_exclusive_group(required=True)
    source.add_argument("--tokens", default="", metavar="ID,YES:NO", help="token ids, or pairs")
    source.add_argument("--catalogue", type=Path, metavar="FILE", help="markets of Gamma JSON")
    source.add_argument("--gamma", default="", metavar="URL", help="ask Gamma for its markets")
    add("--clob", default=CLOB, metavar="URL", help="for what Gamma leaves open")
    add("--max-tokens", type=_count, metavar="N", help="of a catalogue, by falling volume")
    add("--tokens-per-connection", type=_count, default=200, metavar="N", help="default: 200")
    add("--redundant", action="store_true", help="a second connection for each token")
    add("--duration", type=float, metavar="S", help="end after so many seconds")
    add("--json", action="store_true", help="one JSON object instead of text")


def _add_replay(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("files", type=Path, nargs="+", metavar="FILE", help="segments, folders, .jsonl, .ndjson")
    add("--speed", type=_speed, default=0.0, metavar="X|max", help="1 is as it was (default: max)")
    add("--json", action="store_true", help="end with one JSON object instead of text")


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"{count} is below 1")
    return count


def _speed(text: str) -> float:
    if text == "max":
        return 0.0
    speed = float(text)
    if not 0 < speed < float("inf"):
        raise argparse.ArgumentTypeError(f"speed {text} is not above 0")
    return speed


def _add_markets(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--catalogue", type=Path, metavar="FILE", help="a recording, .jsonl or .json, also .gz")
    add("--url", metavar="GAMMA", help="where Gamma is (default: the venue's)")
    add("--clob-url", metavar="CLOB", help="asked for what Gamma leaves open; not with --url alone")
    add("--tags", nargs="+", default=[], metavar="TAG", help="events with one of these tags")
    add("--event", nargs="+", default=[], metavar="ID|SLUG", help="these events")
    add("--condition", nargs="+", default=[], metavar="ID", help="these markets")
    add("--min-volume-usd", default="0", metavar="USD", help="volume so far, at least")
    add("--max-days", type=int, metavar="N", help="days to the end date, at most")
    add("--max-tokens", type=int, metavar="N", help="tokens, at most: those with most volume")
    add("--top", type=int, default=20, metavar="N", help="how many to show (default: %(default)s)")
    add("--json", action="store_true", help="one JSON object with every market instead of text")


def _add_relations(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--catalogue", type=Path, metavar="FILE", help="a recording, .jsonl or .json, also .gz")
    add("--url", metavar="GAMMA", help="where Gamma is (default: the venue's)")
    add("--clob-url", metavar="CLOB", help="asked for what Gamma leaves open; not with --url alone")
    add("--tags", nargs="+", default=[], metavar="TAG", help="events with one of these tags")
    add("--event", nargs="+", default=[], metavar="ID|SLUG", help="these events")
    add("--relations", type=Path, metavar="TOML", help="relations of your own, added to the others")
    add("--builders", metavar="A,B", help="only these kinds: complement, ladder, range, …")
    add("--seconds-delay", action="store_true", help="also markets that answer seconds later")
    add("--same-market", action="store_true", help="also kind crossed")
    add(
        "--all-no",
        action="store_true",
        help="also events whose rules name a case in which all their markets resolve NO",
    )
    add("--explain", metavar="ID", help="prove one: states, payoffs, legs, fees, the least")
    add("--top", type=int, default=20, metavar="N", help="how many to show (default: %(default)s)")
    add("--json", action="store_true", help="one JSON object with every relation instead of text")


def _port(text: str) -> int:
    return _whole("port", text, 0, 65535)


def _markets(text: str) -> int:
    return _whole("number of markets", text, 1, MARKETS_MAX)


def _whole(name: str, text: str, low: int, high: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 20 or not low <= int(text) <= high:
        raise argparse.ArgumentTypeError(f"{name} {text!r} is no whole number in {low}..{high}")
    return int(text)


def _duration(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= DURATION_MAX_S:
        raise argparse.ArgumentTypeError(
            f"duration {text!r} is no number of seconds above 0, at most {DURATION_MAX_S}"
        )
    return seconds


COMMANDS = {
    "selfcheck": selfcheck,
    "exchange": exchange,
    "markets": markets,
    "record": record,
    "relations": relations,
    "replay": replay,
    "run": run,
}
