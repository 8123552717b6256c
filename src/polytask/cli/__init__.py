"""The command line: thin. Errors are printed a line each, without a traceback, with exit code 2."""

import os
import re
import sys
import warnings


def main() -> None:
    """Run `polytask`."""
    import signal

    from polytask.engine import interrupt

    ended = signal.getsignal(signal.SIGTERM)
    if ended is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, interrupt.stop)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn  # type: ignore[assignment]
            sys.exit(_main())
    except KeyboardInterrupt as error:
        print("stopped", file=sys.stderr)
        sys.exit(interrupt.code(error))
    finally:
        signal.signal(signal.SIGTERM, ended)


def _main() -> int:
    """The exit code; errors are printed. Ctrl-C goes through."""
    import typer

    from polytask.core.errors import PolytaskError

    from ._app import app

    usage = typer.BadParameter.__base__ or typer.BadParameter  # every wrong use of the command line
    try:
        command = typer.main.get_command(app)  # called by its parts, which let Ctrl-C through
        with command.make_context("polytask", sys.argv[1:] or ["--help"]) as context:
            command.invoke(context)
        return 0
    except typer.Exit as end:
        return end.exit_code
    except PolytaskError as error:
        return _fail(*map(str, error.faults))
    except SyntaxError as error:
        return _fail(f"{(error.filename or '').replace('<unknown>', 'your Python file')}, line {error.lineno}: {error.msg}")
    except BrokenPipeError:  # the reader of the output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _fail(f"{error.filename or 'files'}: {error.strerror or error}")
    except typer.Abort:
        raise KeyboardInterrupt from None
    except usage as error:
        place = getattr(error, "ctx", None)
        where = place.command_path if place else "polytask"
        return _fail(f"{getattr(error, 'format_message', error.__str__)()} (see: {where} --help)")
    except (MemoryError, RuntimeError) as error:
        if not _is_memory(error):
            raise
        text = " ".join(str(error).split())[:200]
        return _fail(f"memory: is not enough ({text}). Lower training.batch_size or the sizes of the system (polytask show ID)")


def _warn(message: Warning | str, category: type[Warning], *place: object) -> None:
    """What is said beside the results, without the place in the code."""
    if issubclass(category, UserWarning):
        print(f"warning: {message}", file=sys.stderr)


def _is_memory(error: BaseException) -> bool:
    told = ("out of memory", "allocate memory", "storage size calculation overflowed")
    return isinstance(error, MemoryError) or any(text in str(error).lower() for text in told)


def _fail(*lines: str) -> int:
    for line in lines:
        print(f"error: {line}", file=sys.stderr)
    if any(re.search(r"\brow \d", line) for line in lines):
        print("note: rows are counted from 0: row 0 of a CSV file is the line after its header", file=sys.stderr)
    return 2
