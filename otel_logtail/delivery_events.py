"""Events of deliveries: a part of :class:`~otel_logtail.events.Reporter`."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import msgspec

from otel_logtail.log import Log
from otel_logtail.messages import Message, Messages, begin, end, event, say
from otel_logtail.text import number, span

_SIGNAL_OR_ADDRESS = re.compile(
    r"/v1/(metrics|traces|logs)\b|(?<=failed to connect to all addresses); last error: .*|\bipv[46]:\S+:\d+: "
)
"""The parts that differ between errors of one receiver: the signal in a URL, and for gRPC the last address of a name
and its error: nothing may listen at one address, while the machine has no route to another."""


class _Outage(msgspec.Struct):
    """A stream that fails: why, since when, and the most items that were seen to wait for its end.

    ``reason`` is ``why`` without the parts that differ between errors of one receiver.
    """

    reason: str
    why: str
    since_s: float
    is_about_data: bool
    waiting: int = 0


class DeliveryEvents(Messages):
    """Events of exporters. ``clock_s`` is a clock that is never set, in seconds."""

    def __init__(self, log: Log, clock_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__(log)
        self._clock_s = clock_s
        self._outages: dict[str, dict[str, _Outage]] = {}  # by exporter and stream
        self._connected: set[str] = set()

    @event("exporter.new")
    def begins(self, exporter: str, held: int, *, left_out: bool) -> Message:
        """An exporter is new to a store that already has data."""
        what = (
            f"the {held} items in the store are left out (--exporter-from now)"
            if left_out
            else f"sending the {held} items in the store first (--exporter-from now leaves them out)"
        )
        return say("info", f"{exporter}: new to this store: {what}")

    @event("exporter.older_copy")
    def older_copy(self, exporter: str, until: str) -> Message:
        """The store is older than what the receiver has: a restored backup, or a power cut."""
        return say(
            "warning",
            f"{exporter}: the store is an older copy: the receiver has data up to {until} that the store lacks;"
            " all series start again after that time, and intervals before it are not sent again",
        )

    @event("exporter.connected")
    def connected(self, exporter: str, receiver: str) -> Message | None:
        """An exporter's receiver accepted something, the first time in this run."""
        with self._lock:
            if exporter in self._connected or self._outages.get(exporter) or not receiver:
                return None  # the end of an outage is a message of its own
            self._connected.add(exporter)
        return say("info", f"{exporter}: connected to {receiver}")

    @event("exporter.failed")
    def exporter_failed(
        self, exporter: str, why: str, stream: str = "", *, is_about_data: bool = False
    ) -> Message | None:
        """A delivery failed; it is tried again. Streams that fail for the same reason are one message."""
        reason = _SIGNAL_OR_ADDRESS.sub("", why)
        with self._lock:
            failing = self._outages.setdefault(exporter, {})
            if stream in failing:
                return None
            failing[stream] = _Outage(reason, why, self._clock_s(), is_about_data)
        return begin(f"export {exporter}: {reason}", "warning", f"{exporter}: {why}; buffering, will retry")

    def fails(self, exporter: str, stream: str) -> bool:
        """Return whether a stream fails, as far as was reported."""
        return stream in self._outages.get(exporter, ())

    def failing(self, for_s: float) -> list[str]:
        """Return a line for each reason for which streams of an exporter have failed for so long."""
        found: dict[tuple[str, str], tuple[float, list[str], str]] = {}
        with self._lock:
            for exporter, failing in self._outages.items():
                for stream, outage in failing.items():
                    seconds, streams, why = found.get((exporter, outage.reason), (0.0, [], outage.why))
                    seconds = max(seconds, self._clock_s() - outage.since_s)
                    found[exporter, outage.reason] = seconds, [*streams, stream], why
        return [
            self.redact(f"{exporter}: no delivery of {', '.join(streams)} for {span(seconds)}: {why}")
            for (exporter, _), (seconds, streams, why) in found.items()
            if seconds >= for_s
        ]

    @event("exporter.recovered")
    def exporter_works(self, exporter: str, stream: str = "", receiver: str = "", waiting: int = 0) -> Message | None:
        """Deliveries of a stream succeed; ``waiting`` items of the exporter were not delivered until now."""
        with self._lock:
            failing = self._outages.get(exporter, {})
            if stream not in failing:
                return None
            over = failing.pop(stream)
            same = [outage for outage in failing.values() if outage.reason == over.reason]
            for outage in same:  # the last stream to recover reports what waited for all of them
                outage.waiting = max(outage.waiting, over.waiting, waiting)
                outage.since_s = min(outage.since_s, over.since_s)
            if same:
                return None
            again = "again " if exporter in self._connected else ""
            if receiver and not failing:
                self._connected.add(exporter)
        seconds, count = self._clock_s() - over.since_s, max(over.waiting, waiting)
        how = f"connected {again}to {receiver}"
        if failing or over.is_about_data or not receiver:
            how = f"delivering {f'{stream} ' if failing else ''}again"
        what = f"{exporter}: {how} after {span(seconds)}; {number(count, 'item')} waited"
        return end(f"export {exporter}: {over.reason}", what, waiting=count, seconds=round(seconds))

    @event("exporter.delivered")
    def delivered(self, exporter: str, stream: str, count: int) -> Message:
        """A receiver has decided about a batch."""
        return say("debug", f"{exporter}: {number(count, stream.removesuffix('s'))} delivered")

    @event("exporter.skips")
    def skips(self, exporter: str) -> Message:
        """Items were not sent because they are too old for the exporter."""
        return begin(
            f"skip {exporter}",
            "warning",
            f"{exporter}: items that are too old for it are skipped (the store keeps them; the end logs their number)",
        )

    @event("exporter.skipped")
    def skipped(self, exporter: str, count: int) -> Message:
        """The number of items that an exporter skipped, when it ends."""
        return say("info", f"{exporter}: {count} items were skipped, too old for it")

    @event("exporter.unanswered")
    def unanswered(self, exporter: str, seconds: float) -> Message:
        """A run with ``--once`` is over, and the last request has no answer."""
        return say("warning", f"{exporter}: no answer for {span(seconds)}; giving up")

    @event("exporter.quarantined")
    def quarantined(self, exporter: str, item: str, why: str) -> Message:
        """The receiver does not accept an item, although it accepts others."""
        return say("error", f"{exporter}: {item} was quarantined: {why} (to send it again: `otel-logtail retry`)")

    @event("exporter.quarantine_full")
    def quarantine_full(self, exporter: str) -> Message:
        """The oldest quarantined item was deleted, since more are not kept."""
        return begin(
            f"quarantine {exporter}",
            "error",
            f"{exporter}: the quarantine is full: its oldest items are deleted and counted as dropped"
            " (see `otel-logtail status`)",
        )

    @event("exporter.rejected")
    def rejects(self, exporter: str, stream: str, why: str) -> Message:
        """The receiver accepted a request and rejected a part of it, which is final."""
        return begin(
            f"rejects {exporter} {stream}",
            "error",
            f"{exporter}: rejected data is not sent again: {why} (further rejections are only counted:"
            " see `otel-logtail status`)",
        )

    @event("exporter.warned")
    def warned(self, exporter: str, stream: str, why: str) -> Message:
        """The receiver accepted everything, and sent a warning."""
        key = f"warns {exporter} {stream}"
        return begin(key, "warning", f"{exporter}: everything is accepted, with a warning: {why}")

    @event("exporter.refused")
    def refuses_everything(self, exporter: str, why: str) -> Message:
        """The receiver accepts nothing at all; the other items wait instead of being quarantined."""
        return begin(
            f"refuse {exporter}",
            "error",
            f"{exporter}: everything is refused: {why}; the rest is buffered and tried one by one from time to time"
            " (quarantined items: see `otel-logtail status`)",
        )

    @event("exporter.accepted_again")
    def exporter_takes_again(self, exporter: str) -> Message:
        """The receiver accepts items again after refusing everything."""
        return end(f"refuse {exporter}", f"{exporter}: no longer refused")

    @event("exporter.crashed")
    def crashed(self, exporter: str, why: str) -> Message:
        """An exporter raised an unexpected error, which counts as a failed delivery."""
        return begin(f"crash {exporter}", "error", f"{exporter}: internal error: {why}")
