"""The certificates and keys that settings name, read and tried before anything is sent."""

from __future__ import annotations

import ssl
from pathlib import Path

import msgspec

from otel_logtail.errors import UsageError
from otel_logtail.exporters.otlp_config import Setting, Signal


class Tls(msgspec.Struct, frozen=True):
    """The contents of the PEM files; None where the default holds."""

    roots: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = None


def read_tls(signal: Signal) -> Tls:
    """Read and try what a signal names, so that a wrong file is a usage error and not a failure at night."""
    roots = _read(signal.certificate)
    certificate = _read(signal.client_certificate)
    key = _read(signal.client_key) if signal.client_key is not None else certificate  # one file may hold both
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if signal.certificate is not None:
        try:
            context.load_verify_locations(signal.certificate.value)
        except ssl.SSLError as error:
            hint = "a PEM file with the certificates to trust"
            raise _wrong(signal.certificate, "holds no certificate", hint) from error
    if signal.client_certificate is not None:
        own_key = None if signal.client_key is None else signal.client_key.value
        try:
            context.load_cert_chain(signal.client_certificate.value, own_key, password=lambda: "")
        except (ssl.SSLError, ValueError) as error:
            hint = "a PEM file with a certificate, and its key without a passphrase in the same or in the key's file"
            raise _wrong(signal.client_certificate, "is no certificate that fits its key", hint) from error
    return Tls(roots, certificate, key)


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
