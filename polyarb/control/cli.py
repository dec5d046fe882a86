"""Commands, their arguments and exit codes: 0 done, 1 failed, 2 usage, 130 interrupted."""

import argparse
import json
import sys
from collections.abc import Sequence

from polyarb import __version__, errors

EXAMPLE = "example:\n  POLYARB_KERNEL=scalar python -m polyarb selfcheck --json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code. Without a command it is ``selfcheck``."""
    given = parser().parse_args(arguments)
    try:
        # The kernel is chosen when the core is imported; a bad POLYARB_KERNEL is said here.
        from polyarb.control.selfcheck import report, run_checks  # noqa: PLC0415

        checks = run_checks()
    except (errors.KernelError, errors.SelfTestError) as error:
        print(f"polyarb: {error}", file=sys.stderr)
        return 2 if isinstance(error, errors.KernelError) else 1
    except KeyboardInterrupt:
        return 130
    print(json.dumps(checks) if getattr(given, "json", False) else report(checks))
    return 0 if checks["ok"] else 1


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    whole = argparse.ArgumentParser(
        prog="python -m polyarb",
        description="A low-latency arbitrage engine for prediction markets.",
        epilog="without a command: selfcheck, until there is an engine to run",
    )
    whole.add_argument("--version", action="version", version=f"polyarb {__version__}")
    commands = whole.add_subparsers(dest="command", metavar="COMMAND")
    check = commands.add_parser(
        "selfcheck",
        help="show the build and its kernel, and prove it on known answers",
        description="Show the build and its kernel, reproduce known answers on every kernel and "
        "signing backend, and time the parts of an order's way.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument("--json", action="store_true", help="one JSON object instead of text")
    return whole
