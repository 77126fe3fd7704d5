"""Targets that read settings: the configuration in TOML, and the variables of OpenTelemetry."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from otel_logtail import environment
from otel_logtail.daemon.config import read_config
from otel_logtail.daemon.toml_lines import key_lines
from otel_logtail.errors import UsageError
from otel_logtail.exporters.otlp.config import read_settings
from otel_logtail.option import Options
from tests.fuzz.files import _folder
from tests.fuzz.target import Target
from tests.support.places import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_SECRET = "token-of-the-user"  # noqa: S105 - not a real one
_NAMES = (
    *("ENDPOINT", "HEADERS", "PROTOCOL", "COMPRESSION", "TIMEOUT", "INSECURE", "CERTIFICATE"),
    *("METRICS_ENDPOINT", "TRACES_HEADERS", "METRICS_TEMPORALITY_PREFERENCE"),
)


def _read_config(data: bytes) -> None:
    """Any file is a configuration or one error; an accepted text has a line for each key."""
    path = _folder() / "otel-logtail.toml"
    path.write_bytes(data)
    try:
        read_config(path, {"HOME": "/home/user"}, "/home/user")
    except UsageError as problem:
        assert len(str(problem)) < 4 * len(data) + 2000
    try:
        text = data.decode()
        values = tomllib.loads(text)
    except (ValueError, RecursionError):
        return
    lines = key_lines(text)
    last = text.count("\n") + 1
    for key in _paths((), values):
        assert 1 <= lines.get(key, 0) <= last, f"the key {key} has no line"


def _paths(at: tuple[str, ...], table: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for key, value in table.items():
        yield (*at, key)
        if isinstance(value, dict):
            yield from _paths((*at, key), value)


def _read_environment(data: bytes) -> None:
    """Any values are settings, a warning or one error, and a secret is in none of these texts."""
    pieces = data.decode(errors="surrogateescape").split("\n")
    environ = {f"OTEL_EXPORTER_OTLP_{name}": piece for name, piece in zip(_NAMES, pieces, strict=False) if piece}
    environ["OTEL_RESOURCE_ATTRIBUTES"] = pieces[-1]
    environ["OTEL_EXPORTER_OTLP_LOGS_HEADERS"] = f"{pieces[0]},authorization={_SECRET}"
    texts = environment.problems(environ)
    environment.service_name(environ), environment.export_interval(environ), environment.asks_for_otlp(environ)
    try:
        read_settings(Options(environ, {"events": "both"}))
    except UsageError as problem:
        texts += [str(problem), problem.hint]
    assert not any(_SECRET in text for text in texts), "a secret is shown"


def _configurations() -> Iterator[bytes]:
    yield Path(ROOT, "examples", "otel-logtail.toml").read_bytes()
    yield from (path.read_bytes() for path in sorted(Path(ROOT, "examples").glob("*/otel-logtail.toml")))
    yield b'"a.b"."c\\u0041" = {x = [1, {y = 2}], "z" = """a\n""", }\n[[d.e]]\nf = \'\'\'\n\'\'\'\n[d.e.g]\n'


def _variables() -> Iterator[bytes]:
    yield b"http://localhost:4318\na=b,c=%20d\nhttp/protobuf\ngzip\n5000\ntrue\n/etc/ca.pem"
    yield b"https://user:pass@[::1]:4318/x?y=z#f\nauthorization=Basic%20YTpi\ngrpc\nnone\n0\nservice.name=a,b=c"
    yield b"$(NODE_IP):4317\n\n\n\n\n\n\nunix:///run/otlp.sock\nx=y\ndelta\n"


TARGETS = (
    Target("config", _read_config, _configurations, most_bytes=2000),
    Target("environment", _read_environment, _variables),
)
