"""Every query of every panel, rule and alert on a real Prometheus, compared with the program's own answers.

The data: nine sparse days on two ports, every real capture shifted to the last hours, a dense hour and two hours of
storms. A collector sends it as classic histograms, and further stores send it directly as native ones. All of it is
history when it arrives.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from math import ceil
from typing import Any

import pytest

from tests.support.collector import CONFIGS
from tests.support.grafana import DAY_S, HOUR_S, Asked, Data, World, all_dashboards, filled, questions, world_in
from tests.support.prometheus import Labels, find_prometheus
from tests.support.waiting import bound_s
from tools import dashboards

STORES = ("sparse", "captures", "dense", "storms", "sparse, native", "dense, native", "storms, native")
EMPTY_WHEN_ALL_IS_WELL = {
    # nothing is rejected in the made-up days; some of it is in the captures, but only once
    "otel-logtail health: Lines without a sample: rejected {{job}}: {{reason}}",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("world")) as made:
        yield made


# --- the files --------------------------------------------------------------------------------------------------------


def test_the_files_are_what_is_generated() -> None:
    made = dict(dashboards.files())
    assert {path.name: path.read_text(encoding="utf-8") for path in dashboards.FOLDER.iterdir()} == made


@pytest.mark.parametrize("made", all_dashboards(), ids=lambda made: str(made["uid"]))
def test_panels_have_ids_of_their_own_and_do_not_overlap(made: dict[str, Any]) -> None:
    assert made["id"] is None
    for key in ("id", "title"):
        values = [panel[key] for panel in made["panels"]]
        assert len(set(values)) == len(values)
    taken: set[tuple[int, int]] = set()
    for panel in made["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + i, place["y"] + j) for i in range(place["w"]) for j in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("made", all_dashboards(), ids=lambda made: str(made["uid"]))
def test_every_variable_that_is_used_is_there_and_every_one_there_is_used(made: dict[str, Any]) -> None:
    named = {variable["name"] for variable in made["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]+)\b", json.dumps(made)))
    assert used == named


@pytest.mark.parametrize("made", all_dashboards(), ids=lambda made: str(made["uid"]))
def test_panels_have_a_description_a_unit_and_rising_thresholds(made: dict[str, Any]) -> None:
    for panel in made["panels"]:
        if panel["type"] == "row":
            continue
        assert panel["description"].endswith("."), panel["title"]
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults["unit"] in {"short", "none", "s", "percentunit", "bytes", "Bps"}, panel["title"]
        steps = [step["value"] for step in defaults.get("thresholds", {}).get("steps", [])]
        assert steps[:1] in ([], [None]), panel["title"]
        assert steps[1:] == sorted(set(steps[1:])), panel["title"]


def links() -> Iterator[str]:
    for made in all_dashboards():
        for panel in made["panels"]:
            for link in panel.get("fieldConfig", {}).get("defaults", {}).get("links", []):
                yield link["url"]


def test_a_link_to_the_traces_is_a_query_of_tempo_in_the_same_range() -> None:
    found = set(links())
    assert len(found) > 2
    for url in found:
        place, _, panes = url.partition("panes=")
        assert place.startswith("/explore?schemaVersion=1")
        assert not set(panes) & set(' "&|<>#')
        (pane,) = json.loads(re.sub(r"%([0-9A-F]{2})", lambda match: chr(int(match[1], 16)), panes)).values()
        assert pane["range"] == {"from": "${__from}", "to": "${__to}"}
        (query,) = pane["queries"]
        assert query["query"].startswith('{ name =~ ".*[.]episode" && ')
        assert query["query"].endswith('" }')


# --- the queries ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", questions(), ids=lambda asked: asked.name)
def test_every_query_of_every_panel_is_answered_with_data(world: World, asked: Asked) -> None:
    # health is of now, and so are the thresholds; the rest is of the history's end
    is_now = asked.dashboard == "otel-logtail health" or "threshold" in asked.legend
    end_s = world.now_s if is_now else world.end_s
    expr = filled(asked.expr, range_s=DAY_S, step_s=asked.step_s)
    found: Mapping[Labels, object]
    if asked.instant:
        found = world.prometheus.instant(expr, end_s)
    else:
        found = world.prometheus.over(expr, end_s - DAY_S, end_s, asked.step_s)
    assert found or asked.name in EMPTY_WHEN_ALL_IS_WELL


Check = Callable[[World, Data, int], None]
CHECKS: dict[tuple[str, str], Check] = {}


def compares(dashboard: str, *panels: str) -> Callable[[Check], Check]:
    """Note that a function compares these panels with the program's own answers."""

    def note(check: Check) -> Check:
        for panel in panels:
            CHECKS[dashboard, panel] = check
        return check

    return note


