"""Our values as columns of the store, and back. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import repeat
from operator import sub
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

import msgspec

from otel_logtail import native
from otel_logtail.counts import add, count
from otel_logtail.model import Attributes, Counts, Episode, FileState, Fingerprint, Samples, Severity

MOST = 2**63 - 1
"""The largest integer that SQLite has: a sum stands still there. It is 292 years, which forged lines can claim."""

_hot = native.module("engine._hot")

COUNTS = "count, sum_ns, min_ns, max_ns, explicit, exponential, zeros"
"""The columns that interval, open_interval and total share."""

EPISODE = "live, attributes, trace_id, span_id, start_ns, end_ns, last_ns, count, peak_ns, severity, cause, stage"
"""The columns that episode and open_episode share."""

_FINGERPRINTS = "head_length, head_digest, anchor_length, anchor_digest"
FILE = f"live, path, device, inode, offset, size, {_FINGERPRINTS}, done, trail, doubt"
"""The columns of a file that change."""

OFFSET_BITS = 40
"""A sample's id is its file's id shifted by this, or'ed with its line's offset: files up to 1 TiB."""

STEP_NS = 1_000_000
"""How far a late interval's point is moved past its series' last one: Prometheus keeps milliseconds."""

_URI = "file://"

StageNs = Sequence[int | None]
SampleColumns = tuple[int, int, int, int, StageNs]
"""A sample: id, time_ns, duration_ns, kind, nanoseconds of its stages."""

BlockRow = tuple[int, int, int, int, int, str]
"""Samples of one file in a block: id, source, first_ns, last_ns, count, samples."""

CountsRow = tuple[int, int, int, int, str, str, int]
EpisodeRow = tuple[str, str, bytes, bytes, int, int, int, int, int, int, str, str]
FileRow = tuple[int, str, str, int, int, int, int, int, bytes, int, bytes, int, bytes, int]


def marks(number: int) -> str:
    """Placeholders of so many parameters: few, for SQLite bounds them; of ids see :data:`IDS`."""
    return ", ".join("?" * number)


IDS = "(SELECT value FROM json_each(?))"
"""Any number of ids as one parameter (:func:`json_ids`), to be looked for with IN."""


def json_ids(ids: Iterable[int]) -> str:
    """Any number of ids as one parameter."""
    return encode_json(list(ids))


def encode_attributes(attributes: Attributes) -> str:
    """The JSON object of some attributes, the same text for the same attributes."""
    return msgspec.json.encode(dict(attributes)).decode()


def decode_attributes(text: str) -> Attributes:
    """The attributes of a JSON object written by :func:`encode_attributes`."""
    return tuple(msgspec.json.decode(text, type=dict[str, bool | int | str]).items())


def decode_bounds(text: str) -> tuple[int, ...]:
    """The explicit bounds of a series in nanoseconds, out of their JSON."""
    return msgspec.json.decode(text, type=tuple[int, ...])


def encode_json(value: object) -> str:
    """Compact JSON text."""
    return _encode(value).decode()


def text_of_path(path: str) -> str:
    """An absolute path as text that can be stored and sent: itself, or a file URI (RFC 8089) if it is not UTF-8.

    A path begins with ``/``, so the two can't be mistaken for each other.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        return _URI + quote_from_bytes(path.encode(errors="surrogateescape"))
    return path


def path_of_text(text: str) -> str:
    """The path that :func:`text_of_path` has written, as the system gives and takes it."""
    if not text.startswith(_URI):
        return text
    return unquote_to_bytes(text.removeprefix(_URI)).decode(errors="surrogateescape")


def counts_row(counts: Counts) -> CountsRow:
    """Counts as the seven columns that interval, open_interval and total share."""
    return (
        counts.count,
        min(counts.sum_ns, MOST),
        counts.min_ns,
        counts.max_ns,
        encode_json(counts.explicit),
        encode_json(counts.exponential),
        counts.zeros,
    )


def counts_of(row: CountsRow) -> Counts:
    """The counts in those seven columns."""
    return Counts(row[0], row[1], row[2], row[3], _decode_explicit(row[4]), _decode_exponential(row[5]), row[6])


def counts_to_read(table: str = "") -> str:
    """Those columns (of a table, where several have them) for :func:`counts_or_mean`.

    As bytes: a flipped bit can make text no UTF-8 any more, and that would be an error of the whole query.
    """
    texts, prefix = ("explicit", "exponential"), f"{table}." if table else ""
    names = COUNTS.split(", ")
    return ", ".join(f"CAST({prefix}{name} AS BLOB)" if name in texts else prefix + name for name in names)


def counts_or_mean(row: Sequence[Any], bounds_ns: Sequence[int]) -> tuple[Counts, bool]:
    """The counts in those seven columns, and whether they are whole.

    Where they were damaged on disk (SQLite can't see that), what is still known of them: as many, adding up to as much,
    with the least and the most, but all of them at their mean. Always the same, whoever asks and how often.
    """
    try:
        counts = counts_of((row[0], row[1], row[2], row[3], row[4], row[5], row[6]))
        if _adds_up(counts, len(bounds_ns) + 1):
            return counts, True
    except (msgspec.MsgspecError, TypeError):
        pass
    return at_their_mean(row, bounds_ns), False


