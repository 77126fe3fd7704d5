"""The queries of the dashboards as Grafana sends them, and real servers with data to answer them."""

from __future__ import annotations

import json
import re
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from otel_logtail.counts import bounds
from tests.support.collector import Collector, find_collector
from tests.support.forked import ask, run
from tests.support.prometheus import Prometheus, find_prometheus
from tools import dashboards, replay

HOUR_S, DAY_S = 3600, 24 * 3600
STEP_S = {"": 900, "1m": 300, "5m": 300, "1h": HOUR_S, "1d": DAY_S}
BOUNDS_S = [0.0, *(bound / 1e9 for bound in bounds(500_000_000, 2_000_000_000)), float("inf")]
FINE = ("--histogram", "exponential", "--max-buckets", "1280")
WITHIN = 0.011
"""The width of a bucket of the store and of a native histogram: 1.1 %."""


@dataclass(frozen=True)
class Asked:
    """One query of a panel, with its variables."""

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


def all_dashboards() -> list[dict[str, Any]]:
    return [json.loads(text) for _, text in dashboards.files()]


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


def filled(expr: str, *, range_s: int, step_s: int = 900, instance: str = ".*", window: str = "1h") -> str:
    """The expression as Grafana sends it."""
    values = {
        "event": "log_overhead",
        "source": ".*",
        "instance": instance,
        "split": "headroom_path",
        "window": window,
        "__range": f"{range_s}s",
        "__range_s": str(range_s),
        "__interval": f"{step_s}s",
        "__interval_ms": str(step_s * 1000),
    }
    expr = re.sub(r"\$\{?(\w+)\}?", lambda match: values[match[1]], expr)
    assert "$" not in expr
    return expr


@dataclass(frozen=True)
class Data:
    """One store, the kind of its histograms at the receiver, and its ``service.instance.id``."""

    db: Path
    is_native: bool
    instance: str

    def same(self, value_s: float, truth_s: float) -> bool:
        """Return whether a duration from buckets is the store's: within 1 %, or in one classic bucket."""
        if self.is_native:
            return value_s == pytest.approx(truth_s, rel=WITHIN)
        at = bisect_left(BOUNDS_S, truth_s)
        # the store's own value is from a bucket of 1 %, too, and may be on the other side of a bound
        lowest = BOUNDS_S[bisect_left(BOUNDS_S, truth_s * (1 - WITHIN)) - 1] if truth_s else 0.0
        highest = BOUNDS_S[bisect_left(BOUNDS_S, truth_s * (1 + WITHIN))] if truth_s else BOUNDS_S[at]
        return lowest * (1 - 1e-6) <= value_s <= highest * (1 + 1e-6)


@dataclass(frozen=True)
class World:
    """The servers, the stores by name, and the end of the history. All data is history when it arrives."""

    prometheus: Prometheus
    home: Path
    stores: Mapping[str, Data]
    end_s: int
    now_s: float

    def ask(self, data: Data, *words: str, range_s: int = 0, end_s: int = 0) -> Any:
        """Return the program's own answer for a range up to an end."""
        end_s = end_s or self.end_s
        since, until = (datetime.fromtimestamp(at, timezone.utc).isoformat() for at in (end_s - range_s, end_s))
        between = ("--since", since, "--until", until) if range_s else ()
        return _asked(self.home, data.db, *words, *between)

    def instant(self, data: Data, dashboard: str, panel: str, range_s: int, **more: Any) -> dict[str, float]:
        """Return a panel's values at the end, by the value of their only label, or by legend."""
        found: dict[str, float] = {}
        for asked in self._of(dashboard, panel):
            expr = filled(asked.expr, range_s=range_s, step_s=range_s, instance=data.instance, **more)
            for labels, value in self.prometheus.instant(expr, self.end_s).items():
                found[next((text for _, text in labels), asked.legend)] = value
        return found

    def sums(self, data: Data, dashboard: str, panel: str, range_s: int) -> dict[str, float]:
        """Return the sums of a panel's points over a range that its steps divide, by the value of their only label."""
        found: dict[str, float] = {}
        for asked in self._of(dashboard, panel):
            expr = filled(asked.expr, range_s=range_s, step_s=asked.step_s, instance=data.instance)
            start_s = self.end_s - range_s + asked.step_s
            for labels, points in self.prometheus.over(expr, start_s, self.end_s, asked.step_s).items():
                found[next((text for _, text in labels), asked.legend)] = sum(points.values())
        return {label: number for label, number in found.items() if number}

    @staticmethod
    def _of(dashboard: str, panel: str) -> list[Asked]:
        found = [asked for asked in _questions() if (asked.dashboard, asked.panel) == (dashboard, panel)]
        assert found, panel
        return found


