"""An output is never one of the inputs: a log that a program writes to stays unchanged."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_logtail.daemon.safety import Read, check_outputs
from otel_logtail.daemon.settings import Settings
from otel_logtail.errors import UsageError
from otel_logtail.observer import PathRule
from tests.support.command import USAGE
from tests.support.forked import run
from tests.support.places import CAPTURES

LINES = (CAPTURES / "0.42.0-stall.log").read_bytes()
RULE = PathRule(patterns=(), live=r"proxy(?:-\d+)?\.log", ignore=r"proxy-stdio-")


def nothing(folder: Path) -> None:
    pass


def hard_link(folder: Path) -> None:
    os.link(folder / "proxy.log", folder / "other")


def link(folder: Path) -> None:
    (folder / "other").symlink_to("proxy.log")


def link_to_the_folder(folder: Path) -> None:
    (folder / "folder").symlink_to(folder)


def not_there(folder: Path) -> None:
    (folder / "proxy.log").unlink()


def empty(folder: Path) -> None:
    os.truncate(folder / "proxy.log", 0)


@pytest.mark.parametrize("option", ["--db", "--jsonl-file", "--hex-db"])
@pytest.mark.parametrize(
    ("happens", "path", "output", "why"),
    [
        (nothing, "proxy.log", "proxy.log", "{log} is a log that is followed"),
        (empty, "proxy.log", "proxy.log", "{log} is a log that is followed"),
        (not_there, "proxy.log", "proxy.log", "{log} is a log that is followed"),
        (nothing, "*.log", "proxy.log", "{log} is a log that is followed"),
        (link, "proxy.log", "other", "{log} is a log that is followed"),
        (hard_link, "proxy.log", "other", "{log} is a log that is followed"),
        (link_to_the_folder, "proxy.log", "folder/proxy.log", "{log} is a log that is followed"),
        (nothing, "*.log", "out.log", "{output} would be followed as a log, by {path}"),
        (nothing, "proxy.log", "proxy.log.1", "{output} would be followed as a log, by {log}"),
    ],
)
def test_the_program_refuses_and_writes_nothing(
    tmp_path: Path, happens: Callable[[Path], None], path: str, output: str, why: str, option: str
) -> None:
    log = tmp_path / "proxy.log"
    log.write_bytes(LINES)
    happens(tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
    exporter = {"--db": "console", "--jsonl-file": "jsonl", "--hex-db": "hex-telemetry"}[option]
    store = [] if option == "--db" else ["--db", tmp_path / "s.db"]
    written = tmp_path / output
    done = run(
        *("--observer", "headroom", "--path", tmp_path / path, "--from-start", *store),
        *(option, written, "--exporter", exporter),
        home=tmp_path,
        check=False,
    )
    why = why.format(log=log, output=written, path=tmp_path / path)
    message = f"otel-logtail: error: {option} {written}: {why}\n\nhint: name another file: a log is only read\n{USAGE}"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", message)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()} == before


@pytest.mark.parametrize("apart", [False, True])
def test_a_path_with_dots_that_matches_through_a_linked_folder_is_refused(tmp_path: Path, apart: bool) -> None:
    for folder in ("data", "srv/b", "else/where"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "srv" / "a").symlink_to(tmp_path / "data")
    (tmp_path / "srv" / "c").symlink_to(tmp_path / "else" / "where")
    # the system resolves c before the dots: that file is else/a/n1.log, which no pattern finds
    (tmp_path / "else" / "a").mkdir()
    written = f"{tmp_path}/srv/{'c' if apart else 'b'}/../a/n1.log"
    settings = Settings(
        db=tmp_path / "s.db", sources=(), exporters=("jsonl",), exporter_options={"jsonl": {"jsonl_file": written}}
    )
    read = Read([f"{tmp_path}/srv/*/n*.log"], RULE, True)
    if apart:
        check_outputs(settings, [read])
        return
    with pytest.raises(UsageError, match=r"n1\.log would be followed as a log, by .*/srv/\*/n\*\.log"):
        check_outputs(settings, [read])


@pytest.mark.parametrize(
    ("top", "exporter", "line", "key"),
    [("db = 'proxy.log'\n", "", 1, "db"), ("", "[exporter.jsonl]\nfile = 'proxy.log'\n", 5, "exporter.jsonl.file")],
)
def test_a_configuration_error_names_its_line(tmp_path: Path, top: str, exporter: str, line: int, key: str) -> None:
    log, file = tmp_path / "proxy.log", tmp_path / "x.toml"
    log.write_bytes(LINES)
    file.write_text(f"{top}[source.a]\nobserver = 'headroom'\npaths = ['*.log']\n{exporter}")
    done = run("--config", file, home=tmp_path, check=False)
    assert done.stderr.startswith(f"otel-logtail: error: {file}:{line}: {key} {log}: {log} is a log that is followed\n")
    assert (done.returncode, log.read_bytes()) == (2, LINES)


def check(folder: Path, patterns: list[str], *, db: str = "s.db", trusted: bool = True, **options: str) -> str:
    """Return the problem; empty if there is none."""
    settings = Settings(
        db=folder / db,
        sources=(),
        exporters=("jsonl", "hex-telemetry"),
        exporter_options={
            name: {o: str(folder / v) for o, v in options.items()} for name in ("jsonl", "hex-telemetry")
        },
    )
    try:
        check_outputs(settings, [Read([str(folder / pattern) for pattern in patterns], RULE, trusted)])
    except UsageError as problem:
        return str(problem).replace(f"{folder}/", "")
    return ""


@pytest.mark.parametrize(
    ("patterns", "trusted", "options", "wrong"),
    [
        # names that no pattern finds
        (["*.log"], True, {"jsonl_file": "out.jsonl"}, ""),
        (["*.log"], True, {"jsonl_file": "below/out.log"}, ""),
        (["*"], True, {"jsonl_file": "below/out.log", "db": "below/s.db"}, ""),
        (["below/*"], True, {"jsonl_file": "below/.out"}, ""),
        (["*.log"], False, {"jsonl_file": "out.log"}, ""),
        (["*.log"], True, {"jsonl_file": "proxy-stdio-1.log"}, ""),
        (["proxy.log"], True, {"jsonl_file": "proxy.jsonl"}, ""),
        (["proxy.log"], True, {"jsonl_file": "proxy.log.jsonl"}, ""),
        (["*.log"], True, {"jsonl_file": "{signal}.jsonl"}, ""),
        # and such that one finds
        (["*.log"], True, {"jsonl_file": "{signal}.log"}, ("metrics.log", "would be followed as a log, by *.log")),
        (["*"], True, {}, ("s.db", "would be followed as a log, by *")),
        (["*-wal"], True, {}, ("s.db-wal", "would be followed as a log, by *-wal")),
        (["**/*.log"], True, {"jsonl_file": "a/b/o.log"}, ("a/b/o.log", "would be followed as a log, by **/*.log")),
        (["**/*.log"], True, {"jsonl_file": "o.log"}, ("o.log", "would be followed as a log, by **/*.log")),
        (["*.log"], False, {"jsonl_file": "proxy-1.log"}, ("proxy-1.log", "would be followed as a log, by *.log")),
        (["linked/*.log"], True, {"jsonl_file": "o.log"}, ("o.log", "would be followed as a log, by linked/*.log")),
        (
            ["linked/proxy.log"],
            True,
            {"hex_db": "proxy.log.3"},
            ("proxy.log.3", "would be followed as a log, by linked/proxy.log"),
        ),
        # what is put aside, on both sides
        (["out.jsonl.3"], True, {"jsonl_file": "out.jsonl"}, ("out.jsonl.3", "is a log that is followed")),
        (["proxy.log"], True, {"jsonl_file": "old.1"}, ("proxy.log.1", "is a log that is followed")),
        # two outputs
        (["proxy.log"], True, {"jsonl_file": "s.db"}, ("s.db", "is the file of --db")),
        (["proxy.log"], True, {"hex_db": "s.db-wal"}, ("s.db-wal", "is the file of --db")),
        (["proxy.log"], True, {"hex_db": "x", "jsonl_file": "x"}, ("x", "is the file of --jsonl-file")),
    ],
)
def test_names_count_as_the_tail_reads_them(
    tmp_path: Path, patterns: list[str], trusted: bool, options: dict[str, str], wrong: str | tuple[str, str]
) -> None:
    for name in ("proxy.log", "proxy.log.1"):
        (tmp_path / name).write_bytes(LINES)
    (tmp_path / "linked").symlink_to(tmp_path)
    (tmp_path / "old.1").symlink_to("proxy.log.1")
    said = check(tmp_path, patterns, trusted=trusted, **options)
    assert said.startswith("--") if wrong else said == ""
    assert said.endswith(" ".join(wrong))