def whole_in_all(rows: list[tuple[Any, ...]], bounds_ns: Sequence[int]) -> tuple[Counts, list[int]]:
    """What rows of those seven columns add up to, and the places of those that are whole: damaged ones are left out."""
    if (found := _sum_counts(rows, len(bounds_ns))) is not None:
        return Counts(*found), list(range(len(rows)))
    total, places = Counts(), []
    for place, row in enumerate(rows):
        counts, whole = counts_or_mean(row, bounds_ns)
        if whole:
            add(total, counts)
            places.append(place)
    return total, places


@native.twin(_hot)
def _sum_counts(rows: list[tuple[Any, ...]], bounds: int) -> tuple[Any, ...] | None:
    """Return the fields of the sum of whole rows; None: they are added one by one."""
    return None


def at_their_mean(row: Sequence[Any], bounds_ns: Sequence[int]) -> Counts:
    """Counts of which only number, sum, least and most are known (the first four columns); empty: not even these."""
    number, sum_ns, min_ns, max_ns = row[:4]
    if not all(isinstance(value, int) for value in row[:4]) or number <= 0 or sum_ns < 0:
        return Counts(explicit=[0] * (len(bounds_ns) + 1))
    one = count([sum_ns // number], tuple(bounds_ns))
    explicit = [number * hits for hits in one.explicit]
    exponential = {index: number * hits for index, hits in one.exponential.items()}
    return Counts(number, sum_ns, min_ns, max_ns, explicit, exponential, number * one.zeros)


def _adds_up(counts: Counts, buckets: int) -> bool:
    if not type(counts.sum_ns) is type(counts.min_ns) is type(counts.max_ns) is int:
        return False
    if not counts.count and not counts.explicit:
        return not counts.exponential
    return (
        len(counts.explicit) == buckets
        and sum(counts.explicit) == counts.count == sum(counts.exponential.values()) + counts.zeros
    )


def file_columns(state: FileState) -> tuple[object, ...]:
    """A file's columns of :data:`FILE`."""
    return (
        text_of_path(state.live),
        text_of_path(state.path),
        state.device,
        state.inode,
        state.offset,
        state.size,
        state.head.length,
        state.head.digest,
        state.anchor.length,
        state.anchor.digest,
        int(state.done),
        state.trail,
        state.doubt,
    )


def file_of(row: FileRow) -> FileState:
    """The file in the columns ``id`` and those of :data:`FILE`."""
    file, live, path, device, inode, offset, size = row[:7]
    head_length, head_digest, anchor_length, anchor_digest, done, trail, doubt = row[7:]
    return FileState(
        id=file,
        live=path_of_text(live),
        path=path_of_text(path),
        device=device,
        inode=inode,
        offset=offset,
        size=size,
        head=Fingerprint(head_length, head_digest),
        anchor=Fingerprint(anchor_length, anchor_digest),
        done=bool(done),
        trail=trail,
        doubt=doubt,
    )


def episode_columns(source: int, episode: Episode) -> tuple[object, ...]:
    """The source's id and an episode's columns of :data:`EPISODE`."""
    return (
        source,
        text_of_path(episode.live),
        encode_attributes(episode.attributes),
        episode.trace_id,
        episode.span_id,
        episode.start_ns,
        episode.end_ns,
        episode.last_ns,
        episode.count,
        episode.peak_ns,
        int(episode.severity),
        episode.cause,
        episode.stage,
    )


def episode_of(row: EpisodeRow) -> Episode:
    """The episode in the columns of :data:`EPISODE`."""
    live, attributes, trace_id, span_id, start_ns, end_ns, last_ns, count, peak_ns, severity, cause, stage = row
    return Episode(
        live=live,
        attributes=decode_attributes(attributes),
        trace_id=trace_id,
        span_id=span_id,
        start_ns=start_ns,
        end_ns=end_ns,
        last_ns=last_ns,
        count=count,
        peak_ns=peak_ns,
        severity=Severity(severity),
        cause=cause,
        stage=stage,
    )


def encode_block(source: int, samples: Sequence[SampleColumns]) -> BlockRow:
    """Samples of one file (at least one, by id) as one row."""
    first, times = samples[0][0], [sample[1] for sample in samples]
    first_ns = min(times)
    text = encode_samples([(id_ - first, time_ns - first_ns, d, k, stages) for id_, time_ns, d, k, stages in samples])
    return first, source, first_ns, max(times), len(samples), text


def encode_samples(rows: Sequence[SampleColumns]) -> str:
    """The text of a block: of each sample its offset and time past the first's, duration, kind and stages.

    The last stages that did not run are left out: a third of the text would be ``null``.
    """
    return _NULLS.sub(b"]]", _encode(rows)).decode()


def encode_columns(samples: Samples, kinds: list[int], first: int, first_ns: int) -> str:
    """The same text, for samples as columns and the kind of each, past the offset and time that are given."""
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
    """The samples of a block, by id."""
    return [(id_ + at, first_ns + past_ns, d, k, stages) for at, past_ns, d, k, stages in _decode_samples(text)]


_NULLS = re.compile(rb"(?:,null)+\]\]")
_encode = msgspec.json.Encoder().encode
_decode_explicit = msgspec.json.Decoder(list[int]).decode
_decode_exponential = msgspec.json.Decoder(dict[int, int]).decode
_decode_samples = msgspec.json.Decoder(list[tuple[int, int, int, int, tuple[int | None, ...]]]).decode
