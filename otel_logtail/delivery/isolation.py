"""The search for the item of a batch that a receiver does not accept: how many items are sent at once. Pure."""

from __future__ import annotations

from otel_logtail.delivery.rules import Rules
from otel_logtail.model import Retry


class Isolation:
    """The size of the next batch of one stream. While batches fail, it is halved, down to one item."""

    def __init__(self, rules: Rules) -> None:
        self.limit = rules.batch_items
        """The most items of the next batch."""
        self.is_active = False
        """True if smaller batches are sent because a larger one failed."""
        self._rules = rules
        self._failures = 0
        self._accepted_before = 0  # what the exporter's receiver had accepted at the first of these failures
        self._alone = 0

    @property
    def is_reduced(self) -> bool:
        """True if the next batch is smaller than usual."""
        return self.limit < self._rules.batch_items

    def halve(self, items: int) -> None:
        """Send half of a batch of so many items next."""
        self.limit = max(1, min(items, self._rules.batch_items) // 2)

    def grow(self) -> None:
        """Send twice as many items next, since a whole batch was delivered."""
        self.limit = min(self.limit * 2, self._rules.batch_items)
        self.is_active = self.is_active and self.is_reduced

    def fail(self, items: int, retry: Retry, accepted: int) -> bool:
        """Note that a batch failed, and halve it if one of its items may be the cause.

        Args:
            items: The number of items.
            retry: The failure.
            accepted: How often the exporter's receiver accepted something so far, in any stream.

        Returns:
            True if the batch is a single item that failed alone often enough to be put on trial.
        """
        if not self._failures:
            self._accepted_before = accepted
        self._failures += 1
        only_here = self._failures > self._rules.patient_failures and accepted > self._accepted_before
        is_suspect = retry.isolate or only_here or self.is_active
        if items == 1:
            self._alone += 1
            return is_suspect and self._alone >= self._rules.alone
        if is_suspect:
            self.is_active = True
            self.halve(items)
        return False

    def succeed(self) -> None:
        """Forget the failures, since something was accepted."""
        self._failures = self._alone = 0

    def start_next_item(self) -> None:
        """Forget the failures of an item that was put on trial."""
        self._alone = 0
