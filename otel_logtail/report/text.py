"""A report for a terminal: plain text, with bars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import tzinfo

from otel_logtail.report.bars import histogram, length, severity_of
from otel_logtail.report.data import Report
from otel_logtail.text import duration, local, parse_when, printable, short

_BLOCK = "█"
_LONGEST = 50
_MOST_SLOTS = 31


def lines(report: Report, *, width: int | None = None, tz: tzinfo | None = None) -> Iterator[str]:
    """The lines of a report.

    Args:
        report: What to show.
        width: The terminal's, None: there is none.
        tz: The zone of times; None: the local one.
    """
    summary = report.summary
    room = max(10, min(_LONGEST, (width or 100) - 45))
    yield f"{printable(report.title)}: {summary.count:,} samples" + (
        f", {_when(summary.from_, tz)} to {_when(summary.to, tz)}" if summary.from_ and summary.to else ""
    )
    if report.verdicts:
        yield ""
        yield from _table(
            [["met" if v.is_met else "MISSED", printable(v.slo), v.actual] for v in report.verdicts], "lll"
        )
    if not summary.count:
        return
    yield ""
    yield from _table([[name, value] for name, value in headline(report)], "ll")
    yield ""
    yield "how long (bars are logarithmic: ten times the samples is one step)"
    bars = histogram(report.counts, 1)
    most = max(bar.count for bar in bars)
    yield from _table(
        [
            [
                f"{short(bar.from_ms)} –",
                short(bar.to_ms),
                f"{bar.count:,}",
                severity_of(bar, report.thresholds_ms),
                _BLOCK * round(room * length(bar.count, most)),
            ]
            for bar in bars
        ],
        "rrrll",
    )
    if summary.episodes:
        yield ""
        yield f"episodes by {'hour' if report.hourly else 'day'}"
        slots = report.slots[-_MOST_SLOTS:]
        highest = max(1, *(slot.stalls + slot.degraded for slot in slots))
        yield from _table(
            [
                [
                    slot.label,
                    f"{slot.stalls} stalls",
                    f"{slot.degraded} degraded",
                    _BLOCK * -(-room * (slot.stalls + slot.degraded) // highest),
                ]
                for slot in slots
            ],
            "lrrl",
        )
        yield ""
        yield "causes of slow samples"
        most = max(cause.degraded + cause.stall for cause in report.causes) if report.causes else 1
        yield from _table(
            [
                [
                    cause.name,
                    f"{cause.degraded + cause.stall:,}",
                    f"{cause.stall:,} stall",
                    _BLOCK * -(-room * (cause.degraded + cause.stall) // most),
                ]
                for cause in report.causes
            ],
            "lrrl",
        )
        yield ""
        yield "worst episodes"
        yield from _table(
            [
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
            ],
            "lrrrllll",
        )
    for title, parts in (("sources", report.sources), ("paths", report.paths)):
        if parts:
            yield ""
            rows = [
                [p.name, f"{p.count:,}", *(duration(ms) for ms in (p.p50_ms, p.p90_ms, p.p99_ms, p.max_ms))]
                for p in parts
            ]
            yield from _table([[title, "samples", "p50", "p90", "p99", "max"], *rows], "lrrrrr")


def headline(report: Report) -> list[tuple[str, str]]:
    """The figures that come first."""
    summary = report.summary
    found = [
        ("p50, p90, p99", ", ".join(duration(ms) for ms in (summary.p50_ms, summary.p90_ms, summary.p99_ms))),
        ("mean, max", f"{duration(summary.mean_ms)}, {duration(summary.max_ms)}"),
        ("slow samples", _of(summary.degraded + summary.stall, summary.count, f"{summary.stall:,} stall")),
        ("episodes", f"{summary.episodes:,} ({report.stalls:,} with a stall)"),
        (
            "time in episodes",
            duration(summary.stalled_ms) + ("" if report.share is None else f" ({100 * report.share:.3g} %)"),
        ),
    ]
    for per in ("day", "hour"):
        number, when = report.peaks.get(f"stalls/{per}", (0, ""))
        if number:
            found.append((f"worst {per}", f"{number:,} stalls, {when}"))
    return found


def _of(part: int, whole: int, more: str) -> str:
    return f"{part:,} ({100 * part / whole:.3g} %), {more}"


def _when(text: str | None, tz: tzinfo | None) -> str:
    return "-" if text is None else local(parse_when(text, 0), tz)


def _table(rows: Sequence[Sequence[str]], sides: str) -> Iterator[str]:
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(sides))] if rows else []
    for row in rows:
        cells = [
            cell.rjust(width) if side == "r" else cell.ljust(width)
            for cell, width, side in zip(row, widths, sides, strict=True)
        ]
        yield ("  " + "  ".join(cells)).rstrip()
