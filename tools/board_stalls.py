"""The dashboard of the episodes."""

from __future__ import annotations

from tools.board import (
    BREACHES,
    CAUSES,
    COLUMNS_OF_DAYS,
    DATA_SOURCE,
    DEGRADED,
    EPISODE,
    EPISODES,
    EVENT,
    INSTANCE,
    LINES,
    LONGEST,
    MARKS,
    OK,
    SEVERITIES,
    SOURCE,
    STALL,
    STAT,
    TEMPO,
    WINDOW,
    heatmap,
    marks_on_time,
    series,
    stat,
    traces,
)
from tools.grafana import Heading, Json, Panel, Query, Traces, dashboard
from tools.promql import buckets, capped, grown, longest, number, percentile, total


def stalls() -> Json:
    """Return the dashboard of the episodes."""
    heading = Heading(
        "otel-logtail-stalls",
        "Stalls",
        "Each episode, and when episodes occur.",
        "now-7d",
        [DATA_SOURCE, TEMPO, MARKS, EVENT, SOURCE, INSTANCE, WINDOW],
        marks_on_time(),
    )
    return dashboard(heading, [*_episodes(), *_totals()])


def _episodes() -> list[Panel]:
    found = 'resource.service.name =~ "$source" && resource.service.instance.id =~ "$instance"'
    return [
        Panel(
            "table",
            "Episodes",
            [
                Traces(
                    f'{{ name =~ ".*[.]episode" && {found} }}'
                    " | select(status, span.severity, span.cause, span.count, span.peak_ms, span.dominant_stage)"
                )
            ],
            "Episodes found in Tempo. A trace shows one event per slow sample.",
            unit="none",
            width=24,
            height=10,
            options={"showHeader": True, "cellHeight": "sm"},
        ),
        series(
            "Episodes per hour",
            [Query(grown(EPISODES, "1h", "severity"), "{{severity}}", step="1h")],
            "Number of episodes that ended in each hour.",
            custom=COLUMNS_OF_DAYS,
            colors=SEVERITIES,
            link=traces(' && span.severity = "${__field.labels.severity}"'),
        ),
        series(
            "Episode duration",
            [
                *(
                    Query(
                        capped(percentile(quantile, EPISODE, "$window"), longest(LONGEST, "$window")),
                        f"p{quantile * 100:g}",
                    )
                    for quantile in (0.5, 0.9)
                ),
                Query(longest(LONGEST, "$window"), "max"),
            ],
            "Percentiles and the longest of the episodes that ended in the window selected above.",
            unit="s",
            custom={**LINES, "showPoints": "always", "spanNulls": False},
            colors={"p50": OK, "max": STALL},
            link=traces(),
        ),
        heatmap(
            "Duration heatmap",
            Query(buckets(EPISODE, "$__interval"), "{{le}}", exemplars=True, heatmap=True, step="5m"),
            "Number of episodes by duration.",
            scheme="Reds",
        ),
        series(
            "Slow samples per hour by cause",
            [Query(grown(BREACHES, "1h", "cause"), "{{cause}}", step="1h")],
            CAUSES,
            custom=COLUMNS_OF_DAYS,
            link=traces(' && span.cause = "${__field.labels.cause}"'),
        ),
    ]


def _totals() -> list[Panel]:
    value = {**STAT, "colorMode": "value"}
    time_in = total(EPISODE, "$__range")
    return [
        stat(
            "Number of episodes",
            [Query(grown(EPISODES, "$__range", "severity"), "{{severity}}", instant=True)],
            "Episodes that ended in the range.",
            width=5,
            steps=((None, OK), (1, DEGRADED)),
            colors=SEVERITIES,
        ),
        stat(
            "Slow samples per episode",
            [Query(f"{grown(BREACHES, '$__range')} / {grown(EPISODES, '$__range')}", instant=True)],
            "Mean number of slow requests in an episode.",
            decimals=1,
            width=5,
            options=value,
        ),
        stat(
            "Mean and longest episode",
            [
                Query(f"{time_in} / {number(EPISODE, '$__range')}", "mean", instant=True),
                Query(longest(LONGEST, "$__range"), "longest", instant=True),
            ],
            "Durations of the episodes that ended in the range.",
            unit="s",
            width=6,
            options=value,
        ),
        stat(
            "Time in episodes",
            [Query(time_in, instant=True)],
            "Sum over all instances and severities.",
            unit="s",
            width=4,
            options=value,
        ),
        stat(
            "Time in stalls",
            [Query(total(EPISODE, "$__range", more='severity="stall"'), instant=True)],
            "Sum over all instances, of the episodes that are stalls.",
            unit="s",
            width=4,
            options=value,
        ),
    ]
