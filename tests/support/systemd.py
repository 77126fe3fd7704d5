"""A real systemd of our own: PID 1 in name spaces of its own, with our units and nothing else of the machine's.

It needs root, name spaces, cgroups that may be mounted and systemd's binary; where one of them is missing,
:func:`systemd` skips, saying which. It sees the machine's network, and of ``folder``: ``log`` as /var/log/headroom,
``lib`` as /var/lib.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.places import ROOT
from tests.support.waiting import bound_s

INIT = next((path for path in ("/usr/lib/systemd/systemd", "/lib/systemd/systemd") if Path(path).exists()), "")
TARGETS = ("sysinit", "basic", "shutdown", "multi-user", "network", "umount", "final", "exit", "first")

# the machine's cgroups, version 1 or 2 or both, as they are mounted; ours is a child of each
BOOT = """
set -e
mount --make-rprivate /
for mounted in $(awk '$3 ~ /^cgroup2?$/ {{ print $2 }}' /proc/mounts); do
    case $mounted in */systemd|*/unified|*/memory|*/pids|/sys/fs/cgroup) ;; *) continue;; esac
    mkdir "$mounted/{name}"
    echo $$ > "$mounted/{name}/cgroup.procs"
done
grep -E ' cgroup2? ' /proc/mounts > {folder}/cgroups
mount --bind {lib} /var/lib
mount -t tmpfs -o mode=755 none /var/log
mkdir /var/log/headroom
mount --bind {log} /var/log/headroom
mkdir {folder}/kept
for place in {places}; do    # a checkout or a Python under a home: only what is needed of it is let through
    mkdir -p "{folder}/kept$place"
    mount --bind "$place" "{folder}/kept$place"
done
for hidden in {hidden}; do
    mount -t tmpfs -o mode=755 none "$hidden"
done
for place in {places}; do
    mkdir -p "$place"
    mount --bind "{folder}/kept$place" "$place"
done
exec unshare --kill-child -C -p -f -u -i --mount-proc sh -e {folder}/init
"""
INSIDE = """
mount -t tmpfs none /run
mkdir -p /run/systemd/system
umount -l /sys/fs/cgroup
grep -q ' /sys/fs/cgroup cgroup2 ' {folder}/cgroups || mount -t tmpfs none /sys/fs/cgroup
while read -r what where kind options rest; do
    mkdir -p "$where"
    case $where:$kind in
        *:cgroup2) mount -t cgroup2 none "$where";;
        */systemd:cgroup) mount -t cgroup -o none,name=systemd none "$where";;
        */memory:cgroup|*/pids:cgroup) mount -t cgroup -o "${{where##*/}}" none "$where";;
    esac
done < {folder}/cgroups
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=test SYSTEMD_UNIT_PATH={folder}/units \\
    {init} --system --unit=first.target --log-target=null --show-status=no --default-standard-output=null
