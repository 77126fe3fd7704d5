"""The dashboards in collector-config/grafana/dashboards: `make dashboards` writes them, a test says they are written.

What the expressions rest on:

- Series are cumulative, begin with a 0 at their start and never go back.
- ``$event`` is the name given by --event, as Prometheus has it: ``log.overhead`` is ``log_overhead``.
- Percentiles come from buckets: they are within a bucket's width of the truth (the store's own are within 1 %).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.grafana import (
    Json,
    Panel,
    Query,
    Row,
    Traces,
    Variable,
    choice,
    dashboard,
    data_source,
    labels_of,
)

FOLDER = Path(__file__).resolve().parent.parent / "collector-config" / "grafana" / "dashboards"

OURS = 'job=~"$source", instance=~"$instance"'
"""What picks the chosen sources out of a metric's series: service.name is job, service.instance.id is instance."""

GREEN, YELLOW, ORANGE, RED, BLUE = "green", "yellow", "orange", "red", "blue"
SECONDS_STEPS = ((None, GREEN), (0.5, YELLOW), (2.0, RED))
ANY_IS_BAD = ((None, GREEN), (1, RED))
STAT = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "background", "graphMode": "none"}
BARS = {"reduceOptions": {"calcs": ["lastNotNull"]}, "displayMode": "gradient", "orientation": "horizontal"}
LEGEND = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}
LINES = {"drawStyle": "line", "fillOpacity": 10, "showPoints": "never", "spanNulls": 3_600_000}
COLUMNS_OF_DAYS = {"drawStyle": "bars", "fillOpacity": 70, "stacking": {"mode": "normal", "group": "A"}}

CAUSES = "wait: a free slot; read: the client's upload; compress: the program's own work; other: unexplained."

DATA_SOURCE = data_source("datasource", "Prometheus", "prometheus")
TEMPO = data_source("tempo", "Traces", "tempo")
EVENT = Variable(
    "event",
    "Event",
    "query",
    {
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "query": {"query": 'label_values({__name__=~".+_stage_duration_seconds_count"}, __name__)', "refId": "event"},
        "regex": "/(.+)_stage_duration_seconds_count/",
        "refresh": 2,
        "sort": 1,
        "multi": False,
        "includeAll": False,
        "current": {"text": "log_overhead", "value": "log_overhead"},
    },
)
SOURCE = labels_of("source", "Source", "label_values(${event}_duration_seconds_count, job)")
INSTANCE = labels_of("instance", "Instance", 'label_values(${event}_duration_seconds_count{job=~"$source"}, instance)')
ANY_INSTANCE = labels_of("instance", "Instance", "label_values(otel_logtail_samples_total, instance)")
SPLIT = choice("split", "Split by", ("headroom_path", "server_port", "job", "instance"), "headroom_path")
# silent series have a point every two minutes: a shorter window would be empty now and then
WINDOW = choice("window", "Window", ("3m", "5m", "15m", "1h", "6h", "1d"), "15m")


def percentile(quantile: float, metric: str, window: str, by: str = "", more: str = "", offset: str = "") -> str:
    """A percentile of a histogram over a window."""
    labels = f"{OURS}, {more}" if more else OURS
    groups = f"le, {by}" if by else "le"
    over = f"{metric}_bucket{{{labels}}}[{window}]{' offset ' + offset if offset else ''}"
    return f"histogram_quantile({quantile:g}, sum by ({groups}) (increase({over})))"


def grown(metric: str, window: str, by: str = "", more: str = "") -> str:
    """By how much counters have grown in a window, exactly.

    ``increase`` guesses what lies beyond the first and the last point, which turns 11 stalls into 12. Our counters
    never go back (a new store is another instance), so it is what they are now less what they were at the beginning.
    """
    series = f"{metric}{{{OURS}, {more}}}" if more else f"{metric}{{{OURS}}}"
    before = f"(last_over_time({series}[10m] offset {window}) or min_over_time({series}[{window}]))"
    return f"sum{f' by ({by})' if by else ''} (last_over_time({series}[{window}]) - {before})"


