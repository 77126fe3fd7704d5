"""The work of a run: what it read and sent, logged every hour and at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from otel_logtail.daemon.once import unread
from otel_logtail.daemon.source import SourceRun
from otel_logtail.delivery.sender import Drain
from otel_logtail.events import Reporter
from otel_logtail.model import Activity, Deliveries

HOUR_S = 3600.0


class Work:
    """Logs the work of each hour. Times are those of a clock that is never set, in seconds.

    ``waiting`` returns how many items wait for an exporter.
    """

    def __init__(
        self,
        runs: Sequence[SourceRun],
        drains: Sequence[Drain],
        waiting: Callable[[str], int],
        reporter: Reporter,
        now_s: float,
    ) -> None:
        self._runs = runs
        self._drains = drains
        self._waiting = waiting
        self._reporter = reporter
        self._began_s = self._logged_s = now_s
        self._logged = self.done(now_s)

    def step(self, now_s: float) -> None:
        """Log the last hour, if it is over."""
        if now_s - self._logged_s < HOUR_S:
            return
        done = self.done(now_s)
        self._reporter.activity(_since(done, self._logged))
        self._logged_s, self._logged = now_s, done

    def done(self, now_s: float) -> Activity:
        """Return the work of the run so far."""
        totals = [run.totals for run in self._runs]
        return Activity(
            seconds=round(now_s - self._began_s),
            bytes=sum(each.bytes for each in totals),
            samples=sum(each.samples for each in totals),
            slow=sum(each.slow for each in totals),
            episodes=sum(each.episodes for each in totals),
            behind=unread(self._runs),
            exporters={each.name: Deliveries(each.delivered, self._waiting(each.name)) for each in self._drains},
        )


def _since(done: Activity, before: Activity) -> Activity:
    return Activity(
        seconds=done.seconds - before.seconds,
        bytes=done.bytes - before.bytes,
        samples=done.samples - before.samples,
        slow=done.slow - before.slow,
        episodes=done.episodes - before.episodes,
        behind=done.behind,
        exporters={
            name: Deliveries(each.delivered - before.exporters[name].delivered, each.waiting)
            for name, each in done.exporters.items()
        },
    )
