"""Our values as columns of the store, and back. Pure."""

from __future__ import annotations

import msgspec

from otel_logtail.model import Attributes, Counts, Episode, FileState, Fingerprint, Severity

MOST = 2**63 - 1
"""The largest integer that SQLite has: a sum stands still there. It is 292 years, which forged lines can claim."""

COUNTS = "count, sum_ns, min_ns, max_ns, explicit, exponential, zeros"
"""The columns that interval, open_interval and total share."""

EPISODE = "live, attributes, trace_id, span_id, start_ns, end_ns, last_ns, count, peak_ns, severity, cause, stage"
"""The columns that episode and open_episode share."""

FILE = "live, path, device, inode, offset, size, head_length, head_digest, anchor_length, anchor_digest, done"
"""The columns of a file that change."""

CountsRow = tuple[int, int, int, int, str, str, int]
EpisodeRow = tuple[str, str, bytes, bytes, int, int, int, int, int, int, str, str]
FileRow = tuple[int, str, str, int, int, int, int, int, bytes, int, bytes, int]


def marks(number: int) -> str:
    """Placeholders of so many parameters."""
    return ", ".join("?" * number)


def encode_attributes(attributes: Attributes) -> str:
    """The JSON object of some attributes, the same text for the same attributes."""
    return msgspec.json.encode(dict(attributes)).decode()


def decode_attributes(text: str) -> Attributes:
    """The attributes of a JSON object written by :func:`encode_attributes`."""
    return tuple(msgspec.json.decode(text, type=dict[str, str | int]).items())


def encode_json(value: object) -> str:
    """Compact JSON text."""
    return msgspec.json.encode(value).decode()


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
    explicit = msgspec.json.decode(row[4], type=list[int])
    exponential = msgspec.json.decode(row[5], type=dict[int, int])
    return Counts(row[0], row[1], row[2], row[3], explicit, exponential, row[6])


def file_columns(state: FileState) -> tuple[object, ...]:
    """A file's columns of :data:`FILE`."""
    return (
        state.live,
        state.path,
        state.device,
        state.inode,
        state.offset,
        state.size,
        state.head.length,
        state.head.digest,
        state.anchor.length,
        state.anchor.digest,
        int(state.done),
    )


def file_of(row: FileRow) -> FileState:
    """The file in the columns ``id`` and those of :data:`FILE`."""
    file, live, path, device, inode, offset, size, head_length, head_digest, anchor_length, anchor_digest, done = row
    return FileState(
        id=file,
        live=live,
        path=path,
        device=device,
        inode=inode,
        offset=offset,
        size=size,
        head=Fingerprint(head_length, head_digest),
        anchor=Fingerprint(anchor_length, anchor_digest),
        done=bool(done),
    )


def episode_columns(source: int, episode: Episode) -> tuple[object, ...]:
    """The source's id and an episode's columns of :data:`EPISODE`."""
    return (
        source,
        episode.live,
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
