"""The settings of one run as values, and the way from texts to them.

Texts come from flags, variables and the configuration, as :class:`~otel_logtail.option.Options`: each with its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import tzinfo
from pathlib import Path

import msgspec

from otel_logtail.daemon import options
from otel_logtail.errors import LogtailError, StoreError, invalid
from otel_logtail.option import Option, Options
from otel_logtail.plugins import exporters
from otel_logtail.store.maintenance import Limits


def _default(option: Option[int]) -> int:
    return option.parse(option.default)


class SourceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One source.

    An empty ``name`` is that of the observer, empty ``patterns`` are the observer's own. ``timezone`` None is this
    machine's.
    """

    observer: str
    name: str = ""
    event: str = options.EVENT.default
    patterns: tuple[str, ...] = ()
    threshold_ns: int = _default(options.THRESHOLD_MS)
    stall_ns: int = 4 * _default(options.THRESHOLD_MS)
    quiet_ns: int = _default(options.QUIET_MS)
    from_start: bool = False
    timezone: tzinfo | None = None


INTERVAL_NS = 10 * 10**9
"""The log time that one point covers by default."""

UNTOLD_NS = 60 * 10**9
"""The same if no exporter receives points: maintenance merges intervals into minutes later, and this saves the work."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one run.

    ``interval_ns`` None is :data:`INTERVAL_NS`, or :data:`UNTOLD_NS` if no exporter receives counts.
    ``exporter_options`` are the texts that the user gave, by exporter and by the name of the option. ``places`` names
    for each given option its flag, its variable, or its line and key in a file. ``warnings`` are about variables that
    are ignored. ``config`` is the configuration, if there is one.
    """

    db: Path
    sources: tuple[SourceSettings, ...]
    interval_ns: int | None = None
    once: bool = False
    exporters: tuple[str, ...] = ()
    exporters_from_now: bool = False
    exporter_options: Mapping[str, Mapping[str, str]] = {}
    max_series: int = _default(options.MAX_SERIES)
    drain_s: float = 5.0
    limits: Limits = Limits()
    places: Mapping[str, str] = {}
    warnings: tuple[str, ...] = ()
    config: Path | None = None

    def values(self) -> tuple[str, ...]:
        """Return the values of exporters, which may be secret."""
        return tuple(value for given in self.exporter_options.values() for value in given.values())

    def secrets(self) -> tuple[str, ...]:
        """Return the values of options that are declared as secret."""
        secret = {option.name for plugin in exporters().values() for option in plugin.options if option.secret}
        return tuple(text for given in self.exporter_options.values() for name, text in given.items() if name in secret)

    def files(self, environ: Mapping[str, str]) -> Iterator[tuple[Option[Path], Path]]:
        """Yield the files that this run writes, each with its option: the store, then those of exporters.

        Raises:
            UsageError: the path of a file is not valid.
        """
        yield options.DB, self.db
        for name in self.exporters:
            if (plugin := exporters().get(name)) is not None:  # else it cannot be created, which is another error
                given = Options(environ, self.exporter_options.get(name, {}), self.places)
                yield from plugin.files(given)

    def explain(self, problem: LogtailError) -> LogtailError:
        """Return the same error with the place of the wrong value."""
        return explain(problem, self.places)


def read_source(given: Options) -> SourceSettings:
    """Return the settings of one source.

    Args:
        given: The texts of :data:`otel_logtail.daemon.options.OF_A_SOURCE`.

    Raises:
        UsageError: a value is not valid.
    """
    threshold_ns = given.require(options.THRESHOLD_MS)
    stall_ns = given.get(options.STALL_MS)
    if stall_ns is not None and stall_ns <= threshold_ns:
        raise invalid(
            given.where(options.STALL_MS),
            given.options[options.STALL_MS.name],
            f"not above the threshold of {threshold_ns / 1e6:g} ms",
            "leave it out for 4 times the threshold",
        )
    return SourceSettings(
        observer=given.require(options.OBSERVER),
        name=given.get(options.SOURCE) or "",
        event=given.require(options.EVENT),
        patterns=options.PATH.kind.parse(given.options.get(options.PATH.name, "")),
        threshold_ns=threshold_ns,
        stall_ns=4 * threshold_ns if stall_ns is None else stall_ns,
        quiet_ns=given.require(options.QUIET_MS),
        from_start=given.get(options.FROM_START) or False,
        timezone=given.get(options.TIMEZONE),
    )


def explain(problem: LogtailError, places: Mapping[str, str]) -> LogtailError:
    """Add the place of the wrong setting to an error that does not name it. Returns the error."""
    message = str(problem)
    setting = problem.setting or (options.DB.name if isinstance(problem, StoreError) else "")
    place = places.get(setting) or places.get(setting.partition(" ")[0], "")
    if place and place not in message and place not in problem.hint:
        problem.args = (f"{message} ({place})",)
    return problem
