"""How often the files are scanned: less often the more a scan costs, since file system events come in between. Pure."""

from __future__ import annotations

SCAN_S = 2.0
"""The shortest time between periodic scans if the file system sends events, in seconds."""

LONGEST_S = 120.0
"""The longest time between periodic scans."""

SECOND_S = 20.0
"""The longest time between the first scan and the second one. The first scan opens all files, so its cost is not that
of later ones.
"""

BLIND_SCAN_S = 1.0
"""The shortest time between periodic scans if the file system sends no events."""

SHARE = 0.0002
"""The share of one core that periodic scans may take if the file system sends events."""

BLIND_SHARE = 0.01
"""The share of one core that periodic scans may take if the file system sends no events."""

BACKLOG_SHARE = 0.05
"""The share of the time that scans may take while a backlog is read, and that the first scan may take."""


class Pace:
    """The time between periodic scans, from the cost of those before.

    Args:
        share: The share of one core that scans may take if the file system sends events.
    """

    def __init__(self, share: float = SHARE) -> None:
        self._share = share
        self._with_events_s, self._without_events_s = SCAN_S, BLIND_SCAN_S
        self._cost_s = 0.0

    def every_s(self, *, has_events: bool) -> float:
        """Return the seconds between periodic scans."""
        return self._with_events_s if has_events else self._without_events_s

    def scanned(self, cost_s: float) -> None:
        """Take the cost of a periodic scan into account: CPU time in seconds."""
        is_first, before_s, self._cost_s = self._cost_s == 0.0, self._cost_s, cost_s
        if is_first:
            self._with_events_s = _spaced(cost_s, BACKLOG_SHARE, SCAN_S, SECOND_S)
            self._without_events_s = BLIND_SCAN_S
            return
        usual_s = min(cost_s, before_s)  # a scan that opens new files costs more than the next one
        self._with_events_s = _spaced(usual_s, self._share, SCAN_S, LONGEST_S)
        self._without_events_s = _spaced(usual_s, BLIND_SHARE, BLIND_SCAN_S, LONGEST_S)


def pause_s(took_s: float) -> float:
    """Return how long a backlog is read before the next scan, after a scan that took so long."""
    return max(SCAN_S, took_s / BACKLOG_SHARE)


def _spaced(cost_s: float, share: float, least_s: float, most_s: float) -> float:
    return min(max(least_s, cost_s / share), most_s)
