"""`otel-logtail report`: figures on the terminal, as a page, and as an exit code."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from otel_logtail.cli.errors import reader_may_leave, say, say_error
from otel_logtail.cli.help import Command
from otel_logtail.cli.options import OUTPUT, SERVE_PORT, Db, Since, Slos, Source, Until
from otel_logtail.cli.question import Question
from otel_logtail.errors import LogtailError, UsageError

if TYPE_CHECKING:
    from otel_logtail.report.compare import Comparison
    from otel_logtail.report.data import Report


class ReportFormat(str, Enum):
    """Forms of a report."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"
    HTML = "html"


_CODES = {"met": 0, "missed": 1, "not judged": 3}


class ReportCommand(Command):
    """The command line of ``report``. The value of ``--serve`` may be left out, which typer has no option for."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, with the default value after a bare ``--serve``."""
        words = list(args)
        if "--serve" in words:
            place = words.index("--serve") + 1
            if place == len(words) or words[place].startswith("-"):
                words.insert(place, str(SERVE_PORT))
        return super().parse_args(ctx, words)


Html = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Also write the report as one self-contained page.")
]
TraceUrl = Annotated[
    str | None,
    typer.Option(
        "--trace-url",
        metavar="URL",
        help="Address of a trace in your viewer, for links on the page, e.g. 'https://tempo.example/{trace_id}'.",
    ),
]
Serve = Annotated[
    str | None,
    typer.Option(
        "--serve",
        metavar="[PORT]",
        help=f"Serve the page on this machine until Ctrl-C. Default port: {SERVE_PORT}; 0: a free one.",
    ),
]
Form = Annotated[ReportFormat, typer.Option("--format", help="Output format.", rich_help_panel=OUTPUT)]
Compare = Annotated[
    str | None,
    typer.Option(
        "--compare",
        metavar="PERIOD",
        help="Compare with another period: previous (of the same length), or 2026-11-01..2026-11-07.",
    ),
]
Marks = Annotated[
    list[str] | None,
    typer.Option(
        "--mark",
        metavar="NAME=TIME",
        help="A mark for this report only, e.g. 'upgrade 0.42=2026-11-20T10:00'. Can be repeated.",
    ),
]
Before = Annotated[
    str | None,
    typer.Option("--before", metavar="WHEN", help="Compare the time since WHEN with the 1 to 4 weeks before it."),
]
After = Annotated[
    str | None,
    typer.Option("--after", metavar="WHEN", help="Start of the later period. Default: the time of --before."),
]


def report(
    db: Db = None,
    since: Since = None,
    until: Until = None,
    source: Source = None,
    html: Html = None,
    slo: Slos = None,
    trace_url: TraceUrl = None,
    serve: Serve = None,
    form: Form = ReportFormat.TEXT,
    compare: Compare = None,
    mark: Marks = None,
    before: Before = None,
    after: After = None,
) -> None:
    """Report whether the latency is tolerable; compare periods.

    Without --since the report covers the last 7 days. The exit code is 1 if a target of --slo is missed, and 3 if none
    is missed but one cannot be judged.

    Example: otel-logtail report --since 24h --slo 'p99<500ms' --slo 'stalls<5/day'
    """
    from otel_logtail.report.since import parse_mark
    from otel_logtail.report.slo import parse_slo
    from otel_logtail.report.traces import parse_trace_url

    slos = list(dict.fromkeys(parse_slo(text) for text in slo or ()))
    marks = [parse_mark(text, time.time_ns()) for text in mark or ()]
    traces = None if trace_url is None else parse_trace_url(trace_url)
    question = Question(db, since, until, source, slos, compare, before, after, marks)
    if serve is None:
        _show(question, form, html, traces)
    elif html is None and form is ReportFormat.TEXT:
        from otel_logtail.cli.serve import serve_pages

        serve_pages(question, serve, traces)
    else:
        raise UsageError("--serve excludes --html and --format", hint="the site has /report.json and /report.md")


def _show(question: Question, form: ReportFormat, html: Path | None, trace_url: str | None) -> None:
    """Print a report, write its page, and exit with the code of the verdict."""
    from otel_logtail.report.page import page
    from otel_logtail.report.rows import answer_of

    gathered, comparison, damage = question.answer()

    def made() -> str:
        return page(gathered, comparison, made_ns=time.time_ns(), trace_url=trace_url, options=question.store_options)

    _print(gathered, comparison, form, made)
    if html is not None:
        _write(html, made())
        say(f"written to {html}")
    if damage:
        say_error(f"the store is damaged: {damage}")
    if question.slos and (code := _CODES[answer_of(gathered).outcome.value]):
        raise typer.Exit(code)


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
    from otel_logtail.text import reason_of

    try:
        replace_own(path, text.encode(), begins=BEGINS)
    except OSError as problem:
        raise LogtailError(
            f"cannot write --html {path}: {reason_of(problem)}",
            hint="pass a new file in a directory that you can write to",
        ) from None
