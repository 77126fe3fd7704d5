"""Checks of logs: the files exist and are readable, and the observer reads their lines."""

from __future__ import annotations

import os
import shlex
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from otel_logtail.check import FAIL, OK, WARN, Check
from otel_logtail.daemon.build import ResolvedSource
from otel_logtail.engine.framing import Framing
from otel_logtail.engine.hits import Thresholds
from otel_logtail.engine.joiner import Joiner
from otel_logtail.engine.scan import Scanned, scan
from otel_logtail.plugins import advice
from otel_logtail.store.place import is_mounted_alone
from otel_logtail.tail.discover import discover
from otel_logtail.tail.patterns import Patterns
from otel_logtail.text import size, span

LOOKED_AT = 8 << 20
"""The number of bytes before the end of a file that are read."""

_AHEAD_S = 5.0
_FORMAT_TODO = (
    "the program has changed its log: look for a newer otel-logtail, else report that line; keep the log, so that"
    " a fresh store can read it with --from-start then"
)


def check_logs(wanted: ResolvedSource) -> Iterator[Check]:
    """Check the files of one source."""
    area = f"logs of {wanted.name}"
    found = discover(wanted.patterns, wanted.rule, trusted=bool(wanted.settings.patterns))
    if not any(Path(path).exists() for path in found):
        yield Check(
            FAIL,
            area,
            f"no file matches {str(Patterns(wanted.patterns)) or 'anything: a variable in its path is not set'}",
            "is the program running, and does it write there? name its files with --path (in a configuration: paths)",
        )
        return
    for path in found:
        yield _check_file(wanted, Path(path), area)
        if is_mounted_alone(Path(path)):
            what = f"{path} is mounted alone: after a rotation by rename, the new file is not seen"
            folder = shlex.quote(str(Path(path).parent))
            yield Check(WARN, area, what, f"mount its directory: docker run -v {folder}:{folder}:ro")


def _check_file(wanted: ResolvedSource, path: Path, area: str) -> Check:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return Check(
                FAIL, area, f"{path} is not a regular file", "name files with --path, no directory and no pipe"
            )
        with path.open("rb") as file:
            first = max(0, status.st_size - LOOKED_AT)
            file.seek(first)
            data = file.read(LOOKED_AT)
    except OSError as problem:
        return Check(
            FAIL,
            area,
            f"{path} can't be read: {problem.strerror}",
            f"run as its owner, or: sudo setfacl -m u:{os.geteuid()}:r {shlex.quote(str(path))}",
        )
    begin = data.find(b"\n") + 1 if first else 0
    end = data.rfind(b"\n") + 1
    now_ns = time.time_ns()
    settings = wanted.settings
    scanned = scan(
        wanted.observer,
        data[begin:end],
        first + begin,
        source=wanted.name,
        thresholds=Thresholds(settings.threshold_ns, settings.stall_ns),
        joiner=Joiner(Framing(settings.framing, wanted.observer.marker)),
    )
    tally, now_s = scanned.tally, now_ns / 1e9
    if end > begin and not (tally.samples or tally.drift or tally.rejected):
        where = _where(end - begin, now_s - status.st_mtime)
        return Check(WARN, area, f"{path}: no sample in {where}", advice(settings.observer))
    judged = _judge(path, area, scanned, written_s=status.st_mtime, now_s=now_s, looked_at=end - begin)
    if scanned.drifted is None or tally.samples:
        return judged
    return msgspec.structs.replace(judged, todo=f"{advice(settings.observer)}. Else {_FORMAT_TODO}")


def _where(looked_at: int, age_s: float) -> str:
    return f"the last {size(looked_at)}, written {span(age_s)} ago"


def _judge(path: Path, area: str, scanned: Scanned, *, written_s: float, now_s: float, looked_at: int) -> Check:
    tally = scanned.tally
    where = _where(looked_at, now_s - written_s)
    if scanned.drifted is not None:
        offset, why = scanned.drifted
        return Check(FAIL, area, f"{path} at byte {offset}: {why} ({tally.drift} such lines in {where})", _FORMAT_TODO)
    samples = f"{tally.samples} samples in {where}"
    for found, todo in _oddities(scanned, samples, written_s, now_s):
        return Check(WARN, area, f"{path}: {found}", todo)
    return Check(OK, area, f"{path}: {samples}")


def _oddities(scanned: Scanned, samples: str, written_s: float, now_s: float) -> Iterator[tuple[str, str]]:
    """Yield each odd finding in a part of a log, the worst first, and what to do about it."""
    newest_s = max(scanned.samples.logged_ns, default=0) / 1e9
    zone = "if the hour is wrong, pass the zone of the log with --timezone"
    if newest_s > now_s + _AHEAD_S:
        ahead = f"its newest sample is {span(newest_s - now_s)} ahead of this machine's clock"
        yield ahead, f"set the clocks; {zone}"
    if newest_s > written_s + _AHEAD_S:
        yield f"its newest sample is {span(newest_s - written_s)} later than the file was written", zone
    if rejected := scanned.tally.rejected:
        reasons = ", ".join(f"{count} as {reason}" for reason, count in sorted(rejected.items()))
        todo = "lines that can't be true, perhaps a client's text in the log; they are counted, and never samples"
        yield f"{samples}; rejected: {reasons}", todo
    unknown = sum(
        ns[shape.stages.index("unknown")] is not None
        for shape, ns in zip(scanned.samples.shapes, scanned.samples.stage_ns, strict=True)
        if "unknown" in shape.stages
    )
    if unknown:
        todo = "their time is counted under 'unknown'; look for a newer otel-logtail"
        yield f"{samples}; {unknown} have stages that have no name here", todo
