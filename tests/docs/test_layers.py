"""Which room may import which: the table of docs/architecture.md, and the rooms that are pure."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import otel_logtail

ROOT = Path(otel_logtail.__file__).parent

WORDS = {path.stem for path in ROOT.glob("*.py")} - {"__main__"} | {"model"}
"""Modules that every room may import, and the package of records; they import only each other."""

MAY_IMPORT: dict[str, set[str]] = {
    "tail": set(),
    "observers": set(),
    "engine": set(),
    "store": set(),
    "delivery": {"store"},
    "exporters": set(),
    "query": {"store.blocks", "store.rows", "store.connection", "store.health", "store.place", "store.sparse"},
    "report": {"query"},
    "daemon": {"tail", "engine", "store", "delivery"},
    "doctor": {
        *("tail", "engine", "query", "store.health", "store.home", "store.place", "store.rows", "store.sources"),
        *("daemon.options", "daemon.settings", "daemon.build", "daemon.safety"),
    },
    "testing": {"engine", "store", "delivery"},
}
"""A room, and what it may import besides words and itself. The command line may import everything."""

PURE = {
    *(
        "errors",
        "model",
        "counts",
        "observer",
        "environment",
        "engine",
        "observers",
        "store.blocks",
        "store.rows",
        "store.gaps",
        "store.streams",
        "store.totals",
    ),
    *(
        "report.distributions",
        "report.ratios",
        "report.slo",
        "report.bars",
        "report.words",
        "exporters.wording",
        "exporters.hex.config",
        "exporters.hex.events",
    ),
    *("exporters.hex.options", "exporters.otlp.options", "exporters.jsonl.options", "exporters.prometheus.options"),
    *("exporters.otlp.answer", "exporters.otlp.encode", "exporters.otlp.encoding", "exporters.otlp.metrics"),
    "exporters.otlp.points",
    *("exporters.otlp.spans", "exporters.otlp.logs", "daemon.toml_lines", "daemon.pace"),
    *("exporters.otlp.health", "exporters.sdk.records", "exporters.sdk.options"),
    *("option", "trace", "table"),
}
"""Rooms and modules without clock, file, SQL, thread or network."""
IMPURE = {"os", "io", "time", "sqlite3", "threading", "logging", "socket", "subprocess", "random", "asyncio"}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


MODULES = sorted(name_of(path) for path in ROOT.rglob("*.py"))


def imports(module: str) -> Iterator[str]:
    """Yield the full name of everything that a module imports, at any depth."""
    tree = ast.parse(ROOT.joinpath(*module.split(".")).with_suffix(".py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(module: str) -> Iterator[str]:
    """Yield the modules of ours that a module imports, without the package's name."""
    for name in imports(module):
        within = name.removeprefix(f"{ROOT.name}.")
        if name == ROOT.name or within == name:
            continue
        parts = within.split(".")
        candidates = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
        yield next((c for c in candidates if c in MODULES or f"{c}.__init__" in MODULES), "__init__")


ONE_OF_MANY = ("observers", "exporters")
"""Rooms with one package for each program or receiver, which do not import each other."""

SHARE = {f"exporters.{name}": "exporters.otlp" for name in ("jsonl", "prometheus", "sdk")}
"""Packages that use the encoding of another one."""


def package_of(module: str) -> str:
    """Return the package of a program or receiver, such as ``observers.nginx``; empty if the module is in none."""
    room, *inner = module.removesuffix(".__init__").split(".")
    return f"{room}.{inner[0]}" if room in ONE_OF_MANY and inner and (ROOT / room / inner[0]).is_dir() else ""


def is_in(module: str, rooms: set[str]) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def test_each_room_is_in_the_table() -> None:
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert rooms - WORDS == {*MAY_IMPORT, "cli"}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_room_may(module: str) -> None:
    room = module.split(".")[0]
    if room in ("cli", "__main__"):
        return
    allowed = WORDS if room in WORDS else WORDS | {room} | MAY_IMPORT[room]
    assert {name for name in ours(module) if not is_in(name, allowed)} == set()


def test_a_room_imports_only_rooms_above_it() -> None:
    above: set[str] = set()
    for room, allowed in MAY_IMPORT.items():
        assert {name.split(".")[0] for name in allowed} <= above, room
        above.add(room)


def test_packages_of_programs_and_receivers_do_not_import_each_other() -> None:
    found = {
        (package, other)
        for module in MODULES
        if (package := package_of(module))
        for other in map(package_of, ours(module))
        if other not in ("", package)
    }
    assert found == set(SHARE.items())


@pytest.mark.parametrize("module", [module for module in MODULES if is_in(module, PURE)])
def test_pure_modules_use_no_clock_file_or_thread(module: str) -> None:
    assert {name for name in imports(module) if name.split(".")[0] in IMPURE} == set()


@pytest.mark.parametrize("module", [module for module in MODULES if is_in(module, PURE)])
def test_pure_modules_import_only_pure_ones_of_ours(module: str) -> None:
    assert {name for name in ours(module) if not is_in(name, PURE | WORDS | {"store.connection"})} == set()


def test_no_modules_of_a_room_import_each_other_in_a_circle() -> None:
    graph = {module.removesuffix(".__init__"): {*ours(module)} for module in MODULES if module != "__init__"}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"a circle: {' -> '.join((*path, module))}"
        if module not in done:
            for other in graph.get(module, ()):
                visit(other, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())