def overhead() -> Json:
    """Can I tolerate it?"""
    duration, stage = "${event}_duration_seconds", "${event}_stage_duration_seconds"
    time_stalled = grown("${event}_episode_duration_seconds_sum", "$__range", "job, instance", 'severity="stall"')
    panels: list[Panel | Row] = [
        Row("Can I tolerate it?"),
        Panel(
            "stat",
            "p50, p90, p99",
            [
                Query(percentile(quantile, duration, "$__range"), f"p{quantile * 100:g}", instant=True)
                for quantile in (0.5, 0.9, 0.99)
            ],
            "Over the whole range of the dashboard. Half, nine in ten, and ninety-nine in a hundred were faster.",
            unit="s",
            width=9,
            height=5,
            steps=SECONDS_STEPS,
            options=STAT,
        ),
        Panel(
            "stat",
            "p99 a week before",
            [Query(percentile(0.99, duration, "$__range", offset="1w"), "p99", instant=True)],
            "The same range, seven days earlier.",
            unit="s",
            width=3,
            height=5,
            steps=SECONDS_STEPS,
            options=STAT,
        ),
        Panel(
            "stat",
            "Samples",
            [Query(grown(f"{duration}_count", "$__range"), instant=True)],
            "Requests whose overhead was measured.",
            width=3,
            height=5,
            options={**STAT, "colorMode": "value"},
        ),
        Panel(
            "stat",
            "Slow samples",
            [Query(grown("${event}_breaches_total", "$__range", "severity"), "{{severity}}", instant=True)],
            "Samples that reached the threshold (degraded), and the stall threshold.",
            width=4,
            height=5,
            steps=((None, GREEN), (1, ORANGE)),
            options=STAT,
        ),
        Panel(
            "stat",
            "Time stalled",
            [
                Query(
                    f"max(clamp_max({time_stalled} / $__range_s, 1)) or vector(0)",
                    instant=True,
                )
            ],
            "Share of the time in which the worst instance was in a stall.",
            unit="percentunit",
            width=5,
            height=5,
            decimals=2,
            steps=((None, GREEN), (0.001, YELLOW), (0.01, RED)),
            options=STAT,
        ),
        Panel(
            "timeseries",
            "Percentiles, and p99 a week before",
            [
                Query(percentile(0.5, duration, "$window"), "p50"),
                Query(percentile(0.9, duration, "$window"), "p90"),
                Query(percentile(0.99, duration, "$window"), "p99", exemplars=True),
                Query(percentile(0.99, duration, "$window", offset="1w"), "p99 a week before"),
            ],
            "Each point looks back over the window chosen above.",
            unit="s",
            options=LEGEND,
            custom=LINES,
        ),
        Panel(
            "heatmap",
            "Where the samples lie",
            [
                Query(
                    f"sum by (le) (increase({duration}_bucket{{{OURS}}}[$__interval]))",
                    "{{le}}",
                    exemplars=True,
                    heatmap=True,
                    step="1m",
                )
            ],
            "How many samples took how long. A dot is one slow sample: it leads to its stall's trace.",
            unit="s",
            options={
                "calculate": False,
                "cellGap": 1,
                "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5},
                "exemplars": {"color": "rgba(255,0,255,0.7)"},
                "yAxis": {"axisPlacement": "left", "unit": "s"},
                "tooltip": {"mode": "single", "yHistogram": True},
                "legend": {"show": True},
            },
        ),
        Row("Stalls"),
        Panel(
            "timeseries",
            "Stalls a day",
            [
                Query(
                    grown("${event}_episodes_total", "1d", "severity"),
                    "{{severity}}",
                    step="1d",
                )
            ],
            "Episodes: slow samples close together are one, however many requests it hit.",
            options=LEGEND,
            custom=COLUMNS_OF_DAYS,
        ),
        Panel(
            "bargauge",
            "Causes of slow samples",
            [Query(grown("${event}_breaches_total", "$__range", "cause"), "{{cause}}", instant=True)],
            CAUSES,
            width=6,
            options=BARS,
        ),
        Panel(
            "bargauge",
            "Worst stages (p99)",
            [Query(f"topk(8, {percentile(0.99, stage, '$__range', 'stage')})", "{{stage}}", instant=True)],
            "Ninety-nine in a hundred runs of this stage were faster.",
            unit="s",
            width=6,
            steps=SECONDS_STEPS,
            options=BARS,
        ),
        Row("Apart"),
        Panel(
            "timeseries",
            "p99 by $split",
            [Query(percentile(0.99, duration, "$window", "$split"), "{{$split}}")],
            "Split by the attribute chosen above; the observer says which there are.",
            unit="s",
            options=LEGEND,
            custom=LINES,
        ),
        Panel(
            "timeseries",
            "p99 by instance",
            [Query(percentile(0.99, duration, "$window", "job, instance"), "{{job}} {{instance}}")],
            "An instance is one otel-logtail's store (service.instance.id).",
            unit="s",
            options=LEGEND,
            custom=LINES,
        ),
        Panel(
            "timeseries",
            "Samples a minute by $split",
            [
                Query(
                    f"sum by ($split) (rate({duration}_count{{{OURS}}}[$window])) * 60",
                    "{{$split}}",
                )
            ],
            "The traffic that was measured.",
            options=LEGEND,
            custom=LINES,
        ),
        Panel(
            "timeseries",
            "Time spent in each stage",
            [
                Query(
                    f"sum by (stage) (rate({stage}_sum{{{OURS}}}[$window]))"
                    f" / scalar(sum(rate({duration}_count{{{OURS}}}[$window])))",
                    "{{stage}}",
                )
            ],
            "Mean seconds of a sample that went into each stage. Stages may overlap: they need not add up.",
            unit="s",
            options=LEGEND,
            custom=LINES,
        ),
    ]
    return dashboard(
        "otel-logtail-overhead",
        "Overhead",
        "Can the upstream's overhead be tolerated?",
        [DATA_SOURCE, EVENT, SOURCE, INSTANCE, SPLIT, WINDOW],
        panels,
        since="now-24h",
    )


