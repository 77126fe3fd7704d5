"""The certificates and keys of the settings: checked before anything is sent, and a receiver's alert about them."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import msgspec

from otel_logtail.errors import UsageError
from otel_logtail.exporters.otlp.config import Signal
from otel_logtail.exporters.otlp.endpoint import Setting
from otel_logtail.exporters.trust import client_context, trusted_roots
from otel_logtail.exporters.wording import tls_problem

_ASK_S = 2.0
"""The longest wait for a receiver's alert, in seconds: it arrives at once or never."""


class Tls(msgspec.Struct, frozen=True):
    """The PEM texts, which gRPC uses, and the context made of them, which HTTP uses."""

    context: ssl.SSLContext
    roots: bytes
    certificate: bytes | None = None
    key: bytes | None = None


def read_tls(signal: Signal) -> Tls:
    """Read and check the files of a signal, so that a wrong file is an error at the start."""
    named = signal.certificate
    roots = trusted_roots(signal.trust, *(() if named is None else (named.value, named.origin)))
    certificate = _read(signal.client_certificate)
    key = _read(signal.client_key) if signal.client_key is not None else certificate  # one file may have both
    context = client_context(roots)
    if signal.client_certificate is not None:
        own_key = None if signal.client_key is None else signal.client_key.value
        try:
            context.load_cert_chain(signal.client_certificate.value, own_key, password=lambda: "")
        except (ssl.SSLError, ValueError) as error:
            hint = "a PEM file with a certificate, and its key without a passphrase in the same or in the key's file"
            raise _wrong(signal.client_certificate, "is not a certificate that matches its key", hint) from error
    return Tls(context, roots, certificate, key)


def explain(signal: Signal, complaint: str) -> str:
    """Return an error of a TLS library with the fix for this signal; empty if the error is not a known one."""
    trust = "OTEL_EXPORTER_OTLP_CERTIFICATE"
    if signal.certificate is not None:
        trust = f"{signal.certificate.origin} ({signal.certificate.value})"
    own = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY"
    if signal.client_certificate is not None:
        own = f"{signal.client_certificate.origin} ({signal.client_certificate.value})"
    return tls_problem(complaint, trust=trust, own=own, plain="use http:// in the endpoint")


def ask(signal: Signal, host: str, port: int) -> str:
    """Return a receiver's objection to our certificate, found by a separate handshake; empty if there is none.

    In TLS 1.3 a server refuses a client's certificate only after the handshake, while the request is in flight. The
    libraries then report a broken connection without the reason.
    """
    context = read_tls(signal).context
    context.set_alpn_protocols(["h2"] if signal.protocol == "grpc" else ["http/1.1"])
    try:
        with (
            socket.create_connection((host, port), min(_ASK_S, signal.timeout_s)) as raw,
            context.wrap_socket(raw, server_hostname=host) as line,
        ):
            line.recv(1)
    except (OSError, ValueError, UsageError) as error:
        return explain(signal, str(error))
    return ""


def _read(setting: Setting | None) -> bytes | None:
    if setting is None:
        return None
    try:
        return Path(setting.value).read_bytes()
    except OSError as error:
        what = f"can't be read: {error.strerror}"
        raise _wrong(setting, what, "the path of a PEM file that this user may read") from error


def _wrong(setting: Setting, what: str, hint: str) -> UsageError:
    return UsageError(f"{setting.origin}: {setting.value!r} {what}", hint=f"{setting.origin} is {hint}")
