"""The settings of hex, from the environment and the options. Pure.

An option takes precedence over a variable, and an empty value counts as unset. A value that is not valid raises
:class:`~otel_logtail.errors.UsageError`; the token is never part of an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from otel_logtail.environment import check_resolved
from otel_logtail.errors import UsageError
from otel_logtail.exporters.hex.options import DB, MAX_AGE, URL
from otel_logtail.option import Options

DEFAULT_URL = "ws://127.0.0.1:49134"
"""The address of an engine on the same machine, which has IPv4 only: ``localhost`` could mean ::1."""


class BusSettings(msgspec.Struct, frozen=True):
    """The address of the engine, with TLS for wss:// (``trust`` holds SSL_CERT_FILE and SSL_CERT_DIR).

    ``token`` is empty if there is none; ``max_age_ns`` is None if no event is too old.
    """

    url: str
    host: str
    port: int
    token: str = ""
    max_age_ns: int | None = None
    trust: Mapping[str, str] = {}

    @property
    def tls(self) -> bool:
        """True if the connection is encrypted."""
        return self.url.lower().startswith("wss:")


def read_bus(options: Options) -> BusSettings:
    """Return the settings that III_URL, III_TOKEN and the options mean.

    Raises:
        UsageError: one of them is wrong.
    """
    environ, given = options.environ, options.get(URL) or ""
    url, origin = _first((given, options.where(URL)), (environ.get("III_URL", ""), "III_URL"))
    host, port = _address(url or DEFAULT_URL, origin)
    return BusSettings(
        url=url or DEFAULT_URL,
        host=host,
        port=port,
        token=_token(environ.get("III_TOKEN", "").strip()),
        max_age_ns=options.require(MAX_AGE) or None,
        trust={name: environ[name] for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if environ.get(name)},
    )


def read_telemetry(options: Options) -> Path:
    """Return the path of hex's telemetry database.

    Raises:
        UsageError: neither the option nor HEX_DIR names it.
    """
    path = options.get(DB)
    if path is None:
        raise UsageError("hex-telemetry: where is hex's database?", hint="set HEX_DIR, or name the file with --hex-db")
    return path


def _first(*settings: tuple[str, str]) -> tuple[str, str]:
    return next(((value.strip(), origin) for value, origin in settings if value.strip()), ("", ""))


def _address(url: str, origin: str) -> tuple[str, int]:
    check_resolved(url, origin)
    hint = f"such as {DEFAULT_URL}, or wss:// for TLS"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UsageError(f"{origin}: {url!r} is not an address", hint=hint) from None
    if parts.scheme not in ("ws", "wss") or not parts.hostname or parts.fragment or re.search(r"\s", url):
        raise UsageError(f"{origin}: {url!r} is not the address of a WebSocket", hint=hint)
    if parts.username is not None or parts.password is not None:
        raise UsageError(f"{origin}: a user or password in the address is not supported", hint="set III_TOKEN")
    return parts.hostname, port or (443 if parts.scheme == "wss" else 80)


def _token(token: str) -> str:
    if not re.fullmatch(r"[!-~]*", token):
        raise UsageError("III_TOKEN can't be sent in a header", hint="visible ASCII characters, without spaces")
    return token
