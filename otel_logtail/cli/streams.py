"""Text as an output stream accepts it: in its encoding, and without control over a terminal."""

from __future__ import annotations

import json
import os
from typing import TextIO

from otel_logtail.text import printable

_PLAINER = str.maketrans({"–": "-", "█": "#", "✓": "+", "✗": "x", "×": "x", "∞": "inf"})


def is_colored(out: TextIO) -> bool:
    """Return whether text on a stream may have color (no-color.org, force-color.org)."""
    if os.environ.get("FORCE_COLOR"):
        return True
    return out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def encodable(line: str, out: TextIO) -> str:
    """Return the line in a stream's encoding: plainer dashes and bars unless it is UTF-8, escapes for the rest."""
    encoding = out.encoding or "ascii"
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        plainer = line.translate(_PLAINER)
        return plainer.encode(encoding, "backslashreplace").decode(encoding)
    return line


def safe(text: str, out: TextIO) -> str:
    """Return the text in a stream's encoding, on a terminal also without characters that could control it."""
    return encodable(printable(text) if out.isatty() else text, out)


def takes_all(out: TextIO) -> bool:
    """Return whether a stream accepts every character."""
    return (out.encoding or "utf-8").lower().replace("-", "") == "utf8"


def json_text(encoded: bytes, out: TextIO) -> str:
    """Return JSON for a stream, with escapes for what it cannot encode and for what would control a terminal."""
    text = encoded.decode()
    if not takes_all(out):
        return json.dumps(json.loads(text), separators=(",", ":"))
    if not out.isatty() or text.isprintable():
        return text
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
