"""The command line: thin. Errors are printed without a traceback, with exit code 2."""

import sys


def main() -> None:
    """Run `polytask`."""
    from polytask.core.errors import PolytaskError

    from ._app import app

    try:
        app(standalone_mode=True)
    except PolytaskError as error:
        for fault in error.faults:
            print(f"error: {fault}", file=sys.stderr)
        sys.exit(2)
