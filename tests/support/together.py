"""Work of several cases at the same time: most of it is waiting for a clock or for another process."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

T = TypeVar("T")

AT_ONCE = 8
"""The most cases that run at the same time: with more, those that need the processor delay each other."""


@contextmanager
def together(
    request: pytest.FixtureRequest, folders: pytest.TempPathFactory, work: Callable[..., T]
) -> Iterator[Callable[..., T]]:
    """Do the work of all selected cases that use a fixture at the same time; that fixture is one of their module.

    Yields a function that takes the parameters of a case by name and returns its result, or raises its error.

    Args:
        request: That of the fixture.
        folders: Pytest's temporary directories.
        work: What a case does, in a thread of its own. It gets a directory and the parameters of the test by name.
    """
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    cases = [dict(item.callspec.params) for item in items if _uses(item, request)]
    parent = folders.mktemp("together")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        started = [(case, pool.submit(work, Path(tempfile.mkdtemp(dir=parent)), **case)) for case in cases]

        def result_of(**case: Any) -> T:
            (found,) = [future for parameters, future in started if parameters == case]
            return found.result()

        yield result_of
        pool.shutdown(cancel_futures=True)


def _uses(item: pytest.Function, request: pytest.FixtureRequest) -> bool:
    return item.module is request.module and request.fixturename in item.fixturenames


def together_fixture(work: Callable[..., T]) -> Callable[..., Iterator[Callable[..., T]]]:
    """Return a fixture of a module that does the work of all cases that use it at the same time."""

    @pytest.fixture(scope="module")
    def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., T]]:
        with together(request, tmp_path_factory, work) as result_of:
            yield result_of

    return results