def stalls() -> Json:
    """Each episode, and how they are spread."""
    episode = "${event}_episode_duration_seconds"
    found = 'resource.service.name =~ "$source" && resource.service.instance.id =~ "$instance"'
    panels: list[Panel | Row] = [
        Panel(
            "table",
            "Episodes",
            [
                Traces(
                    f'{{ name =~ ".*[.]episode" && {found} }}'
                    " | select(status, span.severity, span.cause, span.count, span.peak_ms, span.dominant_stage)"
                )
            ],
            "From the traces. The trace shows an event for each slow sample.",
            unit="none",
            width=24,
            height=10,
            options={"showHeader": True, "cellHeight": "sm"},
        ),
        Panel(
            "timeseries",
            "Episodes an hour",
            [Query(grown("${event}_episodes_total", "1h", "severity"), "{{severity}}", step="1h")],
            "When they happen.",
            options=LEGEND,
            custom=COLUMNS_OF_DAYS,
        ),
        Panel(
            "timeseries",
            "How long they last",
            [Query(percentile(quantile, episode, "$window"), f"p{quantile * 100:g}") for quantile in (0.5, 0.9, 1.0)],
            "p100 is the upper end of the bucket that holds the longest.",
            unit="s",
            options=LEGEND,
            custom={**LINES, "showPoints": "always", "spanNulls": False},
        ),
        Panel(
            "heatmap",
            "Durations",
            [
                Query(
                    f"sum by (le) (increase({episode}_bucket{{{OURS}}}[$__interval]))",
                    "{{le}}",
                    exemplars=True,
                    heatmap=True,
                    step="5m",
                )
            ],
            "How many episodes lasted how long.",
            unit="s",
            options={
                "calculate": False,
                "cellGap": 1,
                "color": {"mode": "scheme", "scheme": "Reds", "steps": 64, "exponent": 0.5},
                "yAxis": {"axisPlacement": "left", "unit": "s"},
                "tooltip": {"mode": "single"},
                "legend": {"show": True},
            },
        ),
        Panel(
            "timeseries",
            "Slow samples an hour by cause",
            [Query(grown("${event}_breaches_total", "1h", "cause"), "{{cause}}", step="1h")],
            CAUSES,
            options=LEGEND,
            custom=COLUMNS_OF_DAYS,
        ),
        Panel(
            "stat",
            "Episodes",
            [Query(grown("${event}_episodes_total", "$__range", "severity"), "{{severity}}", instant=True)],
            "In the whole range.",
            width=6,
            height=5,
            steps=((None, GREEN), (1, ORANGE)),
            options=STAT,
        ),
        Panel(
            "stat",
            "Slow samples in an episode",
            [
                Query(
                    f"{grown('${event}_breaches_total', '$__range')} / {grown('${event}_episodes_total', '$__range')}",
                    instant=True,
                )
            ],
            "How many requests a stall hits.",
            decimals=1,
            width=6,
            height=5,
            options={**STAT, "colorMode": "value"},
        ),
        Panel(
            "stat",
            "Mean duration",
            [
                Query(
                    f"{grown(f'{episode}_sum', '$__range')} / {grown(f'{episode}_count', '$__range')}",
                    instant=True,
                )
            ],
            "Of the episodes in the whole range.",
            unit="s",
            width=6,
            height=5,
            options={**STAT, "colorMode": "value"},
        ),
        Panel(
            "stat",
            "Time in episodes",
            [Query(grown(f"{episode}_sum", "$__range"), instant=True)],
            "Summed over all instances: tolerable ones (degraded) too.",
            unit="s",
            width=6,
            height=5,
            options={**STAT, "colorMode": "value"},
        ),
    ]
    return dashboard(
        "otel-logtail-stalls",
        "Stalls",
        "Each episode, and how they are spread.",
        [DATA_SOURCE, TEMPO, EVENT, SOURCE, INSTANCE, WINDOW],
        panels,
        since="now-7d",
    )


