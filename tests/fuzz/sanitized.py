"""The C functions with AddressSanitizer and UndefinedBehaviorSanitizer, for the fuzzer alone."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from tests.fuzz.target import Target
from tests.support.places import ROOT

_FLAGS = (
    *("-g", "-O1", "-fPIC", "-shared", "-fno-omit-frame-pointer", "-ffp-contract=off"),
    "-fsanitize=address,undefined,fuzzer-no-link",
    "-fno-sanitize-recover=undefined",
    *(["-DPy_LIMITED_API=0x030b0000"] if sys.version_info >= (3, 11) else []),  # as in setup.py
)
_COMPILERS = ("clang", *(f"clang-{version}" for version in range(24, 13, -1)))


def build(folder: Path) -> Path:
    """Compile each C file of the package; return the folder of the modules, each with its full name.

    Raises:
        SystemExit: there is no clang.
    """
    compiler = next((path for name in _COMPILERS if (path := shutil.which(name))), None)
    if compiler is None:
        sys.exit("error: clang is missing, which builds the C functions with the sanitizers: install clang")
    folder.mkdir(parents=True, exist_ok=True)
    for source in sorted((ROOT / "otel_logtail").rglob("*.c")):
        name = ".".join(source.relative_to(ROOT).with_suffix("").parts)
        into = ("-I", sysconfig.get_path("include"), "-o", os.fspath(folder / f"{name}.so"))
        subprocess.run([compiler, *_FLAGS, os.fspath(source), *into], check=True)
    return folder


def environment(target: Target, folder: Path) -> Mapping[str, str]:
    """Return the variables of a run: the runtime of the sanitizers is loaded first, and memory is not pooled."""
    if not target.in_c:
        return {}
    spec = importlib.util.find_spec("atheris")
    if spec is None or spec.origin is None:
        sys.exit("error: atheris is missing: run make fuzz")
    runtime = Path(spec.origin).parents[1] / "asan_with_fuzzer.so"
    return {
        "SANITIZED": os.fspath(folder),
        "LD_PRELOAD": os.fspath(runtime),
        "PYTHONMALLOC": "malloc",
        "ASAN_OPTIONS": "detect_leaks=0",
    }
