"""The real program beside logs that are rotated, truncated, deleted and replaced while it follows them.

``Following`` counts the lines that the test writes; each has a duration of its own, so each can be found again in the
store. ``finish`` checks that every one of them is there exactly once, and that nothing unexpected was printed.
"""

from __future__ import annotations

import ctypes
import os
import re
import resource
import signal
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.daemon import MODULE, Program
from tests.support.lines import line

_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 24, 1, 2


class Following(Program):
    """The program on one log (or on ``patterns``).

    It starts with ``--from-start``, so that the first line of a test does not race with its start. ``as_a_user`` drops
    root's rights that override permissions; ``descriptors`` are the soft and the hard limit of open files; ``runner``
    is a command that starts it.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: object,
        patterns: Iterable[Path | str] = (),
        from_start: bool = True,
        program: tuple[str, ...] = MODULE,
        runner: Iterable[str] = (),
        as_a_user: bool = False,
        descriptors: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(folder, *arguments, *(["--from-start"] if from_start else []), program=program)
        self.logs = folder / "logs"
        self.log = self.logs / "proxy-8787.log"
        self.logs.mkdir(exist_ok=True)
        self.written = 0
        self._patterns = list(patterns) or [self.log]
        self._runner = list(runner)
        self._as_a_user = as_a_user and os.geteuid() == 0
        self._descriptors = descriptors

    # --- the writer ---

    def lines(self, count: int = 1) -> bytes:
        """The next lines: from now on they must be in the store at the end."""
        first, self.written = self.written, self.written + count
        return b"".join(line(number) for number in range(first, first + count))

    def write(self, count: int = 1, path: Path | None = None) -> None:
        """Append the next lines, as a writer that opens the file for it."""
        with (path or self.log).open("ab", buffering=0) as log:
            log.write(self.lines(count))

    # --- the program ---

    def command(self, *more: object) -> list[str]:
        """Return the command line."""
        start = [*self._runner, sys.executable, *self._program, "--observer", "headroom", "--db", str(self.db)]
        paths = [word for pattern in self._patterns for word in ("--path", str(pattern))]
        return [*start, *paths, *self._arguments, *map(str, more)]

    def _preparation(self) -> Callable[[], None] | None:
        return self._before if self._as_a_user or self._descriptors else None

    def _before(self) -> None:
        if self._as_a_user:
            give_up_roots_rights()
        if self._descriptors:
            resource.setrlimit(resource.RLIMIT_NOFILE, self._descriptors)

    @contextmanager
    def away(self, *, killed: bool = False) -> Iterator[None]:
        """Stop it, run the block, and start it again."""
        if killed:
            self.kill()
        else:
            self.stop()
        yield
        self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Run the block between two of its scans: the process is suspended meanwhile and gets no events."""
        self.signal(signal.SIGSTOP)
        try:
            self.wait_until(lambda: self._thread_state() == "T")
            yield
        finally:
            self.signal(signal.SIGCONT)

    def rest(self) -> None:
        """Make it scan all files (SIGHUP), and wait until it is idle again."""
        before = self._slept()
        self.signal(signal.SIGHUP)
        self.wait_until(lambda: self._slept() > before and self._thread_state() == "S", every_s=0.001)

    def _slept(self) -> int:
        status = Path(f"/proc/{self.pid}/task/{self.pid}/status").read_text()
        (times,) = re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.MULTILINE)
        return int(times)

    def _thread_state(self) -> str:
        return Path(f"/proc/{self.pid}/task/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]

    def open_files(self) -> list[str]:
        """Return the files that its descriptors name in its log directory; deleted ones end with `` (deleted)``."""
        names = []
        for descriptor in os.listdir(f"/proc/{self.pid}/fd"):
            try:
                names.append(os.readlink(f"/proc/{self.pid}/fd/{descriptor}"))
            except OSError:
                continue  # closed meanwhile
        return sorted(name for name in names if name.startswith(f"{self.logs}/"))

    # --- what became of it ---

    def caught_up(self, *, lost: Collection[int] = ()) -> None:
        """Wait until all that was written is in the store (but for what is lost), once."""
        expected = self.written - len(lost)
        self.wait_until(lambda: self.count() >= expected)
        assert self.count() == expected, self.state()
        assert self.samples() == Counter(n for n in range(self.written) if n not in lost), self.state()

    def finish(self, *, warnings: Iterable[str] = (), lost: Collection[int] = (), path: Path | None = None) -> None:
        """Write one more line, wait for it, stop the program, and check that everything is correct.

        ``warnings`` are what it must have warned of, as regular expressions; it must have warned of nothing else.
        """
        self.write(path=path)
        self.caught_up(lost=lost)
        self.stop()
        self.caught_up(lost=lost)
        self.has_warned_of(warnings)
        ((rejected, drift, oversized),) = self.rows(
            "SELECT (SELECT coalesce(sum(count), 0) FROM rejected), drift, oversized FROM source"
        )
        assert (rejected, drift, oversized) == (0, 0, 0)

    def has_warned_of(self, warnings: Iterable[str]) -> None:
        """Check that it printed each of these (regular expressions), and no other warning or error."""
        said = [row for row in self.said().splitlines() if not re.match(r"\S+Z info: ", row)]
        wanted = list(warnings)
        unexpected = [row for row in said if not any(re.search(pattern, row) for pattern in wanted)]
        assert not unexpected, self.state()
        missing = [pattern for pattern in wanted if not any(re.search(pattern, row) for row in said)]
        assert not missing, self.state()

    def count(self) -> int:
        """How many samples the store holds."""
        rows = self.rows("SELECT samples FROM source")
        return int(rows[0][0]) if rows else 0

    def samples(self) -> Counter[int]:
        """How often the line of each number is in the store."""
        return Counter(round(ms * 1000) - 20_000 for (ms,) in self.rows("SELECT duration_ms FROM samples"))

    def files(self) -> list[dict[str, Any]]:
        """Return the files in the store, in the order in which they were found."""
        columns = ("id", "path", "offset", "size", "done")
        return [dict(zip(columns, row, strict=True)) for row in self.rows(f"SELECT {', '.join(columns)} FROM file")]

    def state(self) -> str:
        """Return the written lines, the stored samples, and the printed messages."""
        found = self.samples()
        missing = [number for number in range(self.written) if number not in found]
        doubled = [number for number, times in found.items() if times > 1]
        there = sorted(os.listdir(self.logs)) if self.logs.exists() else "no folder"
        return (
            f"written {self.written}\nmissing {len(missing)}: {missing[:20]}\ndoubled {len(doubled)}: {doubled[:20]}\n"
            f"known: {self.files()[-20:]}\nthere: {there}\n{self.said()}"
        )


def give_up_roots_rights() -> None:
    """Drop the capabilities that override permissions, permanently for the started program."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
        if libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "can't drop a capability")
