"""The lines of the screen, from a moment, a width and a height. Pure.

Lines that matter less are left out of a small screen: first free lines and the plot, then episodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timezone, tzinfo
from itertools import groupby
from textwrap import wrap
from typing import TYPE_CHECKING

import msgspec
from rich.text import Text

from otel_logtail.cli.watch.model import RECENT_NS, Moment, Waiting
from otel_logtail.cli.watch.plot import LABEL, Glyphs, plot, sparkline
from otel_logtail.report.answer import MARKS, Answer
from otel_logtail.report.judge import Outcome
from otel_logtail.text import number as counted
from otel_logtail.text import parse_when, printable, short, size, span

if TYPE_CHECKING:
    from otel_logtail.query.episodes import EpisodeRow

KEYS = ("q quit  p pause  + - zoom  e episodes  ? help", "q quit  p pause  ? help", "q quit  ? help")
"""The keys, as many as there is room for."""

HELP = (
    ("q", "quit"),
    ("p", "pause, and continue"),
    ("+", "zoom in: less time in each column"),
    ("-", "zoom out: more time in each column"),
    ("e", "all episodes of the last 24 hours"),
    ("?", "this help"),
)
_COLORS = {Outcome.MET: "green", Outcome.MISSED: "red", Outcome.UNJUDGED: "yellow"}
_SEVERITIES = {"degraded": "yellow", "stall": "bold red"}
_LABEL = LABEL + 2  # the width of the axis
_NAMES = 10  # that of the names of thresholds
_MOST_ROWS, _LEAST_ROWS = 20, 5


class View(msgspec.Struct, frozen=True):
    """The way in which a moment is shown.

    Args:
        width: The number of characters in a line.
        height: The number of lines.
        tz: The time zone of times; None: the local one.
        glyphs: The characters of plots.
        fit: Makes a text safe for the terminal, in its encoding.
        shows: What is shown: ``plot``, ``episodes`` or ``help``.
        is_paused: The screen does not change.
    """

    width: int
    height: int
    tz: tzinfo | None = None
    glyphs: Glyphs = Glyphs()
    fit: Callable[[str], str] = printable
    shows: str = "plot"
    is_paused: bool = False


def columns_of(width: int) -> int:
    """Return the number of columns of the plot in a width."""
    return max(1, width - _LABEL - (_NAMES if width >= 60 else 0))


def lines(moment: Moment | Waiting, view: View) -> list[Text]:
    """Return the lines of the screen, at most as many as its height."""
    if isinstance(moment, Waiting):
        found = [_sides("otel-logtail watch", _clock(moment.now_ns, view), view), Text()]
        found += [*_wrapped(moment.why, view, "yellow"), *_wrapped(moment.hint, view)]
        found += [Text()] * (view.height - 1 - len(found))
        return _cut([*found[: view.height - 1], _sides("", "q quit", view)], view)
    top = [_header(moment, view), *_verdict(moment.today, view)]
    if moment.damage:
        top.append(_text(f"the store is damaged: {moment.damage}", view, "red"))
    top.append(_figures(moment, view))
    bottom = [_footer(moment, view)]
    free = view.height - len(top) - len(bottom)
    if view.shows == "help":
        body = [Text(), *(Text(f"  {key}  {text}") for key, text in HELP)]
    elif view.shows == "episodes":
        body = _episodes(moment, view, free)
    else:
        body, is_airy = _body(moment, view, free)
        if is_airy:
            top.insert(len(top) - 1, Text())
            top.append(Text())
    body = body[:free]
    body += [Text()] * (view.height - len(top) - len(body) - len(bottom))
    return _cut([*top, *body, *bottom], view)


def line(moment: Moment | Waiting, tz: tzinfo | None = None) -> str:
    """Return a moment as one line of text, for an output that is not a terminal."""
    when = f"{_local(moment.now_ns, tz):%Y-%m-%d %H:%M:%S}"
    if isinstance(moment, Waiting):
        return printable(f"{when}  {moment.why}")
    is_open = sum(episode.open for episode in moment.episodes)
    parts = [
        f"{when}  {moment.title}",
        *_figures_of(moment),
        f"{counted(len(moment.episodes), 'episode')} in 24 h, {is_open} open",
        *(_exporter(moment, number) for number in range(len(moment.exporters))),
        _state(moment),
        "" if moment.today is None else _today(moment.today),
    ]
    return printable("  ".join(part for part in parts if part))


# --- parts --------------------------------------------------------------------------------------------------------


def _header(moment: Moment, view: View) -> Text:
    left, clock = f"{moment.title}  {_state(moment)}", _clock(moment.now_ns, view)
    return _sides(left, clock if len(left) + len(clock) + 4 <= view.width else "", view, "bold")


def _state(moment: Moment) -> str:
    behind = f"{size(moment.behind)} behind" if moment.behind else "up to date"
    return f"{counted(moment.files, 'file')}, {behind}{'' if moment.is_running else ', no daemon runs'}"


def _verdict(today: Answer | None, view: View) -> list[Text]:
    """Return the verdict, on two lines if they are needed; free, until there is one."""
    if today is None:
        return [Text()]
    return _wrapped(f"{MARKS[today.outcome]} {_today(today)}", view, _COLORS[today.outcome], indent="  ")[:2]


def _today(today: Answer) -> str:
    return f"Today {today.sentence[0].lower()}{today.sentence[1:]}"


def _figures(moment: Moment, view: View) -> Text:
    gap, found = "    " if view.width >= 60 else "  ", _figures_of(moment)
    while len(found) > 1 and len(gap.join(found)) > view.width - 4:
        found.pop()
    return _sides(gap.join(found), f"last {RECENT_NS // (60 * 10**9)} min" if view.width >= 60 else "", view, "bold")


def _figures_of(moment: Moment) -> list[str]:
    recent = moment.recent
    if not recent.per_minute:
        return ["no samples in the last 5 min"]
    rate = f"{recent.per_minute:,.0f}" if recent.per_minute >= 10 else f"{recent.per_minute:.1f}"
    figures = (("p50", recent.p50_ms), ("p99", recent.p99_ms), ("max", recent.max_ms))
    return [f"{rate}/min", *(f"{name} {short(ms)}" for name, ms in figures)]


def _footer(moment: Moment, view: View) -> Text:
    order = sorted(range(len(moment.exporters)), key=lambda number: moment.exporters[number].last_error is None)
    left = "; ".join(_exporter(moment, number) for number in order) or "no exporter"
    forms = [f"{'paused  ' if view.is_paused else ''}{keys}" for keys in KEYS]
    keys = next((form for form in forms if len(left) + len(form) + 4 <= view.width), forms[-1])
    room = max(0, view.width - len(keys) - 4)
    shown = Text(view.fit(left), style="" if all(e.last_error is None for e in moment.exporters) else "yellow")
    shown.truncate(room, overflow="ellipsis" if view.glyphs == Glyphs() else "crop")
    return _between(shown, Text(keys, style="dim"), view)


def _exporter(moment: Moment, number: int) -> str:
    exporter = moment.exporters[number]
    waiting = f"{exporter.pending:,} waiting" if exporter.pending else "up to date"
    if exporter.last_error is None:
        return f"{exporter.name}: {waiting}"
    return f"{exporter.name}: failing, {waiting} ({exporter.last_error})"


def _body(moment: Moment, view: View, free: int) -> tuple[list[Text], bool]:
    """Return the lines between the figures and the footer, and whether there is room for free lines."""
    around = 5 + 2  # axis, its times, the sparkline, two lines of episodes, and free lines
    rows = min(_MOST_ROWS, free - around - 2)
    if rows < _LEAST_ROWS:
        spark = [_spark(moment, view)] if free > 2 else []
        return [*spark, *_episodes(moment, view, free - len(spark))], False
    drawn = [*_plot(moment, view, rows), *_times(moment, view), _spark(moment, view)]
    return [*drawn, *_episodes(moment, view, free - 2 - len(drawn))], True


def _plot(moment: Moment, view: View, rows: int) -> list[Text]:
    glyphs = view.glyphs
    colors = {glyphs.slow: "yellow", glyphs.stall: "bold red", glyphs.line: "dim"}
    found = []
    for row in plot([column.buckets for column in moment.columns], moment.thresholds_ms, rows, glyphs):
        text = Text(f"{row.label:>{_LABEL - 2}} {glyphs.axis}", style="")
        for style, signs in groupby(row.cells, lambda sign: colors.get(sign, "")):
            text.append("".join(signs), style)
        if row.threshold and view.width >= 60:
            text.append(f" {row.threshold}", _SEVERITIES[row.threshold])
        found.append(text)
    return found


def _times(moment: Moment, view: View) -> list[Text]:
    number, step_ns, every = len(moment.columns), moment.step_s * 10**9, 15
    first = moment.now_ns // step_ns - number + 1
    form = "%H:%M" if moment.step_s >= 60 else "%H:%M:%S"
    base, labels = "", " " * _LABEL
    for place in range(number):
        is_tick = place % every == 0
        base += view.glyphs.tick if is_tick else view.glyphs.base
        if is_tick and place + len("00:00:00") + 2 < number - len("now"):
            labels = labels.ljust(_LABEL + place) + f"{_local((first + place) * step_ns, view.tz):{form}}"
    labels = labels.ljust(_LABEL + number - len("now")) + "now"
    return [Text(" " * (_LABEL - 1) + view.glyphs.corner + base), Text(labels)]


def _spark(moment: Moment, view: View) -> Text:
    shown = sparkline([column.count for column in moment.columns], view.glyphs)
    most = max((column.count for column in moment.columns), default=0)
    text = Text(f"{'samples':>{_LABEL - 2}}  {shown}")
    if view.width >= 60 and most:
        text.append(f" {most:,}", "dim")
    return text


_HEADING = ("start", "ago", "duration", "slowest", "samples", "severity", "cause")


def _episodes(moment: Moment, view: View, free: int) -> list[Text]:
    """Return the newest episodes: a heading and as many as there is room for."""
    if free < 1:
        return []
    if not moment.episodes:
        return [Text(" no episodes in the last 24 h", "dim")]
    rows = [_episode_cells(episode, moment, view) for episode in moment.episodes[: max(1, free - 1)]]
    widths = [max(map(len, column)) for column in zip(_HEADING, *rows, strict=True)]
    while len(widths) > 2 and sum(widths) + 2 * len(widths) > view.width:
        widths.pop()
    found = [Text(_aligned(_HEADING, widths), "dim")] if free > 1 else []
    for cells, episode in zip(rows, moment.episodes, strict=False):
        found.append(Text(_aligned(cells, widths), "bold red" if episode.open else ""))
        found[-1].highlight_words([episode.severity], _SEVERITIES.get(episode.severity, ""))
    return found


def _episode_cells(episode: EpisodeRow, moment: Moment, view: View) -> tuple[str, ...]:
    start_ns = parse_when(episode.start, 0)
    end_ns = parse_when(episode.end, 0)
    ago = "open" if episode.open else f"{span((moment.now_ns - end_ns) / 1e9)} ago"
    cells = (
        f"{_local(start_ns, view.tz):%H:%M:%S}",
        ago,
        short(episode.duration_ms),
        short(episode.peak_ms),
        f"{episode.count:,}",
        episode.severity,
        episode.cause,
    )
    return tuple(map(view.fit, cells))


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    sides = (">" if 1 <= place <= 4 else "<" for place in range(len(widths)))
    return " " + "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(cells, sides, widths, strict=False))


# --- lines --------------------------------------------------------------------------------------------------------


def _local(time_ns: int, tz: tzinfo | None) -> datetime:
    return datetime.fromtimestamp(time_ns / 1e9, timezone.utc).astimezone(tz)


def _clock(now_ns: int, view: View) -> str:
    return f"{_local(now_ns, view.tz):{'%a %d %b %H:%M:%S %Z' if view.width >= 60 else '%H:%M:%S'}}"


def _text(text: str, view: View, style: str = "") -> Text:
    return Text(f" {view.fit(text)}", style)


def _wrapped(text: str, view: View, style: str = "", indent: str = "") -> list[Text]:
    parts = wrap(view.fit(text), max(20, view.width - 2), subsequent_indent=indent)
    return [Text(f" {part}", style) for part in parts]


def _sides(left: str, right: str, view: View, style: str = "") -> Text:
    return _between(Text(view.fit(left), style), Text(view.fit(right)), view)


def _between(left: Text, right: Text, view: View) -> Text:
    """Return a line with text on both sides; the left one is cut if there is no room for both."""
    room = view.width - 2 - right.cell_len
    if left.cell_len > room - 2:
        left.truncate(max(0, room - 2))
    return Text(" ") + left + Text(" " * max(0, room - left.cell_len)) + right


def _cut(found: list[Text], view: View) -> list[Text]:
    for text in found:
        text.truncate(view.width)
        text.no_wrap, text.end = True, "\n"
    return found[: view.height]
