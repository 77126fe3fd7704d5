"""Answers of exporters about a batch, and the work of a run."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Delivered(msgspec.Struct, frozen=True):
    """The receiver has decided about all of them: the batch is never sent again, in whole or in part.

    ``skipped`` items were not sent, since they are too old to act on. ``rejected`` is the number that the receiver
    discarded, in its own units (data points, spans), and ``why`` is its reason. If nothing was rejected, ``why`` is a
    warning.
    """

    skipped: int = 0
    rejected: int = 0
    why: str = ""


class Retry(msgspec.Struct, frozen=True):
    """The receiver may accept them later: after ``after_s`` seconds if it requested a delay (0: it did not).

    ``isolate``: a single item may be the cause, so smaller batches are tried at once. Without it they are tried only
    after some failures.
    """

    why: str
    after_s: float = 0.0
    isolate: bool = False


class Refused(msgspec.Struct, frozen=True):
    """The receiver will never accept this batch as it is."""

    why: str


class Partial(msgspec.Struct, frozen=True):
    """The first ``count`` items are done, as in :class:`Delivered`; ``rest`` is the answer about the next item."""

    count: int
    rest: Retry | Refused
    skipped: int = 0
    rejected: int = 0
    why: str = ""


Delivery = Delivered | Retry | Refused | Partial


class Deliveries(msgspec.Struct, frozen=True):
    """The items that an exporter delivered in some time, and those that wait now."""

    delivered: int
    waiting: int


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """The work of a run within ``seconds``, and the bytes that are still to be read. ``exporters`` is by name."""

    seconds: int
    bytes: int
    samples: int
    slow: int
    episodes: int
    behind: int
    exporters: Mapping[str, Deliveries] = {}
