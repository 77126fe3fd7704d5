"""The dashboard of otel-logtail's own health."""

from __future__ import annotations

from tools.board import ANY_INSTANCE, ANY_IS_BAD, DATA_SOURCE, WINDOW, series, stat
from tools.grafana import Heading, Json, Panel, Query, dashboard


def health() -> Json:
    """Return the dashboard of otel-logtail's own health."""
    heading = Heading(
        "otel-logtail-health",
        "otel-logtail health",
        "Health of otel-logtail itself.",
        "now-6h",
        [DATA_SOURCE, ANY_INSTANCE, WINDOW],
    )
    return dashboard(heading, [*_problems(), *_progress()])


_MINE = 'instance=~"$instance"'


def _rate(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate(otel_logtail_{metric}_total{{{_MINE}}}[$window]))"


def _since(metric: str) -> str:
    # some of these begin with their first event instead of a 0; they never decrease for one store
    name = f"otel_logtail_{metric}_total{{{_MINE}}}"
    before = f"(sum(last_over_time({name}[1h] offset $__range)) or vector(0))"
    return f"sum(last_over_time({name}[$__range])) - {before} or vector(0)"


def _problems() -> list[Panel]:
    return [
        stat(title, [Query(_since(metric), instant=True)], text, width=4, steps=ANY_IS_BAD)
        for title, metric, text in (
            ("Drift", "drift", "Lines that cannot be parsed: the log format changed, so samples are missing."),
            ("Rejected", "rejected", "Lines that can be parsed but cannot be true: forged or out of range."),
            ("Oversized", "oversized", "Lines that are too long and were skipped."),
            ("Refused", "exporter_refused", "Items that a receiver rejected or refused."),
            ("Failures", "exporter_failures", "Deliveries that failed and were retried."),
            ("Dropped", "dropped", "Items deleted from the store before an exporter had sent them."),
        )
    ]


def _progress() -> list[Panel]:
    return [
        series(
            "Behind",
            [Query(f"sum by (job, instance) (otel_logtail_behind_bytes{{{_MINE}}})", "{{job}} {{instance}}")],
            "Unread bytes of the logs.",
            unit="bytes",
        ),
        series(
            "Pending",
            [
                Query(
                    f"sum by (otel_component_name, instance) (otel_logtail_exporter_pending{{{_MINE}}})",
                    "{{otel_component_name}} {{instance}}",
                )
            ],
            "Items in the store that are not delivered yet.",
        ),
        series(
            "Read",
            [Query(_rate("bytes", "job, instance"), "{{job}} {{instance}}")],
            "Bytes read from the logs, per second.",
            unit="Bps",
        ),
        series(
            "Samples",
            [Query(_rate("samples", "job, instance"), "{{job}} {{instance}}")],
            "Samples read from the logs, per second.",
        ),
        series(
            "Delivered",
            [
                Query(
                    _rate("exporter_delivered", "otel_component_name, instance"), "{{otel_component_name}} {{instance}}"
                )
            ],
            "Items accepted by the receivers, per second.",
        ),
        series(
            "Lines without a sample",
            [
                Query(_rate("drift", "job"), "drift {{job}}"),
                Query(_rate("rejected", "job, reason"), "rejected {{job}}: {{reason}}"),
                Query(_rate("ignored", "job"), "ignored {{job}}"),
            ],
            "Lines with the observer's marker that gave no sample, per second.",
        ),
        series(
            "Failed deliveries",
            [
                Query(
                    _rate("exporter_failures", "otel_component_name, instance"), "{{otel_component_name}} {{instance}}"
                )
            ],
            "Failed delivery attempts per second.",
        ),
        series(
            "Store size",
            [Query(f"max by (instance) (otel_logtail_store_size_bytes{{{_MINE}}})", "{{instance}}")],
            "Bytes on disk, including the write-ahead log.",
            unit="bytes",
        ),
    ]