def report(world: World, data: Data, range_s: int, end_s: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = world.ask(data, "report", range_s=range_s, end_s=end_s)
    return found


@compares("Overhead", "p50, p90, p99, max", "Samples", "Slow samples", "Time in stalls")
def check_figures(world: World, data: Data, range_s: int) -> None:
    summary = report(world, data, range_s)["summary"]
    assert summary["count"] > 0
    assert summary["stall"] > 0
    shown = world.instant(data, "Overhead", "p50, p90, p99, max", range_s)
    assert shown["max"] == pytest.approx(summary["max_ms"] / 1000, rel=1e-12)
    for name in ("p50", "p90", "p99"):
        assert data.same(shown[name], summary[f"{name}_ms"] / 1000), name
        assert shown[name] <= shown["max"], name
    assert world.instant(data, "Overhead", "Samples", range_s) == {"__auto": summary["count"]}
    slow = world.instant(data, "Overhead", "Slow samples", range_s)
    assert slow == {"degraded": summary["degraded"], "stall": summary["stall"]}
    share = world.instant(data, "Overhead", "Time in stalls", range_s)["__auto"]
    assert share * range_s == pytest.approx(summary["time_in_stalls_ms"] / 1000, rel=1e-9)


@compares("Overhead", "Percentiles", "p99 by instance")
def check_percentiles(world: World, data: Data, range_s: int) -> None:
    summary = report(world, data, HOUR_S)["summary"]
    shown = world.instant(data, "Overhead", "Percentiles", range_s, window="1h")
    assert shown["max"] == pytest.approx(summary["max_ms"] / 1000, rel=1e-12)
    (shown["by instance"],) = world.instant(data, "Overhead", "p99 by instance", range_s, window="1h").values()
    for shown_as, name in (("p50", "p50"), ("p90", "p90"), ("p99", "p99"), ("by instance", "p99")):
        assert data.same(shown[shown_as], summary[f"{name}_ms"] / 1000), shown_as


@compares("Overhead", "p99 a week before")
def check_a_week_before(world: World, data: Data, range_s: int) -> None:
    before = report(world, data, range_s, world.end_s - 7 * DAY_S)["summary"]
    shown = world.instant(data, "Overhead", "p99 a week before", range_s)
    if before["count"] and range_s == DAY_S:  # a week before is not in the data
        assert data.same(shown["p99"], before["p99_ms"] / 1000)


@compares("Overhead", "p99 by $split")
def check_paths(world: World, data: Data, range_s: int) -> None:
    shown = world.instant(data, "Overhead", "p99 by $split", range_s, window="1d")
    found = report(world, data, DAY_S)
    if len(shown) == 1:  # its ports are rows of their own in the report
        truth = dict.fromkeys(shown, found["summary"]["p99_ms"])
    else:
        truth = {path["name"].split()[0]: path["p99_ms"] for path in found["paths"]}
    assert shown.keys() == truth.keys()
    for path, value in shown.items():
        assert data.same(value, truth[path] / 1000), path


@compares("Overhead", "Slowest stages (p99)", "Mean time in each stage")
def check_stages(world: World, data: Data, range_s: int) -> None:
    found = report(world, data, range_s)
    truth = {stage["name"]: stage for stage in found["stages"]}
    slowest = world.instant(data, "Overhead", "Slowest stages (p99)", range_s)
    assert slowest.keys() == truth.keys()
    for stage, value in slowest.items():
        assert data.same(value, truth[stage]["p99_ms"] / 1000), stage
    means = world.instant(data, "Overhead", "Mean time in each stage", range_s, window=f"{range_s}s")
    for stage, value in means.items():
        per_sample = truth[stage]["mean_ms"] * truth[stage]["count"] / found["summary"]["count"] / 1000
        assert value == pytest.approx(per_sample, rel=1e-6), stage


@compares("Overhead", "Latency heatmap", "Samples per minute by $split")
def check_traffic(world: World, data: Data, range_s: int) -> None:
    count = report(world, data, range_s)["summary"]["count"]
    per_minute = world.sums(data, "Overhead", "Samples per minute by $split", range_s)
    assert sum(per_minute.values()) * 5 == pytest.approx(count)  # a point for each five minutes
    cells = world.sums(data, "Overhead", "Latency heatmap", range_s)
    assert cells["{{le}}" if data.is_native else "+Inf"] == count


@compares("Overhead", "Causes of slow samples")
@compares("Stalls", "Slow samples per hour by cause")
def check_causes(world: World, data: Data, range_s: int) -> None:
    since = f"time_unix_nano >= {(world.end_s - range_s) * 10**9} AND severity <> 'ok'"
    rows = world.ask(data, "query", "sql", f"SELECT cause, count(*) AS n FROM samples WHERE {since} GROUP BY cause")
    truth = {row["cause"]: row["n"] for row in rows}
    shown = world.instant(data, "Overhead", "Causes of slow samples", range_s)
    assert {cause: number for cause, number in shown.items() if number} == truth
    assert world.sums(data, "Stalls", "Slow samples per hour by cause", range_s) == truth


def episodes(world: World, data: Data, range_s: int) -> list[dict[str, Any]]:
    """Return the episodes that ended in the range: a dashboard counts them there."""
    since = f"end_unix_nano >= {(world.end_s - range_s) * 10**9}"
    found: list[dict[str, Any]] = world.ask(
        data, "query", "sql", f"SELECT severity, duration_ms, count FROM episodes WHERE {since}"
    )
    return found


@compares("Overhead", "Episodes per day")
@compares("Stalls", "Episodes per hour", "Duration heatmap", "Number of episodes", "Slow samples per episode")
def check_episodes(world: World, data: Data, range_s: int) -> None:
    found = episodes(world, data, range_s)
    truth = dict(Counter(one["severity"] for one in found))
    assert truth["stall"] > 0
    assert sum(truth.values()) == report(world, data, range_s)["summary"]["episodes"]
    assert world.sums(data, "Overhead", "Episodes per day", range_s) == truth
    assert world.sums(data, "Stalls", "Episodes per hour", range_s) == truth
    shown = world.instant(data, "Stalls", "Number of episodes", range_s)
    assert {severity: number for severity, number in shown.items() if number} == truth
    cells = world.sums(data, "Stalls", "Duration heatmap", range_s)
    assert cells["{{le}}" if data.is_native else "+Inf"] == len(found)
    slow = sum(one["count"] for one in found)
    each = world.instant(data, "Stalls", "Slow samples per episode", range_s)["__auto"]
    assert each == pytest.approx(slow / len(found))


@compares("Stalls", "Episode duration", "Mean and longest episode", "Time in episodes", "Time in stalls")
def check_durations(world: World, data: Data, range_s: int) -> None:
    lengths_s = sorted(one["duration_ms"] / 1000 for one in episodes(world, data, range_s))
    shown = world.instant(data, "Stalls", "Episode duration", range_s, window=f"{range_s}s")
    for name, quantile in (("p50", 0.5), ("p90", 0.9)):
        assert data.same(shown[name], lengths_s[ceil(quantile * len(lengths_s)) - 1]), name
    assert shown["max"] == pytest.approx(lengths_s[-1])
    totals = world.instant(data, "Stalls", "Mean and longest episode", range_s)
    assert totals == {
        "mean": pytest.approx(sum(lengths_s) / len(lengths_s)),
        "longest": pytest.approx(lengths_s[-1]),
    }
    summary = report(world, data, range_s)["summary"]
    for panel, key in (("Time in episodes", "time_in_episodes_ms"), ("Time in stalls", "time_in_stalls_ms")):
        value = world.instant(data, "Stalls", panel, range_s)["__auto"]
        assert value == pytest.approx(summary[key] / 1000, rel=1e-9), panel


@pytest.mark.parametrize(("store", "days"), [*((store, 1) for store in STORES), ("sparse", 7), ("sparse, native", 7)])
def test_panels_show_the_numbers_of_the_report(world: World, store: str, days: int) -> None:
    for check in dict.fromkeys(CHECKS.values()):
        check(world, world.stores[store], days * DAY_S)


def test_every_panel_is_compared() -> None:
    panels = {
        (made["title"], panel["title"])
        for made in all_dashboards()
        for panel in made["panels"]
        if panel["type"] != "row" and made["title"] != "otel-logtail health"
    }
    assert panels - {("Stalls", "Episodes")} <= CHECKS.keys() <= panels


def test_thresholds_are_lines_at_those_of_the_source(world: World) -> None:
    data = world.stores["dense"]
    (asked,) = {one.expr for one in questions() if "threshold" in one.legend and '"stall"' in one.expr}
    found = world.prometheus.over(
        filled(asked, range_s=DAY_S, instance=data.instance), world.now_s - DAY_S, world.now_s, 900
    )
    assert [set(points.values()) for points in found.values()] == [
        {report(world, data, DAY_S)["thresholds_ms"][1] / 1000}
    ]
    assert len(next(iter(found.values()))) == DAY_S // 900 + 1


@pytest.mark.parametrize("store", ["sparse", "storms, native"])
def test_each_stall_is_an_annotation_where_it_ended(world: World, store: str) -> None:
    data = world.stores[store]
    annotation = all_dashboards()[0]["annotations"]["list"][0]
    assert annotation["step"] == "60s"
    expr = filled(annotation["expr"], range_s=DAY_S, step_s=60, instance=data.instance)
    found: Counter[int] = Counter()
    for points in world.prometheus.over(expr, world.end_s - 6 * HOUR_S + 60, world.end_s, 60).values():
        found.update({int(at_s): int(number) for at_s, number in points.items()})
    rows = world.ask(
        data,
        "query",
        "sql",
        "SELECT end_unix_nano AS at FROM episodes WHERE severity = 'stall'"
        f" AND end_unix_nano >= {(world.end_s - 6 * HOUR_S) * 10**9}",
    )
    # an interval of 10 s that ends on the minute belongs to the minute before
    assert found == Counter(ceil((row["at"] // 10**10 * 10 + 10) / 60) * 60 for row in rows)


def test_stalls_a_day_are_those_of_the_store(world: World) -> None:
    (asked,) = (one for one in questions() if one.panel == "Episodes per day")
    data = world.stores["sparse"]
    expr = filled(asked.expr, range_s=DAY_S, instance=data.instance)
    start_s = world.end_s - 6 * DAY_S
    found: dict[float, float] = {}
    for values in world.prometheus.over(expr, start_s, world.end_s, DAY_S).values():
        for at_s, number in values.items():
            found[at_s] = found.get(at_s, 0) + number
    for day in range(7):
        to_s = start_s + day * DAY_S
        # an episode is counted in the interval in which it ended
        (row,) = world.ask(
            data,
            "query",
            "sql",
            "SELECT count(*) AS n FROM episodes"
            f" WHERE end_unix_nano >= {(to_s - DAY_S) * 10**9} AND end_unix_nano < {to_s * 10**9}",
        )
        assert found[to_s] == row["n"], datetime.fromtimestamp(to_s, timezone.utc)


def test_series_of_stores_stay_apart_by_their_instance(world: World) -> None:
    found = world.prometheus.instant(
        "count by (job, instance) (log_overhead_max_duration_seconds offset 1m)", world.end_s
    )
    found |= world.prometheus.instant("count by (job, instance) (log_overhead_breaches_total)", world.end_s)
    assert {dict(labels)["instance"] for labels in found} == {data.instance for data in world.stores.values()}
    assert {dict(labels)["job"] for labels in found} == {"headroom-proxy"}


# --- the rules --------------------------------------------------------------------------------------------------------


def test_every_rule_and_alert_is_evaluated_without_error(world: World) -> None:
    def rules() -> list[Mapping[str, Any]]:
        return [rule for group in world.prometheus.get("rules")["groups"] for rule in group["rules"]]

    for rule in rules():
        found = world.prometheus.instant(rule["query"], world.end_s)
        if rule["type"] == "recording":
            kinds = {dict(labels)["instance"] for labels in found}
            assert kinds >= {world.stores[name].instance for name in ("dense", "dense, native")}, rule["name"]
    world.prometheus.wait_until(lambda: all(rule["health"] != "unknown" for rule in rules()), timeout=60)
    assert {rule["name"]: rule.get("lastError", "") for rule in rules()} == {rule["name"]: "" for rule in rules()}
    assert {rule["health"] for rule in rules()} == {"ok"}


@pytest.mark.parametrize("file", ["prometheus-rules-test.yml"])
def test_every_alert_fires_when_it_should_and_not_when_it_should_not(file: str) -> None:
    promtool = find_prometheus().with_name("promtool")
    command = [str(promtool), "test", "rules", file]
    done = subprocess.run(command, cwd=CONFIGS, capture_output=True, text=True, check=False, timeout=bound_s(60))
    assert done.returncode == 0, done.stdout + done.stderr
    alerts = set(re.findall(r"alert: (\w+)", (CONFIGS / "prometheus-rules.yml").read_text()))
    tested = set(re.findall(r"alertname: (\w+)", (CONFIGS / "prometheus-rules-test.yml").read_text()))
    assert tested == alerts
