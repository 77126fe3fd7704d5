"""Samples as the text of a block, and back. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import repeat
from operator import sub

import msgspec

from otel_logtail import native
from otel_logtail.model import Samples

_hot = native.module("engine._hot")

StageNs = Sequence[int | None]
SampleColumns = tuple[int, int, int, int, StageNs]
"""A sample: id, time_ns, duration_ns, kind, nanoseconds of its stages."""

BlockRow = tuple[int, int, int, int, int, str]
"""Samples of one file in a block: id, source, first_ns, last_ns, count, samples."""


def encode_block(source: int, samples: Sequence[SampleColumns]) -> BlockRow:
    """Return samples of one file (at least one, in order of their ids) as one row."""
    first, times = samples[0][0], [sample[1] for sample in samples]
    first_ns = min(times)
    text = encode_samples([(id_ - first, time_ns - first_ns, d, k, stages) for id_, time_ns, d, k, stages in samples])
    return first, source, first_ns, max(times), len(samples), text


def encode_samples(rows: Sequence[SampleColumns]) -> str:
    """Return the text of a block: offset and time after those of the first sample, duration, kind and stages of each.

    The last stages are left out if they did not run: a third of the text would be ``null``.
    """
    return _NULLS.sub(b"]]", _encode(rows)).decode()


def encode_columns(samples: Samples, kinds: list[int], first: int, first_ns: int) -> str:
    """Return the same text for samples as columns and their kinds, after the given offset and time."""
    return _encode_samples(
        samples.offsets, samples.time_ns, samples.duration_ns, kinds, samples.stage_ns, first, first_ns
    )


@native.twin(_hot)
def _encode_samples(
    offsets: list[int],
    times: list[int],
    durations: list[int],
    kinds: list[int],
    rows: list[tuple[int | None, ...]],
    first: int,
    first_ns: int,
) -> str:
    past = map(sub, offsets, repeat(first)), map(sub, times, repeat(first_ns))
    return encode_samples(list(zip(*past, durations, kinds, rows, strict=True)))


def decode_block(id_: int, first_ns: int, text: str | bytes) -> list[SampleColumns]:
    """Return the samples of a block, in order of their ids."""
    return [(id_ + at, first_ns + past_ns, d, k, stages) for at, past_ns, d, k, stages in _decode_samples(text)]


_NULLS = re.compile(rb"(?:,null)+\]\]")
_encode = msgspec.json.Encoder().encode
_decode_samples = msgspec.json.Decoder(list[tuple[int, int, int, int, tuple[int | None, ...]]]).decode
