"""The dashboards in collector-config/grafana/dashboards. ``make dashboards`` writes them; a test checks that.

The expressions rely on these properties:

- Series are cumulative, begin with a 0 at their start and never decrease.
- ``$event`` is the value of --event as a Prometheus name: ``log.overhead`` is ``log_overhead``.
- Percentiles are computed from buckets: the error is at most a bucket's width (1 % in the store).
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
"""The label filter of the selected sources: service.name is job, service.instance.id is instance."""

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
# idle series have a point every 2 minutes: a shorter window would sometimes be empty
WINDOW = choice("window", "Window", ("3m", "5m", "15m", "1h", "6h", "1d"), "15m")


def percentile(quantile: float, metric: str, window: str, by: str = "", more: str = "", offset: str = "") -> str:
    """Return the expression of a percentile of a histogram over a window."""
    labels = f"{OURS}, {more}" if more else OURS
    groups = f"le, {by}" if by else "le"
    over = f"{metric}_bucket{{{labels}}}[{window}]{' offset ' + offset if offset else ''}"
    return f"histogram_quantile({quantile:g}, sum by ({groups}) (increase({over})))"


def grown(metric: str, window: str, by: str = "", more: str = "") -> str:
    """Return the expression of the exact growth of counters in a window.

    ``increase`` extrapolates beyond the first and the last point, which turns 11 stalls into 12. Our counters never
    decrease (a new store is another instance), so the growth is the last value minus the value at the start.
    """
    series = f"{metric}{{{OURS}, {more}}}" if more else f"{metric}{{{OURS}}}"
    before = f"(last_over_time({series}[10m] offset {window}) or min_over_time({series}[{window}]))"
    return f"sum{f' by ({by})' if by else ''} (last_over_time({series}[{window}]) - {before})"


def overhead() -> Json:
    """Return the dashboard of the latency, its stalls and their causes."""
    duration, stage = "${event}_duration_seconds", "${event}_stage_duration_seconds"
    time_stalled = grown("${event}_episode_duration_seconds_sum", "$__range", "job, instance", 'severity="stall"')
    panels: list[Panel | Row] = [
        Row("Latency"),
        Panel(
            "stat",
            "p50, p90, p99",
            [
                Query(percentile(quantile, duration, "$__range"), f"p{quantile * 100:g}", instant=True)
                for quantile in (0.5, 0.9, 0.99)
            ],
            "Percentiles over the whole range: 50 %, 90 % and 99 % of the samples were faster.",
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
            "Number of measured requests.",
            width=3,
            height=5,
            options={**STAT, "colorMode": "value"},
        ),
        Panel(
            "stat",
            "Slow samples",
            [Query(grown("${event}_breaches_total", "$__range", "severity"), "{{severity}}", instant=True)],
            "Samples at or above the threshold (degraded) or the stall threshold (stall).",
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
            "Share of the range that the worst instance spent in stalls.",
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
            "Each point covers the window selected above.",
            unit="s",
            options=LEGEND,
            custom=LINES,
        ),
        Panel(
            "heatmap",
            "Latency heatmap",
            [
                Query(
                    f"sum by (le) (increase({duration}_bucket{{{OURS}}}[$__interval]))",
                    "{{le}}",
                    exemplars=True,
                    heatmap=True,
                    step="1m",
                )
            ],
            "Number of samples by duration. A dot is one slow sample; it links to the trace of its stall.",
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
            "Stalls per day",
            [
                Query(
                    grown("${event}_episodes_total", "1d", "severity"),
                    "{{severity}}",
                    step="1d",
                )
            ],
            "Number of episodes. Slow samples that follow each other closely are one episode.",
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
            "Slowest stages (p99)",
            [Query(f"topk(8, {percentile(0.99, stage, '$__range', 'stage')})", "{{stage}}", instant=True)],
            "99 % of the runs of this stage were faster.",
            unit="s",
            width=6,
            steps=SECONDS_STEPS,
            options=BARS,
        ),
        Row("Breakdown"),
        Panel(
            "timeseries",
            "p99 by $split",
            [Query(percentile(0.99, duration, "$window", "$split"), "{{$split}}")],
            "Split by the attribute selected above. The observer defines the attributes.",
            unit="s",
            options=LEGEND,
            custom=LINES,
        ),
        Panel(
            "timeseries",
            "p99 by instance",
            [Query(percentile(0.99, duration, "$window", "job, instance"), "{{job}} {{instance}}")],
            "An instance is the store of one otel-logtail (service.instance.id).",
            unit="s",
            options=LEGEND,
            custom=LINES,
        ),
        Panel(
            "timeseries",
            "Samples per minute by $split",
            [
                Query(
                    f"sum by ($split) (rate({duration}_count{{{OURS}}}[$window])) * 60",
                    "{{$split}}",
                )
            ],
            "Measured traffic.",
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
            "Mean time per sample in each stage. Stages may overlap, so the sum can exceed the total.",
            unit="s",
            options=LEGEND,
            custom=LINES,
        ),
    ]
    return dashboard(
        "otel-logtail-overhead",
        "Overhead",
        "Latency percentiles, stalls and their causes.",
        [DATA_SOURCE, EVENT, SOURCE, INSTANCE, SPLIT, WINDOW],
        panels,
        since="now-24h",
    )


def stalls() -> Json:
    """Return the dashboard of the episodes."""
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
            "Episodes found in Tempo. A trace shows one event per slow sample.",
            unit="none",
            width=24,
            height=10,
            options={"showHeader": True, "cellHeight": "sm"},
        ),
        Panel(
            "timeseries",
            "Episodes per hour",
            [Query(grown("${event}_episodes_total", "1h", "severity"), "{{severity}}", step="1h")],
            "Number of episodes in each hour.",
            options=LEGEND,
            custom=COLUMNS_OF_DAYS,
        ),
        Panel(
            "timeseries",
            "Episode duration",
            [Query(percentile(quantile, episode, "$window"), f"p{quantile * 100:g}") for quantile in (0.5, 0.9, 1.0)],
            "p100 is the upper bound of the bucket of the longest episode.",
            unit="s",
            options=LEGEND,
            custom={**LINES, "showPoints": "always", "spanNulls": False},
        ),
        Panel(
            "heatmap",
            "Duration heatmap",
            [
                Query(
                    f"sum by (le) (increase({episode}_bucket{{{OURS}}}[$__interval]))",
                    "{{le}}",
                    exemplars=True,
                    heatmap=True,
                    step="5m",
                )
            ],
            "Number of episodes by duration.",
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
            "Slow samples per hour by cause",
            [Query(grown("${event}_breaches_total", "1h", "cause"), "{{cause}}", step="1h")],
            CAUSES,
            options=LEGEND,
            custom=COLUMNS_OF_DAYS,
        ),
        Panel(
            "stat",
            "Episodes",
            [Query(grown("${event}_episodes_total", "$__range", "severity"), "{{severity}}", instant=True)],
            "Number of episodes in the whole range.",
            width=6,
            height=5,
            steps=((None, GREEN), (1, ORANGE)),
            options=STAT,
        ),
        Panel(
            "stat",
            "Slow samples per episode",
            [
                Query(
                    f"{grown('${event}_breaches_total', '$__range')} / {grown('${event}_episodes_total', '$__range')}",
                    instant=True,
                )
            ],
            "Mean number of slow requests in an episode.",
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
            "Mean duration of the episodes in the whole range.",
            unit="s",
            width=6,
            height=5,
            options={**STAT, "colorMode": "value"},
        ),
        Panel(
            "stat",
            "Time in episodes",
            [Query(grown(f"{episode}_sum", "$__range"), instant=True)],
            "Sum over all instances and severities.",
            unit="s",
            width=6,
            height=5,
            options={**STAT, "colorMode": "value"},
        ),
    ]
    return dashboard(
        "otel-logtail-stalls",
        "Stalls",
        "Each episode, and when episodes occur.",
        [DATA_SOURCE, TEMPO, EVENT, SOURCE, INSTANCE, WINDOW],
        panels,
        since="now-7d",
    )


def health() -> Json:
    """Return the dashboard of otel-logtail's own health."""
    mine = 'instance=~"$instance"'

    def rate(metric: str, by: str) -> str:
        return f"sum by ({by}) (rate(otel_logtail_{metric}_total{{{mine}}}[$window]))"

    def total(metric: str) -> str:
        # some of these begin with their first event instead of a 0; they never decrease for one store
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
            ("Drift", "drift", "Lines that cannot be parsed: the log format changed, so samples are missing."),
            ("Rejected", "rejected", "Lines that can be parsed but cannot be true: forged or out of range."),
            ("Oversized", "oversized", "Lines that are too long and were skipped."),
            ("Refused", "exporter_refused", "Items that a receiver rejected or refused."),
            ("Failures", "exporter_failures", "Deliveries that failed and were retried."),
            ("Dropped", "dropped", "Items deleted from the store before an exporter had sent them."),
        )
    ]
    panels += [
        Panel(
            "timeseries",
            "Behind",
            [Query(f"sum by (job, instance) (otel_logtail_behind_bytes{{{mine}}})", "{{job}} {{instance}}")],
            "Unread bytes of the logs.",
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
            "Items in the store that are not delivered yet.",
            options=LEGEND,
            custom=LINES,
        ),
        Panel(
            "timeseries",
            "Read",
            [Query(rate("bytes", "job, instance"), "{{job}} {{instance}}")],
            "Bytes read from the logs, per second.",
            unit="Bps",
            options=LEGEND,
            custom=LINES,
        ),
        Panel(
            "timeseries",
            "Samples",
            [Query(rate("samples", "job, instance"), "{{job}} {{instance}}")],
            "Samples read from the logs, per second.",
            options=LEGEND,
            custom=LINES,
        ),
        Panel(
            "timeseries",
            "Delivered",
            [Query(rate("exporter_delivered", "exporter, instance"), "{{exporter}} {{instance}}")],
            "Items accepted by the receivers, per second.",
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
            "Lines with the observer's marker that gave no sample, per second.",
            options=LEGEND,
            custom=LINES,
        ),
        Panel(
            "timeseries",
            "Failed deliveries",
            [Query(rate("exporter_failures", "exporter, instance"), "{{exporter}} {{instance}}")],
            "Failed delivery attempts per second.",
            options=LEGEND,
            custom=LINES,
        ),
        Panel(
            "timeseries",
            "Store size",
            [Query(f"max by (instance) (otel_logtail_store_size_bytes{{{mine}}})", "{{instance}}")],
            "Bytes on disk, including the write-ahead log.",
            unit="bytes",
            options=LEGEND,
            custom=LINES,
        ),
    ]
    return dashboard(
        "otel-logtail-health",
        "otel-logtail health",
        "Health of otel-logtail itself.",
        [DATA_SOURCE, ANY_INSTANCE, WINDOW],
        panels,
        since="now-6h",
    )


def files() -> Iterator[tuple[str, str]]:
    """Yield the name and the content of each file."""
    for name, made in (("overhead", overhead()), ("stalls", stalls()), ("health", health())):
        yield f"{name}.json", json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    """Write the files and return the exit code."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in files():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(FOLDER / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
