"""Conversion between samples as columns and samples as single values. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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


def select(samples: Samples, places: Sequence[int]) -> Samples:
    """Return the samples at some places, in their order."""
    columns = (samples.offsets, samples.time_ns, samples.duration_ns, samples.logged_ns)
    offsets, time_ns, duration_ns, logged_ns = ([column[place] for place in places] for column in columns)
    return Samples(
        offsets,
        time_ns,
        duration_ns,
        logged_ns,
        [samples.causes[place] for place in places],
        [samples.stages[place] for place in places],
        [samples.shapes[place] for place in places],
        [samples.stage_ns[place] for place in places],
        samples.traces,
    )
