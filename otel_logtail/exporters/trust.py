"""The certificate authorities that a TLS connection trusts: the same ones for every protocol, exporter and check.

Each TLS library has its own list (certifi's, gRPC's), without a company's authority. None of these lists is used: the
certificates are read here as PEM text, and every library gets that text. The rules are OpenSSL's:

- ``SSL_CERT_FILE`` replaces the system's file, ``SSL_CERT_DIR`` (several folders, separated by ``:``) its folder;
- the system's files are those that OpenSSL was built with, else the first existing bundle of a known system.

On a system without certificates, certifi's list is used, which is installed with ``requests``.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from otel_logtail.errors import UsageError

_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")

_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Arch
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # Alpine, macOS, BSD
)


def trusted_roots(environ: Mapping[str, str], named: str = "", origin: str = "") -> bytes:
    """Return the PEM text of all trusted authorities.

    Args:
        environ: The environment, for ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``.
        named: A file with the only authorities to trust; empty: the system's.
        origin: The variable that names this file, for the error.

    Raises:
        UsageError: a named file or folder cannot be read or holds no certificate.
    """
    if named:
        return _named_file(named, origin)
    return _system_roots(environ.get("SSL_CERT_FILE", ""), environ.get("SSL_CERT_DIR", ""))


def client_context(roots: bytes) -> ssl.SSLContext:
    """Return a context for our connections that trusts these authorities and checks the host's name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # as gRPC does: an intermediate authority may be trusted
    context.load_verify_locations(cadata=roots.decode("ascii"))
    return context


@lru_cache(maxsize=1)  # three signals use the same
def _system_roots(file: str, folders: str) -> bytes:
    defaults = ssl.get_default_verify_paths()
    if file:
        _named_file(file, "SSL_CERT_FILE")
    named = [name for name in folders.split(os.pathsep) if name]
    for name in named:
        if not Path(name).is_dir():
            hint = "set SSL_CERT_DIR to a folder of PEM files with the certificates to trust"
            raise UsageError(f"SSL_CERT_DIR: {name!r} is not a folder", hint=hint)
    found = _read([file or defaults.openssl_cafile, *_files_in(named or [defaults.openssl_capath])])
    if not found:
        found = next(filter(None, (_read([bundle]) for bundle in _BUNDLES)), b"")
    return found or _read([_certifi()])


def _named_file(name: str, origin: str) -> bytes:
    hint = f"set {origin} to a PEM file with the certificates to trust"
    try:
        content = Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"{origin}: {name!r} cannot be read: {error.strerror}", hint=hint) from error
    found = _pem(_BLOCK.findall(content))
    if not _is_valid(found):
        raise UsageError(f"{origin}: {name!r} holds no valid certificate", hint=hint)
    return found


def _files_in(folders: Iterable[str]) -> Iterator[str]:
    for folder in folders:
        try:
            yield from sorted(str(path) for path in Path(folder).iterdir())
        except OSError:
            continue


def _read(files: Iterable[str]) -> bytes:
    """Return the valid certificates of files, each once: a system's folder has most twice, by name and by hash."""
    found: dict[bytes, None] = {}
    for file in dict.fromkeys(os.path.realpath(file) for file in files if file):
        try:
            content = Path(file).read_bytes()
        except OSError:
            continue
        found |= dict.fromkeys(b"\n".join(body.split()) for body in _BLOCK.findall(content))
    together = _pem(found)
    return together if _is_valid(together) else b"".join(block for body in found if _is_valid(block := _pem([body])))


def _pem(bodies: Iterable[bytes]) -> bytes:
    return b"".join(
        b"-----BEGIN CERTIFICATE-----\n" + body.strip() + b"\n-----END CERTIFICATE-----\n" for body in bodies
    )


def _is_valid(roots: bytes) -> bool:
    try:
        client_context(roots)
    except (ssl.SSLError, ValueError):
        return False
    return True


def _certifi() -> str:
    import certifi

    return certifi.where()
