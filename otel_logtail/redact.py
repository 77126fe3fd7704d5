"""Removes secrets from text, by one rule for all text that leaves the process. Pure.

A secret is a header, the query, the fragment or the user part of a URL, or a token variable. It may appear in foreign
text: a library names the URL that failed, a receiver repeats the token that it rejects, and a long answer is cut off
within it. Two rules therefore apply to all text:

- any URL loses its user part, query and fragment; ``key=`` behind a ``?`` or ``&`` loses its value;
- known secrets (:func:`secrets_of`) are removed everywhere.

Known limits: a secret of less than 6 characters is only removed from URLs. The same holds for a lower-case word of a
query (``?format=protobuf``), since messages contain such words for other reasons.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, unquote

GONE = "…"
"""The replacement of a secret; also the end of a text that was cut off."""

_SHORTEST = 6

_USER = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s'\"<>]*@", re.IGNORECASE)
_AFTER_PATH = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^?#\s'\"<>]*)([?#])[^\s'\"<>)]+", re.IGNORECASE)
_PAIR = re.compile(r"([?&#;][^\s=&#;?'\"<>]{1,80}=)[^\s&#;'\"<>)]+")
_HEADERS = re.compile(r"OTEL_EXPORTER_OTLP_(?:[A-Z]+_)?HEADERS")
_TOKENS = ("III_TOKEN",)


class Redactor:
    """Removes secrets from text."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {form for secret in secrets for form in (secret, quote(secret, safe=""), unquote(secret))}
        self._secrets = sorted((text for text in known if len(text) >= _SHORTEST), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return the text without secrets."""
        text = _PAIR.sub(rf"\1{GONE}", _AFTER_PATH.sub(rf"\1\2{GONE}", _USER.sub(rf"\1{GONE}@", text)))
        for secret in self._secrets:
            text = text.replace(secret, GONE)
            if secret[:_SHORTEST] in text:
                text = _without_beginning(text, secret)
        return text


def secrets_of(environ: Mapping[str, str], values: Iterable[str] = ()) -> Iterator[str]:
    """Yield all secrets that the environment and some values (arguments, options) hold."""
    for name, value in environ.items():
        if _HEADERS.fullmatch(name):
            for entry in value.split(","):
                yield from _of_header(unquote(entry.partition("=")[2].strip()))
        elif name in _TOKENS:
            yield value.strip()
    for value in (*environ.values(), *values):
        if "://" in value:
            yield from _of_url(value)


def _of_header(value: str) -> Iterator[str]:
    yield value
    scheme, _, credentials = value.partition(" ")
    yield credentials
    if scheme.lower() == "basic":
        try:
            both = b64decode(credentials).decode()
        except ValueError:
            return
        yield both
        yield both.partition(":")[2]


def _of_url(value: str) -> Iterator[str]:
    # without urllib, which rejects some texts that a user may have meant as a URL
    address = value[value.index("://") + 3 :].split()[0:1]
    before, at, _ = "".join(address).rpartition("@")
    if at:
        user = unquote(before)
        yield from (before, before.partition(":")[2], b64encode(user.encode()).decode())
    for part in re.split("[?#]", "".join(address))[1:]:
        if "=" not in part:
            yield part
        for pair in re.split("[&;]", part):
            given = pair.partition("=")[2]
            if not re.fullmatch("[a-z]{1,15}", given):
                yield given


def _without_beginning(text: str, secret: str) -> str:
    """Remove the start of a secret from a text that was cut off within it."""
    for length in range(len(secret) - 1, _SHORTEST - 1, -1):
        begun = secret[:length]
        text = text.replace(begun + GONE, GONE)
        if text.endswith(begun):
            text = text.removesuffix(begun) + GONE
    return text
