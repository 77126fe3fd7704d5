"""The section of the longest stalls: each opens to its slowest samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timezone, tzinfo

from otel_logtail.query import EpisodeRow, SlowSample
from otel_logtail.report.findings import stalls_heading
from otel_logtail.report.page.html import Markup, Table, join, tag
from otel_logtail.report.page.model import Model, Section
from otel_logtail.report.page.svg import Svg, boxes
from otel_logtail.report.stalls import SLOWEST, LongStall
from otel_logtail.report.words import column, measured, moment, second
from otel_logtail.text import parse_when

_SMALL = 20  # the height of the bars in a row, in pixels
_LARGE, _TALL, _THIN = 220, 7.0, 3.5  # the largest height of opened bars; the height of one of them
_MOST_TICKS = 9
_TICKS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200, 86_400)
_SEVERITIES = ("degraded", "stall")


def stall_section(model: Model) -> Iterator[Section]:
    """Yield the section."""
    found = model.report.longest
    if not found:
        return
    longest_ns = max(_span(stall)[1] - _span(stall)[0] for stall in found)
    heading = ("", "began", "duration", "slowest", "samples", "cause", "its slow samples, to one scale")
    kinds = ("", "", "num", "num", "num", "cause", "samples")
    row = tag("div", *(tag("span", cell, class_=kind) for cell, kind in zip(heading, kinds, strict=True)), class_="row")
    stalls = (_stall(stall, model, longest_ns) for stall in found)
    yield Section(
        heading=stalls_heading(model.report, model.tz),
        sub="Open one to see its slowest samples and their stages.",
        content=tag("div", row, join(stalls, "\n"), class_="stalls"),
    )


def anchor_of(episode: EpisodeRow) -> str:
    """Return the id of an episode's fold, which links lead to."""
    return f"stall-{episode.span_id}"


def _span(stall: LongStall) -> tuple[int, int]:
    """Return start and end in ns, with all samples that are drawn."""
    episode = stall.episode
    starts = [_start(sample) for sample in stall.slowest]
    ends = [sample.time_unix_nano for sample in stall.slowest]
    return min([parse_when(episode.start, 0), *starts]), max([parse_when(episode.end, 0), *ends])


def _start(sample: SlowSample) -> int:
    return sample.time_unix_nano - round(sample.duration_ms * 1e6)


def _stall(stall: LongStall, model: Model, longest_ns: int) -> Markup:
    episode, (start_ns, end_ns) = stall.episode, _span(stall)
    drawn = sorted(stall.slowest, key=_start)
    cells = (
        tag("span", second(moment(parse_when(episode.start, 0), model.tz))),
        tag("span", measured(episode.duration_ms), class_="num"),
        tag("span", measured(episode.peak_ms), class_="num"),
        tag("span", f"{episode.count:,}", class_="num"),
        tag("span", episode.cause, class_="cause"),
        tag("span", _row_bars(drawn, start_ns, max(1, longest_ns)), class_="samples"),
    )
    inside = [
        _opened(drawn, (start_ns, max(end_ns, start_ns + 1)), model.tz),
        _table(stall, model),
        _notes(stall, model),
    ]
    return tag("details", tag("summary", *cells), tag("div", *inside, class_="inside"), id=anchor_of(episode))


def _row_bars(drawn: Sequence[SlowSample], start_ns: int, scale_ns: int) -> Markup:
    """Return the bars of a row; the scale is that of the longest stall."""
    svg = Svg(_SMALL, "")
    step = min(5.0, _SMALL / max(1, len(drawn)))
    for kind in _SEVERITIES:
        found = []
        for place, sample in enumerate(drawn):
            if sample.severity == kind:
                left = 100 * (_start(sample) - start_ns) / scale_ns
                right = max(left + 0.3, 100 * (sample.time_unix_nano - start_ns) / scale_ns)
                y = (_SMALL - step * len(drawn)) / 2 + place * step
                found.append(((left, y), (min(100.0, right), y + max(0.8, step * 0.7))))
        svg.path(boxes(found), f"fill {kind}")
    return svg.markup()


