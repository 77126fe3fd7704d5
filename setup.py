"""Build the optional C helpers, which pyproject.toml cannot declare. Without a C compiler they are left out.

One build serves CPython 3.11 and later, because the helpers use only the stable ABI. CPython 3.10 lacks the buffers of
that ABI, and free-threaded CPython the ABI itself: both get a build of their own (decision 0157).
"""

import sys
import sysconfig

from setuptools import Extension, setup

STABLE = (
    sys.implementation.name == "cpython"
    and sys.version_info >= (3, 11)
    and not sysconfig.get_config_var("Py_GIL_DISABLED")
)
FLAGS = ["-O2", "-ffp-contract=off"]  # a fused multiply-add could put a duration into a different bucket than Python


def helper(name: str, source: str) -> Extension:
    """Return how to build one helper."""
    return Extension(
        name,
        [source],
        extra_compile_args=FLAGS,
        define_macros=[("Py_LIMITED_API", "0x030b0000")] if STABLE else [],
        py_limited_api=STABLE,
        optional=True,
    )


setup(
    ext_modules=[
        helper("otel_logtail.engine._hot", "otel_logtail/engine/_hot.c"),
        helper("otel_logtail.observers.headroom._bulk", "otel_logtail/observers/headroom/_bulk.c"),
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if STABLE else {},
)
