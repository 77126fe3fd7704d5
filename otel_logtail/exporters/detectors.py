"""Resource attributes from the detectors of OpenTelemetry that are installed and that the environment requests.

A detector is found by its entry point and runs once, at the start, in a thread of its own. One that raises an error or
takes too long is skipped: its attributes are missing, and nothing waits for it. The SDK's ``get_aggregated_resources``
waits at its end for a detector that hangs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any

from otel_logtail.environment import DETECTORS
from otel_logtail.events import Reporter
from otel_logtail.text import is_text, is_text_or_integer

GROUP = "opentelemetry_resource_detector"

TIMEOUT_S = 5.0
"""The time for all detectors together: that of the SDK for one of them."""

_NOT_OURS = ("service.", "telemetry.")
"""Attributes that are ours to set: the SDK's instance id is a random one, and it did not create this telemetry."""

_WITHOUT_EFFECT = ("otel", "service_instance")
"""Detectors of the SDK for attributes that are set in another way: from variables, and from the store."""


def detect(environ: Mapping[str, str], reporter: Reporter, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """Run the detectors that the environment requests; return their attributes, without secrets.

    If several detectors have an attribute, the last one in the list wins.
    """
    wanted = _wanted(environ.get(DETECTORS, ""), reporter)
    runs = [_Run(name) for name in wanted]
    until_s = time.monotonic() + timeout_s
    found: dict[str, Any] = {}
    for run in runs:
        run.thread.join(max(0.0, until_s - time.monotonic()))
        why = f"no result within {timeout_s:g} s" if run.thread.is_alive() else run.why
        if why:
            reporter.detector_failed(run.name, why)
            continue
        found |= run.attributes
        if run.unusable:
            reporter.attributes_ignored(run.name, ", ".join(run.unusable))
    return {name: _redacted(value, reporter.redact) for name, value in found.items()}


class _Run:
    """One detector in a thread of its own, which ends with the process if it hangs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.attributes: dict[str, Any] = {}
        self.unusable: list[str] = []
        self.why = "it stopped without a result"
        self.thread = threading.Thread(target=self._run, name=f"detector-{name}", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            (entry, *_) = entry_points(group=GROUP, name=self.name)
            found = entry.load()().detect().attributes
            plain = {_plain(name): _plain(value) for name, value in found.items()}
            ours = {name: value for name, value in plain.items() if not name.startswith(_NOT_OURS)}
            self.attributes = {name: value for name, value in ours.items() if is_text(name) and _is_usable(value)}
            self.unusable = sorted(ours.keys() - self.attributes.keys())
            self.why = ""
        except BaseException as problem:  # noqa: BLE001 - another package's bug, or its sys.exit, ends this thread only
            self.why = f"{type(problem).__name__}: {problem}"


def _wanted(value: str, reporter: Reporter) -> list[str]:
    """Return the names of the requested detectors that are installed, in order; ``*`` stands for all others."""
    names = list(dict.fromkeys(filter(None, (name.strip() for name in value.split(",")))))
    if not names:
        return []
    installed = sorted({entry.name for entry in entry_points(group=GROUP)})
    wanted: list[str] = []
    for name in names:
        if name == "*":
            wanted += [other for other in installed if other not in names]
        elif name in installed:
            wanted.append(name)
        else:
            reporter.ignored(f"{DETECTORS}: there is no detector {name!r}; installed: {', '.join(installed)}")
    return [name for name in wanted if name not in _WITHOUT_EFFECT]


def _plain(value: Any) -> Any:
    """Return a text or an integer of a subclass, such as a member of an enum, as one of the built-in type."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    return tuple(map(_plain, value)) if isinstance(value, tuple | list) else value


def _is_usable(value: Any) -> bool:
    """Return whether a value can be hashed and sent: the SDK also keeps mappings, nested lists and any integer."""
    values = value if isinstance(value, tuple | list) else [value]
    return all(isinstance(one, bool | float) or is_text_or_integer(one) for one in values)


def _redacted(value: Any, redact: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return redact(value)
    return tuple(_redacted(one, redact) for one in value) if isinstance(value, tuple | list) else value
