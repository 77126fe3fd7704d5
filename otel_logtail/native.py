"""The compiled helpers of the hot path, where they could be built. Each has a twin in Python that says the same.

They are built when the package is installed, if there is a C compiler; without them everything works, slower.
``OTEL_LOGTAIL_PURE_PYTHON=1`` leaves them out.
"""

from __future__ import annotations

import importlib
import os
from typing import Any


def helper(name: str) -> Any:
    """The compiled module of this name in our package, or None."""
    if os.environ.get("OTEL_LOGTAIL_PURE_PYTHON"):
        return None
    try:
        return importlib.import_module(f"otel_logtail.{name}")
    except ImportError:
        return None
