"""Exit codes and error messages of commands: the fault, a hint, and the usage of the command, on stderr.

Every exception of a command is translated in one place (`ended`). A closed pipe on stdout is not an error.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from otel_logtail.errors import LogtailError, UsageError
from otel_logtail.redact import Redactor, secrets_of

if TYPE_CHECKING:
    from otel_logtail.log import Log

_OF_STDOUT = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EBADF}
"""Error numbers of writes to a stdout that is a file, or that was closed before the start."""

_FRAMES = 5
"""The number of callers in the message of an internal error."""


def say(text: str) -> None:
    """Write one line to stderr, without secrets and with escapes for characters that do not print."""
    from otel_logtail.text import printable

    try:
        print(printable(redactor()(text)), file=sys.stderr, flush=True)
    except (OSError, ValueError):
        pass  # stderr is closed


@lru_cache(maxsize=1)
def redactor() -> Redactor:
    """Return the function that removes the secrets in this process's environment and arguments from text."""
    return Redactor(secrets_of(os.environ, sys.argv))


_log: Log | None = None
"""The log of the daemon, if this process is one."""


def log_errors(log: Log) -> None:
    """From now on, write errors and the log records of libraries as lines of a daemon's log."""
    global _log
    _log = log


def say_error(message: str, hint: str = "", usage: str = "") -> None:
    """Write an error, a hint and the usage of a command to stderr, with an empty line between them."""
    if _log is not None:
        _log.write("error", message, "run.failed", {}, hint)
        return
    say(f"otel-logtail: error: {' '.join(message.split(chr(10)))}")
    if hint:
        say("")
        say(f"hint: {hint}")
    if usage:
        say("")
        for line in usage.splitlines():
            say(line)


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """Continue after stdout was closed, for commands whose exit code is part of the answer."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        _let_go_of_stdout()


def stop_early(number: int, *, once: bool) -> NoReturn:
    """Exit because of a signal that arrived before the run started; ``once``: the run has --once."""
    if once:
        say("otel-logtail: warning: interrupted; run again to resume")
    raise SystemExit(128 + number if once else 0)


def ended(problem: BaseException, usage: Callable[[], str] = str) -> int:
    """Print the error that ended a command, and return the exit code; ``usage`` returns how to call the command."""
    if isinstance(problem, LogtailError):
        from otel_logtail.daemon.settings import explain

        named = explain(problem, _variables())
        say_error(str(named), named.hint, usage() if isinstance(problem, UsageError) else "")
        return problem.exit_code
    if isinstance(problem, KeyboardInterrupt):
        return 130
    if isinstance(problem, BrokenPipeError):
        _let_go_of_stdout()
        return 0
    if isinstance(problem, OSError):
        return _of_the_system(problem)
    if isinstance(problem, MemoryError):
        say_error("out of memory", "select less data with --since or --limit")
        return 1
    format_message: Callable[[], str] | None = getattr(problem, "format_message", None)
    if format_message is not None:  # an exception of typer for wrong arguments has its own message and exit code
        return _of_the_arguments(problem, format_message())
    say_error(*_internal(type(problem), problem, problem.__traceback__))
    return 1


def _variables() -> dict[str, str]:
    """Return the variables of options that are not given as flags, by the name of the option."""
    flags = {word.partition("=")[0] for word in sys.argv[1:]}
    names = [name for name in os.environ if name.startswith("OTEL_LOGTAIL_")]
    options = {name.removeprefix("OTEL_LOGTAIL_").lower(): name for name in names}
    return {option: name for option, name in options.items() if f"--{option.replace('_', '-')}" not in flags}


def _of_the_system(problem: OSError) -> int:
    why = problem.strerror or str(problem) or type(problem).__name__
    if problem.filename is None and problem.errno in _OF_STDOUT:
        _let_go_of_stdout()
        say_error(f"cannot write to standard output: {'it is closed' if problem.errno == errno.EBADF else why}")
    else:
        name = problem.filename
        where = "" if name is None else f": {os.fsdecode(name) if isinstance(name, bytes) else name}"
        say_error(f"{why}{where}", f"the system call failed at {_places(problem.__traceback__)}")
    return 1


def _of_the_arguments(problem: BaseException, message: str) -> int:
    """Print the error of wrong arguments: the fault, a hint, and the usage of the command that got them."""
    code = int(getattr(problem, "exit_code", 2))
    context = getattr(problem, "ctx", None)
    if context is not None and message == context.get_help():  # a group of commands without a command
        print(message, file=sys.stderr)
        return code
    from otel_logtail.cli.wrong import explained

    name = "otel-logtail" if context is None else context.command_path
    what, hint = explained(problem, context, message)
    usage = "" if context is None else context.get_usage()
    say_error(what, hint or f"{name} --help shows the options and commands", usage)
    return code


def _internal(kind: type[BaseException], problem: BaseException | None, where: TracebackType | None) -> tuple[str, str]:
    message = str(problem)
    return (
        f"internal error: {kind.__name__}{': ' if message else ''}{message} (at {_places(where)})",
        "this is a bug in otel-logtail; please report the line above",
    )


def _places(where: TracebackType | None) -> str:
    """Return a traceback on one line: the last calls before an error, the innermost first."""
    frames = [frame for frame in reversed(traceback.extract_tb(where)) if not frame.filename.startswith("<frozen")]
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[:_FRAMES]) or "an unknown place"


# --- the process --------------------------------------------------------------------------------------------------


def prepare_process() -> None:
    """Make errors of all threads one line each, and open standard streams that are closed.

    SIGINT exits immediately unless a command installs its own handler. The store is consistent at every instruction. An
    exception would be lost in SQLite's callbacks, or look like an error of the store.
    """
    _open_streams()
    threading.excepthook = _in_a_thread
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))
    sys.unraisablehook = _unraisable


def _in_a_thread(happened: threading.ExceptHookArgs) -> None:
    if not issubclass(happened.exc_type, SystemExit):
        say_error(*_internal(happened.exc_type, happened.exc_value, happened.exc_traceback))


def _unraisable(happened: Any) -> None:
    say_error(*_internal(happened.exc_type, happened.exc_value, happened.exc_traceback))


def redact_logs(redact: Redactor) -> None:
    """Remove secrets from the log records of libraries: urllib3 logs whole URLs, websockets logs headers."""
    import logging

    def record(*args: Any, **kwargs: Any) -> logging.LogRecord:
        made = logging.LogRecord(*args, **kwargs)
        try:
            made.msg, made.args = redact(made.getMessage()), ()
        except (TypeError, ValueError):
            return made  # the format does not match its values, which logging reports
        if made.exc_info and made.exc_info[0]:
            made.exc_text = redact("".join(traceback.format_exception(*made.exc_info)).rstrip())
        return made

    logging.setLogRecordFactory(record)


def logs_in_one_line(redact: Redactor) -> None:
    """Print log records of libraries and Python's warnings as one line each, unless logging is configured."""
    import logging
    import warnings

    class OneLine(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            kind, problem, where = record.exc_info or (None, None, None)
            more = "" if kind is None else f": {kind.__name__}: {redact(str(problem))} (at {_places(where)})"
            _say_of_library(
                "error" if record.levelno >= logging.ERROR else "warning", f"{record.name}: {record.getMessage()}{more}"
            )

    def warned(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any, **__: Any) -> None:
        where = f"(at {Path(filename).name}:{lineno})"
        _say_of_library("warning", f"{category.__name__}: {redact(str(message))} {where}")

    logging.lastResort = OneLine(logging.WARNING)
    warnings.showwarning = warned


def _say_of_library(level: Literal["error", "warning"], text: str) -> None:
    if _log is not None:
        _log.write(level, text, "library", {})
    else:
        say(f"otel-logtail: {level}: {text}")


def _open_streams() -> None:
    """Open closed standard streams, before one of our files gets their descriptors.

    Writes to such a stdout fail, as they should.
    """
    for number, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # gets this descriptor, the lowest free one
            os.set_inheritable(number, True)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - open until the process exits
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def _let_go_of_stdout() -> None:
    """Discard buffered output, so that Python does not report the closed pipe again at exit."""
    try:
        stdout = sys.stdout.fileno()
    except (OSError, ValueError):
        return  # not a file of the system, e.g. a buffer of a test
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stdout)
    os.close(nowhere)
