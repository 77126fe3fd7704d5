"""Each line of a capture is counted once: as a sample, ignored or rejected, in any wrapper and however it is cut."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timezone

import pytest

from otel_logtail.engine.framing import AUTO, Framing
from otel_logtail.engine.hits import Thresholds
from otel_logtail.engine.joiner import Joiner
from otel_logtail.engine.scan import scan
from otel_logtail.model import Sample, Severity
from otel_logtail.observer import Observer, ObserverContext
from otel_logtail.plugins import make_observer
from otel_logtail.testing.wrappers import cri, docker, stamp
from tests.support.places import CAPTURES

THRESHOLDS = Thresholds(500_000_000, 2_000_000_000)

COUNTS = {  # lines, samples, ignored, rejected, breaches, stalls
    "apache/access.log": (79, 74, 5, 0, 23, 2),
    "asyncio/asyncio.log": (9, 7, 2, 0, 6, 1),
    "caddy/access.log": (80, 77, 3, 0, 27, 5),
    "caddy/caddy.log": (33, 0, 33, 0, 0, 0),
    "caddy/access-tracing.log": (2, 2, 0, 0, 0, 0),
    "envoy/access.log": (90, 78, 10, 2, 28, 3),
    "envoy/access.json.log": (70, 60, 10, 0, 29, 3),
    "haproxy/haproxy.log": (100, 89, 11, 0, 37, 12),
    "haproxy/haproxy-traditional.log": (100, 89, 11, 0, 37, 12),
    "haproxy/raw.log": (100, 89, 11, 0, 37, 12),
    "haproxy/json.log": (42, 39, 3, 0, 15, 6),
    "jvm/g1-utctime.log": (340, 175, 165, 0, 1, 0),
    "jvm/serial-time.log": (112, 15, 97, 0, 6, 2),
    "jvm/zgc-utctime.log": (29, 21, 8, 0, 0, 0),
    "jvm/jdk11-g1.log": (120, 24, 96, 0, 0, 0),
    "jvm/jdk21-g1.log": (79, 40, 39, 0, 0, 0),
    "jvm/jdk25-g1.log": (94, 48, 46, 0, 0, 0),
    "jvm/jdk25-zgc.log": (48, 31, 17, 0, 0, 0),
    "nginx/otel.log": (99, 91, 8, 0, 33, 6),
    "nginx/wide.log": (99, 91, 8, 0, 33, 6),
    "nginx/timed.log": (99, 91, 8, 0, 33, 6),
    "nginx/ingress.log": (99, 91, 8, 0, 33, 6),
    "postgresql/postgresql.json": (108, 26, 82, 0, 22, 3),
    "postgresql/raised.json": (17, 2, 13, 2, 0, 0),
    "traefik/access.log": (70, 69, 1, 0, 24, 3),
    "traefik/clf.log": (83, 82, 1, 0, 24, 3),
    "traefik/access-tracing.log": (2, 2, 0, 0, 0, 0),
}


def in_parts(line: bytes, time: str) -> bytes:
    third = len(line) // 3
    first, second = (cri(part, tag="P", time=time) for part in (line[:third], line[third : 2 * third]))
    return b"\n".join((first, second, cri(line[2 * third :], time=time)))


WRAPPERS: dict[str, Callable[[bytes, str], bytes]] = {
    "none": lambda line, time: line,
    "syslog": lambda line, time: b"Nov 29 15:08:58 host program[1]: " + line,
    "cri": lambda line, time: cri(line, time=time),
    "docker": lambda line, time: docker(line, time=time),
    "parts": in_parts,
}


def observer_of(capture: str) -> Observer:
    options = {"postgresql_checkpoints": "on"} if capture.startswith("postgresql") else {}
    return make_observer(capture.partition("/")[0], ObserverContext({}, options, {}, timezone=timezone.utc))


def written(observer: Observer, line: bytes) -> str:
    """Return the time at which a runtime would have written a line."""
    answer = observer.observe(line)
    return stamp(answer.logged_ns if isinstance(answer, Sample) else 0)


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("capture", COUNTS)
def test_each_line_is_counted_once(capture: str, wrapper: str) -> None:
    observer = observer_of(capture)
    lines = (CAPTURES / capture).read_bytes().removesuffix(b"\n").split(b"\n")
    data = [WRAPPERS[wrapper](line, written(observer, line)) + b"\n" for line in lines]
    for pieces in ([b"".join(data)], data):
        parts, offset = b"", 0
        found = [0] * 6
        for piece in pieces:
            joiner = Joiner(Framing(AUTO, observer.marker), parts)
            scanned = scan(observer, piece, offset, source="s", thresholds=THRESHOLDS, joiner=joiner)
            parts, offset, tally = joiner.parts, offset + len(piece), scanned.tally
            stalls = scanned.hits.severities.count(Severity.STALL)
            rejected = sum(tally.rejected.values())
            counts = (0, tally.samples, tally.ignored, rejected, len(scanned.hits), stalls)
            found = [before + now for before, now in zip(found, counts, strict=True)]
            assert not tally.drift
        assert (len(lines), *found[1:]) == COUNTS[capture]
