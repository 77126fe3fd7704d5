"""The dashboard of the latency."""

from __future__ import annotations

from tools.board import (
    BARS,
    BREACHES,
    CAUSES,
    COLUMNS_OF_DAYS,
    DATA_SOURCE,
    DEGRADED,
    DURATION,
    EPISODE,
    EPISODES,
    EVENT,
    INSTANCE,
    LIMITS,
    MARKS,
    MAXIMUM,
    OK,
    OTHER,
    SECONDS_STEPS,
    SEVERITIES,
    SOURCE,
    SPLIT,
    STAGE,
    STALL,
    STAT,
    TEMPO,
    WINDOW,
    heatmap,
    latency,
    marks_on_time,
    series,
    stat,
    thresholds,
    traces,
)
from tools.grafana import Heading, Json, Panel, Query, Row, dashboard
from tools.promql import buckets, grown, longest, number, percentile, total


def overhead() -> Json:
    """Return the dashboard of the latency, its stalls and their causes."""
    heading = Heading(
        "otel-logtail-overhead",
        "Overhead",
        "Latency percentiles, stalls and their causes.",
        "now-24h",
        [DATA_SOURCE, TEMPO, MARKS, EVENT, SOURCE, INSTANCE, SPLIT, WINDOW],
        marks_on_time(),
    )
    return dashboard(
        heading,
        [Row("Latency"), *_figures(), *_latency(), Row("Stalls"), *_causes(), Row("Breakdown"), *_breakdown()],
    )


def _figures() -> list[Panel]:
    in_stalls = total(EPISODE, "$__range", "job, instance", 'severity="stall"')
    return [
        stat(
            "p50, p90, p99, max",
            [
                *(
                    Query(latency(quantile, "$__range"), f"p{quantile * 100:g}", instant=True)
                    for quantile in (0.5, 0.9, 0.99)
                ),
                Query(longest(MAXIMUM, "$__range"), "max", instant=True),
            ],
            "Percentiles over the whole range: 50 %, 90 % and 99 % of the samples were faster.",
            unit="s",
            width=9,
            steps=SECONDS_STEPS,
        ),
        stat(
            "p99 a week before",
            [Query(latency(0.99, "$__range", earlier="1w"), "p99", instant=True)],
            "The same range, seven days earlier.",
            unit="s",
            width=3,
            steps=SECONDS_STEPS,
        ),
        stat(
            "Samples",
            [Query(number(DURATION, "$__range"), instant=True)],
            "Number of measured requests.",
            width=3,
            options={**STAT, "colorMode": "value"},
        ),
        stat(
            "Slow samples",
            [Query(grown(BREACHES, "$__range", "severity"), "{{severity}}", instant=True)],
            "Samples at or above the threshold (degraded) or the stall threshold (stall).",
            width=4,
            steps=((None, OK), (1, DEGRADED)),
            colors=SEVERITIES,
        ),
        stat(
            "Time in stalls",
            [Query(f"max(clamp_max({in_stalls} / $__range_s, 1)) or vector(0)", instant=True)],
            "Share of the range that the worst instance spent in stalls.",
            unit="percentunit",
            width=5,
            decimals=2,
            steps=((None, OK), (0.001, DEGRADED), (0.01, STALL)),
        ),
    ]


def _latency() -> list[Panel]:
    return [
        series(
            "Percentiles",
            [
                Query(latency(0.5, "$window"), "p50"),
                Query(latency(0.9, "$window"), "p90"),
                Query(latency(0.99, "$window"), "p99", exemplars=True),
                Query(longest(MAXIMUM, "$window"), "max"),
                Query(latency(0.99, "$window", earlier="1w"), "before: p99 of the week before"),
                *thresholds(),
            ],
            "Each point covers the window selected above. Dashed lines are the thresholds, and p99 a week before.",
            unit="s",
            colors={"p50": OK, "before": OTHER, "degraded": DEGRADED, "stall": STALL},
            dashed=("before", "degraded", "stall"),
            link=traces(),
        ),
        heatmap(
            "Latency heatmap",
            Query(buckets(DURATION, "$__interval"), "{{le}}", exemplars=True, heatmap=True, step="1m"),
            "Number of samples by duration. A dot is one slow sample; it links to the trace of its episode.",
            scheme="Blues",
            options={"exemplars": {"color": STALL}, "tooltip": {"mode": "single", "yHistogram": True}},
        ),
    ]


def _causes() -> list[Panel]:
    return [
        series(
            "Episodes per day",
            [Query(grown(EPISODES, "1d", "severity"), "{{severity}}", step="1d")],
            "Slow samples that follow each other closely are one episode. It is a stall if one of them is.",
            custom=COLUMNS_OF_DAYS,
            colors=SEVERITIES,
            link=traces(' && span.severity = "${__field.labels.severity}"'),
        ),
        Panel(
            "bargauge",
            "Causes of slow samples",
            [Query(grown(BREACHES, "$__range", "cause"), "{{cause}}", instant=True)],
            CAUSES,
            width=6,
            options=BARS,
            link=traces(' && span.cause = "${__field.labels.cause}"'),
        ),
        Panel(
            "bargauge",
            "Slowest stages (p99)",
            [Query(f"topk(8, {percentile(0.99, STAGE, '$__range', 'stage')})", "{{stage}}", instant=True)],
            "99 % of the runs of this stage were faster.",
            unit="s",
            width=6,
            steps=SECONDS_STEPS,
            options=BARS,
        ),
    ]


def _breakdown() -> list[Panel]:
    return [
        series(
            "p99 by $split",
            [Query(latency(0.99, "$window", "$split"), "{{$split}}"), *thresholds()],
            "Split by the attribute selected above. The observer defines the attributes.",
            unit="s",
            link=traces(),
            colors=LIMITS,
            dashed=tuple(LIMITS),
        ),
        series(
            "p99 by instance",
            [Query(latency(0.99, "$window", "job, instance"), "{{job}} {{instance}}"), *thresholds()],
            "An instance is the store of one otel-logtail (service.instance.id).",
            unit="s",
            link=traces(),
            colors=LIMITS,
            dashed=tuple(LIMITS),
        ),
        series(
            "Samples per minute by $split",
            [Query(f"{number(DURATION, '$__interval', '$split')} / ($__interval_ms / 60000)", "{{$split}}", step="1m")],
            "Measured traffic.",
        ),
        series(
            "Mean time in each stage",
            [Query(f"{total(STAGE, '$window', 'stage')} / scalar({number(DURATION, '$window')})", "{{stage}}")],
            "Mean time per sample in each stage. Stages may overlap, so the sum can exceed the total.",
            unit="s",
        ),
    ]
