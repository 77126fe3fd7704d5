"""The growth of counters and histograms in the dashboards' PromQL, on the real engine of Prometheus."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.prometheus import find_prometheus
from tests.support.waiting import bound_s
from tools.promql import capped, growth, native_growth

# a value a minute, in Prometheus's notation: from+stepxtimes, and _xN for N missing ones; the window is 60m to 120m
CASES = {
    "a long series": ("100+1x200", 60),
    "a series that begins in the window": ("_x70 0+1x130", 50),
    "a series that begins and rests": ("_x70 0 5x130", 5),
    "the only growth is the first point in the window": ("7x60 9x140", 2),
    "a series that rests": ("7x200", 0),
    "a gap of an hour at the start, before growth": ("100+0x30 _x60 100+1x110", 29),
}
RESETS = {
    "a restart in the window": ("100+1x90 0+1x110", 60),
    "a restart at the start of the window": ("1000+1x59 0+1x140", 60),
}


def evaluated(folder: Path, values: str, expr: str) -> float | None:
    """Return the value of an expression of ``x`` at two hours, by promtool: None if there is none."""
    groups = [{"name": "g", "rules": [{"record": "found", "expr": expr}]}]
    (folder / "rules.yml").write_text(json.dumps({"groups": groups}))
    test = {
        "interval": "1m",
        "input_series": [{"series": 'x{a="b"}', "values": values}],
        "promql_expr_test": [{"expr": expr, "eval_time": "120m", "exp_samples": [{"labels": "{}", "value": 1e99}]}],
    }
    (folder / "test.yml").write_text(json.dumps({"rule_files": ["rules.yml"], "tests": [test]}))
    promtool = find_prometheus().with_name("promtool")
    done = subprocess.run(
        [str(promtool), "test", "rules", "test.yml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=bound_s(60),
    )
    said = done.stdout + done.stderr
    got = said.partition("got:")[2].strip().splitlines()[0]
    assert got, said
    if got == "nil":
        return None
    return float(got.split()[-1].strip("\"'"))


def native(values: str) -> str:
    """Return the same counts as native histograms: all values are in one bucket."""

    def histogram(number: str) -> str:
        return f"{{{{schema:0 sum:{number} count:{number} buckets:[{number}]}}}}"

    made = []
    for word in values.split():
        first, _, rest = word.partition("+")
        if word.startswith("_"):
            made.append(word)
        elif rest:
            step, _, times = rest.partition("x")
            made.append(f"{histogram(first)}+{histogram(step)}x{times}")
        else:
            number, _, times = word.partition("x")
            made.append(histogram(number) + (f"x{times}" if times else ""))
    return " ".join(made)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", ["counter", "native"])
def test_growth_is_exact(tmp_path: Path, name: str, kind: str) -> None:
    values, expected = CASES[name]
    if kind == "counter":
        assert evaluated(tmp_path, values, f"sum({growth('x', '60m')})") == expected
    else:
        found = evaluated(tmp_path, native(values), f"sum(histogram_count({native_growth('x', '60m')}))")
        assert found == pytest.approx(expected, abs=1 if "gap" in name else 0)  # after a gap it is extrapolated


@pytest.mark.parametrize("name", RESETS)
@pytest.mark.parametrize("kind", ["counter", "native"])
def test_growth_across_a_restart_is_that_before_and_after_it(tmp_path: Path, name: str, kind: str) -> None:
    values, expected = RESETS[name]
    if kind == "counter":
        found = evaluated(tmp_path, values, f"sum({growth('x', '60m')})")
    else:
        found = evaluated(tmp_path, native(values), f"sum(histogram_count({native_growth('x', '60m')}))")
    assert found == pytest.approx(expected, rel=0.04)


def test_a_value_is_at_most_the_maximum(tmp_path: Path) -> None:
    for value, maximum, expected in (("x", "x * 2", 5), ("x * 2", "x", 5), ("x", "y", 5), ("y", "x", 5)):
        assert evaluated(tmp_path, "5x200", capped(value, maximum)) == expected
    assert evaluated(tmp_path, "5x200", capped("x / 0 * 0", "x")) == 5
