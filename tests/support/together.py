"""Work of several cases at the same time: most of it is waiting for a clock or for another process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

T = TypeVar("T")

AT_ONCE = 8
"""The most cases that run at the same time: with more, those that need the processor delay each other."""


@contextmanager
def together(
    request: pytest.FixtureRequest, test: Callable[..., None], work: Callable[..., T]
) -> Iterator[Callable[..., T]]:
    """Do the work of all selected cases of a parametrized test at the same time, in a fixture of its module.

    Yields a function that takes the parameters of a case by name and returns its result, or raises its error.

    Args:
        request: That of the fixture.
        test: The test whose cases are meant.
        work: What a case does, in a thread of its own; its arguments are the parameters of the test.
    """
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    cases = [dict(item.callspec.params) for item in items if item.function is test]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        started = [(case, pool.submit(work, **case)) for case in cases]

        def result_of(**case: Any) -> T:
            (found,) = [future for parameters, future in started if parameters == case]
            return found.result()

        yield result_of
        pool.shutdown(cancel_futures=True)
