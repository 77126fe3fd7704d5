"""`otel-logtail observers new`: an observer and its test, written from lines of a real log."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import msgspec

from otel_logtail.cli.observers.excerpt import Excerpt
from otel_logtail.cli.observers.guess import Guess, Stamp, guess
from otel_logtail.engine.framing import AUTO, Framing
from otel_logtail.errors import UsageError
from otel_logtail.model import Sample
from otel_logtail.observer import ObserverContext
from otel_logtail.observer_file import load
from otel_logtail.text import reason_of

_TEST_LINES = 3
_CLIENT = "    client_fields = ()"
_TEST_BYTES = 2000
_UNITS = {"ns": "a nanosecond", "us": "a microsecond", "ms": "a millisecond", "s": "a second"}
_POWERS = {"ns": "1", "us": "10**3", "ms": "10**6", "s": "10**9"}


class Written(msgspec.Struct, frozen=True):
    """The files that were written, the name of the class, and how many of the lines are samples.

    ``needs_zone``: the time stamps have no zone. ``is_unit_guessed``: the log does not name the unit.
    ``needs_no_framing``: the time stamp looks like a part of a wrapper, so the observer needs ``--framing none``.
    """

    observer: Path
    test: Path
    class_name: str
    samples: int
    needs_zone: bool
    is_unit_guessed: bool
    needs_no_framing: bool


def write_observer(name: str, excerpt: Excerpt, folder: Path) -> Written:
    """Write ``NAME.py`` and ``test_NAME.py`` to a folder. No file is overwritten.

    Raises:
        UsageError: the name is not valid, a file exists, or no line has a time stamp and a duration.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*", name):
        raise UsageError(f"invalid name {name!r}", hint="use lower-case letters, digits and -, such as my-program")
    module = name.replace("-", "_")
    if module in sys.stdlib_module_names or module == "otel_logtail":
        raise UsageError(
            f"invalid name {name!r}: Python has a module of this name", hint=f"use another, such as my-{name}"
        )
    observer, test = folder / f"{module}.py", folder / f"test_{module}.py"
    for path in (observer, test):
        if path.exists():
            raise UsageError(f"{path} exists", hint="delete it, or use another name")
    unwrapped = guess(_unwrapped(excerpt.lines))
    found = unwrapped or guess(excerpt.lines)
    if found is None:
        raise UsageError(
            f"no line of {excerpt.path} has a time stamp and a duration",
            hint="let the program log each duration with its unit, such as: 2026-11-25T12:00:00.250Z took=35ms",
        )
    class_name = "".join(part.capitalize() for part in re.split("[-_]", name))
    _create(observer, _observer(name, observer.name, class_name, excerpt, found))
    lines = _test_lines(found)
    samples = _samples(observer, class_name, lines)
    text = _test(name, class_name, excerpt, lines, samples)
    _create(test, text if unwrapped else text.replace(_CLIENT, f'{_CLIENT}\n    framing = "none"'))
    return Written(
        observer,
        test,
        class_name,
        len(_samples(observer, class_name, found.lines)),
        found.stamp.zone == "none",
        found.took.is_guessed,
        unwrapped is None,
    )


def _unwrapped(lines: Sequence[bytes]) -> list[bytes]:
    """Return the lines as an observer gets them, without what syslog or a container runtime added."""
    framing = Framing(AUTO, b"")
    found = [(line, framing.unwrap(line)) for line in lines]
    return [
        line if wrapped is None else wrapped.text for line, wrapped in found if wrapped is None or not wrapped.is_part
    ]


