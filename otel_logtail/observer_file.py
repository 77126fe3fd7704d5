"""Observers in a single file without a package: ``--observer ./acme.py:Acme``. Loading one runs the code of the file.

The file is compiled in memory, so that no ``__pycache__`` appears beside it.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import traceback
from functools import cache
from pathlib import Path
from types import ModuleType

from otel_logtail.errors import UsageError
from otel_logtail.observer import Observer, ObserverContext, ObserverPlugin

_FILE = re.compile(r"(?P<path>.*\.py)(?::(?P<name>[^:/]*))?", re.DOTALL)
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_PARTS = ("name", "source", "marker", "paths", "observe")
_MODULE = "otel_logtail_file_"


def is_file(observer: str) -> bool:
    """Return whether the name of an observer is that of a file and a class, such as ``./acme.py:Acme``."""
    return _FILE.fullmatch(observer) is not None or "/" in observer


def path_of(observer: str) -> str:
    """Return the path in the name of an observer for which :func:`is_file` is true."""
    match = _FILE.fullmatch(observer)
    return observer if match is None else match["path"]


def absolute(observer: str) -> str:
    """Return the name of an observer; a path in it becomes absolute.

    Raises:
        ValueError: the home directory of ``~`` is unknown.
    """
    if not is_file(observer):
        return observer
    path = path_of(observer)
    try:
        return str(Path(path).expanduser().absolute()) + observer[len(path) :]
    except RuntimeError:
        raise ValueError("the home directory is unknown") from None


def own_name(observer: str) -> str:
    """Return the name with which the options of an observer start: of a file, its name without ``.py``."""
    return Path(path_of(observer)).stem.replace("_", "-") if is_file(observer) else observer


@cache
def load(observer: str) -> ObserverPlugin:
    """Run a file, and return the declaration of the observer in it. Each file is run once.

    Args:
        observer: An absolute path, a colon, and the name of a class or of an ``ObserverPlugin``.

    Raises:
        UsageError: the file or the name does not exist, or is not an observer.
    """
    match = _FILE.fullmatch(observer)
    if match is None:
        raise _wrong(f"the observer {observer!r} is not a file of Python", "use a path and a class: ./acme.py:Acme")
    path, name = match["path"], match["name"]
    if not name:
        text = _read(path)
        raise _wrong(f"the observer {observer!r} has no name of a class", f"use {path}:{(*_classes(text), 'Acme')[0]}")
    module = _run(path)
    if not hasattr(module, name):
        known = ", ".join(_classes(_read(path))) or "no class"
        raise _wrong(f"{path} has no {name!r}", f"it defines {known}")
    return _declared(path, name, getattr(module, name))


def _declared(path: str, name: str, found: object) -> ObserverPlugin:
    if isinstance(found, ObserverPlugin):
        prefix = own_name(f"{path}:{name}").partition("-")[0] + "_"
        for option in found.options:
            if not option.name.startswith(prefix):
                raise _wrong(
                    f"{path}: the name of the option {option.name!r} does not start with {prefix!r}", "rename it"
                )
        return found
    if not isinstance(found, type):
        raise _wrong(f"{path}: {name} is not a class or an ObserverPlugin", "name a class that reads a log format")
    summary = (found.__doc__ or "").strip().partition("\n")[0]

    def make(context: ObserverContext) -> Observer:
        with_context = any(parameter.kind in _POSITIONAL for parameter in inspect.signature(found).parameters.values())
        try:
            observer: Observer = found(context) if with_context else found()
        except UsageError:
            raise
        except Exception as problem:
            raise _wrong(f"{path}: the class {name} cannot be created: {_reason(problem)}", "correct it") from problem
        if missing := [part for part in _PARTS if not hasattr(observer, part)]:
            raise _wrong(f"{path}: the class {name} has no {missing[0]!r}", f"an observer has {', '.join(_PARTS)}")
        if type(observer.name) is not str or not observer.name.isprintable() or not observer.name:
            raise _wrong(f"{path}: the class {name} has the name {observer.name!r}", "give it a name of a few letters")
        return observer

    return ObserverPlugin(summary=summary, make=make)


@cache
def _run(path: str) -> ModuleType:
    """Run a file as a module of its own name, which ``dataclasses`` and ``msgspec`` look up."""
    text = _read(path)
    module = ModuleType(f"{_MODULE}{Path(path).stem}")
    module.__file__ = path
    sys.modules[module.__name__] = module
    try:
        exec(compile(text, path, "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - the user named this file
    except SyntaxError as problem:
        where = f"{path}:{problem.lineno or 1}" if problem.filename in (path, None) else path
        raise _wrong(f"{where}: the line is not Python: {problem.msg}", "correct the file") from None
    except (Exception, SystemExit) as problem:
        raise _wrong(f"{path}:{_line(problem, path)}: {_reason(problem)}", _hint(problem)) from problem
    return module


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as problem:
        why = getattr(problem, "strerror", None) or str(problem)
        raise _wrong(f"cannot read the observer {path}: {why.lower()}", "use ./FILE.py:CLASS") from None


def _classes(text: bytes) -> list[str]:
    try:
        return [node.name for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
    except (SyntaxError, ValueError):
        return []


def _line(problem: BaseException, path: str) -> int:
    """Return the last line of the file that an error passed through."""
    lines = [frame.lineno or 1 for frame in traceback.extract_tb(problem.__traceback__) if frame.filename == path]
    return lines[-1] if lines else 1


def _reason(problem: BaseException) -> str:
    if isinstance(problem, ImportError):
        return f"an import failed: {problem}"
    return f"{type(problem).__name__}: {problem}".removesuffix(": ")


def _hint(problem: BaseException) -> str:
    if isinstance(problem, ImportError):
        return "install the module beside otel-logtail; a file cannot import its neighbors"
    return "correct the file"


def _wrong(what: str, hint: str) -> UsageError:
    return UsageError(what, hint=hint, setting="observer")
