"""The pages for maintainers name only existing things, in the order of their calls: a rename breaks a test."""

from __future__ import annotations

import ast
import functools
import io
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

import otel_logtail
from otel_logtail import native
from otel_logtail.daemon.build import build
from otel_logtail.daemon.loop import Loop
from otel_logtail.daemon.settings import Settings, SourceSettings
from otel_logtail.events import Reporter
from otel_logtail.exporter import ExporterContext
from otel_logtail.tail.watch import TimedWatcher
from tests.docs.test_layers import MAY_IMPORT
from tests.support.receiver import receiving

PACKAGE = Path(otel_logtail.__file__).parent
ROOT = PACKAGE.parent
PAGES = ("CONTRIBUTING.md", "docs/architecture.md", "docs/tail.md", "docs/explanation/threat-model.md")
ARCHITECTURE = "docs/architecture.md"

FILE_ENDINGS = (".py", ".md", ".txt", ".c", ".sql", ".toml", "/")


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def names_in(node: ast.AST, name: str, lines: dict[int, str]) -> Iterator[str]:
    """Yield the full names of what a module defines, and note its functions by the first line of their code."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef):
            full = f"{name}.{child.name}"
            if isinstance(child, ast.FunctionDef):
                lines[min([child.lineno, *(decorator.lineno for decorator in child.decorator_list)])] = full
            yield full
            yield from names_in(child, full, lines)
        else:
            targets = child.targets if isinstance(child, ast.Assign) else [getattr(child, "target", None)]
            yield from (f"{name}.{target.id}" for target in targets if isinstance(target, ast.Name))
            yield from names_in(child, name, lines)


@functools.cache  # once, and not while tests are collected: every worker collects all of them
def names_in_the_package() -> tuple[set[str], dict[str, dict[int, str]]]:
    """Return the full names of modules, classes, functions, fields and constants, and the functions of each file.

    Functions are found by their first lines.
    """
    names: set[str] = set()
    lines: dict[str, dict[int, str]] = {}
    for path in PACKAGE.rglob("*.py"):
        module = module_of(path)
        names |= {module, *names_in(ast.parse(path.read_text()), module, lines.setdefault(str(path), {}))}
    return names, lines


@functools.cache
def functions() -> set[str]:
    """Return the full names of all functions."""
    return {name for lines in names_in_the_package()[1].values() for name in lines.values()}


def ends(names: set[str], name: str) -> set[str]:
    """The full names that end with these parts."""
    return {full for full in names if f".{full}".endswith(f".{name}")}


def quoted(text: str) -> list[str]:
    """Return the text in backticks, outside of code blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def targets_of_make() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


def names_of_tests() -> set[str]:
    return {path.stem for path in (ROOT / "tests").rglob("test_*.py")}


def is_file(name: str, folder: Path) -> bool:
    return any((base / name).exists() for base in (ROOT, PACKAGE, folder))


def missing(name: str, folder: Path) -> bool:
    """Return whether a name looks like a file, module, function, test or target that does not exist."""
    if name.startswith("make "):
        return name.split()[1] not in targets_of_make()
    if re.fullmatch(r"(tests/(\w+/)*)?test_\w+(\.py)?", name):
        return Path(name).stem not in names_of_tests() if "/" not in name else not is_file(name, folder)
    if re.fullmatch(r"[\w.-]+(/[\w.-]+)*/?", name) and name.endswith(FILE_ENDINGS):
        return not is_file(name, folder)
    if re.fullmatch(r"tests\.\w+|benchmarks\.\w+|tools\.\w+", name):
        return not any((ROOT / name.replace(".", "/")).with_suffix(end).exists() for end in ("", ".py"))
    if re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", name) and not name.startswith("otel_logtail."):
        return not ends(names_in_the_package()[0], name)
    return False


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_exists(page: str) -> None:
    path = ROOT / page
    assert [name for name in quoted(path.read_text()) if missing(name, path.parent)] == []


@pytest.mark.parametrize(
    "name",
    [
        *("live.PathTail.look_at", "tailor.Tail.look", "PathTail.peek", "tail/lives.py", "make tea", "tests/pages.py"),
        *("test_that_is_not_there", "tests/faults/test_that_is_not_there.py", "tests.tortures"),
    ],
)
def test_a_name_of_nothing_is_noticed(name: str) -> None:
    assert missing(name, ROOT)


