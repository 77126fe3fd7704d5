"""The proxy of the environment for a URL: ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import msgspec

from otel_logtail.errors import UsageError

_PORTS = {"http": 80, "https": 443}


class Proxy(msgspec.Struct, frozen=True):
    """A proxy. ``authorization`` is the value of its header, or empty."""

    is_secure: bool
    host: str
    port: int
    authorization: str = ""


def proxy_of(url: str, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy for a URL; None: there is none, or ``NO_PROXY`` excludes the host.

    Raises:
        UsageError: the variable does not name an HTTP proxy. Its value may hold a password, and is not shown.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    excluded = [name.strip().lower() for name in _value("no_proxy", environ).split(",")]
    if any(_covers(name, host, port) for name in excluded if name):
        return None
    for name in (f"{parts.scheme}_proxy", "all_proxy"):
        if text := _value(name, environ).strip():
            return _parsed(name, text)
    return None


def _value(name: str, environ: Mapping[str, str]) -> str:
    """Return a variable: in lower case if it is set so, as in other programs."""
    return environ[name] if name in environ else environ.get(name.upper(), "")


def _covers(name: str, host: str, port: int) -> bool:
    if name == "*":
        return True
    if "/" in name:
        return _is_within(host, name)
    domain = name.removeprefix("*").lstrip(".")
    return any(one == domain or one.endswith(f".{domain}") for one in (host, f"{host}:{port}"))


def _is_within(host: str, network: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _parsed(name: str, text: str) -> Proxy:
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        parts, port = urlsplit(""), 0
    if not parts.hostname:
        raise UsageError(f"{name.upper()} is not the URL of an HTTP proxy", hint="write http://HOST:PORT")
    authorization = ""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return Proxy(parts.scheme == "https", parts.hostname, port, authorization)
