"""The tables of a report as rows of cells, the heading first; text and page lay them out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import tzinfo

from otel_logtail.report.data import Part, Report
from otel_logtail.text import duration, local, parse_when

EPISODE_SIDES = "lrrrllll"
PART_SIDES = "lrrrrr"
"""The alignment of each column: left or right."""

Rows = list[list[str]]


def headline(report: Report) -> Rows:
    """Return the most important figures, each with its name."""
    summary = report.summary
    slow = summary.degraded + summary.stall
    share = "" if report.share is None else f" ({100 * report.share:.3g} %)"
    found = [
        ["p50, p90, p99", ", ".join(duration(ms) for ms in (summary.p50_ms, summary.p90_ms, summary.p99_ms))],
        ["mean, max", f"{duration(summary.mean_ms)}, {duration(summary.max_ms)}"],
        ["slow samples", f"{slow:,} ({100 * slow / summary.count:.3g} %), {summary.stall:,} stall"],
        ["episodes", f"{summary.episodes:,} ({report.stalls:,} with a stall)"],
        ["time in episodes", duration(summary.stalled_ms) + share],
    ]
    for per in ("day", "hour"):
        number, when = report.peaks.get(f"stalls/{per}", (0, ""))
        if number:
            found.append([f"worst {per}", f"{number:,} stall{'' if number == 1 else 's'}, {when}"])
    return found


def range_of(report: Report, tz: tzinfo | None) -> str:
    """Return the number of samples, and the times of the first and the last of them."""
    summary = report.summary
    if not summary.from_ or not summary.to:
        return "no samples in this range"
    noun = "sample" if summary.count == 1 else "samples"
    return f"{summary.count:,} {noun}, {_when(summary.from_, tz)} to {_when(summary.to, tz)}"


def episode_rows(report: Report, tz: tzinfo | None) -> Rows:
    """Return the table of the worst episodes."""
    return [
        ["start", "duration", "samples", "peak", "severity", "cause", "stage", "source"],
        *(
            [
                _when(episode.start, tz),
                duration(episode.duration_ms),
                f"{episode.count:,}",
                duration(episode.peak_ms),
                episode.severity,
                episode.cause,
                episode.dominant_stage,
                episode.source,
            ]
            for episode in report.worst
        ),
    ]


def part_rows(title: str, parts: Iterable[Part]) -> Rows:
    """Return the table of some parts; the first column has the title."""
    return [
        [title, "samples", "p50", "p90", "p99", "max"],
        *(
            [
                part.name,
                f"{part.count:,}",
                *(duration(ms) for ms in (part.p50_ms, part.p90_ms, part.p99_ms, part.max_ms)),
            ]
            for part in parts
        ),
    ]


def _when(text: str, tz: tzinfo | None) -> str:
    return local(parse_when(text, 0), tz)
