"""Answer ``query samples``: samples one by one, out of blocks and breaches."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator

import msgspec

from otel_logtail.model import Severity
from otel_logtail.query.blocks import Kinds, Newest, in_range
from otel_logtail.query.breach_pages import breach_rows
from otel_logtail.query.reader import Reader, translated
from otel_logtail.query.selection import Keep
from otel_logtail.store.blocks import SampleColumns
from otel_logtail.store.rows import OFFSET_BITS
from otel_logtail.text import iso


class SampleRow(msgspec.Struct, frozen=True, gc=False):
    """One sample. ``stages`` are in ms; ``file`` is the last known path, ``offset`` the position of the line in it."""

    id: int
    time: str
    time_unix_nano: int
    source: str
    duration_ms: float
    severity: str
    cause: str
    stage: str
    attributes: dict[str, str | int]
    stages: dict[str, float]
    file: str | None
    offset: int


def samples(
    reader: Reader, *, severities: Collection[Severity] = (), limit: int = 0, keep: Keep | None = None
) -> Iterator[SampleRow]:
    """Return the newest samples of the range, oldest first; they are read as they are taken.

    Args:
        reader: The store, the range and the source; notes blocks that cannot be read.
        severities: The severities to select; empty: any.
        limit: The maximum number; 0: all.
        keep: The test whether a row is selected; None: every row is.
    """
    kinds = Kinds(reader, severities)
    rows = SampleRows(reader, kinds)
    if severities and Severity.OK not in severities:
        # the breaches have a table of their own, which is much smaller than all samples
        found = rows.of(_breaches(reader, newest_first=bool(limit)), keep)
        return _last(found, limit) if limit else found
    if limit:
        return rows.of(_newest(reader, kinds, limit, rows.test(keep)))
    return rows.of(in_range(reader, reader.bounds, kinds), keep)


def _last(newest_first: Iterator[SampleRow], limit: int) -> Iterator[SampleRow]:
    yield from reversed(list(itertools.islice(newest_first, limit)))


def _newest(reader: Reader, kinds: Kinds, limit: int, test: Callable[[SampleColumns], bool]) -> Iterator[SampleColumns]:
    yield from Newest(reader, kinds, limit, test).read()


class SampleRows:
    """Samples as rows."""

    def __init__(self, reader: Reader, kinds: Kinds) -> None:
        self._conn = reader.conn
        self._kinds = kinds
        self._paths: dict[int, str | None] = {}

    def of(self, samples: Iterable[SampleColumns], keep: Keep | None = None) -> Iterator[SampleRow]:
        """Yield the rows of samples that are selected and kept."""
        with translated():
            for sample in samples:
                row = self.row(sample)
                if row is not None and (keep is None or keep(row)):
                    yield row

    def test(self, keep: Keep | None) -> Callable[[SampleColumns], bool]:
        """Return the test whether a sample is selected and kept."""
        if keep is None:
            return lambda sample: self._kinds.get(sample[3]) is not None
        return lambda sample: (row := self.row(sample)) is not None and keep(row)

    def row(self, sample: SampleColumns) -> SampleRow | None:
        """Return a sample as a row, or None if its kind is not selected."""
        id_, time_ns, duration_ns, kind_id, stage_ns = sample
        kind = self._kinds.get(kind_id)
        if kind is None:
            return None
        return SampleRow(
            id=id_,
            time=iso(time_ns),
            time_unix_nano=time_ns,
            source=kind.name,
            duration_ms=duration_ns / 1e6,
            severity=kind.severity.label,
            cause=kind.cause,
            stage=kind.stage,
            attributes=kind.attributes,
            stages={n: ns / 1e6 for n, ns in zip(kind.stages, stage_ns, strict=False) if ns is not None},
            file=self._path(id_ >> OFFSET_BITS),
            offset=id_ & ((1 << OFFSET_BITS) - 1),
        )

    def _path(self, file: int) -> str | None:
        if file not in self._paths:
            row = self._conn.execute("SELECT path FROM file WHERE id = ?", (file,)).fetchone()
            self._paths[file] = None if row is None else row[0]
        return self._paths[file]


def _breaches(reader: Reader, *, newest_first: bool) -> Iterator[SampleColumns]:
    decode = msgspec.json.Decoder(list[int | None]).decode
    return ((*row[:4], decode(row[4])) for row in breach_rows(reader, newest_first=newest_first))
