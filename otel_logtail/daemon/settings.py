"""The settings of one run as values, and the way from texts to them.

Texts come from flags, variables and the configuration, as :class:`~otel_logtail.option.Options`: each with its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import tzinfo
from pathlib import Path

import msgspec

from otel_logtail.daemon import options
from otel_logtail.errors import LogtailError, StoreError, UsageError, invalid
from otel_logtail.log import Level
from otel_logtail.observer import ObserverContext, ObserverPlugin
from otel_logtail.option import Option, Options
from otel_logtail.plugins import exporters, find_observer, observers, options_of
from otel_logtail.store.maintenance import Limits


def _default(option: Option[int]) -> int:
    return option.parse(option.default)


class SourceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One source.

    An empty ``name`` is that of the observer, empty ``patterns`` are the observer's own. ``timezone`` None is this
    machine's. ``options`` are the texts of the observer's own options by name, and ``places`` is where each is from.
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
    framing: str = options.FRAMING.default
    options: Mapping[str, str] = {}
    places: Mapping[str, str] = {}

    def as_texts(self) -> dict[str, str]:
        """Return the options that decide how lines are read, without secrets, for a reader of the store."""
        secret = {option.name for option in options_of(observers()) if option.secret}
        texts = {name: text for name, text in self.options.items() if name not in secret}
        texts[options.FRAMING.name] = self.framing
        if self.timezone is not None:
            texts[options.TIMEZONE.name] = str(self.timezone)
        return texts

    def context(self, environ: Mapping[str, str]) -> ObserverContext:
        """Return the input for creating the observer."""
        return ObserverContext(environ, self.options, self.places, timezone=self.timezone)


INTERVAL_NS = 10 * 10**9
"""The log time that one point covers by default."""

UNTOLD_NS = 60 * 10**9
"""The same if no exporter receives points: maintenance merges intervals into minutes later, and this saves the work."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one run.

    ``interval_ns`` None is :data:`INTERVAL_NS`, or :data:`UNTOLD_NS` if no exporter receives counts.
    ``exporter_options`` are the texts that the user gave, by exporter and by the name of the option. ``places`` names
    for each given option its flag, its variable, or its line and key in a file. ``warnings`` are about variables that
    are ignored. ``log_level`` is the least urgent level that is logged. ``config`` is the
    configuration, if there is one.
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
    health_port: int | None = None
    health_host: str = options.HEALTH_HOST.default
    places: Mapping[str, str] = {}
    warnings: tuple[str, ...] = ()
    log_format: str = options.LOG_FORMAT.default
    log_level: Level = "info"
    config: Path | None = None

    def values(self) -> tuple[str, ...]:
        """Return the values of exporters, which may be secret."""
        return tuple(value for given in self.exporter_options.values() for value in given.values())

    def secrets(self) -> tuple[str, ...]:
        """Return the values of options that are declared as secret."""
        declared = (*options_of(observers()), *options_of(exporters()))
        secret = {option.name for option in declared if option.secret}
        given = (*self.exporter_options.values(), *(source.options for source in self.sources))
        return tuple(text for texts in given for name, text in texts.items() if name in secret)

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

    Values that the user did not give are those that the observer suggests, else the defaults.

    Args:
        given: The texts of :data:`otel_logtail.daemon.options.OF_A_SOURCE` and of the observer's own options.

    Raises:
        UsageError: a value is not valid.
    """
    observer = given.require(options.OBSERVER)
    plugin = _declared(observer)
    own = {option.name for option in plugin.options} if plugin else set()
    suggested = _suggested(plugin, observer)
    threshold_ns = _first(options.THRESHOLD_MS, given, suggested)
    return SourceSettings(
        observer=observer,
        name=given.get(options.SOURCE) or "",
        event=given.require(options.EVENT),
        patterns=options.PATH.kind.parse(given.options.get(options.PATH.name, "")),
        threshold_ns=threshold_ns,
        stall_ns=_stall_ns(given, suggested, threshold_ns),
        quiet_ns=_first(options.QUIET_MS, given, suggested),
        from_start=given.get(options.FROM_START) or False,
        timezone=given.get(options.TIMEZONE),
        framing=given.require(options.FRAMING),
        options={name: text for name, text in given.options.items() if name in own},
        places={name: place for name, place in given.places.items() if name in own},
    )


def _stall_ns(given: Options, suggested: Options, threshold_ns: int) -> int:
    """Return the stall threshold: the given one, a suggested one above the threshold, or four times the threshold."""
    stall_ns = given.get(options.STALL_MS)
    if stall_ns is None:
        suggested_ns = suggested.get(options.STALL_MS) or 0
        return suggested_ns if suggested_ns > threshold_ns else 4 * threshold_ns
    if stall_ns <= threshold_ns:
        raise invalid(
            given.where(options.STALL_MS),
            given.options[options.STALL_MS.name],
            f"not above the threshold of {threshold_ns / 1e6:g} ms",
            "leave it out for 4 times the threshold",
        )
    return stall_ns


def _declared(observer: str) -> ObserverPlugin | None:
    """Return the declaration of an observer. None: it cannot be created, which is another error."""
    try:
        return find_observer(observer)
    except UsageError:
        return None


def _suggested(plugin: ObserverPlugin | None, name: str) -> Options:
    """Return the values that an observer suggests."""
    declared = [option.name for option in options.SUGGESTED]
    texts = {field: text for field in declared if (text := getattr(plugin, field, ""))}
    return Options({}, texts, {field: f"{field} of the observer '{name}'" for field in texts})


def _first(option: Option[int], given: Options, suggested: Options) -> int:
    """Return the value that the user gave, else the suggested one, else the default."""
    chosen = given if option.name in given.options else suggested
    return chosen.require(option)


def explain(problem: LogtailError, places: Mapping[str, str]) -> LogtailError:
    """Add the place of the wrong setting to an error that does not name it. Returns the error."""
    message = str(problem)
    setting = problem.setting or (options.DB.name if isinstance(problem, StoreError) else "")
    place = places.get(setting) or places.get(setting.partition(" ")[0], "")
    if place and place not in message and place not in problem.hint:
        problem.args = (f"{message} ({place})",)
    return problem