def test_the_tree_shows_existing_files() -> None:
    block = (ROOT / ARCHITECTURE).read_text().split("## The tree")[1].split("```")[1]
    room = PACKAGE
    shown: set[str] = set()
    not_there: list[str] = []
    for line in block.strip().splitlines()[1:]:
        if not line:
            continue
        names, _, sentence = line.strip().partition("  ")
        assert sentence.strip(), line
        for name in names.split(", "):
            is_room = name.endswith("/") and not line.startswith("    ")
            if is_room:
                room = PACKAGE / name
                shown.add(name.rstrip("/"))
            elif not line.startswith("    "):
                room = PACKAGE
            if not (room if is_room else room / name).exists():
                not_there.append(f"{room.name}: {name}")
    assert not_there == []
    assert shown == {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


def test_the_table_of_imports_is_that_of_the_layers() -> None:
    section = (
        (ROOT / ARCHITECTURE).read_text().split("## Who may import whom")[1].split("|---|---|")[1].split("\n\n")[0]
    )
    rows = re.findall(r"^\| ([a-z, ]+) \| ([a-z., ]+) \|$", section, flags=re.MULTILINE)
    table = {room: set(allowed.split(", ")) - {"words"} for rooms, allowed in rows for room in rooms.split(", ")}
    assert table == {**MAY_IMPORT, "cli": {"everything"}}


def walk(heading: str) -> list[str]:
    """The functions that the steps below a heading name, in order."""
    section = (ROOT / ARCHITECTURE).read_text().split(f"## {heading}")[1].split("\n## ")[0]
    steps = re.findall(r"^\d\. .*?(?=^\d\. |^$|\Z)", section, flags=re.DOTALL | re.MULTILINE)
    return [name for name in quoted("".join(steps)) if ends(functions(), name)]


def called(frame: FrameType) -> str:
    code = frame.f_code
    if code.co_filename == native.__file__ and "python" in frame.f_locals:  # a function with a twin in C
        code = frame.f_locals["python"].__code__
    return names_in_the_package()[1].get(code.co_filename, {}).get(code.co_firstlineno, "")


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[str]]]:
    """The functions that one run over a log calls, in order, by thread."""
    found: dict[str, list[str]] = {}
    here = threading.current_thread()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and (name := called(frame)):
            thread = threading.current_thread()
            found.setdefault("main" if thread is here else thread.name, []).append(name)

    folder = tmp_path_factory.mktemp("walk")
    log = shutil.copy(ROOT / "tests/captures/0.42.0-stall.log", folder / "proxy.log")
    with receiving("http") as receiver:
        reporter = Reporter(io.StringIO())
        parts = build(
            Settings(
                db=folder / "store.db",
                sources=(SourceSettings(observer="headroom", patterns=(str(log),)),),
                once=True,
                drain_s=60.0,
                exporters=("otlp",),
            ),
            exporter_context=ExporterContext({"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint}),
            home=str(folder),
            reporter=reporter,
        )
        app = Loop(parts, TimedWatcher(), reporter)
        before = sys.getprofile()
        threading.setprofile(note)
        sys.setprofile(note)
        try:
            assert app.run() == 0
        finally:
            sys.setprofile(before)
            threading.setprofile(None)
            app.close()
    yield found


def follows(names: list[str], calls: list[str]) -> list[str]:
    """Which of these functions are called in this order, up to the first that is not."""
    order = iter(calls)
    return [name for name in names if any(f".{full}".endswith(f".{name}") for full in order)]


@pytest.mark.parametrize(("what", "thread", "least"), [("chunk", "main", 30), ("interval", "drain-otlp", 25)])
def test_a_walk_names_the_functions_in_the_order_of_their_calls(
    what: str, thread: str, least: int, calls: dict[str, list[str]]
) -> None:
    names = walk(f"The walk of a{'n' if what[0] in 'aeiou' else ''} {what}")
    assert len(names) >= least
    assert follows(names, calls[thread]) == names


def test_each_scenario_of_faults_is_in_the_table() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text()
    faults = {path.stem for path in (ROOT / "tests/faults").glob("test_*.py")}
    assert {name for name in faults if not re.search(rf"\b{name}\b", table)} == set()
