"""Write docs/reference/telemetry.md from the registry in docs/telemetry: ``python -m tools.telemetry``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tools.registry import FOLDER, Attribute, Registry, Signal, type_of

PAGE = FOLDER.parent / "reference" / "telemetry.md"

_OPENING = """# Telemetry

Everything that otel-logtail sends over OTLP. This page is generated from the registry in
[docs/telemetry](../telemetry), which has the form of OpenTelemetry's semantic conventions (Weaver):
`python -m tools.telemetry` writes it. Tests compare the registry with the program's real output, in both directions.

`log.overhead` is the default of `--event`; another value replaces it in all names.
[0134](../decisions/0134-names.md) explains the names. They have other forms in Prometheus:
[Names in Prometheus](dashboards.md#names-in-prometheus).
"""
_OF_SAMPLES = "attributes.otel_logtail.sample"
_HEADINGS = (
    ("metric", "log.overhead", "Metrics of the log"),
    ("span", "", "Spans"),
    ("event", "", "Events"),
    ("metric", "ot", "Health metrics"),
    ("entity", "", "Resources"),
)


def page(registry: Registry) -> str:
    """Return the page."""
    signals = list(registry.signals())
    parts = [_OPENING]
    for kind, start, title in _HEADINGS:
        parts.append(f"## {title}\n")
        chosen = [one for one in signals if one.type == kind and one.name.startswith(start)]
        of_samples = {one.name for one in registry.attributes(_OF_SAMPLES)}
        parts += _metrics(chosen, of_samples) if kind == "metric" else (_section(one, of_samples) for one in chosen)
        if start == "ot":
            parts.append("### Attributes of health metrics\n")
            used = {attribute.name: attribute for one in chosen for attribute in one.attributes}
            parts.append("\n".join(_table(used[name] for name in sorted(used))) + "\n")
    parts += _attributes(registry)
    return "\n".join(parts)


def _metrics(signals: Iterable[Signal], of_samples: set[str]) -> Iterator[str]:
    lines = ["| metric | instrument | unit | meaning | attributes |", "|---|---|---|---|---|"]
    for one in signals:
        shown = _attribute_names(one, of_samples)
        lines.append(f"| `{one.name}` | {one.raw['instrument']} | `{one.raw['unit']}` | {_text(one)} | {shown} |")
    yield "\n".join(lines) + "\n"


def _attribute_names(signal: Signal, of_samples: set[str]) -> str:
    """Return the names of the attributes of a metric; those of samples are in a table of their own."""
    if signal.raw.get("extends") != _OF_SAMPLES:
        return ", ".join(f"`{one.name}`" for one in signal.attributes)
    own = [f"`{one.name}`" for one in signal.attributes if one.name not in of_samples]
    return ", ".join([*own, "those of a [sample](#attributes-of-a-sample)"])


def _section(signal: Signal, of_samples: set[str]) -> str:
    lines = [f"### {signal.name}\n", _text(signal), ""]
    if signal.raw.get("body"):
        lines += [f"Body (string): {signal.raw['body']['brief'][0].lower()}{signal.raw['body']['brief'][1:]}", ""]
    attributes: Iterable[Attribute] = signal.attributes
    if signal.raw.get("extends") == "attributes.otel_logtail.breach":
        attributes = [one for one in attributes if one.name not in of_samples]
        lines += ["Attributes of a [sample](#attributes-of-a-sample), and:", ""]
    return "\n".join([*lines, *_table(attributes)]) + "\n"


def _attributes(registry: Registry) -> Iterator[str]:
    yield "## Attributes of a sample\n"
    yield "\n".join(_table(registry.attributes(_OF_SAMPLES))) + "\n"


def _table(attributes: Iterable[Attribute]) -> Iterator[str]:
    yield "| attribute | type | requirement | meaning | examples |"
    yield "|---|---|---|---|---|"
    for one in attributes:
        level = one.level.replace("_", " ") + (
            f": {one.condition[0].lower()}{one.condition[1:]}" if one.condition else ""
        )
        examples = ", ".join(f"`{example}`" for example in one.examples).replace("|", "\\|")
        brief = one.brief or "as in OpenTelemetry's semantic conventions"
        yield f"| `{one.name}` | {type_of(one)} | {level} | {brief} | {examples} |"


def _text(signal: Signal) -> str:
    return f"{signal.brief} {signal.note}".strip()


if __name__ == "__main__":
    PAGE.write_text(page(Registry.load()))
