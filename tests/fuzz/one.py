"""``python -m tests.fuzz.one TARGET [ARGUMENT...]``: fuzz one target in this process, with the arguments of libFuzzer.

An exception ends it with a traceback, and libFuzzer saves the input. ``SANITIZED`` names the folder of the C functions
that were built with the sanitizers.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Load everything under instrumentation, and fuzz."""
    name, *arguments = sys.argv[1:]
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["otel_logtail"], enable_loader_override=False):
        if folder := os.environ.get("SANITIZED"):
            use_sanitized(Path(folder))
        from tests.fuzz.run import TARGETS, replay
        from tests.fuzz.target import judge

        target = TARGETS[name]
        replay(target)  # plug-ins are imported when they are first used
    atheris.Setup([sys.argv[0], f"-max_len={target.longest}", *arguments], lambda data: judge(target, data))
    atheris.Fuzz()


def use_sanitized(folder: Path) -> None:
    """Load the C functions from a folder, in place of the installed ones."""
    for path in folder.glob("*.so"):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None and spec.loader is not None
        sys.modules[path.stem] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[path.stem])


if __name__ == "__main__":
    main()
