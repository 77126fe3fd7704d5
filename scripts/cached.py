"""Find the programs that tests and examples need, or build them once into a cache.

The cache is ``${XDG_CACHE_HOME:-~/.cache}/otel-logtail``, with a folder for each program and version. The program's
path is printed to stdout; everything else goes to stderr.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

NOT_FOUND = 3


class Unavailable(Exception):
    """The program is not available; the message is the reason."""


def say(text: str) -> None:
    """Print to stderr, because stdout is for the path."""
    print(text, file=sys.stderr, flush=True)


def cache_folder(name: str) -> Path:
    """Return the folder of one version of a program."""
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(xdg) if xdg.startswith("/") else Path.home() / ".cache"  # its specification forbids a relative path
    return root / "otel-logtail" / name


def find(variable: str, names: Sequence[str], cached: Path) -> Path | None:
    """Return the first existing program: named by the variable, on the PATH, or in the cache."""
    named = os.environ.get(variable)
    if named:
        found = shutil.which(named)
        if found is None:
            raise Unavailable(f"{variable} is set to {named}, which is not a program")
        return Path(found).resolve()
    for name in names:
        on_path = shutil.which(name)
        if on_path is not None:
            return Path(on_path).resolve()
    return cached if os.access(cached, os.X_OK) else None


def make_once(program: Path, make: Callable[[Path, Path], None]) -> Path:
    """Build a program next to its final folder and rename the result, so that it appears complete.

    Args:
        program: The program's path in the cache.
        make: A function that gets a work folder and a folder to fill, which becomes the program's.
    """
    folder = program.parent
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(folder.name + ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another build is running; waiting for it ...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if os.access(program, os.X_OK):
            return program
        with tempfile.TemporaryDirectory(prefix="build-", dir=folder.parent) as work:
            done = Path(work) / "done"
            done.mkdir()
            make(Path(work), done)
            if not os.access(done / program.name, os.X_OK):
                raise Unavailable(f"the build left no {program.name}")
            if folder.exists():  # it contains no program
                shutil.rmtree(folder)
            done.rename(folder)
    return program


def run(command: Sequence[str], cwd: Path | None = None, **environ: str) -> None:
    """Run one step of a build with its output on stderr."""
    say("$ " + " ".join(command))
    try:
        subprocess.run(
            command, cwd=cwd, env={**os.environ, **environ}, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise Unavailable(f"{command[0]} failed: {error}") from error


def compile_module(work: Path, done: Path, module: str, version: str, packages: Sequence[str], *options: str) -> None:
    """Build packages of a Go module as a dependency of an empty module: the module proxy serves all sources."""
    # the version of the language turns graph pruning on: without it, modules that exist only by name are looked for
    (work / "go.mod").write_text(f"module otel-logtail/built\n\ngo 1.26\n\nrequire {module} {version}\n")
    # GOWORK is off so that no workspace above applies; -mod=mod completes go.mod and go.sum
    command = ["go", "build", "-mod=mod", "-trimpath", *options, "-o", f"{done}/"]
    run([*command, *(f"{module}/{package}" for package in packages)], cwd=work, GOWORK="off")


def main(what: str, look: Callable[[], Path | None], build: Callable[[], Path], how: str) -> int:
    """Print the path, or how to get the program, and return the exit code."""
    parser = argparse.ArgumentParser(description=f"Find or build a {what} and print its path.")
    parser.add_argument("--no-build", action="store_true", help="only search, do not build")
    arguments = parser.parse_args()
    try:
        found = look()
        if found is None and arguments.no_build:
            raise Unavailable(f"no {what} on the PATH or in the cache")
        print(found or build())
    except Unavailable as error:
        say(f"{error}\n{how}")
        return NOT_FOUND
    return 0


class GoProgram(NamedTuple):
    """A program that Go builds from a module's sources.

    ``script`` names the script, the folder in the cache and, in capitals, the variable with a path. ``sets`` follows
    the module's path in the linker's argument with the version. ``takes`` is the time of a build, ``site`` has
    downloads.
    """

    title: str
    script: str
    command: str
    version: str
    module: str
    package: str
    sets: str
    takes: str
    site: str

    def main(self) -> int:
        """Find or build it, print the path, and return the exit code."""
        cached = cache_folder(f"{self.script}-{self.version}") / self.command
        variable = self.script.upper()
        how = (
            f"How to get {self.title}:\n"
            f"  - install Go 1.26 or newer (https://go.dev/dl/) and run `scripts/{self.script}`: builds it once,"
            f" in {self.takes}; or\n"
            f"  - download it ({self.site}) and put it on your PATH, or set {variable} to its path."
        )
        return main(self.title, lambda: find(variable, (self.command,), cached), lambda: self._build(cached), how)

    def _build(self, cached: Path) -> Path:
        if shutil.which("go") is None:
            raise Unavailable(f"no {self.title} on the PATH or in the cache, and no Go to build one")
        return make_once(cached, self._compile)

    def _compile(self, work: Path, done: Path) -> None:
        say(f"building {self.title} {self.version} ({self.takes}, once) ...")
        flags = f"-s -w -X {self.module}{self.sets}"
        compile_module(work, done, self.module, f"v{self.version}", (self.package,), "-ldflags", flags)
