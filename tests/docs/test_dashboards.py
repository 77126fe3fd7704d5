"""Every query of every panel, rule and alert on a real Prometheus behind the real collector.

The data: nine synthetic days on two ports from one store, and every real capture, shifted to the last hours, from
another. All of it is history when it arrives. The answers are compared with the stores' own.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from otel_logtail.counts import bounds
from tests.support.collector import CONFIGS, Collector, find_collector
from tests.support.command import ask, run
from tests.support.prometheus import Labels, Prometheus, find_prometheus
from tests.support.waiting import bound_s
from tools import dashboards, replay

HOUR_S, DAY_S = 3600, 24 * 3600
BOUNDS_S = [bound / 1e9 for bound in bounds(500_000_000, 2_000_000_000)]
EMPTY_WHEN_ALL_IS_WELL = {
    # nothing is rejected in the made-up days; some of it is in the captures, but only once
    "otel-logtail health: Lines without a sample: rejected {{job}}: {{reason}}",
}
STEP_S = {"": 900, "1m": 300, "5m": 300, "1h": HOUR_S, "1d": DAY_S}


@dataclass(frozen=True)
class World:
    """The servers, the two stores, and the end of the history."""

    prometheus: Prometheus
    collector: Collector
    home: Path
    made_up: Path
    captures: Path
    end_s: int
    now_s: float

    def summary(self, db: Path, since_s: int) -> Mapping[str, Any]:
        """Return the store's own numbers up to the end."""
        since, until = (datetime.fromtimestamp(at, timezone.utc).isoformat() for at in (since_s, self.end_s))
        found: Mapping[str, Any] = ask(db, "query", "summary", "--since", since, "--until", until, home=self.home)
        return found

    def sql(self, db: Path, query: str) -> list[Mapping[str, Any]]:
        """Rows of a store."""
        found: list[Mapping[str, Any]] = ask(db, "query", "sql", query, home=self.home)
        return found

    def instance(self, db: Path) -> str:
        """The service.instance.id of a store."""
        return str(self.sql(db, "SELECT value FROM meta WHERE key = 'instance'")[0]["value"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("world")
    # on the hour, so that all points have the same distance from the grid at any time of the test
    end_s = int(time.time()) // HOUR_S * HOUR_S
    logs, captures = home / "logs", home / "captures"
    for folder in (logs, captures, home / "prometheus", home / "collector"):
        folder.mkdir()
    for port in (8787, 8788):
        (logs / f"proxy-{port}.log").write_bytes(replay.made_up(end_s, days=9, seed=port))
    logs_of_captures = [path.read_bytes() for path in sorted(replay.CAPTURES.glob("*.log"))]
    at_s = end_s - 60
    pieces: list[bytes] = []
    for log in reversed(logs_of_captures):  # the last one ends with the history
        first_s, last_s = replay.span(log)
        pieces.insert(0, replay.moved(log, at_s - last_s))
        at_s -= last_s - first_s + 600
    (captures / "proxy-8787.log").write_bytes(b"".join(pieces))
    with (
        Prometheus(find_prometheus(), home / "prometheus") as prometheus,
        Collector(
            find_collector(),
            home / "collector",
            "collector.yaml",
            "to-prometheus.yaml",
            environ={"PROMETHEUS_URL": prometheus.url},
        ) as collector,
    ):
        for folder in (logs, captures):
            follow = ("--observer", "headroom", "--path", folder / "proxy-*.log", "--from-start", "--once")
            to = ("--db", home / f"{folder.name}.db", "--otlp-endpoint", collector.http_endpoint)
            # it exits after some seconds even with pending data, and continues at the next run
            runs = [run(*follow, *to, home=home, check=False)]
            while runs[-1].returncode == 1 and len(runs) < 20:
                runs.append(run(*follow, *to, home=home, check=False))
            assert runs[-1].returncode == 0, runs[-1].stderr
            run(*follow, *to, home=home)  # for its health alone: a rate needs two points
        made = World(prometheus, collector, home, home / "logs.db", home / "captures.db", end_s, time.time())
        yield made


# --- the files --------------------------------------------------------------------------------------------------------


def test_the_files_are_what_is_generated() -> None:
    made = dict(dashboards.files())
    assert {path.name: path.read_text(encoding="utf-8") for path in dashboards.FOLDER.iterdir()} == made


def all_dashboards() -> list[dict[str, Any]]:
    return [json.loads(text) for _, text in dashboards.files()]


@pytest.mark.parametrize("made", all_dashboards(), ids=lambda made: str(made["uid"]))
def test_panels_have_ids_of_their_own_and_do_not_overlap(made: dict[str, Any]) -> None:
    assert made["id"] is None
    ids = [panel["id"] for panel in made["panels"]]
    assert len(set(ids)) == len(ids)
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


# --- the queries ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """One query of a panel, without its variables."""

    dashboard: str
    panel: str
    legend: str
    expr: str
    instant: bool
    step_s: int

    @property
    def name(self) -> str:
        """How a test calls it."""
        return f"{self.dashboard}: {self.panel}: {self.legend}"


def questions() -> list[Asked]:
    return [
        Asked(
            made["title"],
            panel["title"],
            target["legendFormat"],
            target["expr"],
            target["instant"],
            STEP_S[target.get("interval", "")],
        )
        for made in all_dashboards()
        for panel in made["panels"]
        for target in panel.get("targets", [])
        if "expr" in target
    ]


def filled(asked: Asked, range_s: int, instance: str = ".*") -> str:
    """The expression as Grafana sends it."""
    values = {
        "event": "log_overhead",
        "source": ".*",
        "instance": instance,
        "split": "headroom_path",
        "window": "1h",
        "__range": f"{range_s}s",
        "__range_s": str(range_s),
        "__interval": f"{asked.step_s}s",
    }
    expr = re.sub(r"\$\{?(\w+)\}?", lambda match: values[match[1]], asked.expr)
    assert "$" not in expr
    return expr


@pytest.mark.parametrize("asked", questions(), ids=lambda asked: asked.name)
def test_every_query_of_every_panel_is_answered_with_data(world: World, asked: Asked) -> None:
    # health is of now, the rest of the history's end
    end_s = world.now_s if asked.dashboard == "otel-logtail health" else world.end_s
    expr = filled(asked, DAY_S)
    found: Mapping[Labels, object]
    if asked.instant:
        found = world.prometheus.instant(expr, end_s)
    else:
        found = world.prometheus.over(expr, end_s - DAY_S, end_s, asked.step_s)
    assert found or asked.name in EMPTY_WHEN_ALL_IS_WELL


def answer(world: World, dashboard: str, panel: str, range_s: int, db: Path) -> dict[str, float]:
    """Return the values of a panel at the end of a range of one store, by the value of its one label, or its legend."""
    found: dict[str, float] = {}
    for asked in questions():
        if (asked.dashboard, asked.panel) == (dashboard, panel):
            expr = filled(asked, range_s, world.instance(db))
            for labels, value in world.prometheus.instant(expr, world.end_s).items():
                found[next((text for _, text in labels), asked.legend)] = value
    return found


def within_a_bucket(value_s: float, truth_s: float) -> bool:
    """Return whether both values are in one bucket, or at its edges."""
    index = bisect_left(BOUNDS_S, truth_s)
    low, high = ([0.0, *BOUNDS_S][index], [*BOUNDS_S, float("inf")][index])
    return low * 0.999 <= value_s <= high * 1.001


@pytest.mark.parametrize("range_s", [DAY_S, 7 * DAY_S], ids=["day", "week"])
@pytest.mark.parametrize("store", ["made_up", "captures"])
def test_the_panels_show_the_numbers_of_the_store(world: World, store: str, range_s: int) -> None:
    db: Path = getattr(world, store)
    summary = world.summary(db, world.end_s - range_s)
    assert summary["count"] > 0
    assert summary["stall"] > 0

    percentiles = answer(world, "Overhead", "p50, p90, p99", range_s, db)
    for name in ("p50", "p90", "p99"):
        assert within_a_bucket(percentiles[name], summary[f"{name}_ms"] / 1000), name
    assert answer(world, "Overhead", "Samples", range_s, db) == {"__auto": summary["count"]}
    slow = answer(world, "Overhead", "Slow samples", range_s, db)
    assert slow == {"degraded": summary["degraded"], "stall": summary["stall"]}
    since = f"time_unix_nano >= {(world.end_s - range_s) * 10**9} AND severity <> 'ok'"
    causes = world.sql(db, f"SELECT cause, count(*) AS n FROM samples WHERE {since} GROUP BY cause")
    shown = answer(world, "Overhead", "Causes of slow samples", range_s, db)
    assert {cause: number for cause, number in shown.items() if number} == {row["cause"]: row["n"] for row in causes}

    episodes = answer(world, "Stalls", "Episodes", range_s, db)
    assert sum(episodes.values()) == summary["episodes"]
    time_in = answer(world, "Stalls", "Time in episodes", range_s, db)["__auto"]
    assert time_in == pytest.approx(summary["time_in_episodes_ms"] / 1000, rel=1e-9)


def test_the_worst_stages_are_those_of_the_store(world: World) -> None:
    since = datetime.fromtimestamp(world.end_s - 7 * DAY_S, timezone.utc).isoformat()
    rows = ask(world.made_up, "query", "stages", "--since", since, home=world.home)
    truth = {row["stage"]: row["p99_ms"] / 1000 for row in rows}
    shown = answer(world, "Overhead", "Slowest stages (p99)", 7 * DAY_S, world.made_up)
    assert shown.keys() == truth.keys()
    for stage, value in shown.items():
        assert within_a_bucket(value, truth[stage]), stage


def test_stalls_a_day_are_those_of_the_store(world: World) -> None:
    (asked,) = (one for one in questions() if one.panel == "Stalls per day")
    expr = filled(asked, DAY_S, world.instance(world.made_up))
    start_s = world.end_s - 6 * DAY_S
    found: dict[float, float] = {}
    for values in world.prometheus.over(expr, start_s, world.end_s, DAY_S).values():
        for at_s, number in values.items():
            found[at_s] = found.get(at_s, 0) + number
    for day in range(7):
        to_s = start_s + day * DAY_S
        # an episode is counted in the interval in which it ended
        (row,) = world.sql(
            world.made_up,
            "SELECT count(*) AS n FROM episodes"
            f" WHERE end_unix_nano >= {(to_s - DAY_S) * 10**9} AND end_unix_nano < {to_s * 10**9}",
        )
        assert found[to_s] == row["n"], day


def test_series_of_two_stores_stay_apart_by_their_instance(world: World) -> None:
    found = world.prometheus.instant("count by (job, instance) (log_overhead_duration_seconds_count)", world.end_s)
    assert {dict(labels)["instance"] for labels in found} == {
        world.instance(world.made_up),
        world.instance(world.captures),
    }
    assert {dict(labels)["job"] for labels in found} == {"headroom-proxy"}


# --- the rules --------------------------------------------------------------------------------------------------------


def test_every_rule_and_alert_is_evaluated_without_error(world: World) -> None:
    def rules() -> list[Mapping[str, Any]]:
        return [rule for group in world.prometheus.get("rules")["groups"] for rule in group["rules"]]

    for rule in rules():
        found = world.prometheus.instant(rule["query"], world.end_s)
        if rule["type"] == "recording":
            assert found, rule["name"]
    world.prometheus.wait_until(lambda: all(rule["health"] != "unknown" for rule in rules()), timeout=60)
    assert {rule["name"]: rule.get("lastError", "") for rule in rules()} == {rule["name"]: "" for rule in rules()}
    assert {rule["health"] for rule in rules()} == {"ok"}


def test_every_alert_fires_when_it_should_and_not_when_it_should_not() -> None:
    promtool = find_prometheus().with_name("promtool")
    command = [str(promtool), "test", "rules", "prometheus-rules-test.yml"]
    done = subprocess.run(command, cwd=CONFIGS, capture_output=True, text=True, check=False, timeout=bound_s(60))
    assert done.returncode == 0, done.stdout + done.stderr
    alerts = set(re.findall(r"alert: (\w+)", (CONFIGS / "prometheus-rules.yml").read_text()))
    tested = set(re.findall(r"alertname: (\w+)", (CONFIGS / "prometheus-rules-test.yml").read_text()))
    assert tested == alerts
