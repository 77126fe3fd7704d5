"""Each command on a terminal of 80 columns: no line is longer, and no word is broken."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from otel_logtail.table import cells
from tests.support.commands import COMMANDS
from tests.support.forked import run
from tests.support.places import CAPTURES
from tests.support.store_builder import NOON, SECOND, Stall, Written, make_file
from tests.support.terminal import run_on_terminal, without_color

COLUMNS = 80
RUN_ON = {("demo",), ("watch",)}
"""Commands that run until they are stopped."""

LOG = CAPTURES / "0.42.0-stall.log"
ARGUMENTS: dict[tuple[str, ...], list[object]] = {
    ("mark",): ["upgrade 0.42"],
    ("query", "sql"): ["SELECT * FROM samples, (SELECT 'two words' AS text)"],
    ("detect",): [LOG],
    ("observers", "show"): ["haproxy"],
    ("observers", "new"): ["acme", "--sample", LOG],
    ("service", "systemd"): ["--observer", "headroom", "--path", "/var/log/headroom/proxy.log"],
    ("service", "launchd"): ["--observer", "headroom", "--path", "/var/log/headroom/proxy.log"],
}
"""Arguments that a command requires."""

VERBATIM = {("service", "systemd"), ("service", "launchd"), ("service", "hex"), ("observers", "show")}
"""Commands that print a file for another program, whose lines stay as they are."""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with long names, large numbers and errors with many words."""
    sources = ["a", "frontend-proxy-of-the-first-customer-in-the-data-center-of-vienna"]
    samples = [
        Written(
            NOON + n * SECOND,
            (4000 if n % 5 == 0 else 3) * 10**6,
            (("waiting_for_a_connection_from_the_pool", 2 * 10**6), ("read", 10**6)),
            sources[n % 2],
            "waiting_for_a_connection_from_the_pool" if n % 3 else "read",
            attributes=(("http.route", f"/api/v1/customers/{n % 7}/orders"), ("http.method", "GET")),
        )
        for n in range(200)
    ]
    stalls = [Stall(NOON + n * 20 * SECOND, NOON + (n * 20 + 9) * SECOND, source=sources[n % 2]) for n in range(9)]
    path = make_file(tmp_path / "store.db", samples, stalls)
    with closing(sqlite3.connect(path)) as conn, conn:
        conn.execute(
            "INSERT INTO exporter (name, delivered, failures, last_error, last_error_ns) VALUES ('otlp', 123456789, 7,"
            " 'cannot connect to http://collector.monitoring.svc.cluster.local:4318: connection refused', ?)",
            (NOON,),
        )
        conn.execute("INSERT INTO dropped VALUES ('otlp', 'breaches', 1234, ?, ?, ?)", (NOON, NOON + SECOND, NOON))
        conn.execute("UPDATE file SET path = '/var/log/applications/frontend/' || replace(hex(zeroblob(9)), '0', 'x')")
    return path


def words_of(names: tuple[str, ...], store: Path) -> list[object]:
    options = {flag for parameter in COMMANDS[names].params for flag in parameter.opts}
    since = ["--since", "2026-11-20", "--until", "2026-12-01"] if "--since" in options else []
    db = ["--db", store] if "--db" in options and names[0] != "service" else []
    return [*names, *ARGUMENTS.get(names, []), *since, *db]


NOTE = re.compile(r"\(\d+ columns? left out \([^()]*\): a wider terminal or --format json has \w+\)")
"""The sentence below a table that a terminal is too narrow for; a pipe has all columns."""


@pytest.mark.parametrize("names", [names for names in COMMANDS if names not in RUN_ON], ids=" ".join)
def test_a_command_fits_eighty_columns_and_breaks_no_word(
    names: tuple[str, ...], store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("pipe", "terminal"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "pipe")
    piped = run(*words_of(names, store), home=tmp_path, check=False)
    monkeypatch.chdir(tmp_path / "terminal")
    code, text = run_on_terminal(*words_of(names, store), home=tmp_path, columns=COLUMNS)
    assert code == piped.returncode
    assert code != 2, piped.stderr
    lines = without_color(text).splitlines()
    if names not in VERBATIM:
        assert [line for line in lines if cells(line) > COLUMNS] == []
    left_out = NOTE.findall(" ".join([word for line in lines for word in line.split()]))
    known = {*piped.stdout.split(), "\\", *" ".join(left_out).split()}
    broken = {word for line in lines for word in line.split() if word.strip("█") and word not in known}
    too_long = [word for word in known if cells(word) > COLUMNS - 4]
    assert {word for word in broken if not any(word in long for long in too_long)} == set()
