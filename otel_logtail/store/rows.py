"""Our values as columns of the store, and back. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

import msgspec

from otel_logtail import native
from otel_logtail.counts import add, count
from otel_logtail.model import Attributes, Counts, Episode, FileState, Fingerprint, Part, Severity

MOST = 2**63 - 1
"""The largest integer of SQLite. A sum stays there: 292 years, which forged lines can add up to."""

_hot = native.module("engine._hot")

CLOSED = ("interval", "sparse_interval")
"""The tables of closed intervals: their counts, or their values."""

COUNTS = "count, sum_ns, min_ns, max_ns, explicit, exponential, zeros"
"""The columns that interval, open_interval and total share."""

EPISODE = "live, attributes, trace_id, span_id, start_ns, end_ns, last_ns, count, peak_ns, severity, cause, stage"
"""The columns that episode and open_episode share."""

_PART = "number, span_id, begun_ns, start_ns, end_ns, count, peak_ns, severity, cause, stage"
PART = f"live, attributes, trace_id, parent_id, {_PART}"
"""The columns of a part of an episode."""

_FINGERPRINTS = "head_length, head_digest, anchor_length, anchor_digest"
FILE = f"live, path, device, inode, offset, size, {_FINGERPRINTS}, done, trail, doubt, parts"
"""The columns of a file that change."""

OFFSET_BITS = 40
"""A sample's id is its file's id shifted by this, or'ed with its line's offset: files up to 1 TiB."""

STEP_NS = 1_000_000
"""The least time between two points of a series: Prometheus stores milliseconds."""

_URI = "file://"

CountsRow = tuple[int, int, int, int, str, str, int]
EpisodeRow = tuple[str, str, bytes, bytes, int, int, int, int, int, int, str, str]
PartRow = tuple[int, bytes, int, int, int, int, int, int, str, str]
FileRow = tuple[int, str, str, int, int, int, int, int, bytes, int, bytes, int, bytes, int, bytes]


def marks(number: int) -> str:
    """Return placeholders for parameters. SQLite limits their number: for ids use :data:`IDS`."""
    return ", ".join("?" * number)


IDS = "(SELECT value FROM json_each(?))"
"""Any number of ids as one parameter (:func:`json_ids`), for IN."""


def json_ids(ids: Iterable[int]) -> str:
    """Return any number of ids as one parameter."""
    return encode_json(list(ids))


def encode_attributes(attributes: Attributes) -> str:
    """Return attributes as a JSON object: the same text for the same attributes."""
    return msgspec.json.encode(dict(attributes)).decode()


@lru_cache(maxsize=512, typed=True)  # a kind of breach has its attributes in every row
def decode_attributes(text: str | bytes) -> Attributes:
    """Return the attributes that :func:`encode_attributes` wrote."""
    return tuple(msgspec.json.decode(text, type=dict[str, bool | int | str]).items())


def decode_bounds(text: str) -> tuple[int, ...]:
    """Return the explicit bounds of a series in nanoseconds from their JSON."""
    return msgspec.json.decode(text, type=tuple[int, ...])


def encode_json(value: object) -> str:
    """Return compact JSON text."""
    return _encode(value).decode()


def text_of_path(path: str) -> str:
    """Return an absolute path as text that can be stored and sent: the path, or a file URI (RFC 8089) if not UTF-8.

    A path starts with ``/``, so the two cannot be confused.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        return _URI + quote_from_bytes(path.encode(errors="surrogateescape"))
    return path


def path_of_text(text: str) -> str:
    """Return the path that :func:`text_of_path` wrote, in the form that the operating system uses."""
    if not text.startswith(_URI):
        return text
    return unquote_to_bytes(text.removeprefix(_URI)).decode(errors="surrogateescape")


def counts_row(counts: Counts) -> CountsRow:
    """Return counts as the seven columns of :data:`COUNTS`."""
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
    """Return the counts in the seven columns of :data:`COUNTS`."""
    return Counts(row[0], row[1], row[2], row[3], _decode_explicit(row[4]), _decode_exponential(row[5]), row[6])


def counts_to_read(table: str = "") -> str:
    """Return the columns of :data:`COUNTS`, if needed of one table, for :func:`counts_or_mean`.

    The texts are read as bytes: a flipped bit can make them invalid UTF-8, which would fail the whole query.
    """
    texts, prefix = ("explicit", "exponential"), f"{table}." if table else ""
    names = COUNTS.split(", ")
    return ", ".join(f"CAST({prefix}{name} AS BLOB)" if name in texts else prefix + name for name in names)


