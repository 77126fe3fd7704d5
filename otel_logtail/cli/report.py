"""`otel-logtail report`: figures on the terminal, as a page, and as an exit code."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from otel_logtail.cli.errors import errors_as_exit, reader_may_leave, say, say_error
from otel_logtail.cli.options import Db, Source, Until, open_reader
from otel_logtail.errors import LogtailError, UsageError

if TYPE_CHECKING:
    from otel_logtail.query import Reader
    from otel_logtail.report.compare import Comparison
    from otel_logtail.report.data import Report
    from otel_logtail.report.periods import Period


class ReportFormat(str, Enum):
    """Forms of a report."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"
    HTML = "html"


_CODES = {"met": 0, "missed": 1, "not judged": 3}


@errors_as_exit()
def report(
    db: Db = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="WHEN", help="Start: 24h, 7d (ago), today, … Default: 7 days before the end."),
    ] = None,
    until: Until = None,
    source: Source = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also write the report as one self-contained page.")
    ] = None,
    slo: Annotated[
        list[str] | None,
        typer.Option(
            "--slo",
            metavar="METRIC<LIMIT",
            help="A target: p99<500ms, max<=5s, stalls<5/day, episodes<=20, breaches<1%, stalled<0.5%."
            " Can be repeated; the exit code is 1 if one is missed, and 3 if none is, but one cannot be judged.",
        ),
    ] = None,
    trace_url: Annotated[
        str | None,
        typer.Option(
            "--trace-url",
            metavar="URL",
            help="Address of a trace in your viewer, for links on the page, e.g. 'https://tempo.example/{trace_id}'.",
        ),
    ] = None,
    form: Annotated[ReportFormat, typer.Option("--format", help="Form of the output.")] = ReportFormat.TEXT,
    compare: Annotated[
        str | None,
        typer.Option(
            "--compare",
            metavar="PERIOD",
            help="Compare with another period: previous (of the same length), or 2026-11-01..2026-11-07.",
        ),
    ] = None,
    before: Annotated[
        str | None,
        typer.Option(
            "--before", metavar="WHEN", help="Compare the time since then with the weeks before it (1 to 4 of them)."
        ),
    ] = None,
    after: Annotated[
        str | None,
        typer.Option("--after", metavar="WHEN", help="Start of the later period, if it is not that of --before."),
    ] = None,
) -> None:
    """Report whether the latency is tolerable; compare periods."""
    from otel_logtail.report.compared import compare_periods
    from otel_logtail.report.data import gather
    from otel_logtail.report.page import page
    from otel_logtail.report.periods import WEEK_NS
    from otel_logtail.report.rows import answer_of
    from otel_logtail.report.slo import parse_slo
    from otel_logtail.report.traces import parse_trace_url

    slos = [parse_slo(text) for text in slo or ()]
    traces = None if trace_url is None else parse_trace_url(trace_url)
    with open_reader(db, since, until, source) as reader, reader.snapshot():
        if since is None and before is None and after is None:
            until_ns = time.time_ns() if reader.until_ns is None else reader.until_ns
            reader.since_ns = until_ns - WEEK_NS
        periods = _periods(reader, compare, before, after)
        gathered = gather(reader if periods is None else reader.within(periods[1].since_ns, reader.until_ns), slos)
        comparison = None if periods is None else compare_periods(reader, *periods)
    options = (*(("--db", str(db)) if db else ()), *(("--source", source) if source else ()))

    def made() -> str:
        return page(gathered, comparison, made_ns=time.time_ns(), trace_url=traces, options=options)

    _print(gathered, comparison, form, made)
    if html is not None:
        _write(html, made())
        say(f"written to {html}")
    if text := str(reader.damage):
        say_error(f"the store is damaged: {text}")
    if slos and (code := _CODES[answer_of(gathered).outcome.value]):
        raise typer.Exit(code)


def _periods(
    reader: Reader, compare: str | None, before: str | None, after: str | None
) -> tuple[Period, Period] | None:
    """Return the two periods to compare, the earlier one first; None: there is no comparison."""
    from otel_logtail.query import extent
    from otel_logtail.report import periods
    from otel_logtail.text import parse_when

    if compare is not None and (before, after) != (None, None):
        raise UsageError(
            "--compare excludes --before and --after",
            hint="use --compare previous, or --before TIME for the weeks before and the time since",
        )
    if compare is None and before is None and after is None:
        return None
    now_ns = time.time_ns()
    until_ns = now_ns if reader.until_ns is None else reader.until_ns
    first_ns = extent(reader).first_ns
    if compare is not None:
        later = periods.Period(reader.bounds[0], until_ns)
        if compare.strip().lower() == "previous":
            return periods.previous(later, now_ns if first_ns is None else first_ns), later
        return periods.parse_range(compare, now_ns, "--compare"), later
    start, end = after or before or "", before or after or ""
    start_ns = parse_when(start, now_ns, where="--after" if after else "--before")
    end_ns = parse_when(end, now_ns, where="--before" if before else "--after")
    if not end_ns <= start_ns < until_ns:
        raise UsageError(
            f"no later period from {start}: it starts before the earlier one ends, or is not before the end",
            hint="give one time, such as --before 2026-11-18T10:20, or an --after that is later",
        )
    earlier = periods.before(end_ns, end_ns if first_ns is None else first_ns)
    if reader.since_ns is not None:
        if reader.since_ns >= end_ns:
            raise UsageError(f"--since is not before {end}", hint="it is the start of the earlier period")
        earlier = periods.Period(reader.since_ns, end_ns)
    return earlier, periods.Period(start_ns, until_ns)


def _print(gathered: Report, comparison: Comparison | None, form: ReportFormat, page: Callable[[], str]) -> None:
    from otel_logtail.cli.streams import encodable, is_colored, json_text

    color = _colored if form is ReportFormat.TEXT and is_colored(sys.stdout) else str
    with reader_may_leave():
        if form is ReportFormat.JSON:
            from otel_logtail.report.formats import as_json

            sys.stdout.write(json_text(as_json(gathered, comparison), sys.stdout) + "\n")
            return
        for line in _lines(gathered, comparison, form, page):
            sys.stdout.write(color(encodable(line, sys.stdout)) + "\n")


def _lines(
    gathered: Report, comparison: Comparison | None, form: ReportFormat, page: Callable[[], str]
) -> Iterable[str]:
    if form is ReportFormat.HTML:
        return page().splitlines()
    if form is ReportFormat.MARKDOWN:
        from otel_logtail.report.formats import markdown

        return markdown(gathered, comparison)
    from otel_logtail.cli.tables import terminal_width
    from otel_logtail.report.text import lines

    return lines(gathered, comparison, width=terminal_width(sys.stdout))


def _colored(line: str) -> str:
    """Color a verdict: a sentence, or the first words of a target's line."""
    for mark, words, code in (("✓", "met", 32), ("✗", "missed", 31), ("–", "not judged", 33)):
        if line.startswith(f"{mark} "):
            return f"\x1b[1;{code}m{line}\x1b[0m"
        line = line.replace(f"  {mark} {words}", f"  \x1b[{code}m{mark} {words}\x1b[0m", 1)
    return line


def _write(path: Path, text: str) -> None:
    from otel_logtail.ownfile import replace_own
    from otel_logtail.report.page import BEGINS

    try:
        replace_own(path, text.encode(), begins=BEGINS)
    except OSError as problem:
        raise LogtailError(
            f"cannot write --html {path}: {problem.strerror}",
            hint="pass a new file in a directory that you can write to",
        ) from None
