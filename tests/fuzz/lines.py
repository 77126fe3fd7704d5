"""Targets that read lines of logs: observers, wrappers, whole chunks, times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta, timezone
from functools import cache, partial
from itertools import product
from typing import Any
from zlib import crc32

from otel_logtail.engine.framing import AUTO, FRAMINGS, Framing, may_be_wrapped
from otel_logtail.engine.hits import Thresholds
from otel_logtail.engine.joiner import Joiner
from otel_logtail.engine.marks import MarkFinder
from otel_logtail.engine.scan import Scanned, scan
from otel_logtail.errors import LogtailError, StoreCorrupt
from otel_logtail.exporters.otlp.answer import MAX_AFTER_S, retry_after_s
from otel_logtail.observer import Frame, Observer, ObserverContext
from otel_logtail.observers.local_time import LocalTime, common_ns, iso_ns
from otel_logtail.option import Choice, Flag, Option
from otel_logtail.plugins import OBSERVERS, find_observer, make_observer, names
from otel_logtail.testing.asking import OneByOne, ask
from otel_logtail.text import brief, parse_duration, parse_size, parse_when, printable
from otel_logtail.trace import LENGTH, join_trace, parse_traceparent
from tests.fuzz.corpus import lines_of, wrapped
from tests.fuzz.target import Target

_NOW_NS = 1_795_608_000 * 10**9
_FRAME = Frame(_NOW_NS, timezone(timedelta(hours=5, minutes=30)))
_THRESHOLDS = Thresholds(500_000_000, 2_000_000_000)
_HEADROOM = "headroom"


@cache
def _observers(name: str) -> tuple[Observer, ...]:
    """Return an observer with each choice of each of its options."""
    values = {option.name: _values(option) for option in find_observer(name).options}
    return tuple(
        make_observer(name, ObserverContext({}, dict(zip(values, one, strict=True)), timezone=timezone.utc))
        for one in product(*values.values())
    )


def _values(option: Option[Any]) -> tuple[str, ...]:
    if isinstance(option.kind, Choice):
        return option.kind.words
    return ("true", "false") if isinstance(option.kind, Flag) else (option.default,)


def _observe(name: str, data: bytes) -> None:
    """An answer has the right types, and only Drift is raised. The checksum of the line selects the options."""
    variants = _observers(name)
    for line in data.split(b"\n"):
        checksum = crc32(line)
        observer = variants[checksum % len(variants)]
        with_marker = line if observer.marker in line else line + observer.marker
        ask(observer, with_marker, _FRAME if checksum & 0x100 else None)
        assert _found_marks(observer, line) is None, "find_mark raised"


def _found_marks(observer: Observer, line: bytes) -> object:
    return MarkFinder(observer, AUTO).find(line + b"\n", 0, len(line) + 1, 0).drifted


def _read_at_once(data: bytes) -> None:
    """Many lines in C have the result of each line in Python."""
    observer = _observers(_HEADROOM)[0]
    at_once, alone = _scanned(observer, data + b"\n"), _scanned(OneByOne(observer), data + b"\n")
    assert at_once == alone, "many lines at once differ from each alone"


def _scan(data: bytes) -> None:
    """A chunk has the same result in two parts, with the unfinished lines as the store has them."""
    if len(data) < 3:
        return
    mode, name = FRAMINGS[data[0] % len(FRAMINGS)], names(OBSERVERS)[data[1] % len(names(OBSERVERS))]
    observer, lines = _observers(name)[0], data[3:] + b"\n"
    whole = _scanned(observer, lines, joiner=Joiner(Framing(mode, observer.marker)))
    middle = lines.find(b"\n", data[2]) + 1
    joiner = Joiner(Framing(mode, observer.marker))
    before = _scanned(observer, lines[:middle], joiner=joiner)
    joiner = Joiner(joiner.framing, joiner.parts)
    after = _scanned(observer, lines[middle:], middle, joiner)
    assert whole.tally.samples == before.tally.samples + after.tally.samples
    assert whole.tally.drift == before.tally.drift + after.tally.drift
    assert whole.samples.time_ns == sorted_times(before, after), "a chunk and its two parts differ"


def sorted_times(*parts: Scanned) -> list[int]:
    """Return the times of samples by the offsets of their lines."""
    pairs = [pair for part in parts for pair in zip(part.samples.offsets, part.samples.time_ns, strict=True)]
    return [time_ns for _, time_ns in sorted(pairs, key=lambda pair: pair[0])]


def _scanned(observer: Observer, lines: bytes, base: int = 0, joiner: Joiner | None = None) -> Scanned:
    return scan(observer, lines, base, source="fuzz", thresholds=_THRESHOLDS, joiner=joiner)


def _unwrap(data: bytes) -> None:
    """The quick tests are wrong only in returning true, and the text of a wrapper is shorter than its line."""
    line = data.replace(b"\n", b" ")
    buffer = line + b"\n"
    for mode in FRAMINGS:
        framing = Framing(mode, b"")
        container, found = framing.container(line), framing.unwrap(line)
        if found is not None:
            assert may_be_wrapped(line), "a wrapper that the quick test does not see"
            assert len(found.text) < len(line) * 3
        if container is not None:
            assert framing.has_streams(buffer, 0, len(buffer))
            assert not container.is_part or framing.has_parts(buffer, 0, len(buffer))


def _join(data: bytes) -> None:
    """Damaged unfinished lines of the store are one error, and any others can be continued."""
    try:
        joiner = Joiner(Framing(AUTO, b""), data)
    except StoreCorrupt:
        return
    joiner.join([0, 9, 18], [b"2026-11-29T12:00:00Z stdout F a", b"2026-11-29T12:00:00Z stderr F b", b"c"])
    Joiner(joiner.framing, joiner.parts)


def _read_times(data: bytes) -> None:
    """Times are None, impossible or in range; other errors are those that the functions document."""
    text = data.decode("latin-1")
    for read_ns in (iso_ns, common_ns):
        naive_ns = read_ns(data)
        assert naive_ns is None or -1 <= naive_ns < 2**63 * 28
        if naive_ns is not None and naive_ns >= 0:
            LocalTime(timezone.utc).utc_ns(naive_ns)
    assert len(parse_traceparent(data)) in (0, LENGTH)
    assert len(join_trace(data[:32], data[33:])) in (0, LENGTH)
    assert 0 <= retry_after_s(text, 1e9) <= MAX_AFTER_S
    for parse, documented in ((parse_duration, ValueError), (parse_size, ValueError), (_when, LogtailError)):
        try:
            parse(text)
        except documented as problem:
            assert printable(str(problem)) is not None
    assert brief(text).isprintable() and printable(text).isprintable()


def _when(text: str) -> int:
    return parse_when(text, _NOW_NS, timezone.utc)


def _lines(name: str) -> Iterator[bytes]:
    yield from lines_of(name)
    yield b"\n".join(lines_of(name, 2)[:4])


def _wrapped_lines() -> Iterator[bytes]:
    for name in names(OBSERVERS):
        for line in lines_of(name, 1)[:1]:
            yield from wrapped(line)


def _chunks() -> Iterator[bytes]:
    for number, name in enumerate(names(OBSERVERS)):
        for line in lines_of(name, 1)[:1]:
            yield from (bytes((0, number, 40)) + b"\n".join((one, line)) for one in wrapped(line))


def _times() -> Iterator[bytes]:
    yield from (b"2026-11-29 15:09:09", b"29/Nov/2026:15:09:09", b"1d12h 500ms", b"1.5GiB", b"@1795457770")
    yield from (b"2026-11-24T18:30:00.123+01:00", b"yesterday", b"Wed, 21 Oct 2026 07:28:00 GMT", b"120")
    yield b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    yield b"0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"


def _unfinished() -> Iterator[bytes]:
    for text in (b"a", b"b" * 300):
        joiner = Joiner(Framing(AUTO, b""))
        joiner.join([5], [b"2026-11-29T12:00:00Z stdout P " + text])
        yield joiner.parts


def _batches() -> Iterator[bytes]:
    lines = lines_of(_HEADROOM, 60)
    yield from (b"\n".join(lines[at : at + 3]) for at in range(0, len(lines), 3))


def _targets() -> Iterator[Target]:
    seeds: Callable[[], Iterator[bytes]]
    for name in names(OBSERVERS):
        seeds = partial(_lines, name)
        yield Target(f"observer-{name}", partial(_observe, name), seeds, most_bytes=400)
    yield Target("headroom-at-once", _read_at_once, _batches, in_c=True)
    yield Target("scan", _scan, _chunks, most_bytes=400)
    yield Target("framing", _unwrap, _wrapped_lines)
    yield Target("joiner", _join, _unfinished)
    yield Target("times", _read_times, _times, longest=200)


TARGETS = tuple(_targets())