"""


class Systemd:
    """One that runs."""

    def __init__(self, folder: Path, pid: int) -> None:
        self.folder = folder
        self.pid = pid

    def unit(self, name: str, text: str, **drop_ins: str) -> None:
        """Load a unit."""
        (self.folder / "units" / name).write_text(text)
        for title, more in drop_ins.items():
            beside = self.folder / "units" / f"{name}.d"
            beside.mkdir(exist_ok=True)
            (beside / f"{title}.conf").write_text(more)
        self.ctl("daemon-reload")

    def ctl(self, *arguments: str, check: bool = True) -> str:
        """Run systemctl where it runs."""
        done = subprocess.run(
            ["nsenter", "-t", str(self.pid), "-m", "-p", "systemctl", "--no-pager", *arguments],
            capture_output=True,
            text=True,
            timeout=bound_s(60),
        )
        assert done.returncode == 0 or not check, done.stderr + self.said()
        return done.stdout

    def show(self, unit: str, *names: str) -> dict[str, str]:
        """Return properties of a unit."""
        text = self.ctl("show", unit, "--property", ",".join(names))
        return dict(one.split("=", 1) for one in text.splitlines())

    def until(self, unit: str, **wanted: str) -> None:
        """Wait until the unit has the expected properties."""
        deadline_s = time.monotonic() + bound_s()
        while (now := self.show(unit, *wanted)) != wanted:
            if time.monotonic() > deadline_s:
                pytest.fail(f"{unit} is {now}, not {wanted}\n{self.said()}")
            time.sleep(0.05)

    def pids(self) -> list[int]:
        """The processes of our program, as the machine numbers them."""
        return [int(path.name) for path in Path("/proc").glob("[0-9]*") if self._is_ours(path)]

    def _is_ours(self, process: Path) -> bool:
        try:
            same = os.readlink(process / "ns/pid") == os.readlink(f"/proc/{self.pid}/ns/pid")
            return same and b"otel-logtail" in (process / "cmdline").read_bytes()
        except OSError:
            return False

    def said(self) -> str:
        """Return the output of the services."""
        said = self.folder / "said"
        return said.read_text() if said.exists() else ""


@contextmanager
def systemd(folder: Path, *needed: Path) -> Iterator[Systemd]:
    """Start one; ``needed`` are the folders of the program that it must be able to read. Ends all that it started."""
    if os.geteuid() != 0 or not INIT or not shutil.which("unshare") or not shutil.which("nsenter"):
        pytest.skip("no systemd can be started here: it needs root, systemd, unshare and nsenter")
    for name in ("units", "log", "lib"):
        (folder / name).mkdir(mode=0o755)
    for name in TARGETS:
        (folder / "units" / f"{name}.target").write_text("[Unit]\nDefaultDependencies=no\n")
    hidden = {place: root for place in needed if (root := _closed(place)) is not None}
    if any(root in folder.parents for root in hidden.values()):
        pytest.skip("no systemd can be started here: the program and the test's folder are closed to others")
    names = {
        "folder": shlex.quote(str(folder)),
        "lib": folder / "lib",
        "log": folder / "log",
        "places": " ".join(sorted(shlex.quote(str(place)) for place in hidden)),
        "hidden": " ".join(sorted({shlex.quote(str(root)) for root in hidden.values()})),
        "name": f"otel-logtail-test-{os.getpid()}",
        "init": INIT,
    }
    (folder / "boot").write_text(BOOT.format(**names))
    (folder / "init").write_text(INSIDE.format(**names))
    with (folder / "boot.txt").open("wb") as out:
        booting = subprocess.Popen(
            ["unshare", "--kill-child", "-f", "-m", "sh", str(folder / "boot")], stdout=out, stderr=out
        )
    try:
        pid = _first_process(booting, folder)
        started = Systemd(folder, pid)
        try:
            yield started
        finally:
            os.kill(pid, signal.SIGKILL)  # the kernel ends all processes of its name space with it
    finally:
        booting.kill()
        booting.wait()
        _remove_cgroups(str(names["name"]))


def _closed(place: Path) -> Path | None:
    """Return the outermost directory above a path that only its owner can enter."""
    return next((folder for folder in reversed(place.parents) if not folder.stat().st_mode & 0o001), None)


def _first_process(booting: subprocess.Popen[bytes], folder: Path) -> int:
    deadline_s = time.monotonic() + bound_s()
    while booting.poll() is None and time.monotonic() < deadline_s:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                other = os.readlink(process / "ns/mnt") != os.readlink("/proc/self/ns/mnt")
                if other and str(folder) in _environ(process) and (process / "root/run/systemd/private").exists():
                    return int(process.name)
            except OSError:
                continue
        time.sleep(0.05)
    pytest.skip(f"no systemd can be started here: {(folder / 'boot.txt').read_text()[-500:]}")


def _environ(process: Path) -> str:
    return (process / "environ").read_bytes().decode(errors="replace")


def _remove_cgroups(name: str) -> None:
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    for ours in [Path(row[1]) / name for row in mounts if row[2] in ("cgroup", "cgroup2")]:
        deadline_s = time.monotonic() + bound_s()
        while ours.exists() and time.monotonic() < deadline_s:
            try:
                for inner, _, _ in os.walk(ours, topdown=False):
                    Path(inner).rmdir()
            except OSError:
                time.sleep(0.05)  # its processes are not all gone yet


PROGRAM_PLACES = tuple({Path(sys.prefix), Path(sys.base_prefix), ROOT})
