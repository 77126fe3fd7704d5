"""Samples one by one, as tests write them, and the columns that the engine has."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from otel_logtail.engine.columns import columns_of
from otel_logtail.model import Hits, Sample, Samples, Severity


class Hit(msgspec.Struct, frozen=True):
    """A sample where it was found; ``index`` is its place among all samples of its piece of log."""

    offset: int
    sample: Sample
    severity: Severity
    uid: bytes = b""
    index: int = 0


def sample_at(samples: Samples, index: int) -> Sample:
    """Return one of the samples as a single value."""
    return Sample(
        samples.time_ns[index],
        samples.duration_ns[index],
        samples.logged_ns[index],
        samples.causes[index],
        samples.stages[index],
        samples.shapes[index],
        samples.stage_ns[index],
        samples.traces.get(samples.offsets[index], b""),
    )


def each(hits: Hits) -> list[Hit]:
    """Return hits one by one."""
    samples = [sample_at(hits.samples, at) for at in range(len(hits))]
    columns = (hits.samples.offsets, samples, hits.severities, hits.uids, hits.places)
    return [Hit(*row) for row in zip(*columns, strict=True)]


def slow_of(samples: Sequence[Hit]) -> Hits:
    """Return those of some samples that are not ok."""
    slow = [(place, hit) for place, hit in enumerate(samples) if hit.severity is not Severity.OK]
    return Hits(
        columns_of((hit.offset, hit.sample) for _, hit in slow),
        [place for place, _ in slow],
        [hit.severity for _, hit in slow],
        [hit.uid for _, hit in slow],
    )
