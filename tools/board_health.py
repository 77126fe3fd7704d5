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


_EXPORTED = "otel_sdk_exporter_{}_exported_total"
_REFUSED = f'{{__name__=~"{_EXPORTED.format(".+")}", error_type!="", {_MINE}}}'
_EXPORTS = f"otel_sdk_exporter_operation_duration_seconds{{}}{{{{{_MINE}}}}}"


def _total(metric: str) -> str:
    return f"otel_logtail_{metric}_total{{{_MINE}}}"


def _since(name: str) -> str:
    # some of these begin with their first event instead of a 0; they never decrease for one store
    before = f"(sum(last_over_time({name}[1h] offset $__range)) or vector(0))"
    return f"sum(last_over_time({name}[$__range])) - {before} or vector(0)"


def _problems() -> list[Panel]:
    return [
        stat(title, [Query(_since(name), instant=True)], text, width=4, steps=ANY_IS_BAD)
        for title, name, text in (
            ("Drift", _total("drift"), "Lines that cannot be parsed: the log format changed, so samples are missing."),
            ("Rejected", _total("rejected"), "Lines that can be parsed but cannot be true: forged or out of range."),
            ("Oversized", _total("oversized"), "Lines that are too long and were skipped."),
            ("Refused", _REFUSED, "Points, spans and log records that a receiver rejected or refused."),
            ("Failures", _total("exporter_failures"), "Deliveries that failed and were retried."),
            ("Dropped", _total("dropped"), "Items deleted from the store before an exporter had sent them."),
        )
    ]


def _delivered(signal: str) -> str:
    name = _EXPORTED.format(signal)
    return f'sum by (otel_component_name, instance) (rate({name}{{{_MINE}, error_type=""}}[$window]))'


def _time_in_exports() -> str:
    native, classic = (f"rate({_EXPORTS.format(part)}[$window])" for part in ("", "_sum"))
    return f"sum by (otel_component_name, instance) ({classic} or histogram_sum({native}))"


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
                Query(_delivered(signal), f"{{{{otel_component_name}}}} {{{{instance}}}}: {text}")
                for signal, text in (("metric_data_point", "points"), ("span", "spans"), ("log", "log records"))
            ],
            "Records accepted by the receivers, per second.",
        ),
        series(
            "Time in exports",
            [Query(_time_in_exports(), "{{otel_component_name}} {{instance}}")],
            "Seconds of exporting per second. An export counts when it ends, so a peak follows each outage.",
            unit="s",
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
