"""The memory of a daemon with many sources."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

from otel_logtail.daemon.build import build
from otel_logtail.daemon.settings import Settings, SourceSettings
from otel_logtail.events import Reporter
from otel_logtail.exporter import ExporterContext
from otel_logtail.tail.lines import CHUNK_BYTES
from tests.support.lines import line

SOURCES = 12


def test_sources_read_into_one_buffer_and_keep_their_own_samples(tmp_path: Path) -> None:
    sources = []
    for number in range(SOURCES):
        log = tmp_path / f"{number}.log"
        log.write_bytes(b"".join(line(n) for n in range(number + 1)))
        sources.append(SourceSettings(observer="headroom", name=f"s{number}", patterns=(str(log),), from_start=True))
    tracemalloc.start()
    try:
        parts = build(
            Settings(db=tmp_path / "store.db", sources=tuple(sources)),
            exporter_context=ExporterContext({}),
            home=str(tmp_path),
            reporter=Reporter(io.StringIO()),
        )
        parts.sources.scan(None, 1000.0)
        while parts.sources.step(1000.0) is not None:
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [run.totals.samples for run in parts.sources.runs] == [number + 1 for number in range(SOURCES)]
    assert peak < SOURCES / 2 * CHUNK_BYTES
    parts.close()
