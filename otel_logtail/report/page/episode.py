"""Pages that only a server has: one episode, and the newest episodes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from otel_logtail.model import Severity
from otel_logtail.query import EpisodeRow
from otel_logtail.report.page import document
from otel_logtail.report.page.html import Table, join, tag
from otel_logtail.report.page.model import Model
from otel_logtail.report.page.stalls import opened
from otel_logtail.report.stalls import LongStall
from otel_logtail.report.words import column, day, measured, moment
from otel_logtail.text import number, parse_when

MOST_SAMPLES = 500
"""The largest number of slow samples on the page of an episode."""


def episode_page(stall: LongStall, model: Model) -> str:
    """Return the page of one episode: its slow samples with their stages and traces."""
    episode = stall.episode
    slow = number(episode.count, "slow sample")
    state = f"{slow} so far, still open" if episode.open else slow
    name = "Stall" if episode.severity == Severity.STALL.label else "Degraded episode"
    alone = msgspec.structs.replace(model, served=None)
    parts = [
        tag("p", tag("a", f"← {model.report.title}", href="/"), " · ", tag("b", episode.source), class_="kicker"),
        tag("h1", f"{name} of {measured(episode.duration_ms)}, {_began(episode, model)}"),
        tag("p", f"Cause: {episode.cause}; slowest: {measured(episode.peak_ms)}; {state}.", class_="lede"),
        tag("section", opened(stall, alone, MOST_SAMPLES)),
    ]
    return document(f"Episode {_began(episode, model)}", tag("main", join(parts, "\n")))


def episodes_page(episodes: Sequence[EpisodeRow], model: Model) -> str:
    """Return the page of some episodes, each with a link to its own page."""
    served = model.served
    address = served.episode if served else ""
    columns = [
        [tag("a", _began(episode, model), href=address + episode.span_id) for episode in episodes],
        column([episode.duration_ms for episode in episodes]),
        column([episode.peak_ms for episode in episodes]),
        [f"{episode.count:,}" for episode in episodes],
        ["open" if episode.open else "" for episode in episodes],
        [tag("span", episode.severity, class_=f"word {episode.severity}") for episode in episodes],
        [episode.cause for episode in episodes],
        [episode.source for episode in episodes],
    ]
    table = Table(
        caption="The newest episodes",
        columns=["began", "duration", "slowest", "samples", "", "severity", "cause", "source"],
        rows=list(zip(*columns, strict=True)),
        sides="lrrrllll",
    )
    parts = [
        tag("p", tag("a", f"← {model.report.title}", href="/"), class_="kicker"),
        tag("h1", f"The newest {len(episodes):,} episodes" if episodes else "No episodes in this range"),
        *([tag("section", tag("div", table.markup(), class_="scroll"))] if episodes else []),
    ]
    return document("Episodes", tag("main", join(parts, "\n")))


def _began(episode: EpisodeRow, model: Model) -> str:
    began = moment(parse_when(episode.start, 0), model.tz)
    return f"{day(began)} {began:%H:%M:%S}"
