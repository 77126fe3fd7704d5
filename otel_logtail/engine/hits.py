"""The samples of a chunk that are not ok, and their permanent ids. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import msgspec

from otel_logtail.counts import places_from
from otel_logtail.digest import blake2b
from otel_logtail.engine.columns import select
from otel_logtail.engine.lines import Lines
from otel_logtail.model import Hits, Samples, Severity


class Thresholds(msgspec.Struct, frozen=True):
    """``ok`` < ``degraded_ns`` <= ``degraded`` < ``stall_ns`` <= ``stall``."""

    degraded_ns: int
    stall_ns: int

    def classify(self, duration_ns: int) -> Severity:
        """How bad a duration is."""
        if duration_ns < self.degraded_ns:
            return Severity.OK
        return Severity.DEGRADED if duration_ns < self.stall_ns else Severity.STALL


def hits_of(samples: Samples, lines: Lines, source: str, thresholds: Thresholds) -> Hits:
    """Return the samples that are not ok."""
    places = places_from(samples.duration_ns, thresholds.degraded_ns)
    if not places:
        return Hits()
    slow = samples if len(places) == len(samples.offsets) else select(samples, places)
    severities = list(map(thresholds.classify, slow.duration_ns))
    if len(lines.offsets) == len(samples.offsets):
        raws = [lines.raws[place] for place in places]
    else:
        raws = [lines.raws[bisect_left(lines.offsets, offset)] for offset in slow.offsets]
    return Hits(slow, places, severities, names_of(source, slow.offsets, raws))


def hits_at(hits: Hits, chosen: Sequence[int]) -> Hits:
    """Return some of the hits, in their order."""
    return Hits(
        select(hits.samples, chosen),
        [hits.places[hit] for hit in chosen],
        [hits.severities[hit] for hit in chosen],
        [hits.uids[hit] for hit in chosen],
    )


def names_of(source: str, offsets: Sequence[int], lines: Sequence[bytes]) -> list[bytes]:
    """Return 16 bytes that name each breach: the same whenever and from whichever file its line is read again."""
    begin = blake2b(digest_size=16, person=b"otel-logtail").copy
    behind = b"\0%d\0" + source.encode().replace(b"%", b"%%")
    names = []
    for offset, line in zip(offsets, lines, strict=True):
        digest = begin()
        digest.update(line)
        digest.update(behind % offset)
        names.append(digest.digest())
    return names
