"""The health port of a daemon: the server, and the status that it shows."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otel_logtail.daemon.options import HEALTH_HOST, HEALTH_PORT
from otel_logtail.daemon.settings import Settings
from otel_logtail.daemon.supervisor import Supervisor
from otel_logtail.errors import UsageError
from otel_logtail.events import Reporter
from otel_logtail.text import reason_of

if TYPE_CHECKING:
    from otel_logtail.daemon.health import HealthSite


@contextmanager
def health_site(settings: Settings, supervisor: Supervisor, reporter: Reporter) -> Iterator[HealthSite | None]:
    """Answer health checks meanwhile, if the settings have a port for them; a run with ``--once`` needs none.

    Raises:
        UsageError: the port is taken, or the address is not one of this machine.
    """
    if settings.health_port is None or settings.once:
        yield None
        return
    from otel_logtail.daemon.health import HealthSite  # most runs have no port
    from otel_logtail.server import Server

    site = HealthSite(supervisor, reporter, partial(read_status, settings.db))
    host, port = settings.health_host, settings.health_port
    try:
        server = Server("health", host, port, site)
    except OSError as problem:
        is_taken = problem.errno == errno.EADDRINUSE
        raise settings.explain(
            UsageError(
                f"cannot listen on {host} port {port} for health checks: {reason_of(problem)}",
                hint=f"another port: {HEALTH_PORT.flag}; another address: {HEALTH_HOST.flag}",
                setting=(HEALTH_PORT if is_taken else HEALTH_HOST).name,
            )
        ) from None
    server.start()
    try:
        yield site
    finally:
        server.close()


def read_status(db: Path) -> Mapping[str, Any]:
    """Return the answer of ``otel-logtail status`` from the store as it is now.

    Raises:
        StoreError: there is no store yet, or it cannot be read.
    """
    from otel_logtail import query  # most runs ask no question

    with query.Reader.open(db) as reader:
        return query.status(reader)