def _opened(drawn: Sequence[SlowSample], span_ns: tuple[int, int], tz: tzinfo | None) -> Markup:
    """Return the larger bars of an opened stall, with an axis of clock times."""
    if not drawn:
        return Markup()
    start_ns, end_ns = span_ns
    step = max(_THIN, min(_TALL, _LARGE / len(drawn)))
    base = step * len(drawn)
    svg = Svg(base + 20, "Slow samples of this stall")
    for x, label, is_odd in _ticks(start_ns, end_ns, tz):
        svg.line((x, 0), (x, base), "grid")
        svg.text(x, base + 15, label, "wide" if is_odd else "")
    for place, sample in enumerate(drawn):
        left, right = (100 * (ns - start_ns) / (end_ns - start_ns) for ns in (_start(sample), sample.time_unix_nano))
        title = f"{measured(sample.duration_ms)}, {sample.cause}"
        svg.rect((left, place * step), max(0.2, right - left), step * 0.75, sample.severity, title)
    return svg.markup()


def _ticks(start_ns: int, end_ns: int, tz: tzinfo | None) -> Iterator[tuple[float, str, bool]]:
    """Yield whole clock times: their place in per cent, their text, and whether a narrow screen leaves them out."""
    length_ns = end_ns - start_ns
    steps_ns = (round(step * 10**9) for step in _TICKS_S)
    step_ns = next((step for step in steps_ns if length_ns / step <= _MOST_TICKS), 7 * 86_400 * 10**9)
    for number, at_ns in enumerate(range(-(-start_ns // step_ns) * step_ns, end_ns, step_ns)):
        x = 100 * (at_ns - start_ns) / length_ns
        if x <= 93:  # a label further right has no room
            at = moment(at_ns, tz)
            tenth = "" if step_ns >= 10**9 else f".{at.microsecond // 100_000}"
            yield x, f"{at:%H:%M:%S}{tenth}", bool(number % 2)


def _table(stall: LongStall, model: Model) -> Markup:
    slowest = stall.slowest[:SLOWEST]
    if not slowest:
        return tag("p", "Its samples have expired.", class_="note")
    names = list(dict.fromkeys(name for sample in slowest for name in sample.stages))
    has_traces = any(sample.trace_id for sample in slowest)
    columns = [
        [f"{moment(_start(sample), model.tz):%H:%M:%S.%f}"[:-3] for sample in slowest],
        column([sample.duration_ms for sample in slowest]),
        [sample.severity for sample in slowest],
        *(_stage_column(slowest, name) for name in names),
        *([[_trace(sample.trace_id, model) for sample in slowest]] if has_traces else []),
    ]
    table = Table(
        caption="The slowest samples of this stall",
        columns=["began", "duration", "severity", *names, *(["trace"] if has_traces else [])],
        rows=list(zip(*columns, strict=True)),
        sides="lrl" + "r" * len(names) + "l" * has_traces,
    )
    return tag("div", table.markup(), class_="scroll")


def _stage_column(slowest: Sequence[SlowSample], name: str) -> list[str]:
    """Return the durations of a stage; the one that decides a sample is bold."""
    cells = column([sample.stages.get(name) for sample in slowest])
    return [tag("b", cell) if s.stage == name else cell for cell, s in zip(cells, slowest, strict=True)]


def _trace(trace_id: str, model: Model) -> Markup:
    if not trace_id or model.trace_url is None:
        return tag("code", trace_id)
    return tag("a", tag("code", trace_id), href=model.trace_url.replace("{trace_id}", trace_id), rel="noreferrer")


def _notes(stall: LongStall, model: Model) -> Markup:
    episode, number = stall.episode, min(SLOWEST, len(stall.slowest))
    shown = (
        f"The {number} slowest of {episode.count:,} slow samples" if number < episode.count else "All its slow samples"
    )
    return tag(
        "p",
        f"{shown}. " if number else "",
        "Trace of the episode: ",
        _trace(episode.trace_id, model),
        tag("br"),
        tag("code", command_of(episode)),
        class_="note",
    )


def command_of(episode: EpisodeRow) -> str:
    """Return the command that shows the samples of an episode."""
    since_s, until_s = parse_when(episode.start, 0) // 10**9, parse_when(episode.end, 0) // 10**9 + 1
    since, until = (f"{moment(at * 10**9, timezone.utc):%Y-%m-%dT%H:%M:%SZ}" for at in (since_s, until_s))
    return f"otel-logtail query samples --since {since} --until {until} --severity degraded --severity stall"
