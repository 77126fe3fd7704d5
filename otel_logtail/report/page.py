"""A report as one page: everything in one file, no script, nothing from elsewhere (the page itself forbids it).

It is well-formed XML as well as HTML, so that it can be read by programs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import tzinfo
from html import escape

from otel_logtail.report.bars import histogram
from otel_logtail.report.data import Part, Report
from otel_logtail.report.plots import calendar_plot, causes_plot, histogram_plot
from otel_logtail.report.text import headline
from otel_logtail.text import duration, local, parse_when, printable

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2430; --soft: #667085; --paper: #ffffff; --card: #f5f6f8; --rule: #d9dde4;
  --ok: #6b8fb5; --degraded: #e0a030; --stall: #c8402f; --met: #2e7d4f;
  --degraded-ink: #8f5f00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ec; --soft: #9aa3b2; --paper: #15181e; --card: #1f242d;
  --rule: #343b47; --ok: #7fa6cf; --degraded: #e8b04a; --stall: #e8695a; --met: #5fbf88;
  --degraded-ink: #e8b04a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem 1.25rem 3rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans", sans-serif; }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 1.05rem; margin: 2.2rem 0 .6rem; }
p { margin: .3rem 0; } .foot { margin-top: 2.5rem; font-size: .82rem; } .soft { color: var(--soft); }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: .7rem; margin: 1.2rem 0 0; }
dl div { background: var(--card); border-radius: .5rem; padding: .6rem .9rem; }
dt { color: var(--soft); font-size: .82rem; } dd { margin: 0; font-size: 1.02rem; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .9rem; }
th { text-align: left; color: var(--soft); font-weight: 500; }
th, td { padding: .3rem .9rem .3rem 0; white-space: nowrap; }
tbody tr { border-top: 1px solid var(--rule); } .num { text-align: right; }
.word { font-weight: 600; } .word.stall, .word.missed { color: var(--stall); } .word.met { color: var(--met); }
.word.degraded { color: var(--degraded-ink); }
svg { display: block; width: 100%; min-width: 34rem; height: auto; } svg text { font-size: 11.5px; fill: var(--ink); }
svg text.note { fill: var(--soft); }
rect.ok, rect.plain { fill: var(--ok); } rect.degraded { fill: var(--degraded); } rect.stall { fill: var(--stall); }
line.axis { stroke: var(--soft); } line.grid { stroke: var(--rule); }
line.edge { stroke: var(--degraded); stroke-dasharray: 4 3; } line.edge-stall { stroke: var(--stall); }
@media print { body { max-width: none; } }
"""

_OPENING = '<!DOCTYPE html>\n<html xmlns="http://www.w3.org/1999/xhtml" lang="en">'

BEGINS = _OPENING.encode()
"""The first bytes of each page, by which a file is known for one of ours."""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(report: Report, *, made_ns: int, tz: tzinfo | None = None) -> str:
    """The page.

    Args:
        report: What to show.
        made_ns: When that was.
        tz: The zone of times; None: the local one.
    """
    summary = report.summary
    title = _text(report.title)
    body = [f"<h1>{title}</h1>"]
    if summary.from_ and summary.to:
        span = f"{_when(summary.from_, tz)} to {_when(summary.to, tz)}"
        body.append(f'<p class="soft">{summary.count:,} samples, {_text(span)}</p>')
    else:
        body.append('<p class="soft">no samples in this range</p>')
    if report.verdicts:
        rows = [
            [_word("met", "met") if v.is_met else _word("MISSED", "missed"), _text(v.slo), _text(v.actual)]
            for v in report.verdicts
        ]
        body += ["<h2>SLOs</h2>", _table(["", "target", "actual"], rows, "lll")]
    if summary.count:
        body += _figures(report, tz)
    body.append(f'<p class="soft foot">otel-logtail, {_text(local(made_ns, tz))}. Percentiles are within 1 %.</p>')
    return f"""{_OPENING}
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}"/>
<title>{title}: overhead</title>
<style>{_STYLE}</style>
</head>
<body>
{chr(10).join(body)}
</body>
</html>
"""


def _figures(report: Report, tz: tzinfo | None) -> Iterator[str]:
    cards = "".join(f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in headline(report))
    yield f"<dl>{cards}</dl>"
    yield "<h2>How long</h2>"
    yield _wide(histogram_plot(histogram(report.counts, 4), report.thresholds_ms))
    if report.summary.episodes:
        what = "hour" if report.hourly else "day"
        yield "<h2>When</h2>"
        yield _wide(calendar_plot([(slot.label, slot.stalls, slot.degraded) for slot in report.slots], what))
    if report.causes:
        yield "<h2>Why: causes of slow samples</h2>"
        yield _wide(causes_plot([(printable(cause.name), cause.degraded, cause.stall) for cause in report.causes]))
    if report.worst:
        yield "<h2>Worst episodes</h2>"
        rows = [
            [
                _text(_when(e.start, tz)),
                duration(e.duration_ms),
                f"{e.count:,}",
                duration(e.peak_ms),
                _word(e.severity, e.severity),
                _text(e.cause),
                _text(e.dominant_stage),
                _text(e.source),
            ]
            for e in report.worst
        ]
        heads = ["start", "duration", "samples", "peak", "severity", "cause", "stage", "source"]
        yield _table(heads, rows, "lrrrllll")
    for title, name, parts in (("By source", "source", report.sources), ("By path", "path", report.paths)):
        if parts:
            yield f"<h2>{title}</h2>"
            yield _table([name, "samples", "p50", "p90", "p99", "max"], [_part(p) for p in parts], "lrrrrr")
    if report.stages:
        yield "<h2>By stage</h2>"
        rows = [
            [_text(s.stage), f"{s.count:,}", *(duration(ms) for ms in (s.p50_ms, s.p90_ms, s.p99_ms, s.max_ms))]
            for s in report.stages
        ]
        yield _table(["stage", "samples", "p50", "p90", "p99", "max"], rows, "lrrrrr")


def _part(part: Part) -> list[str]:
    values = (part.p50_ms, part.p90_ms, part.p99_ms, part.max_ms)
    return [_text(part.name), f"{part.count:,}", *(duration(ms) for ms in values)]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], sides: str) -> str:
    """A table; cells are escaped already, ``r`` stands to the right."""
    kinds = [' class="num"' if side == "r" else "" for side in sides]
    head = "".join(f"<th{kind}>{_text(text)}</th>" for kind, text in zip(kinds, heads, strict=True))
    body = "\n".join(
        "<tr>" + "".join(f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds, row, strict=True)) + "</tr>"
        for row in rows
    )
    return _wide(f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>")


def _wide(content: str) -> str:
    """Something that a narrow screen can move sideways."""
    return f'<div class="wide">{content}</div>'


def _word(text: str, kind: str) -> str:
    return f'<span class="word {escape(kind)}">{_text(text)}</span>'


def _text(text: str) -> str:
    return escape(printable(text))


def _when(text: str, tz: tzinfo | None) -> str:
    return local(parse_when(text, 0), tz)
