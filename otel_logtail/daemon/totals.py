"""The sums of one source since the start of this run."""

from __future__ import annotations

import msgspec

from otel_logtail.model import Batch


class Totals(msgspec.Struct):
    """Sums of committed batches.

    ``files`` are the ids of files that were read, None if they are not counted: over months they are many. ``name`` is
    the name of the last one, and ``first_ns`` the earliest time of the first sample of a batch.
    """

    bytes: int = 0
    samples: int = 0
    slow: int = 0
    episodes: int = 0
    first_ns: int = 0
    files: set[int] | None = None
    name: str = ""

    def add(self, batch: Batch) -> None:
        """Add a batch."""
        self.bytes += batch.tally.bytes
        self.samples += batch.tally.samples
        self.slow += len(batch.hits)
        self.episodes += len(batch.closed)
        if batch.samples.time_ns:
            first_ns = batch.samples.time_ns[0]
            self.first_ns = min(self.first_ns or first_ns, first_ns)
        if batch.file is not None:
            if self.files is not None:
                self.files.add(batch.file.id)
            self.name = batch.file.path.rpartition("/")[2]