_questions = lru_cache(questions)


@lru_cache(maxsize=1000)
def _asked(home: Path, db: Path, *words: str) -> Any:
    """Ask once: the stores no longer change."""
    return ask(db, *words, home=home)


def _logs(end_s: int) -> dict[str, bytes]:
    """Return the logs by name; a port is in the name of the file."""
    logs = [path.read_bytes() for path in sorted(replay.CAPTURES.glob("*.log"))]
    at_s = end_s - 60
    pieces: list[bytes] = []
    for log in reversed(logs):  # the last one ends with the history
        first_s, last_s = replay.span(log)
        pieces.insert(0, replay.moved(log, at_s - last_s))
        at_s -= last_s - first_s + 600
    return {
        "sparse": replay.made_up(end_s, days=9, seed=8787),
        "captures": b"".join(pieces),
        "dense": replay.storms(end_s, hours=1, seed=11, every_s=1.0, storm_s=6.0),
        "storms": replay.storms(end_s, hours=2, seed=12, every_s=20.0, storm_s=60.0),
    }


@contextmanager
def world_in(home: Path) -> Iterator[World]:
    """Start a Prometheus and a collector, and send each log to them, as classic and as native histograms."""
    # on the hour, so that all points have the same distance from the grid at any time of the test
    end_s = int(time.time()) // HOUR_S * HOUR_S
    for server in ("prometheus", "collector"):
        (home / server).mkdir()
    with (
        Prometheus(find_prometheus(), home / "prometheus", "--web.enable-otlp-receiver") as prometheus,
        Collector(
            find_collector(),
            home / "collector",
            "collector.yaml",
            "to-prometheus.yaml",
            environ={"PROMETHEUS_URL": prometheus.url},
        ) as collector,
    ):
        direct = {
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{prometheus.url}/api/v1/otlp/v1/metrics",
            "OTEL_TRACES_EXPORTER": "none",
        }
        stores = {}
        for name, log in _logs(end_s).items():
            folder = home / name
            folder.mkdir()
            live = folder / "proxy-8787.log"
            live.write_bytes(log)
            if name == "sparse":
                (folder / "proxy-8788.log").write_bytes(replay.made_up(end_s, days=9, seed=8788))
            stores[name] = _deliver(folder, "classic", "--otlp-endpoint", collector.http_endpoint)
            if name == "sparse":  # two days are enough, and much faster
                (folder / "proxy-8788.log").unlink()
                live.write_bytes(replay.made_up(end_s, days=2, seed=8789))
            if name != "captures":
                stores[f"{name}, native"] = _deliver(folder, "native", *FINE, environ=direct)
        yield World(prometheus, home, stores, end_s, time.time())


def _deliver(folder: Path, kind: str, *to: str, environ: Mapping[str, str] | None = None) -> Data:
    home, db = folder.parent, folder / f"{kind}.db"
    paths = folder / "proxy-*.log"
    command = ("--observer", "headroom", "--path", paths, "--from-start", "--once", "--db", db, *to)
    # it exits after some seconds even with pending data, and continues at the next run
    runs = [run(*command, home=home, check=False, environ=environ)]
    while runs[-1].returncode == 1 and len(runs) < 20:
        runs.append(run(*command, home=home, check=False, environ=environ))
    assert runs[-1].returncode == 0, runs[-1].stderr
    run(*command, home=home, environ=environ)  # for its health alone: a rate needs two points
    (row,) = ask(db, "query", "sql", "SELECT value FROM meta WHERE key = 'instance'", home=home)
    return Data(db, kind == "native", str(row["value"]))
