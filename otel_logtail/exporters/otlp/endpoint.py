"""The endpoint of a signal: its protocol, and the URL or target that requests are sent to. Pure."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import SplitResult, urlsplit

import msgspec

from otel_logtail.errors import UsageError

Protocol = Literal["grpc", "http/protobuf"]
GRPC_PORT = 4317

_SIGNAL_PATHS = ("/v1/metrics", "/v1/traces", "/v1/logs")
_GRPC_SCHEMES = ("unix", "unix-abstract", "dns", "ipv4", "ipv6")


class Setting(msgspec.Struct, frozen=True):
    """A value, and its flag or variable (``origin``) for an error."""

    value: str
    origin: str


def choose_protocol(setting: Setting | None, endpoint: Setting | None) -> Protocol:
    """Return the protocol that is set; if none is, the port of the endpoint decides.

    Raises:
        UsageError: it is not a protocol.
    """
    if setting is None:
        return "grpc" if endpoint is not None and _has_grpc_port(endpoint.value) else "http/protobuf"
    word = setting.value.lower()
    if word == "grpc":
        return "grpc"
    if word == "http/protobuf":
        return "http/protobuf"
    raise UsageError(f"{setting.origin}: {setting.value!r} is not an OTLP protocol", hint="use http/protobuf or grpc")


def _has_grpc_port(endpoint: str) -> bool:
    return re.match(rf"([a-z0-9+.-]+://)?[^/]*:{GRPC_PORT}(/|$)", endpoint, re.IGNORECASE) is not None


def http_url(endpoint: Setting, appended: str | None) -> str:
    """Return the URL to post to; ``appended`` is the signal's path for a base endpoint, None for a complete URL.

    Raises:
        UsageError: the endpoint is not such a URL.
    """
    text, origin = endpoint.value, endpoint.origin
    url = _url(endpoint, hint=f"write http://{text}" if "://" not in text else "use http://host:4318")
    if appended is None:
        return text if url.path else f"{url.scheme}://{url.netloc}/" + (f"?{url.query}" if url.query else "")
    path = url.path.rstrip("/")
    ending = next((ending for ending in _SIGNAL_PATHS if path.endswith(ending)), None)
    if ending is not None:
        base = f"{url.scheme}://{url.netloc}{path.removesuffix(ending)}"
        hint = f"use {base}: /v1/metrics and /v1/traces are appended to it"
        raise UsageError(f"{origin} is the base of all signals, and {text!r} is the URL of one", hint=hint)
    if url.query:
        hint = (
            "set OTEL_EXPORTER_OTLP_METRICS_ENDPOINT and OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: nothing is appended there"
        )
        raise UsageError(f"{origin}: a base endpoint can't have a query, since a path is appended to it", hint=hint)
    return f"{url.scheme}://{url.netloc}{path}{appended}"


def grpc_target(endpoint: Setting, *, insecure: bool) -> tuple[str, bool]:
    """Return the target of a gRPC channel, and whether it uses TLS.

    Raises:
        UsageError: the endpoint is not a target.
    """
    text, hint = endpoint.value, "use http://host:4317, https://host:4317 or host:4317"
    scheme, colon, _ = text.partition(":")
    if colon and scheme.lower() in _GRPC_SCHEMES and not text[len(scheme) + 1 :].isdecimal():
        return text, not insecure
    bare = "://" not in text
    url = _url(Setting(f"https://{text}" if bare else text, endpoint.origin), hint=hint)
    if url.path not in ("", "/") or url.query:
        raise UsageError(f"{endpoint.origin}: a gRPC endpoint has no path, but {text!r} has one", hint=hint)
    if bare and url.port is None:
        raise UsageError(f"{endpoint.origin}: {text!r} has no port", hint=f"write {text}:{GRPC_PORT}")
    tls = not insecure if bare else url.scheme == "https"
    return (url.netloc if url.port else f"{url.netloc.rstrip(':')}:{443 if tls else 80}"), tls


def _url(endpoint: Setting, *, hint: str) -> SplitResult:
    text, origin = endpoint.value, endpoint.origin
    if "@" in text:  # before any error that would contain it
        hint = "give it as OTEL_EXPORTER_OTLP_HEADERS=authorization=Basic%20…"
        raise UsageError(f"{origin}: a user name or password can't be part of the URL", hint=hint)
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        raise UsageError(f"{origin}: {text!r} is not a URL: {error}", hint=hint) from error
    if "://" not in text or url.scheme not in ("http", "https") or not url.hostname:
        raise UsageError(f"{origin}: {text!r} is not an http:// or https:// URL", hint=hint)
    if port == 0 or url.fragment or any(c.isspace() or not c.isprintable() for c in text):
        raise UsageError(f"{origin}: {text!r} is not the URL of a receiver", hint=hint)
    return url
