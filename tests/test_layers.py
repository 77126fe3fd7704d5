"""The way of the data, as a list: a module imports only from those above it. A new module finds its place here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import otel_logtail

ROOT = Path(otel_logtail.__file__).parent

LAYERS = [
    # the hot path's helpers in C, where they are built
    "native",
    # words that all stages speak
    "errors",
    "ownfile",
    "sizes",
    "text",
    "redact",
    "model",
    "engine.__init__",
    "engine.columns",
    # the two seams for plug-ins, and what their authors import
    "observer",
    "exporter",
    "__init__",
    "plugins",
    # what happened, said on standard error; how it goes, said to systemd
    "events",
    "daemon.__init__",
    "daemon.supervisor",
    # bytes: files that rotate as one endless source
    "tail.__init__",
    "tail.watch",
    "tail.directories",
    "tail.patterns",
    "tail.files",
    "tail.discover",
    "tail.trail",
    "tail.lines",
    "tail.resume",
    "tail.handover",
    "tail.checkpoints",
    "tail.identify",
    "tail.live",
    "tail.tailer",
    "tail.firstlook",
    # samples, episodes, counts
    "observers.__init__",
    "observers.headroom.__init__",
    "observers.headroom.observer",
    "engine.episodes",
    "engine.intervals",
    "engine.clock",
    # the store
    "store.__init__",
    "store.rows",
    "store.place",
    "store.connection",
    "store.migrations.__init__",
    "store.migrations.0002_blocks",
    "store.migrate",
    "store.file",
    "store.marker",
    "store.home",
    "store.maintenance",
    "store.wal",
    "store.writer",
    # a source, from its files into the store
    "daemon.source",
    "daemon.sources",
    # out of the store, to the destinations
    "store.health",
    "store.gaps",
    "store.totals",
    "store.outbox",
    "delivery.__init__",
    "delivery.sender",
    # for the tests of plug-in authors, and ours
    "testing.fakes",
    "testing.contract",
    "testing.__init__",
    "daemon.environment",
    "exporters.__init__",
    "exporters.wording",
    "exporters.otlp.__init__",
    "exporters.otlp.config",
    "exporters.trust",
    "exporters.otlp.tls",
    "exporters.otlp.encode",
    "exporters.otlp.health",
    "exporters.otlp.logs",
    "exporters.otlp.requests",
    "exporters.otlp.answer",
    "exporters.otlp.http",
    "exporters.otlp.grpc",
    "exporters.otlp.exporter",
    "exporters.hex.__init__",
    "exporters.hex.config",
    "exporters.hex.events",
    "exporters.hex.link",
    "exporters.hex.bus",
    "exporters.hex.telemetry",
    "exporters.jsonl",
    "exporters.console",
    "exporters.prometheus",
    # the only module that knows all stages
    "daemon.settings",
    "daemon.safety",
    "daemon.app",
    # questions to the store, and their answers
    "query.database",
    "query.counts",
    "query.rows",
    "query.sums",
    "query.status",
    "query.parts",
    "query.__init__",
    "doctor.check",
    "doctor.logs",
    "doctor.store",
    "doctor.destinations",
    "doctor.machine",
    "doctor.__init__",
    "cli.__init__",
    "cli.tables",
    "report.slo",
    "report.bars",
    "report.data",
    "report.text",
    "report.plots",
    "report.page",
    "report.__init__",
    # the command line
    "daemon.paths",
    "daemon.toml_lines",
    "daemon.config",
    "cli.demo",
    "cli.service.__init__",
    "cli.service.units",
    "cli.errors",
    "cli.given",
    "cli.help",
    "cli.prune",
    "cli.query",
    "cli.plugins",
    "cli.report",
    "cli.service.command",
    "cli.follow",
    "cli.doctor",
    "cli.main",
    "__main__",
]

PURE = [
    "native",
    "errors",
    "redact",
    "sizes",
    "model",
    "engine.columns",
    "observer",
    "observers.headroom.observer",
    "engine.episodes",
    "engine.intervals",
    "engine.clock",
    "text",
    "store.rows",
    "daemon.environment",
    "exporters.wording",
    "exporters.hex.config",
    "exporters.hex.events",
    "store.gaps",
    "store.totals",
    "daemon.toml_lines",
    "report.slo",
    "report.bars",
    "report.plots",
    "exporters.otlp.answer",
    "exporters.otlp.encode",
    "exporters.otlp.logs",
]
IMPURE = {"os", "io", "time", "sqlite3", "threading", "logging", "socket", "subprocess", "random", "asyncio"}

EXCEPTIONS: dict[tuple[str, str], str] = {
    ("native", "os"): "asks once, while it is imported, which of two twins is wanted: both say the same",
}
"""(module, what it imports): why it may, although it is not above it in the list, or is not pure."""


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def modules() -> list[str]:
    return sorted(name_of(path) for path in ROOT.rglob("*.py"))


def imports(module: str) -> Iterator[str]:
    """All that a module imports, wherever in it: absolute names, and for ours the names of the list."""
    tree = ast.parse(ROOT.joinpath(*module.split(".")).with_suffix(".py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield ours(alias.name) or alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            assert node.module is not None
            for alias in node.names:
                yield ours(f"{node.module}.{alias.name}") or ours(node.module) or node.module


def ours(name: str) -> str | None:
    """The entry of the list that a name like ``otel_logtail.query.rows`` stands for; None: no module of ours."""
    if name == ROOT.name:
        return "__init__"
    within = name.removeprefix(ROOT.name + ".")
    if within == name:
        return None
    return next((entry for entry in (within, within + ".__init__") if entry in LAYERS), None)


def test_every_module_has_its_place_and_every_place_its_module() -> None:
    assert sorted(LAYERS) == modules()


@pytest.mark.parametrize("module", LAYERS)
def test_a_module_imports_only_from_those_above_it(module: str) -> None:
    above = LAYERS[: LAYERS.index(module)]
    below = {name for name in imports(module) if name in LAYERS and name not in above}
    assert {name for name in below if (module, name) not in EXCEPTIONS} == set()


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_know_no_clock_no_file_and_no_thread(module: str) -> None:
    impure = {name for name in imports(module) if name.split(".")[0] in IMPURE}
    assert {name for name in impure if (module, name) not in EXCEPTIONS} == set()


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_import_only_pure_ones_of_ours(module: str) -> None:
    known = {*PURE, "exporter", "__init__"}  # the seams and their names do nothing either
    assert {name for name in imports(module) if name in LAYERS} <= known


@pytest.mark.parametrize("module", [name for name in LAYERS if name.startswith("observers.") and name[-2:] != "__"])
def test_observers_are_pure(module: str) -> None:
    assert module in PURE


def test_no_exception_outlives_its_reason() -> None:
    assert {(module, name) for module, name in EXCEPTIONS if name not in set(imports(module))} == set()
