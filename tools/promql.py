"""PromQL of the dashboards: exact growth of counters, and percentiles that are at most the longest sample.

Each expression serves both kinds of histograms: classic ones (``NAME_bucket``, ``NAME_sum``, ``NAME_count``) and native
ones (``NAME``), which Prometheus makes of exponential histograms. It relies on these properties of our series:

- They are cumulative, begin with a 0 at their start, and never decrease; other bounds restart them with a 0.
- A maximum has a point only where the histogram grows.

``increase`` extrapolates beyond the first and the last point, which turns 11 stalls into 12. The exact growth is the
last value minus the value at the start; ``increase`` is used for a series that was restarted in the window.
"""

from __future__ import annotations

OURS = 'job=~"$source", instance=~"$instance"'
"""The label filter of the selected sources: service.name is job, service.instance.id is instance."""


def series(metric: str, more: str = "") -> str:
    """Return the selector of a metric of the selected sources."""
    return f"{metric}{{{OURS}, {more}}}" if more else f"{metric}{{{OURS}}}"


def growth(selected: str, window: str, earlier: str = "") -> str:
    """Return the growth of each of some counters in a window that ended some time earlier."""
    over = _over(selected, window, earlier)
    before = f"(last_over_time({_before(selected, window, earlier)}) or min_over_time({over}))"
    return f"(last_over_time({over}) - {before} >= 0 unless resets({over}) > 0 or increase({over}))"


def native_growth(selected: str, window: str, earlier: str = "") -> str:
    """Return the growth of each of some native histograms in a window that ended some time earlier.

    There is no ``min_over_time`` of them. A histogram without a value at the start began in the window, unless
    ``increase`` shows less.
    """
    over = _over(selected, window, earlier)
    last, risen = f"last_over_time({over})", f"increase({over})"
    more = f"({last} - last_over_time({_before(selected, window, earlier)}))"
    begun = f"{last} and histogram_count({last}) <= histogram_count({risen})"
    exact = f"({more} and histogram_count({more}) >= 0 or {begun})"
    return f"({exact} unless resets({over}) > 0 or {risen})"


def _over(selected: str, window: str, earlier: str) -> str:
    return f"{selected}[{window}] offset {earlier}" if earlier else f"{selected}[{window}]"


def _before(selected: str, window: str, earlier: str) -> str:
    """Return the last minutes before a window. A duration may have several units, such as ``1w15m``."""
    return f"{selected}[10m] offset {earlier}{window}"


def grown(metric: str, window: str, by: str = "", more: str = "") -> str:
    """Return the exact growth of counters in a window."""
    return f"{_sum(by)} ({growth(series(metric, more), window)})"


def _of_histogram(part: str, metric: str, window: str, by: str, more: str) -> str:
    classic = growth(series(f"{metric}_{part}", more), window)
    native = f"histogram_{part}({native_growth(series(metric, more), window)})"
    # a label keeps the two apart if the kind changed in the window
    return f'{_sum(by)} ({classic} or label_replace({native}, "_kind", "native", "", ""))'


def number(metric: str, window: str, by: str = "", more: str = "") -> str:
    """Return how many values a histogram got in a window."""
    return _of_histogram("count", metric, window, by, more)


def total(metric: str, window: str, by: str = "", more: str = "") -> str:
    """Return the sum of the values that a histogram got in a window."""
    return _of_histogram("sum", metric, window, by, more)


def buckets(metric: str, window: str) -> str:
    """Return the growth of a histogram's buckets in a window, for a heatmap."""
    classic = growth(series(f"{metric}_bucket"), window)
    return f"sum by (le) ({classic}) or sum({native_growth(series(metric), window)})"


def percentile(quantile: float, metric: str, window: str, by: str = "", earlier: str = "") -> str:
    """Return a percentile of the values that a histogram got in a window."""
    native = f"{_sum(by)} ({native_growth(series(metric), window, earlier)})"
    grouped = f"sum by ({', '.join(filter(None, ('le', by)))})"
    classic = f"{grouped} ({growth(series(f'{metric}_bucket'), window, earlier)})"
    # at an exact rank, such as the third of six values, Prometheus takes the next value, and the report the third
    below = f"{quantile - 1e-9:.9f}"
    return f"(histogram_quantile({below}, {native}) or histogram_quantile({below}, {classic}))"


def longest(metric: str, window: str, by: str = "", earlier: str = "") -> str:
    """Return the largest of some maxima in a window."""
    return f"max{f' by ({by})' if by else ''} (max_over_time({_over(series(metric), window, earlier)}))"


def capped(value: str, maximum: str, by: str = "") -> str:
    """Return a value, or a maximum with the same labels if that is less."""
    return f'min{f" by ({by})" if by else ""} ({value} or label_replace({maximum}, "_kind", "maximum", "", ""))'


def _sum(by: str) -> str:
    return f"sum by ({by})" if by else "sum"