def counts_or_mean(row: Sequence[Any], bounds_ns: Sequence[int]) -> tuple[Counts, bool]:
    """Return the counts in the seven columns of :data:`COUNTS`, and whether they are undamaged.

    SQLite does not detect damage in a value. Damaged counts keep their number, sum, minimum and maximum, and all of
    them are counted at their mean. Every reader gets the same result.
    """
    try:
        counts = counts_of((row[0], row[1], row[2], row[3], row[4], row[5], row[6]))
        if _adds_up(counts, len(bounds_ns) + 1):
            return counts, True
    except (msgspec.MsgspecError, TypeError):
        pass
    return at_their_mean(row, bounds_ns), False


class Repaired(msgspec.Struct, frozen=True):
    """Damaged counts that are replaced: those whose number and sum are ``kept``, and those that are ``lost``."""

    kept: int = 0
    lost: int = 0

    def __add__(self, other: Repaired) -> Repaired:
        return Repaired(self.kept + other.kept, self.lost + other.lost)

    @classmethod
    def of(cls, mean: Counts) -> Repaired:
        """Return one of the two, from the counts that replace the damaged ones."""
        return cls(kept=1) if mean.count else cls(lost=1)


def whole_in_all(rows: list[tuple[Any, ...]], bounds_ns: Sequence[int]) -> tuple[Counts, list[int]]:
    """Return the sum of rows of those seven columns, and the places of the undamaged rows; others are left out."""
    if (found := _sum_counts(rows, len(bounds_ns))) is not None:
        return Counts(*found), list(range(len(rows)))
    total, places = Counts(), []
    for place, row in enumerate(rows):
        counts, whole = counts_or_mean(row, bounds_ns)
        if whole:
            add(total, counts)
            places.append(place)
    total.exponential = dict(sorted(total.exponential.items()))  # as in C
    return total, places


@native.twin(_hot)
def _sum_counts(rows: list[tuple[Any, ...]], bounds: int) -> tuple[Any, ...] | None:
    """Return the fields of the sum of undamaged rows; None: they are added one by one."""
    return None


def at_their_mean(row: Sequence[Any], bounds_ns: Sequence[int]) -> Counts:
    """Return counts from number, sum, minimum and maximum (the first four columns); empty if these are damaged, too."""
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
    """Return the columns of :data:`FILE`."""
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
        state.parts,
    )


def file_of(row: FileRow) -> FileState:
    """Return the file in the columns ``id`` and :data:`FILE`."""
    file, live, path, device, inode, offset, size = row[:7]
    head_length, head_digest, anchor_length, anchor_digest, done, trail, doubt, parts = row[7:]
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
        parts=parts,
    )


def episode_columns(source: int, episode: Episode) -> tuple[object, ...]:
    """Return the source's id and the columns of :data:`EPISODE`."""
    numbers = (episode.start_ns, episode.end_ns, episode.last_ns, episode.count, episode.peak_ns)
    return (*_owner(source, episode), *numbers, int(episode.severity), episode.cause, episode.stage)


def part_columns(source: int, episode: Episode, part: Part) -> tuple[object, ...]:
    """Return the source's id and the columns of :data:`PART`."""
    numbers = (part.begun_ns, part.start_ns, part.end_ns, part.count, part.peak_ns)
    ids = (*_owner(source, episode), part.number, part.span_id)
    return (*ids, *numbers, int(part.severity), part.cause, part.stage)


def _owner(source: int, episode: Episode) -> tuple[object, ...]:
    live, attributes = text_of_path(episode.live), encode_attributes(episode.attributes)
    return source, live, attributes, episode.trace_id, episode.span_id


def part_of(row: PartRow) -> Part:
    """Return the part in the columns of :data:`PART` from its number on."""
    number, span_id, begun_ns, start_ns, end_ns, count, peak_ns, severity, cause, stage = row
    return Part(number, span_id, begun_ns, start_ns, end_ns, count, peak_ns, Severity(severity), cause, stage)


def episode_of(row: EpisodeRow) -> Episode:
    """Return the episode in the columns of :data:`EPISODE`."""
    live, attributes, trace_id, span_id, start_ns, end_ns, last_ns, count, peak_ns, severity, cause, stage = row
    ids = (live, decode_attributes(attributes), trace_id, span_id)
    return Episode(*ids, start_ns, end_ns, last_ns, count, peak_ns, Severity(severity), cause, stage)


_encode = msgspec.json.Encoder().encode
_decode_explicit = msgspec.json.Decoder(list[int]).decode
_decode_exponential = msgspec.json.Decoder(dict[int, int]).decode
