"""The command line: thin. Errors are printed a line each, without a traceback, with exit code 2."""

import sys


def main() -> None:
    """Run `polytask`."""
    import typer

    from polytask.core.errors import PolytaskError

    from ._app import app

    usage = typer.BadParameter.__base__ or typer.BadParameter  # every wrong use of the command line
    try:
        sys.exit(app(sys.argv[1:] or ["--help"], standalone_mode=False))
    except PolytaskError as error:
        _fail(*map(str, error.faults))
    except SyntaxError as error:
        _fail(f"{(error.filename or '').replace('<unknown>', 'your Python file')}, line {error.lineno}: {error.msg}")
    except OSError as error:
        _fail(f"{error.filename or 'files'}: {error.strerror or error}")
    except typer.Abort:
        print("stopped", file=sys.stderr)
        sys.exit(130)
    except usage as error:
        context = getattr(error, "ctx", None)
        where = context.command_path if context else "polytask"
        _fail(f"{getattr(error, 'format_message', error.__str__)()} (see: {where} --help)")


def _fail(*lines: str) -> None:
    for line in lines:
        print(f"error: {line}", file=sys.stderr)
    sys.exit(2)
