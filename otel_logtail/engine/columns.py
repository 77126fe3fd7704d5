"""Conversion between samples as columns and samples as single values. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from otel_logtail.model import Sample, Samples


def columns_of(found: Iterable[tuple[int, Sample]]) -> Samples:
    """Return samples, each with the offset of its line, as columns."""
    samples, pairs = Samples([], [], [], [], [], [], [], []), list(found)
    extend(samples, [offset for offset, _ in pairs], [sample for _, sample in pairs])
    return samples


def extend(samples: Samples, offsets: list[int], found: Sequence[Sample]) -> None:
    """Append samples in place, each with the offset of its line."""
    samples.offsets += offsets
    samples.time_ns += [sample.time_ns for sample in found]
    samples.duration_ns += [sample.duration_ns for sample in found]
    samples.logged_ns += [sample.logged_ns for sample in found]
    samples.causes += [sample.cause for sample in found]
    samples.stages += [sample.stage for sample in found]
    samples.shapes += [sample.shape for sample in found]
    samples.stage_ns += [sample.stage_ns for sample in found]
    samples.traces.update({offset: sample.trace for offset, sample in zip(offsets, found, strict=True) if sample.trace})


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
