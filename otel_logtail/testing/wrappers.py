"""Lines in the wrappers of container runtimes, as these write them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone

TIME = "2026-11-29T12:00:00.123456789Z"


def cri(text: bytes, stream: str = "stdout", tag: str = "F", *, time: str = TIME) -> bytes:
    """Return a line of a CRI log (containerd, CRI-O); the tag ``P`` marks a part of a line."""
    return f"{time} {stream} {tag} ".encode() + text


def docker(
    text: bytes, stream: str = "stdout", *, part: bool = False, time: str = TIME, attrs: Mapping[str, str] | None = None
) -> bytes:
    """Return a line of Docker's json-file log; a part has no newline in its text.

    Docker escapes what a web page could misread, and replaces bytes that are not UTF-8.
    """
    log = json.dumps(text.decode(errors="replace") + ("" if part else "\n"), ensure_ascii=False)
    for special in "<>&\u2028\u2029":
        log = log.replace(special, f"\\u{ord(special):04x}")
    extra = f',"attrs":{json.dumps(attrs, separators=(",", ":"))}' if attrs else ""
    return f'{{"log":{log},"stream":"{stream}"{extra},"time":"{time}"}}'.encode()


def stamp(time_ns: int) -> str:
    """Return a time as runtimes write it: in UTC, with nanoseconds."""
    second, ns = divmod(time_ns, 10**9)
    return f"{datetime.fromtimestamp(second, timezone.utc):%Y-%m-%dT%H:%M:%S}.{ns:09d}Z"
