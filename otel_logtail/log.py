"""Lines on standard error: the log of a daemon, as text or JSON, and the messages of a command.

A line of the log begins with the time and the level. The journal of systemd has both in fields of its own, so lines
for the journal begin with a priority instead, as sd-daemon(3) describes. A run that a person waits for (``--once``)
writes messages as all commands do: the program's name and the message.

All text is untrusted: a line stays one line, and characters that do not print are escaped.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, TextIO

import msgspec

from otel_logtail.redact import Redactor
from otel_logtail.text import moment, printable

Level = Literal["error", "warning", "info", "debug"]
Form = Literal["command", "text", "json"]

PRIORITIES: Mapping[str, int] = {"error": 3, "warning": 4, "info": 6, "debug": 7}
"""The levels, and their priorities in the journal: a lower number is more urgent."""

FIXED = ("time", "level", "event", "message")
"""The fields of each line as JSON; an event adds fields of its own."""

_ESCAPE = re.compile(r"\\(?:ud[89ab]..\\ud[c-f]..|(ud[89a-f]..)|.)")
"""An escape in JSON. The group is half a character, from a file name that is not UTF-8: strict parsers refuse it."""


class Style(msgspec.Struct, frozen=True):
    """The form of lines.

    ``form`` is ``command`` for the messages of a command, ``text`` or ``json``. ``least`` is the least urgent level
    that is written. ``in_journal``: standard error is the journal.
    """

    form: Form = "command"
    least: Level = "info"
    in_journal: bool = False


def is_journal(environ: Mapping[str, str], descriptor: int = 2) -> bool:
    """Return whether a descriptor is the stream to the journal that systemd names in ``JOURNAL_STREAM``."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


COMMAND = Style()
"""The form of messages of a command."""


class Log:
    """Writes lines. Thread-safe."""

    def __init__(
        self,
        stream: TextIO | None = None,
        style: Style = COMMAND,
        *,
        redact: Callable[[str], str] | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.redact = redact or Redactor()
        self.style = style
        self._stream = stream
        self._clock = clock
        self._lock = threading.Lock()
        self._has_progress = False

    @property
    def is_on_terminal(self) -> bool:
        """True if people see the lines as they are written."""
        return (self._stream or sys.stderr).isatty()

    def write(self, level: Level, text: str, event: str, fields: Mapping[str, Any], hint: str = "") -> None:
        """Write a message.

        Args:
            level: How urgent it is. A level that is not to be written is left out.
            text: The message.
            event: The name of the event.
            fields: The values of the event.
            hint: What to do, in a line of its own. As JSON it is one more field.
        """
        if PRIORITIES[level] > PRIORITIES[self.style.least]:
            return
        if self.style.form == "json":
            more = {**fields, "hint": hint} if hint else fields
            lines = [self._as_json(level, self.redact(text), event, more)]
        else:
            lines = [self._as_text(level, self.redact(part)) for part in (text, hint and f"hint: {hint}") if part]
        with self._lock:
            over, self._has_progress = "\r\x1b[K" if self._has_progress else "", False
            self._print(over + "\n".join(lines))

    def progress(self, text: str) -> None:
        """Write a line that the next one replaces, on a terminal only."""
        if self.is_on_terminal:
            with self._lock:
                self._print(f"\r\x1b[K{printable(self.redact(text))}", end="")
                self._has_progress = True

    def _as_text(self, level: Level, text: str) -> str:
        style = self.style
        if style.in_journal:
            return f"<{PRIORITIES[level]}>{printable(text)}"
        if style.form == "text":
            return f"{moment(self._clock())} {level}: {printable(text)}"
        return printable(f"otel-logtail: {'' if level == 'info' else f'{level}: '}{text}")

    def _as_json(self, level: Level, text: str, event: str, fields: Mapping[str, Any]) -> str:
        said = {name: self.redact(value) if isinstance(value, str) else value for name, value in fields.items()}
        line = {"time": moment(self._clock()), "level": level, "event": event, "message": text, **said}
        priority = f"<{PRIORITIES[level]}>" if self.style.in_journal else ""
        # json.dumps escapes all other characters that do not print
        text = json.dumps(line).replace("\x7f", "\\u007f")
        return priority + _ESCAPE.sub(lambda found: rf"\\{found[1]}" if found[1] else found[0], text)

    def _print(self, text: str, end: str = "\n") -> None:
        try:
            print(text, end=end, file=self._stream or sys.stderr, flush=True)
        except (OSError, ValueError):
            pass  # standard error is closed; the log is followed all the same
