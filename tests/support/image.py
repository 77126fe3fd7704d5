"""A Dockerfile's steps without Docker: each stage is an overlay over this machine's files, each step runs in it.

The base image is not covered: this machine, with the Python that runs the tests, replaces it. The test needs root, a
mount namespace and overlayfs; if they are missing, :func:`built` skips.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.waiting import bound_s


class Step(NamedTuple):
    """An instruction, its flags, and the rest of its line."""

    name: str
    flags: dict[str, str]
    rest: str


def steps(dockerfile: str) -> list[Step]:
    """The instructions, continued lines joined."""
    lines = [line for line in dockerfile.splitlines() if not line.startswith("#")]
    found = []
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if line.strip():
            name, _, rest = line.partition(" ")
            flags = dict(re.findall(r"--([\w-]+)=(\S+) ", rest)) if name != "RUN" else {}
            found.append(Step(name, flags, re.sub(r"^(--[\w-]+=\S+ )+", "", rest) if flags else rest))
    return found


def context(root: Path, into: Path) -> Path:
    """Return the files that Docker gets from a checkout: those that git tracks and .dockerignore does not exclude."""
    rules = [line for line in (root / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert rules[0] == "*" and all(rule[0] in "!*" for rule in rules), "this reads only lists of what is let in"
    let_in = [rule[1:] for rule in rules if rule.startswith("!")]
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in tracked:
        if (root / name).is_file() and any(fnmatch(name, rule) or name.startswith(f"{rule}/") for rule in let_in):
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, into / name)
    return into


class Image:
    """An image built from a Dockerfile, and how it is run."""

    def __init__(self, folder: Path, pid: int) -> None:
        self.folder = folder
        self.bases: list[str] = []
        self.stages: dict[str, Path] = {}
        self.environ: dict[str, str] = {}
        self.labels: dict[str, str] = {}
        self.user = self.workdir = ""
        self.volumes: list[str] = []
        self.entrypoint: list[str] = []
        self.command: list[str] = []
        self.health: list[str] = []
        self._pid = pid
        self._root = Path()

    def build(self, dockerfile: str, sent: Path) -> None:
        """Take all steps; what none of them is, fails."""
        for step in steps(dockerfile):
            getattr(self, f"_{step.name.lower()}")(step, sent)

    def run(self, *arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command as its user: read-only but for its volumes, without a HOME."""
        environ = [f"{name}={value}" for name, value in self.environ.items()]
        return self._inside(["env", "-i", *environ, *map(str, arguments)], who=f"--userspec={self.user}", check=check)

    def read_only(self, **mounts: Path) -> None:
        """From now on nothing is written but to the volumes; each mount is a name under / that is read-only."""
        for volume in self.volumes:
            kept = self.folder / "volume" / volume.strip("/")
            kept.parent.mkdir(parents=True)
            self._do("cp", "-a", f"{self._root}{volume}", str(kept))  # as Docker fills a new volume
            self._do("mount", "--bind", str(kept), f"{self._root}{volume}")
        for name, place in mounts.items():
            self._do("mkdir", f"{self._root}/{name}")
            self._do("mount", "--bind", "-o", "ro", str(place), f"{self._root}/{name}")
        self._do("mount", "-o", "remount,ro", str(self._root))

    # --- the instructions ---

    def _from(self, step: Step, sent: Path) -> None:
        base, _, name = step.rest.partition(" AS ")
        self.bases.append(base)
        stage = self.folder / f"stage-{len(self.bases)}"
        for part in ("upper", "work", "root"):
            (stage / part).mkdir(parents=True)
        self._root = stage / "root"
        layers = f"lowerdir=/,upperdir={stage / 'upper'},workdir={stage / 'work'}"
        self._do("mount", "-t", "overlay", "overlay", "-o", layers, str(self._root))
        self._do("mount", "--bind", "/dev", f"{self._root}/dev")
        self._do("mount", "-t", "proc", "proc", f"{self._root}/proc")
        for folder in Path(sys.base_prefix).parents:  # the base image's Python may be run by everyone
            self._do("chmod", "a+x", f"{self._root}{folder}")
        self.stages[name] = self._root
        self.user, self.workdir = "0:0", "/"
        self.environ = {"PATH": f"{sys.base_prefix}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}

    def _workdir(self, step: Step, sent: Path) -> None:
        self.workdir = step.rest
        self._do("mkdir", "-p", f"{self._root}{step.rest}")

    def _copy(self, step: Step, sent: Path) -> None:
        *sources, target = shlex.split(step.rest)
        source_root = self.stages[step.flags["from"]] if "from" in step.flags else sent
        into = f"{self._root}{target if target.startswith('/') else f'{self.workdir}/{target}'}"
        self._do("mkdir", "-p", into)
        for source in sources:
            path = f"{source_root}/{source.lstrip('/')}"
            folder = self._do("test", "-d", path, check=False).returncode == 0
            self._do("cp", "-a", "--no-preserve=ownership", f"{path}/." if folder else path, into)

    def _run(self, step: Step, sent: Path) -> None:
        pip = [f"{name}={value}" for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))]
        environ = [f"{name}={value}" for name, value in self.environ.items()]
        self._inside(["env", "-i", *environ, *pip, "/bin/sh", "-c", f"cd {self.workdir} && {step.rest}"])

    def _env(self, step: Step, sent: Path) -> None:
        for word in shlex.split(step.rest):
            name, _, value = word.partition("=")
            self.environ[name] = re.sub(r"\$(\w+)", lambda match: self.environ[match[1]], value)

    def _label(self, step: Step, sent: Path) -> None:
        for word in shlex.split(step.rest):
            name, _, self.labels[name] = word.partition("=")

    def _user(self, step: Step, sent: Path) -> None:
        self.user = step.rest

    def _volume(self, step: Step, sent: Path) -> None:
        self.volumes.append(step.rest)

    def _entrypoint(self, step: Step, sent: Path) -> None:
        self.entrypoint = json.loads(step.rest)

    def _cmd(self, step: Step, sent: Path) -> None:
        self.command = json.loads(step.rest)

    def _healthcheck(self, step: Step, sent: Path) -> None:
        self.health = json.loads(step.rest.removeprefix("CMD "))

    # --- in its name space ---

    def _inside(
        self, command: list[str], *, who: str = "--userspec=0:0", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        return self._do("chroot", who, str(self._root), *command, check=check)

    def _do(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["nsenter", "-t", str(self._pid), "-m", *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=bound_s(300),
            check=False,
        )
        assert done.returncode == 0 or not check, f"{command}\n{done.stdout}\n{done.stderr}"
        return done


@contextmanager
def built(root: Path, folder: Path) -> Iterator[Image]:
    """Build a checkout's Dockerfile; the result is deleted at the end."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "nsenter", "chroot"))):
        pytest.skip("no image can be replayed here: it needs root, unshare and nsenter")
    (sent := folder / "context").mkdir()
    context(root, sent)
    holder = subprocess.Popen(
        ["unshare", "-m", "--propagation", "private", "sh", "-c", "echo && exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        if not holder.stdout.readline():
            pytest.skip("no image can be replayed here: no mount name space of its own")
        image = Image(folder, holder.pid)
        for part in ("lower", "upper", "work", "root"):
            (folder / "try" / part).mkdir(parents=True)
        tried = folder / "try"
        layers = f"lowerdir=/,upperdir={tried / 'upper'},workdir={tried / 'work'}"
        done = image._do("mount", "-t", "overlay", "overlay", "-o", layers, str(tried / "root"), check=False)
        if done.returncode != 0:
            pytest.skip(f"no image can be replayed here: {done.stderr.strip()}")
        image.build((root / "Dockerfile").read_text(), sent)
        yield image
    finally:
        holder.kill()
        holder.communicate()
