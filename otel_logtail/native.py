"""C functions of the hot paths, each bound to a Python function that returns the same.

They are built when the package is installed and a C compiler is available. Without them everything works, but slower.
``OTEL_LOGTAIL_PURE_PYTHON=1`` turns them off.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def module(name: str) -> Any:
    """Return the compiled module of this name in our package, or None."""
    if os.environ.get("OTEL_LOGTAIL_PURE_PYTHON"):
        return None
    try:
        return importlib.import_module(f"otel_logtail.{name}")
    except ImportError:
        return None


def twin(compiled: Any, *, declines: bool = True) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator that binds a Python function to the C function of the same name.

    The Python function is ``__wrapped__`` of the bound one. Its name may have a leading underscore.

    Args:
        compiled: The compiled module; None: the Python function stays as it is.
        declines: The C function returns None if it leaves its arguments to the Python function.
    """

    def bind(python: Callable[P, R]) -> Callable[P, R]:
        if compiled is None:
            return python
        in_c: Callable[P, R | None] = getattr(compiled, python.__name__.removeprefix("_"))

        @wraps(python)
        def either(*args: P.args, **kwargs: P.kwargs) -> R:
            found = in_c(*args, **kwargs)
            return python(*args, **kwargs) if found is None and declines else found  # type: ignore[return-value]  # None is a result of those that never decline

        return either

    return bind
