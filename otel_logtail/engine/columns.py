"""Conversion between samples as columns and samples as single values. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from otel_logtail.model import Sample, Samples


def columns_of(found: Iterable[tuple[int, Sample]]) -> Samples:
    """Return samples, each with the offset of its line, as columns."""
    samples = Samples([], [], [], [], [], [], [], [])
    for offset, sample in found:
        append(samples, offset, sample)
    return samples


def append(samples: Samples, offset: int, sample: Sample) -> None:
    """Append a sample in place."""
    samples.offsets.append(offset)
    samples.time_ns.append(sample.time_ns)
    samples.duration_ns.append(sample.duration_ns)
    samples.logged_ns.append(sample.logged_ns)
    samples.causes.append(sample.cause)
    samples.stages.append(sample.stage)
    samples.shapes.append(sample.shape)
    samples.stage_ns.append(sample.stage_ns)
    if sample.trace:
        samples.traces[offset] = sample.trace


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
