"""The section of the longest stalls: each opens to its slowest samples."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from datetime import timezone, tzinfo

from otel_logtail.query import EpisodeRow, SlowSample
from otel_logtail.report.findings import stalls_heading
from otel_logtail.report.page.html import Markup, Table, join, tag
from otel_logtail.report.page.model import Model, Section
from otel_logtail.report.page.scales import Time
from otel_logtail.report.page.svg import Svg, boxes
from otel_logtail.report.stalls import DRAWN, SLOWEST, LongStall
from otel_logtail.report.words import column, day, measured, moment
from otel_logtail.text import parse_when

_SMALL = 20  # the height of the bars in a row, in pixels
_LARGE, _TALL, _THIN = 220, 7.0, 3.5  # the largest height of opened bars; the height of one of them
_SEVERITIES = ("degraded", "stall")


def stall_section(model: Model) -> Iterator[Section]:
    """Yield the section."""
    found = model.report.longest
    if not found:
        return
    longest_ns = max(1, *(_span(stall)[1] - _span(stall)[0] for stall in found))
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
    episode = stall.episode
    began = moment(parse_when(episode.start, 0), model.tz)
    cells = (
        tag("span", f"{day(began)} {began:%H:%M:%S}"),
        tag("span", measured(episode.duration_ms), class_="num"),
        tag("span", measured(episode.peak_ms), class_="num"),
        tag("span", f"{episode.count:,}", class_="num"),
        tag("span", episode.cause, class_="cause"),
        tag("span", _row_bars(_bars(stall), longest_ns), class_="samples"),
    )
    return tag("details", tag("summary", *cells), opened(stall, model), id=anchor_of(episode))


def opened(stall: LongStall, model: Model, most: int = SLOWEST) -> Markup:
    """Return the bars of a stall's slowest samples, and the table of at most so many of them."""
    start_ns, end_ns = _span(stall)
    drawn = sorted(stall.slowest[:DRAWN], key=_start)
    return tag(
        "div",
        _opened(drawn, (start_ns, max(end_ns, start_ns + 1)), model.tz),
        _table(stall, model, most),
        _notes(stall, model, most),
        class_="inside",
    )


def _bars(stall: LongStall) -> list[tuple[str, int, int]]:
    """Return severity, start and end of each sample, in ns from the start; if they have expired, of the episode."""
    start_ns, end_ns = _span(stall)
    drawn = [(s.severity, _start(s) - start_ns, s.time_unix_nano - start_ns) for s in sorted(stall.slowest, key=_start)]
    return drawn or [(stall.episode.severity, 0, end_ns - start_ns)]


def _row_bars(bars: Sequence[tuple[str, int, int]], scale_ns: int) -> Markup:
    """Return the bars of a row; the scale is that of the longest stall."""
    svg = Svg(_SMALL, "")
    step = min(5.0, _SMALL / len(bars))
    top = (_SMALL - step * len(bars)) / 2
    for kind in _SEVERITIES:
        svg.path(
            boxes(
                (
                    (100 * left / scale_ns, top + place * step),
                    (min(100.0, max(100 * left / scale_ns + 0.3, 100 * right / scale_ns)), top + (place + 0.7) * step),
                )
                for place, (severity, left, right) in enumerate(bars)
                if severity == kind
            ),
            f"fill {kind}",
        )
    return svg.markup()


def _opened(drawn: Sequence[SlowSample], span_ns: tuple[int, int], tz: tzinfo | None) -> Markup:
    """Return the larger bars of an opened stall, with an axis of clock times."""
    if not drawn:
        return Markup()
    time = Time(*span_ns, tz)
    step = max(_THIN, min(_TALL, _LARGE / len(drawn)))
    base = step * len(drawn)
    svg = Svg(base + 20, "Slow samples of this stall")
    time.grid(svg, 0, base)
    time.labels(svg, base + 15)
    for place, sample in enumerate(drawn):
        left, right = time.x(_start(sample)), time.x(sample.time_unix_nano)
        title = f"{measured(sample.duration_ms)}, {sample.cause}"
        svg.rect((left, place * step), max(0.2, right - left), step * 0.75, sample.severity, title)
    return svg.markup()


def _table(stall: LongStall, model: Model, most: int) -> Markup:
    slowest = stall.slowest[:most]
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


def _notes(stall: LongStall, model: Model, most: int) -> Markup:
    episode, number, served = stall.episode, min(most, len(stall.slowest)), model.served
    shown = "All its slow samples."
    if number < episode.count:
        drawn = min(DRAWN, len(stall.slowest))
        bars = f"; the bars are the {drawn} slowest" if drawn < episode.count else ""
        shown = f"The {number} slowest of {episode.count:,} slow samples{bars}."
    return tag(
        "p",
        f"{shown} " if number else "",
        "Trace of the episode: ",
        _trace(episode.trace_id, model),
        tag("br"),
        tag("code", _command(episode, model.options)),
        *([tag("br"), tag("a", "This episode alone", href=served.episode + episode.span_id)] if served else []),
        class_="note",
    )


def _command(episode: EpisodeRow, options: Sequence[str]) -> str:
    """Return the command that shows the samples of an episode."""
    since_s, until_s = parse_when(episode.start, 0) // 10**9, parse_when(episode.end, 0) // 10**9 + 1
    since, until = (f"{moment(at * 10**9, timezone.utc):%Y-%m-%dT%H:%M:%SZ}" for at in (since_s, until_s))
    severities = ("--severity", "degraded", "--severity", "stall")
    return shlex.join(["otel-logtail", "query", "samples", *options, "--since", since, "--until", until, *severities])
