"""Backlogs that are not dense: a sample every 24 s, every sample a breach, and their way to a receiver.

Each CPU time is that of a forked process, without the start of Python, and is compared per sample with a dense log of
the same run.
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from benchmarks import data, floors
from benchmarks.daemon import Following, writing
from benchmarks.data import Log, Shape
from benchmarks.figures import Figure, at_least, at_most
from benchmarks.forks import cpu_s, import_what_it_imports, program
from benchmarks.ingest import ours
from benchmarks.quick_work import SPARSE
from benchmarks.receiver import receiver
from benchmarks.runs import KEEP, check, floor, once, read, remove

PER_10_S = ("--export-interval", "10s")
"""Counts as they are kept for a collector."""


class Size(msgspec.Struct, frozen=True):
    """How many samples, and how often each is measured."""

    dense: int = 200_000
    sparse: int = 20_000
    storm: int = 50_000
    month: int = 100_800  # 28 days of a sample every 24 s
    live: int = 40
    runs: int = 3


TINY = Size(dense=100, sparse=20, storm=20, month=20, live=0, runs=1)


def sparse(folder: Path, size: Size) -> Iterator[Figure]:
    """A sample every 24 s."""
    dense = data.made(folder, "dense", 0, Shape(), size.dense)
    log = data.made(folder, "sparse", 0, SPARSE, size.sparse)
    for name, most, arguments in (("a sample every 24 s", 3.0, ()), ("the same, counts per 10 s", 6.0, PER_10_S)):
        yield from _against_dense("sparse", name, log, dense, (folder, size.runs, most), arguments)
        stored = sum(path.stat().st_size for path in folder.glob("store.db*") if not path.name.endswith("-shm"))
        yield Figure("sparse", f"{name}: store", stored / log.samples, "bytes per sample", at_most(400), "as written")


def storms(folder: Path, size: Size) -> Iterator[Figure]:
    """Every sample a breach."""
    dense = data.made(folder, "dense", 0, Shape(), size.dense)
    shape = Shape(a_second=10, slow=1)
    log = data.made(folder, "storm", 0, shape, size.storm)
    yield from _against_dense("storms", "every sample a breach", log, dense, (folder, size.runs, 3.0), ())
    with receiver() as port:
        spent_s, loop_s = _delivered(log, folder, port, size.runs)
    note = f"metrics, spans and logs; the loop of one histogram each takes {loop_s:.2f} CPU s of {spent_s:.2f}"
    rate = log.samples / spent_s
    yield Figure("storms", "breaches delivered over OTLP", rate, "breaches/CPU s", at_least(20_000), note)
    twice = data.made(folder, "twice", 0, shape, 2 * size.storm)
    peaks = [_peak_mib(log, folder), _peak_mib(twice, folder)]
    note = f"{log.samples:,} breaches: {peaks[0]:.1f} MiB, {twice.samples:,}: {peaks[1]:.1f} MiB"
    yield Figure("storms", "peak RSS, twice the breaches", peaks[1] / peaks[0], "times", at_most(1.1), note)


def out(folder: Path, size: Size) -> Iterator[Figure]:
    """A month of intervals with one sample each to a receiver, and single intervals as they close."""
    log = data.made(folder, "month", 0, SPARSE, size.month)
    with receiver() as port:
        spent_s, loop_s = _delivered(log, folder, port, 1)
        note = f"{log.samples:,} intervals; the loop takes {loop_s:.1f} CPU s"
        yield Figure("out", "a month of sparse intervals over OTLP", spent_s, "CPU s", at_most(20), note)
        yield Figure("out", "the same, relative to the loop", spent_s / loop_s, "times", None, "six histograms each")
        if size.live:
            yield _live(folder, port, size.live)


def _live(folder: Path, port: int, intervals: int) -> Figure:
    """The cost that an interval adds if it is exported as it closes."""
    endpoint = ("--otlp-endpoint", f"http://127.0.0.1:{port}")
    spent = []
    for name, arguments in (("alone", ()), ("exported", endpoint)):
        spent.append(_followed(folder / name, (*arguments, "--export-interval", "0.5s"), intervals))
    each_ms = (spent[1] - spent[0]) / intervals * 1000
    note = (
        f"{intervals} intervals of 0.5 s, one line each: {spent[1]:.2f} CPU s, and {spent[0]:.2f} without an exporter"
    )
    return Figure("out", "one interval, live", each_ms, "CPU ms", at_most(1), note)


def _followed(folder: Path, arguments: Sequence[str], intervals: int) -> float:
    """CPU seconds of a daemon while a line is written in each interval."""
    with Following(folder, *arguments) as daemon:
        writing(daemon.log, 10, 1, folder / "first").wait()
        daemon.wait_until(lambda: daemon.samples() >= 1)
        time.sleep(3)  # what is imported for the first delivery is imported
        before = daemon.spent().cpu_s
        writing(daemon.log, 2, intervals, folder / "stamps").wait()
        daemon.wait_until(lambda: daemon.samples() > intervals)
        time.sleep(2)  # the last interval closes
        return daemon.spent().cpu_s - before


def _against_dense(
    group: str, name: str, log: Log, dense: Log, how: tuple[Path, int, float], arguments: Sequence[str]
) -> Iterator[Figure]:
    """The CPU time per sample, as a multiple of the dense log's and of the loop's that inserts plain rows."""
    folder, runs, most = how
    db = folder / "store.db"
    import_what_it_imports(once(log, folder / "first.db", *arguments))
    found = [
        (
            read(dense, folder / "dense.db"),
            read(log, db, *arguments),
            floor(folder, lambda db: floors.store(log.files[0], db)),
        )
        for _ in range(runs)
    ]
    base, mine, loop = (min(costs) for costs in zip(*found, strict=True))
    ratio = statistics.median(b / log.samples / (a / dense.samples) for a, b, _ in found)
    note = f"{mine / log.samples * 1e6:.1f} us per sample; dense {base / dense.samples * 1e6:.1f}"
    yield Figure(group, f"{name}: CPU per sample relative to dense", ratio, "times", at_most(most), note)
    note = f"the loop takes {loop / log.samples * 1e6:.1f} us per sample"
    yield Figure(
        group, f"{name}: CPU relative to plain rows", statistics.median(b / c for _, b, c in found), "times", None, note
    )


def _delivered(log: Log, folder: Path, port: int, runs: int) -> tuple[float, float]:
    """CPU seconds of delivering what is stored already, and of the loop that sends as many intervals."""
    filled, sent, empty = folder / "filled.db", folder / "sent.db", folder / "empty.log"
    empty.touch()
    cpu_s(once(log, filled, *PER_10_S))
    words = ("--observer", "headroom", "--path", empty, "--db", sent, "--once", *KEEP, *PER_10_S)
    deliver = program(*words, "--otlp-endpoint", f"http://127.0.0.1:{port}")
    found = []
    for number in range(runs + 1):
        remove(sent)
        shutil.copy(filled, sent)
        if number == 0:
            import_what_it_imports(deliver)
            continue
        found.append((cpu_s(deliver), cpu_s(lambda: floors.send(port, log.samples))))
        check(sent, "SELECT count(*) FROM exporter WHERE delivered > 0", 1)
    remove(sent)
    remove(filled)
    spent_s, loop_s = (min(costs) for costs in zip(*found, strict=True))
    return spent_s, loop_s


def _peak_mib(log: Log, folder: Path) -> float:
    """The peak memory of reading a log, in a new interpreter."""
    return ours(log, folder, *PER_10_S).peak_mib
