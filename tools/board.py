"""The common parts of the dashboards: variables, colors, and expressions of the latency.

``$event`` is the value of --event as a Prometheus name: ``log.overhead`` is ``log_overhead``. Counts, sums and maxima
are those of ``report``. Percentiles are computed from buckets: the error is at most a bucket's width, and 1 % if the
histograms are native.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from tools.grafana import LOKI, PROMETHEUS, Annotation, Link, Panel, Query, Variable, choice, data_source, labels_of
from tools.promql import OURS, capped, grown, longest, percentile

OK, DEGRADED, STALL = "#7db0e3", "#efb03d", "#ff6482"
"""The colors of the report on a dark page, which is Grafana's default."""

OTHER = "#a0a8b5"
SECONDS_STEPS = ((None, OK), (0.5, DEGRADED), (2.0, STALL))
ANY_IS_BAD = ((None, OK), (1, STALL))
LIMITS = {"degraded": DEGRADED, "stall": STALL}
SEVERITIES = {"ok": OK, **LIMITS}
STAT = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "background", "graphMode": "none"}
BARS = {"reduceOptions": {"calcs": ["lastNotNull"]}, "displayMode": "gradient", "orientation": "horizontal"}
LEGEND = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}
LINES = {"drawStyle": "line", "fillOpacity": 10, "showPoints": "never", "spanNulls": 3_600_000}
COLUMNS_OF_DAYS = {"drawStyle": "bars", "fillOpacity": 70, "stacking": {"mode": "normal", "group": "A"}}


def series(title: str, queries: Sequence[Query], text: str, **more: Any) -> Panel:
    """Return a panel of lines over time."""
    return Panel("timeseries", title, queries, text, **{"options": LEGEND, "custom": LINES, **more})


def stat(title: str, queries: Sequence[Query], text: str, **more: Any) -> Panel:
    """Return a low panel of numbers; their background has the color of their threshold."""
    return Panel("stat", title, queries, text, **{"height": 5, "options": STAT, **more})


def heatmap(title: str, query: Query, text: str, *, scheme: str, options: Mapping[str, Any] | None = None) -> Panel:
    """Return a panel of a histogram over time in seconds."""
    all_options = {
        "calculate": False,
        "cellGap": 1,
        "color": {"mode": "scheme", "scheme": scheme, "steps": 64, "exponent": 0.5},
        "yAxis": {"axisPlacement": "left", "unit": "s"},
        "tooltip": {"mode": "single"},
        "legend": {"show": True},
    }
    return Panel("heatmap", title, [query], text, unit="s", options={**all_options, **(options or {})})


DURATION, MAXIMUM, STAGE = (
    "${event}_duration_seconds",
    "${event}_max_duration_seconds",
    "${event}_stage_duration_seconds",
)
EPISODE, LONGEST = "${event}_episode_duration_seconds", "${event}_episode_max_duration_seconds"
EPISODES, BREACHES = "${event}_episodes_total", "${event}_breaches_total"

CAUSES = "wait: a free slot; read: the client's upload; compress: the program's own work; other: unexplained."

DATA_SOURCE = data_source("datasource", "Prometheus", "prometheus")
TEMPO = data_source("tempo", "Traces", "tempo")
MARKS = data_source("loki", "Marks", "loki")
_ANY_EVENT = '__name__=~".+_max_duration_seconds", __name__!~".+_episode_max_duration_seconds"'
EVENT = Variable(
    "event",
    "Event",
    "query",
    {
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "query": {"query": f"label_values({{{_ANY_EVENT}}}, __name__)", "refId": "event"},
        "regex": "/(.+)_max_duration_seconds/",
        "refresh": 2,
        "sort": 1,
        "multi": False,
        "includeAll": False,
        "current": {"text": "log_overhead", "value": "log_overhead"},
    },
)
SOURCE = labels_of("source", "Source", "label_values(${event}_max_duration_seconds, job)")
INSTANCE = labels_of("instance", "Instance", 'label_values(${event}_max_duration_seconds{job=~"$source"}, instance)')
ANY_INSTANCE = labels_of("instance", "Instance", "label_values(otel_logtail_samples_total, instance)")
SPLIT = choice("split", "Split by", ("headroom_path", "server_port", "job", "instance"), "headroom_path")
# idle series have a point every 2 minutes: a shorter window would sometimes be empty
WINDOW = choice("window", "Window", ("3m", "5m", "15m", "1h", "6h", "1d"), "15m")


def latency(quantile: float, window: str, by: str = "", earlier: str = "") -> str:
    """Return the expression of a percentile of the samples, at most the longest one."""
    return capped(percentile(quantile, DURATION, window, by, earlier), longest(MAXIMUM, window, by, earlier), by)


def thresholds() -> list[Query]:
    """Return the thresholds of the selected sources as lines over the whole range."""
    line = f'last_over_time(otel_logtail_threshold_seconds{{{OURS}, severity="%s"}}[1d] @ end())'
    return [
        Query(f"max by (job, severity) ({line % severity})", "{{severity}}: threshold of {{job}}")
        for severity in ("degraded", "stall")
    ]


def traces(more: str = "") -> Link:
    """Return the link from a value to the traces of the episodes in the dashboard's range."""
    found = f'resource.service.name =~ "$source" && resource.service.instance.id =~ "$instance"{more}'
    query = {
        "refId": "A",
        "datasource": {"type": "tempo", "uid": "${tempo}"},
        "queryType": "traceql",
        "query": f'{{ name =~ ".*[.]episode" && {found} }}',
    }
    pane = {"datasource": "${tempo}", "queries": [query], "range": {"from": "${__from}", "to": "${__to}"}}
    # Grafana replaces the variables, whose $ and braces must stay; it encodes nothing
    panes = quote(json.dumps({"traces": pane}, separators=(",", ":")), safe="${}:,[]")
    return Link("Traces of these episodes", f"/explore?schemaVersion=1&orgId=1&panes={panes}")


def marks_on_time() -> list[Annotation]:
    """Return the marks on the time axes: stalls, and starts and marks by hand from the log records."""
    stalled = grown(EPISODES, "$__interval", "job, cause", 'severity="stall"')
    return [
        Annotation("Stalls", PROMETHEUS, f"{stalled} > 0", STALL, "Stall", "{{job}}: {{cause}}", step="60s"),
        # a breach has no body, a mark has; logs of other programs have no log.record.uid
        Annotation(
            "Marks", LOKI, '{service_name=~"$source"} |~ ".+" | log_record_uid != ""', OTHER, "Mark", "{{__line__}}"
        ),
    ]
