"""Commands, their arguments and exit codes: 0 done, 1 failed, 2 usage, 130 interrupted."""

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from polyarb import __version__, errors

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code. Without a command it is ``selfcheck``."""
    given = _parsed(arguments)
    run = exchange if given.command == "exchange" else selfcheck
    try:
        return run(given)
    except KeyboardInterrupt:
        return 130


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
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


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    whole = argparse.ArgumentParser(
        prog="python -m polyarb",
        description="A low-latency arbitrage engine for prediction markets.",
        epilog="without a command: selfcheck, until there is an engine to run",
    )
    whole.set_defaults(usage=whole)
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
    check.set_defaults(usage=check)
    check.add_argument("--json", action="store_true", help="one JSON object instead of text")
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
    return whole


def _add_exchange(command: argparse.ArgumentParser) -> None:
    command.set_defaults(usage=command)
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