def _create(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as problem:
        raise UsageError(
            f"cannot write {path}: {reason_of(problem)}", hint="start it in a folder of your own"
        ) from None


def _samples(observer: Path, class_name: str, lines: tuple[bytes, ...]) -> list[Sample]:
    """Return the samples that the written observer finds, with stamps in UTC unless they have a zone."""
    from datetime import timezone

    made = load(f"{observer.absolute()}:{class_name}").make(ObserverContext(timezone=timezone.utc))
    answers = [made.observe(line) for line in lines if made.marker in line]
    return [answer for answer in answers if isinstance(answer, Sample)]


def _test_lines(found: Guess) -> tuple[bytes, ...]:
    """Return some lines for the test: the first, one in the middle, and the last."""
    short = [line for line in found.lines if len(line) <= _TEST_BYTES] or [min(found.lines, key=len)]
    picked = [short[0], short[len(short) // 2], short[-1]]
    return tuple(dict.fromkeys(picked))[:_TEST_LINES]


# --- texts ----------------------------------------------------------------------------------------------------------


def _fill(template: str, values: dict[str, str]) -> str:
    text = files(__package__).joinpath(template).read_text()
    return re.sub("@([A-Z_]+)@", lambda match: values[match[1]], text)


def _observer(name: str, file: str, class_name: str, excerpt: Excerpt, found: Guess) -> str:
    path, took = excerpt.path.absolute(), found.took
    word = took.key.strip()
    return _fill(
        "observer.template",
        {
            "NAME": name,
            "FILE": file,
            "CLASS": class_name,
            "LOG": _comment(str(excerpt.path)),
            "LOG_QUOTED": _comment(shlex.quote(str(excerpt.path))),
            "IMPORT": _imported(found.stamp),
            "LINE": _comment(_shown(found.lines[0])),
            "TIME": _raw(found.stamp.pattern),
            "TOOK": _raw(took.pattern),
            "UNIT_NS": _POWERS[took.unit],
            "UNIT": _UNITS[took.unit],
            "UNIT_TODO": "  # TODO: the log does not name the unit" if took.is_guessed else "",
            "OTHERS": "".join(
                f"# TODO: a stage? {_comment(_shown(other.key))}… in {other.unit}\n" for other in found.others
            ),
            "MARKER": repr(took.key if len(word) > 1 else b""),
            "SEARCH": "match" if found.stamp.is_first else "search",
            "PATH": repr(str(path)),
            "LIVE": repr(re.escape(path.name)),
            "TIME_NS": "\n".join(" " * 8 + line for line in _time_ns(found.stamp)),
        },
    )


def _imported(stamp: Stamp) -> str:
    names = "datetime, timezone" if stamp.zone == "utc" else "datetime"
    return f"from datetime import {names}\n" if stamp.form else ""


def _time_ns(stamp: Stamp) -> list[str]:
    """Return the lines of the function that reads a time stamp."""
    has_fraction = "(?P<fraction>" in stamp.pattern
    fraction = ' + int(time["fraction"].ljust(9, b"0"))' if has_fraction else ""
    if not stamp.form:
        return [f'return int(time["second"]) * 10**{6 if stamp.is_ms else 9}{fraction}']
    text = '(time["second"] + time["zone"])' if stamp.zone == "offset" else 'time["second"]'
    zone = {"utc": ".replace(tzinfo=timezone.utc)", "none": ".replace(tzinfo=self._zone)", "offset": ""}[stamp.zone]
    return [
        f'moment = datetime.strptime({text}.decode(), "{stamp.form}"){zone}',
        f"return int(moment.timestamp()) * 10**9{fraction}",
    ]


def _test(name: str, class_name: str, excerpt: Excerpt, lines: tuple[bytes, ...], samples: list[Sample]) -> str:
    return _fill(
        "test.template",
        {
            "NAME": name,
            "MODULE": name.replace("-", "_"),
            "CLASS": class_name,
            "LOG": _comment(str(excerpt.path)),
            "LINES": "\n".join(f"    {line!r}," for line in lines),
            "SAMPLES": "\n".join(f"        ({sample.time_ns}, {sample.duration_ns})," for sample in samples),
        },
    )


def _raw(pattern: str) -> str:
    """Return a pattern as a literal of bytes, raw if it can be."""
    for quote in ('"', "'"):
        if quote not in pattern:
            return f"rb{quote}{pattern}{quote}"
    return repr(pattern.encode())


def _shown(line: bytes) -> str:
    return line[:100].decode("ascii", "backslashreplace") + ("…" if len(line) > 100 else "")


def _comment(text: str) -> str:
    """Return text for a comment or a docstring: printable, on one line, without quotes that end it."""
    return (
        "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
        .replace("\\", "/")
        .replace('"""', "'''")
    )