def health() -> Json:
    """Is otel-logtail itself well?"""
    mine = 'instance=~"$instance"'

    def rate(metric: str, by: str) -> str:
        return f"sum by ({by}) (rate(otel_logtail_{metric}_total{{{mine}}}[$window]))"

    def total(metric: str) -> str:
        # some of these begin with their first event, not with a 0; they never go back while a store lives
        name = f"otel_logtail_{metric}_total{{{mine}}}"
        before = f"(sum(last_over_time({name}[1h] offset $__range)) or vector(0))"
        return f"sum(last_over_time({name}[$__range])) - {before} or vector(0)"

    panels: list[Panel | Row] = [
        Panel(
            "stat",
            title,
            [Query(total(metric), instant=True)],
            text,
            width=4,
            height=5,
            steps=ANY_IS_BAD,
            options=STAT,
        )
        for title, metric, text in (
            ("Drift", "drift", "Lines that can't be read: the log's format changed, and samples are being missed."),
            ("Rejected", "rejected", "Lines that can be read and can't be true: forged, or out of bounds."),
            ("Oversized", "oversized", "Lines too long to be looked at."),
            ("Refused", "exporter_refused", "Items that a receiver rejected or refused."),
            ("Failures", "exporter_failures", "Deliveries that had to be tried again."),
            ("Dropped", "dropped", "Items that left the store before an exporter had them."),
        )
    ]
    panels += [
        Panel(
            "timeseries",
            "Behind",
            [Query(f"sum by (job, instance) (otel_logtail_behind_bytes{{{mine}}})", "{{job}} {{instance}}")],
            "Bytes of the logs that are still to be read.",
            unit="bytes",
            options=LEGEND,
            custom=LINES,
        ),
        Panel(
            "timeseries",
            "Pending",
            [
                Query(
                    f"sum by (exporter, instance) (otel_logtail_exporter_pending{{{mine}}})",
                    "{{exporter}} {{instance}}",
                )
            ],
            "Items in the store that wait for delivery.",
            options=LEGEND,
            custom=LINES,
        ),
        Panel(
            "timeseries",
            "Read",
            [Query(rate("bytes", "job, instance"), "{{job}} {{instance}}")],
            "Bytes of the logs.",
            unit="Bps",
            options=LEGEND,
            custom=LINES,
        ),
        Panel(
            "timeseries",
            "Samples",
            [Query(rate("samples", "job, instance"), "{{job}} {{instance}}")],
            "Samples a second that were taken out of the logs.",
            options=LEGEND,
            custom=LINES,
        ),
        Panel(
            "timeseries",
            "Delivered",
            [Query(rate("exporter_delivered", "exporter, instance"), "{{exporter}} {{instance}}")],
            "Items a second that the receivers have.",
            options=LEGEND,
            custom=LINES,
        ),
        Panel(
            "timeseries",
            "Lines without a sample",
            [
                Query(rate("drift", "job"), "drift {{job}}"),
                Query(rate("rejected", "job, reason"), "rejected {{job}}: {{reason}}"),
                Query(rate("ignored", "job"), "ignored {{job}}"),
            ],
            "Lines a second with the observer's marker that gave none.",
            options=LEGEND,
            custom=LINES,
        ),
        Panel(
            "timeseries",
            "Failed deliveries",
            [Query(rate("exporter_failures", "exporter, instance"), "{{exporter}} {{instance}}")],
            "Tries a second that the receiver did not take.",
            options=LEGEND,
            custom=LINES,
        ),
        Panel(
            "timeseries",
            "Size of the store",
            [Query(f"max by (instance) (otel_logtail_store_size_bytes{{{mine}}})", "{{instance}}")],
            "On disk, its log of changes included.",
            unit="bytes",
            options=LEGEND,
            custom=LINES,
        ),
    ]
    return dashboard(
        "otel-logtail-health",
        "otel-logtail health",
        "Is otel-logtail itself well?",
        [DATA_SOURCE, ANY_INSTANCE, WINDOW],
        panels,
        since="now-6h",
    )


def files() -> Iterator[tuple[str, str]]:
    """Each file's name and what is in it."""
    for name, made in (("overhead", overhead()), ("stalls", stalls()), ("health", health())):
        yield f"{name}.json", json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    """Write the files; returns the exit code."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in files():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(FOLDER / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
