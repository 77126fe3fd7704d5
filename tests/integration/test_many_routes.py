"""An observer whose attributes have more values than a source may have series: one warning, and totals stay right."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.forked import ask, run

OBSERVER = """
from otel_logtail import Observer, PathRule, Sample, Shape

class Routes(Observer):
    name = "routes"
    source = "web"
    marker = b" route="

    def paths(self):
        return PathRule(patterns=("/nowhere/web.log",), live="web.log")

    def observe(self, line):
        second, route, took = line.decode().replace("route=", "").replace("took=", "").split()
        time_ns, took_ns = int(second) * 10**9, int(took) * 10**6
        shape = Shape(("backend",), (("web.route", route),))  # a new one for each line
        return Sample(time_ns, took_ns, time_ns, "backend", "backend", shape, (took_ns,))
"""
MOST = 40
OVERFLOW = {"otel.metric.overflow": True}


def lines(begin: int, end: int, *, second: int) -> str:
    """A line for each route of a range, all within an interval; every tenth is slow."""
    return "".join(f"{second} route=/{number} took={700 if number % 10 == 0 else 20}\n" for number in range(begin, end))


class Site:
    """A log of many routes, and the file that an exporter writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log, self.db, self.out = folder / "web.log", folder / "store.db", folder / "out.jsonl"
        (folder / "routes.py").write_text(OBSERVER)

    def read(self, *more: object) -> list[str]:
        """Read the log once, with an exporter; return the warnings."""
        observer = f"{self.folder / 'routes.py'}:Routes"
        where = ("--observer", observer, "--path", self.log, "--db", self.db, "--retention", "none")
        done = run(
            *where, "--max-series", MOST, "--jsonl-file", self.out, "--exporter", "jsonl", "--once", *more,
            home=self.folder,
        )  # fmt: skip
        return [text for text in done.stderr.splitlines() if "warning" in text]

    def totals(self) -> Counter[str]:
        """Return the last total that the receiver has of each series of durations."""
        last: dict[str, int] = {}
        for text in self.out.read_text().splitlines():
            for resource in json.loads(text).get("resourceMetrics", []):
                for metric in resource["scopeMetrics"][0]["metrics"]:
                    if metric["name"] == "log.overhead.duration":
                        for point in metric["histogram"]["dataPoints"]:
                            name, total = named(point["attributes"]), int(point.get("count", 0))
                            assert total >= last.get(name, 0)
                            last[name] = total
        return Counter(last)


def named(attributes: list[dict[str, Any]]) -> str:
    return ",".join(f"{pair['key']}={next(iter(pair['value'].values()))}" for pair in attributes)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_routes_beyond_the_limit_are_counted_in_one_series_with_one_warning(site: Site) -> None:
    site.log.write_text(lines(0, 200, second=1_795_608_000) + lines(0, 200, second=1_795_608_001))
    (warning,) = site.read()
    assert "web: more than 40 series: further ones are counted together, as otel.metric.overflow=true" in warning
    found = site.totals()
    # a route takes two series: its duration and that of its stage
    assert found.pop("otel.metric.overflow=True") == 400 - 2 * MOST // 2
    assert found == {f"web.route=/{number}": 2 for number in range(MOST // 2)}


def test_they_stay_there_after_a_restart_and_samples_keep_as_many_routes(site: Site) -> None:
    site.log.write_text(lines(0, 100, second=1_795_608_000))
    site.read()
    with site.log.open("a") as log:
        log.write(lines(50, 250, second=1_795_608_020) + lines(0, 30, second=1_795_608_021))
    assert len(site.read()) == 1
    found = site.totals()
    assert found.pop("otel.metric.overflow=True") == (100 - 20) + 200 + 10
    assert found == {f"web.route=/{number}": 2 for number in range(MOST // 2)}
    summary = ask(site.db, "query", "summary", home=site.folder)
    assert (summary["count"], summary["degraded"]) == (330, 10 + 20 + 3)
    samples = ask(site.db, "query", "samples", home=site.folder)
    named = {sample["attributes"].get("web.route") for sample in samples}
    assert named == {None} | {f"/{number}" for number in range(MOST)}
    others = [sample["attributes"] for sample in samples if "web.route" not in sample["attributes"]]
    assert others == [OVERFLOW] * (330 - MOST - 30)
