"""The dashboard of otel-logtail's own health."""

from __future__ import annotations

from tools.board import ANY_INSTANCE, ANY_IS_BAD, DATA_SOURCE, LEGEND, LINES, STAT, WINDOW
from tools.grafana import Heading, Json, Panel, Query, Row, dashboard


def health() -> Json:
    """Return the dashboard of otel-logtail's own health."""
    mine = 'instance=~"$instance"'

    def rate(metric: str, by: str) -> str:
        return f"sum by ({by}) (rate(otel_logtail_{metric}_total{{{mine}}}[$window]))"

    def since(metric: str) -> str:
        # some of these begin with their first event instead of a 0; they never decrease for one store
        name = f"otel_logtail_{metric}_total{{{mine}}}"
        before = f"(sum(last_over_time({name}[1h] offset $__range)) or vector(0))"
        return f"sum(last_over_time({name}[$__range])) - {before} or vector(0)"

    panels: list[Panel | Row] = [
        Panel(
            "stat",
            title,
            [Query(since(metric), instant=True)],
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
    heading = Heading(
        "otel-logtail-health",
        "otel-logtail health",
        "Health of otel-logtail itself.",
        "now-6h",
        [DATA_SOURCE, ANY_INSTANCE, WINDOW],
    )
    return dashboard(heading, panels)
