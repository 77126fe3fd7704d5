"""Observers from a file: each mistake is one error, the file is run once, and nothing is written beside it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from otel_logtail import ObserverContext, ObserverPlugin, UsageError
from otel_logtail.observer_file import absolute, is_file, load, own_name, path_of
from otel_logtail.plugins import find_observer, make_observer

ACME = """
    from __future__ import annotations

    import dataclasses

    from otel_logtail import Ignored, Observed, Observer, ObserverContext, ObserverPlugin, Option, PathRule, Text


    @dataclasses.dataclass
    class Line:
        text: bytes


    class Acme(Observer):
        '''Requests of acme.

        More.
        '''

        name = source = "acme"
        marker = b" took "

        def paths(self) -> PathRule:
            return PathRule(patterns=("/acme.log",), live="acme")

        def observe(self, line: bytes) -> Observed:
            return Ignored()


    class Zoned(Acme):
        def __init__(self, context: ObserverContext) -> None:
            self.zone = context.timezone


    PLUGIN = ObserverPlugin(summary="A plug-in.", make=Zoned, options=(Option("acme_measure", Text(), "What."),))
    FOREIGN = ObserverPlugin(summary="A plug-in.", make=Zoned, options=(Option("other_measure", Text(), "What."),))
    NUMBER = 5
"""


def write(folder: Path, text: str, name: str = "acme.py") -> Path:
    path = folder / name
    path.write_text(dedent(text))
    return path


def fails(observer: str) -> tuple[str, str]:
    with pytest.raises(UsageError) as raised:
        make_observer(observer, ObserverContext())
    assert raised.value.setting == "observer"
    return str(raised.value), raised.value.hint


@pytest.mark.parametrize("name", ["./acme.py:Acme", "acme.py:Acme", "/x/acme.py", "a/b", "~/acme.py:A", "acme.py"])
def test_a_path_is_a_file(name: str) -> None:
    assert is_file(name)


@pytest.mark.parametrize("name", ["headroom", "my-observer", "acme.python", "acme:Acme"])
def test_a_name_is_not_a_file(name: str) -> None:
    assert not is_file(name)
    assert absolute(name) == name == own_name(name)


def test_a_relative_path_starts_at_the_current_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/alice")
    assert absolute("./acme.py:Acme") == f"{tmp_path}/acme.py:Acme"
    assert absolute("~/acme.py:Acme") == "/home/alice/acme.py:Acme"
    assert absolute("/a:b/acme.py:Acme") == "/a:b/acme.py:Acme"
    assert path_of("/a:b/acme.py:Acme") == "/a:b/acme.py"


def test_a_class_becomes_an_observer(tmp_path: Path) -> None:
    path = write(tmp_path, ACME)
    plugin = find_observer(f"{path}:Acme")
    assert plugin.summary == "Requests of acme."
    assert make_observer(f"{path}:Acme", ObserverContext()).name == "acme"
    assert make_observer(f"{path}:Zoned", ObserverContext()).name == "acme"
    assert isinstance(find_observer(f"{path}:PLUGIN"), ObserverPlugin)
    assert make_observer(f"{path}:PLUGIN", ObserverContext()).name == "acme"


def test_a_file_is_run_once(tmp_path: Path) -> None:
    path = write(tmp_path, ACME + "\n    with open(__file__ + '.ran', 'a') as ran:\n        ran.write('x')\n")
    for name in ("Acme", "Zoned", "Acme"):
        make_observer(f"{path}:{name}", ObserverContext())
    assert Path(f"{path}.ran").read_text() == "x"


def test_nothing_is_written_beside_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, ACME)
    make_observer(f"{path}:Acme", ObserverContext())
    assert os.listdir(tmp_path) == ["acme.py"]
    assert str(tmp_path) not in sys.path


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    message, hint = fails(f"{tmp_path}/acme.py:Acme")
    assert message == f"cannot read the observer {tmp_path}/acme.py: no such file or directory"
    assert hint == "use ./FILE.py:CLASS"


def test_a_missing_class_is_an_error_with_the_classes(tmp_path: Path) -> None:
    path = write(tmp_path, ACME)
    assert fails(f"{path}:Nothing") == (f"{path} has no 'Nothing'", "it defines Line, Acme, Zoned")
    assert fails(str(path)) == (f"the observer '{path}' has no name of a class", f"use {path}:Line")
    assert fails(f"{path}:") == (f"the observer '{path}:' has no name of a class", f"use {path}:Line")


def test_a_file_that_is_not_python_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, "x = 1\nclass Acme(\n")
    message, _ = fails(f"{path}:Acme")
    assert message.startswith(f"{path}:2: the line is not Python: ")
    assert fails("/x/acme.js:Acme")[0] == "the observer '/x/acme.js:Acme' is not a file of Python"


def test_an_import_that_fails_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, "x = 1\nimport no_such_module\n")
    message, hint = fails(f"{path}:Acme")
    assert message == f"{path}:2: an import failed: No module named 'no_such_module'"
    assert hint == "install the module beside otel-logtail; a file cannot import its neighbors"


@pytest.mark.parametrize(
    ("text", "reason"), [("1 / 0", "ZeroDivisionError: division by zero"), ("exit(3)", "SystemExit: 3")]
)
def test_a_file_that_raises_is_an_error_with_its_line(tmp_path: Path, text: str, reason: str) -> None:
    path = write(tmp_path, f"def f():\n    {text}\n\nf()\n")
    assert fails(f"{path}:Acme")[0] == f"{path}:2: {reason}"


def test_what_is_not_an_observer_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, ACME)
    assert fails(f"{path}:NUMBER")[0] == f"{path}: NUMBER is not a class or an ObserverPlugin"
    assert fails(f"{path}:Line")[0] == f"{path}: the class Line has no 'name'"
    message = fails(f"{path}:FOREIGN")[0]
    assert message == f"{path}: the name of the option 'other_measure' does not start with 'acme_'"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("class Acme:\n    name = source = 'a'\n    marker = b''\n    def paths(self): ...\n", "has no 'observe'"),
        ("class Acme:\n    name = source = ''\n    marker = b''\n    paths = observe = None\n", "has the name ''"),
        ("class Acme:\n    def __init__(self, context, more): ...\n", "cannot be created: TypeError: "),
        ("class Acme:\n    def __init__(self, context): raise ValueError('no')\n", "cannot be created: ValueError: no"),
    ],
)
def test_an_incomplete_class_is_an_error(tmp_path: Path, text: str, reason: str) -> None:
    assert reason in fails(f"{write(tmp_path, text)}:Acme")[0]


def test_a_usage_error_of_the_class_is_passed_on(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "from otel_logtail import UsageError\n"
        "class Acme:\n    def __init__(self, context): raise UsageError('pass X')\n",
    )
    with pytest.raises(UsageError, match="pass X"):
        make_observer(f"{path}:Acme", ObserverContext())


def test_the_options_of_a_file_start_with_its_name() -> None:
    assert own_name("/x/my_acme.py:Acme") == "my-acme"
    with pytest.raises(UsageError):
        load("/nowhere/acme.py:Acme")
