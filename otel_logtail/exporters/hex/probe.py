"""The probes of hex: a connection to its engine, and access to its telemetry database."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ssl import SSLError

from otel_logtail.check import FAIL, OK, Check, check_writable
from otel_logtail.exporter import ExporterContext
from otel_logtail.exporters.hex.config import read_bus, read_telemetry
from otel_logtail.exporters.trust import client_context, trusted_roots
from otel_logtail.exporters.wording import printable

TIMEOUT_S = 5.0


def probe_bus(context: ExporterContext) -> Iterator[Check]:
    """Connect to the engine, over TLS if it uses TLS.

    Raises:
        UsageError: a setting is wrong.
    """
    bus = read_bus(context)
    tls = client_context(trusted_roots(bus.trust)) if bus.tls else None
    where = f"{bus.host} port {bus.port}"
    try:
        with socket.create_connection((bus.host, bus.port), TIMEOUT_S) as connection:
            if tls is not None:
                tls.wrap_socket(connection, server_hostname=bus.host).close()
    except SSLError as problem:
        yield Check(FAIL, "", f"{where}: {printable(str(problem))}", "see SSL_CERT_FILE, or use ws://")
    except OSError as problem:
        todo = "is hex running? its engine's address: --hex-url"
        yield Check(FAIL, "", f"{where}: {problem.strerror or problem}", todo)
    else:
        yield Check(OK, "", f"{where} can be reached")


def probe_telemetry(context: ExporterContext) -> Iterator[Check]:
    """Check that the database exists and can be written.

    Raises:
        UsageError: the place of the database is not known.
    """
    path = read_telemetry(context)
    todo = "hex makes it when it starts; its place: --hex-db, HEX_DIR"
    if path.is_file():
        yield check_writable(path, todo)
    else:
        yield Check(FAIL, "", f"{path} is not there", todo)
