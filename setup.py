"""Build what pyproject.toml cannot declare: the optional C helpers, and the README with absolute links.

Without a C compiler the helpers are left out. One build serves CPython 3.11 and later, because the helpers use only the
stable ABI. CPython 3.10 lacks the buffers of that ABI, and free-threaded CPython the ABI itself: both get a build of
their own (decision 0157).
"""

import re
import sys
import sysconfig
from pathlib import Path

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


def description() -> str:
    """Return the README with links to this version in the repository: an index of packages has no other files."""
    project = Path("pyproject.toml").read_text(encoding="utf-8")
    version, home = (re.search(rf'^{key} = "(.+)"$', project, re.MULTILINE)[1] for key in ("version", "Source"))

    def absolute(link: re.Match[str]) -> str:
        kind = "raw" if link[2].endswith((".png", ".svg")) else "blob"
        return f"{link[1]}{home}/{kind}/v{version}/{link[2]}"

    readme = Path("README.md").read_text(encoding="utf-8")
    return re.sub(r"""(\]\(|(?:src|srcset|href)=")(?!https?:|#)([^)"\s]+)""", absolute, readme)


setup(
    long_description=description(),
    long_description_content_type="text/markdown",
    ext_modules=[
        helper("otel_logtail.engine._hot", "otel_logtail/engine/_hot.c"),
        helper("otel_logtail.observers.headroom._bulk", "otel_logtail/observers/headroom/_bulk.c"),
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if STABLE else {},
)
