"""Flags, variables and a configuration, merged into the settings of one run. Flags and variables win over the file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from otel_logtail.daemon import options
from otel_logtail.daemon.paths import default_db, home_directory
from otel_logtail.daemon.settings import Settings, SourceSettings, explain, read_source
from otel_logtail.daemon.zones import unknown_local_zone
from otel_logtail.environment import check_resolved, is_service_link, problem, problems, service_name
from otel_logtail.environment import export_interval as metric_export_interval
from otel_logtail.errors import UsageError
from otel_logtail.exporter import ExporterContext, ExporterPlugin
from otel_logtail.log import Level
from otel_logtail.observer import ObserverPlugin
from otel_logtail.option import Option, Options
from otel_logtail.plugins import OBSERVERS, exporters, names, observers, options_of
from otel_logtail.store.maintenance import Limits

if TYPE_CHECKING:
    from otel_logtail.daemon.config import Config


def settings_of(given: Options, *, without_source: bool = False, is_template: bool = False) -> Settings:
    """Return the settings of a daemon.

    Args:
        given: The flags and variables of the daemon, with their places.
        without_source: Whether the settings are complete without a source.
        is_template: Whether placeholders such as ``$(NODE_IP)`` are replaced later, and variables that are not here
            may choose exporters.

    Raises:
        UsageError: a value is not valid; the error names its place.
    """
    given, ignored = _without_service_links(given)
    places = dict(given.places)
    try:
        if not is_template:
            _check_placeholders(given)
        if path := given.get(options.CONFIG):
            from otel_logtail.daemon.config import read_config  # most runs have no file

            config = read_config(Path(path), given.environ, home_directory())
            places = {**config.places, **places}
            settings = _settings(given, config, config.sources, places, ignored)
        else:
            settings = _settings(given, None, _source(given, without_source=without_source), places, ignored)
        if not is_template:
            _check_that_each_is_used(given, options.EXPORTER, exporters(), settings.exporters)
            observed = [source.observer for source in settings.sources]
            _check_that_each_is_used(given, options.OBSERVER, observers(), observed)
        return settings
    except UsageError as wrong:
        raise explain(wrong, places) from None


def _without_service_links(given: Options) -> tuple[Options, list[str]]:
    """Leave out the variables that Kubernetes has set, and return a warning for each."""
    environ = given.environ
    links = {o: v for o, v in given.places.items() if v in environ and is_service_link(v, environ[v])}
    kept = {option: text for option, text in given.options.items() if option not in links}
    places = {option: place for option, place in given.places.items() if option not in links}
    return Options(environ, kept, places), [f"{v}: {problem(v, environ[v])}" for v in links.values()]


def _check_placeholders(given: Options) -> None:
    for name, text in given.options.items():
        if name != options.PATH.name:  # the variables in a pattern are replaced later
            check_resolved(text, given.places.get(name, ""), address=False)


def _source(given: Options, *, without_source: bool) -> tuple[SourceSettings, ...]:
    if given.get(options.OBSERVER) is None:
        if without_source:
            return ()
        raise UsageError(
            "no observer given", hint=f"pass {options.OBSERVER.flag} {' | '.join(names(OBSERVERS))}; --help shows all"
        )
    source = read_source(given)
    name = source.name or options.SOURCE.parse(service_name(given.environ), "OTEL_SERVICE_NAME")
    return (msgspec.structs.replace(source, name=name),)


def _settings(
    given: Options,
    config: Config | None,
    sources: tuple[SourceSettings, ...],
    places: dict[str, str],
    ignored: list[str],
) -> Settings:
    of_a_source = (*options.OF_A_SOURCE, *options_of(observers()))
    if config and (beside := [given.places[o.name] for o in of_a_source if o.name in given.options]):
        raise UsageError(
            f"{beside[0]} beside --config: the file has the sources", hint="write it in the file, under [source.NAME]"
        )
    environ = given.environ
    both = Options(environ, {**(config.run if config else {}), **given.options}, places)
    chosen = _exporters(both, config)
    interval_ns = both.get(options.EXPORT_INTERVAL)
    if interval_ns is None and (text := metric_export_interval(environ)):
        interval_ns = options.EXPORT_INTERVAL.parse(text)
    lost_zone = unknown_local_zone(environ) if any(source.timezone is None for source in sources) else ""
    return Settings(
        db=both.get(options.DB) or default_db(),
        sources=sources,
        interval_ns=interval_ns,
        once=both.get(options.ONCE) or False,
        limits=Limits(both.require(options.RETENTION) or None, both.require(options.MAX_DB_SIZE) or None),
        max_series=both.require(options.MAX_SERIES),
        health_port=both.get(options.HEALTH_PORT),
        health_host=both.require(options.HEALTH_HOST),
        exporters=chosen,
        exporters_from_now=both.require(options.EXPORTER_FROM) == "now",
        exporter_options=_exporter_options(given, config, chosen),
        places=places,
        log_format=both.require(options.LOG_FORMAT),
        log_level=_log_level(both),
        config=config.path if config else None,
        warnings=(*ignored, *(problems(environ) if chosen else ()), *filter(None, [lost_zone])),
    )


def _log_level(both: Options) -> Level:
    quiet, verbose = both.get(options.QUIET), both.get(options.VERBOSE)
    if quiet and verbose:
        raise UsageError(
            f"{both.where(options.QUIET)} and {both.where(options.VERBOSE)} exclude each other",
            hint="leave one of them out",
        )
    return "warning" if quiet else "debug" if verbose else "info"


def _exporters(both: Options, config: Config | None) -> tuple[str, ...]:
    """Return the named exporters, or those that have a table, or those that the environment enables."""
    chosen = both.get(options.EXPORTER) or tuple(config.exporters if config else ())
    if not chosen:
        context = ExporterContext(both.environ, both.options, both.places)
        chosen = tuple(name for name, plugin in exporters().items() if plugin.is_asked_for(context))
    return tuple(dict.fromkeys(chosen))


def _exporter_options(given: Options, config: Config | None, chosen: tuple[str, ...]) -> dict[str, dict[str, str]]:
    found, plugins = {}, exporters()
    for name in chosen:
        in_the_file = config.exporters.get(name, {}) if config else {}
        declared = plugins[name].options if name in plugins else ()
        found[name] = {**in_the_file, **{o.name: given.options[o.name] for o in declared if o.name in given.options}}
    return found


def _check_that_each_is_used(
    given: Options,
    choice: Option[Any],
    plugins: Mapping[str, ObserverPlugin] | Mapping[str, ExporterPlugin],
    chosen: Collection[str],
) -> None:
    """Refuse a flag of a plug-in that is not chosen: it would have no effect. A variable may be for other runs.

    Raises:
        UsageError: there is such a flag, or its value is not valid.
    """
    for option in options_of(plugins):
        users = [name for name, plugin in plugins.items() if option in plugin.options]
        if given.places.get(option.name) == option.flag and not any(name in chosen for name in users):
            given.get(option)
            raise UsageError(
                f"{option.flag} is for {' or '.join(users)}, and that is not chosen",
                hint=f"add {choice.flag} {' or '.join(users)}",
            )
