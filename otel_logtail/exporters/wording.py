"""Messages of receivers and libraries as one line, for all exporters over a network. Pure."""

from __future__ import annotations

import re

_MAX_MESSAGE = 300
_NOISE = re.compile(r"^\[SSL: \w+\] |certificate verify failed: |\.? ?\(_ssl\.c:\d+\)$|\.$", re.IGNORECASE)


def printable(text: str) -> str:
    """Return untrusted text as one short line that is safe on a terminal."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _MAX_MESSAGE else line[: _MAX_MESSAGE - 1] + "…"


def tls_problem(text: str, *, trust: str, own: str, plain: str) -> str:
    """Return an error of a TLS library with its fix; empty if the error is not a known one.

    Args:
        text: The error of OpenSSL or BoringSSL.
        trust: The setting for trusted authorities, as in "set TRUST to ...".
        own: The setting for our own certificate.
        plain: The change that turns TLS off.
    """
    what = _NOISE.sub("", printable(text))
    lower = text.lower().replace("_", " ")
    if "local issuer" in lower or "self-signed" in lower or "self signed" in lower:
        hint = f"{trust} must be a PEM file with the certificate of the authority that signed the receiver's"
    elif "not valid for" in lower or "hostname" in lower:
        hint = "the endpoint's host must be a name in the receiver's certificate"
    elif "alert certificate expired" in lower:
        hint = f"our own certificate is over: renew what {own} names"
    elif "has expired" in lower or "not yet valid" in lower:
        hint = "the receiver's certificate must be renewed there (or a clock is wrong)"
    elif "alert certificate required" in lower or "alert handshake failure" in lower:
        hint = f"the receiver requires a client certificate: set {own}"
    elif "alert unknown ca" in lower or "alert bad certificate" in lower or "alert access denied" in lower:
        hint = f"the receiver doesn't trust our own certificate: {own} must be one that its authority has signed"
    elif "wrong version number" in lower or "record layer failure" in lower:
        hint = f"the receiver doesn't use TLS: {plain}"
    else:
        return ""
    return f"{what}: {hint}"
