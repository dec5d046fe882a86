"""``python -m polyarb``."""

import sys


def main() -> int:
    """Run the command line; say what to do where the core was never compiled."""
    try:
        from polyarb.control.cli import main as run  # noqa: PLC0415  (the import may fail)

        return run()
    except KeyboardInterrupt:  # while it was still being imported
        return 130
    except ModuleNotFoundError as error:
        if error.name != "polyarb._core":
            raise
        print(
            "polyarb: the C core is not built in this folder; run `pip install -e .` here, or "
            "start from a folder that does not hold polyarb's sources",
            file=sys.stderr,
        )
        return 1


if __name__ == "__main__":
    sys.exit(main())
