"""Build what pyproject.toml cannot declare: the version, the README with absolute links, and the optional C helpers.

Without a C compiler the helpers are left out. One build serves CPython 3.11 and later, because the helpers use only the
stable ABI. CPython 3.10 lacks the buffers of that ABI, and free-threaded CPython the ABI itself: both get a build of
their own (decision 0157).
"""

import re
import shutil
import subprocess
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


def version() -> str:
    """Return the version of these files: that of git's newest tag, or of the changelog without one (decision 0166).

    A commit behind the tag adds their distance and the commit, such as ``0.1.0.post3+g1a2b3c4d``. A source distribution
    keeps the version with which it was built.
    """
    if Path("PKG-INFO").exists():
        return first(r"^Version: (.+)$", "PKG-INFO")
    released = first(r"^## \[(\d.*?)\]", "CHANGELOG.md")
    if not Path(".git").exists() or not shutil.which("git"):
        return released
    describe = ["git", "describe", "--tags", "--long", "--always", "--abbrev=8", "--match=v[0-9]*"]
    found = subprocess.run(describe, capture_output=True, text=True, check=False).stdout.strip()
    tag, distance, commit = re.fullmatch(r"(?:v(.+)-(\d+)-g)?(\w*)", found).groups()
    if distance == "0":
        return tag
    if tag:
        return f"{tag}.post{distance}+g{commit}"
    return f"{released}+g{commit}" if commit else released


def first(pattern: str, file: str) -> str:
    """Return the first group of the first match in a file."""
    return re.search(pattern, Path(file).read_text(encoding="utf-8"), re.MULTILINE)[1]


def description(version: str) -> str:
    """Return the README with links into the repository: an index of packages has no other files."""
    home = first('^Source = "(.+)"$', "pyproject.toml")
    at = "main" if "+" in version else f"v{version}"

    def absolute(link: re.Match[str]) -> str:
        kind = "raw" if link[2].endswith((".png", ".svg")) else "blob"
        return f"{link[1]}{home}/{kind}/{at}/{link[2]}"

    readme = Path("README.md").read_text(encoding="utf-8")
    return re.sub(r"""(\]\(|(?:src|srcset|href)=")(?!https?:|#)([^)"\s]+)""", absolute, readme)


VERSION = version()

setup(
    version=VERSION,
    long_description=description(VERSION),
    long_description_content_type="text/markdown",
    ext_modules=[
        helper("otel_logtail.engine._hot", "otel_logtail/engine/_hot.c"),
        helper("otel_logtail.observers.headroom._bulk", "otel_logtail/observers/headroom/_bulk.c"),
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if STABLE else {},
)
