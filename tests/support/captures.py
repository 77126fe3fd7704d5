"""The captured logs, read by plain means that share no code with the program."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from tests.support.collector import Collector

EXPECTED = {  # samples, breaches, stalls, WebSocket lines, lines that a client's newline broke
    "0.36.5-mixed-invalid": (52, 0, 0, 3, 4),
    "0.42.0-burst": (60, 19, 0, 0, 0),
    "0.42.0-invalid": (11, 0, 0, 0, 3),
    "0.42.0-mixed": (41, 0, 0, 3, 0),
    "0.42.0-slow-upstream-queueing": (13, 11, 11, 0, 0),
    "0.42.0-stall": (111, 10, 0, 0, 0),
}


LINE = re.compile(
    r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) - headroom\.proxy - INFO - \[(hr_\d+_\d+)\] STAGE_TIMINGS (\{.*\})$"
)


@dataclass(frozen=True)
class Truth:
    """One sample of the log."""

    offset: int
    time_ns: int
    duration_ns: int
    logged_ns: int
    stages: dict[str, int]

    @property
    def severity(self) -> str:
        return "ok" if self.duration_ns < 500_000_000 else "degraded" if self.duration_ns < 2_000_000_000 else "stall"

    @property
    def cause(self) -> str:
        wait = self.stages.get("pre_upstream_wait", 0)
        read = self.stages.get("read_request_json", 0)
        compress = self.stages.get("deep_copy", 0) + self.stages.get("compression_first_stage", 0)
        shares = {"wait": wait, "read": read, "compress": compress, "other": self.duration_ns - wait - read - compress}
        return max(shares, key=lambda cause: shares[cause])


def read_log(path: Path) -> list[Truth]:
    """The log's samples in file order."""
    found, offset = [], 0
    for raw in path.read_bytes().splitlines(keepends=True):
        match = LINE.match(raw.decode(errors="replace").rstrip("\n"))
        if match and "total_pre_upstream" in (entry := json.loads(match[3]))["stages"]:
            stages = {name: round(ms * 1e6) for name, ms in entry["stages"].items() if ms is not None}
            moment = datetime.strptime(match[1], "%Y-%m-%d %H:%M:%S,%f").replace(tzinfo=timezone.utc)
            logged_ns = round(moment.timestamp() * 1000) * 1_000_000
            duration_ns = stages.pop("total_pre_upstream")
            time_ns = logged_ns - stages.get("upstream_connect", 0)
            found.append(Truth(offset, time_ns, duration_ns, logged_ns, stages))
        offset += len(raw)
    return found


def read_episodes(samples: list[Truth], quiet_ns: int = 3_000_000_000) -> list[list[Truth]]:
    """Breaches that were written within the quiet window of each other."""
    episodes: list[list[Truth]] = []
    for sample in samples:
        if sample.severity != "ok":
            if episodes and sample.logged_ns <= episodes[-1][-1].logged_ns + quiet_ns:
                episodes[-1].append(sample)
            else:
                episodes.append([sample])
    return episodes


def check_spans(collector: Collector, episodes: list[list[Truth]]) -> None:
    """One span for each episode, one event for each breach, with the log's own times."""
    spans = sorted(collector.spans(), key=lambda span: span.start_ns)
    assert len(spans) == len(episodes)
    assert len({span.span_id for span in spans}) == len(spans)
    for span, episode in zip(spans, episodes, strict=True):
        assert span.name == "log.overhead.episode"
        assert span.start_ns == min(s.time_ns - s.duration_ns for s in episode)
        assert span.end_ns == max(s.time_ns for s in episode)
        assert span.status == (2 if any(s.severity == "stall" for s in episode) else 0)
        assert span.attributes["count"] == len(episode)
        assert [(e.name, e.time_ns) for e in span.events] == [("log.overhead", s.time_ns) for s in episode]
        assert [round(e.attributes["value_ms"] * 1e6) for e in span.events] == [s.duration_ns for s in episode]
        assert len({e.attributes["log.record.uid"] for e in span.events}) == len(episode)
        assert span.dropped_events == 0
