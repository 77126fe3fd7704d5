"""The registry in docs/telemetry has the form of Weaver, is shown on its page, and is what the program sends."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from typing import Any

import opentelemetry.semconv._incubating.attributes as incubating
import opentelemetry.semconv.attributes as stable
import pytest
import yaml  # type: ignore[import-untyped]  # comes with kubernetes-validate
from opentelemetry.semconv._incubating.metrics import otel_metrics

from tests.support.sent import Family, Sent, Told, everything
from tools.registry import FILES, FOLDER, Registry, Signal, type_of
from tools.telemetry import PAGE, page

REGISTRY = Registry.load()
SIGNALS = list(REGISTRY.signals())
STABILITIES = {"development", "alpha", "beta", "release_candidate", "stable"}
KEYS = {
    "attribute_group": ({"id", "type", "brief", "attributes"}, {"note", "extends", "display_name"}),
    "metric": ({"id", "type", "brief", "stability", "metric_name", "instrument", "unit"}, {"note", "extends"}),
    "span": ({"id", "type", "brief", "stability", "span_kind", "attributes"}, {"note", "extends"}),
    "event": ({"id", "type", "brief", "stability", "name"}, {"note", "extends", "body"}),
    "entity": ({"id", "type", "brief", "stability", "name", "attributes"}, {"note", "extends"}),
}
"""The keys of each type of group in Weaver's semconv.schema.json: those that it must have, and optional ones."""


def constants(package: Any) -> Iterator[str]:
    for module in pkgutil.iter_modules(package.__path__):
        values = vars(importlib.import_module(f"{package.__name__}.{module.name}")).items()
        yield from (value for name, value in values if name.isupper() and isinstance(value, str))


UPSTREAM = {*constants(stable), *constants(incubating), "otel.metric.overflow"}
"""The attributes of OpenTelemetry's semantic conventions; the last one is in the specification of metrics."""


SCOPE = {"otel_scope_name", "otel_scope_version", "otel_scope_schema_url"}
"""The labels of the scope, which a scrape has by the specification."""


# --- its form ---


def test_all_files_of_the_registry_are_read() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {*FILES, "registry_manifest.yaml"}
    manifest = yaml.safe_load((FOLDER / "registry_manifest.yaml").read_text())
    assert {"name", "semconv_version", "dependencies"} <= set(manifest)
    total = sum(len(yaml.safe_load((FOLDER / name).read_text())["groups"]) for name in FILES)
    assert total == len(REGISTRY.groups), "an id occurs twice"


@pytest.mark.parametrize("id_", list(REGISTRY.groups))
def test_a_group_has_the_keys_of_its_type(id_: str) -> None:
    group = REGISTRY.groups[id_]
    must, may = KEYS[group["type"]]
    signals = set() if group["type"] in ("attribute_group", "entity") else {"entity_associations", "attributes"}
    assert must <= set(group) <= must | may | signals
    assert group.get("stability", "development") in STABILITIES
    start = {"attribute_group": ("registry.", "attributes.")}.get(group["type"], (f"{group['type']}.",))
    assert id_.startswith(start)
    assert group.get("metric_name", group.get("name", id_)) in id_
    assert group.get("instrument", "gauge") in ("counter", "updowncounter", "gauge", "histogram")
    assert re.fullmatch(r"[A-Z].*\.", group["brief"]), "a sentence"
    assert group.get("extends", "attributes.otel_logtail.sample") in REGISTRY.groups
    entities = {one.name for one in SIGNALS if one.type == "entity"}
    assert set(group.get("entity_associations", ())) <= entities


@pytest.mark.parametrize("id_", list(REGISTRY.groups))
def test_an_attribute_is_defined_once_or_by_opentelemetry(id_: str) -> None:
    own = [one["id"] for group in REGISTRY.groups.values() for one in group.get("attributes", ()) if "id" in one]
    assert len(own) == len(set(own))
    assert not UPSTREAM & set(own)
    for one in REGISTRY.groups[id_].get("attributes", ()):
        if "ref" in one:
            assert one["ref"] in REGISTRY.defined or one["ref"] in UPSTREAM
            assert set(one) <= {"ref", "brief", "note", "requirement_level", "examples", "role"}
        else:
            assert (
                {"id", "type", "brief", "stability"}
                <= set(one)
                <= {"id", "type", "brief", "stability", "note", "examples"}
            )
            check_type(one)
    for attribute in REGISTRY.attributes(id_):
        assert attribute.level in ("required", "conditionally_required", "recommended", "opt_in")
        assert bool(attribute.condition) == (attribute.level == "conditionally_required")
        assert attribute.examples, attribute.name
        python = {"string": str, "int": int, "double": float, "boolean": bool}[type_of(attribute)]
        assert {type(example) for example in attribute.examples} == {python}, attribute.name


def check_type(attribute: Mapping[str, Any]) -> None:
    kind = attribute["type"]
    if isinstance(kind, Mapping):
        assert all(set(member) == {"id", "value", "brief", "stability"} for member in kind["members"])
    else:
        assert kind in ("string", "int", "double", "boolean")


def test_the_page_is_generated_from_the_registry() -> None:
    assert PAGE.read_text() == page(REGISTRY), "run: python -m tools.telemetry"


class Meter:
    """Takes the instrument that a function of the package of conventions creates."""

    def __getattr__(self, name: str) -> Any:
        return lambda **given: (name.removeprefix("create_").replace("_", ""), given["unit"], given["description"])


@pytest.mark.parametrize("signal", [one for one in SIGNALS if one.name.startswith("otel.")], ids=lambda one: one.name)
def test_a_metric_of_opentelemetry_is_as_its_conventions_define_it(signal: Signal) -> None:
    create = getattr(otel_metrics, f"create_{signal.name.replace('.', '_')}")
    assert create(Meter()) == (signal.raw["instrument"], signal.raw["unit"], signal.brief)


# --- the output of the program ---


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    return everything(tmp_path_factory.mktemp("sent"))


@pytest.fixture(scope="module")
def sent(told: Told) -> list[Sent]:
    return told.sent


@pytest.fixture(scope="module")
def scraped(told: Told) -> list[Family]:
    return told.scraped


def find(one: Sent) -> Signal:
    found = [signal for signal in SIGNALS if (signal.type, signal.name) == (one.kind, one.name)]
    assert found, f"{one.kind} {one.name} is not in the registry"
    return found[0]


def test_everything_that_is_sent_is_in_the_registry(sent: list[Sent]) -> None:
    for one in sent:
        signal = find(one)
        if one.kind == "metric":
            described = (signal.raw["instrument"], signal.raw["unit"], signal.brief)
            assert (one.instrument, one.unit, one.description) == described, one.name
        check_attributes(one, {attribute.name: attribute for attribute in signal.attributes})


def check_attributes(one: Sent, known: Mapping[str, Any]) -> None:
    for name, (kind, value) in one.attributes.items():
        assert name in known, f"{name} of {one.name} is not in the registry"
        assert kind == type_of(known[name]), f"{name} of {one.name}"
        if known[name].type == "enum":
            assert value in known[name].examples, f"{name} of {one.name}"
    missing = {name for name, attribute in known.items() if attribute.level == "required"} - set(one.attributes)
    assert not missing or "otel.metric.overflow" in one.attributes, f"{one.name} lacks {missing}"


def test_resources_have_the_attributes_of_their_entity(sent: list[Sent]) -> None:
    entities = {signal.name: signal for signal in SIGNALS if signal.type == "entity"}
    for one in sent:
        (name,) = find(one).raw["entity_associations"]
        assert (one.resource["service.name"][1] == "otel-logtail") == (name == "otel_logtail")
        known = {attribute.name: attribute for attribute in entities[name].attributes}
        check_attributes(one._replace(attributes=one.resource), known)


def test_everything_in_the_registry_is_sent(sent: list[Sent]) -> None:
    names = {(one.kind, one.name) for one in sent}
    assert {(signal.type, signal.name) for signal in SIGNALS if signal.type != "entity"} <= names
    for signal in SIGNALS:
        seen = {name for one in sent if (one.kind, one.name) == (signal.type, signal.name) for name in one.attributes}
        if signal.type == "entity":
            seen = {name for one in sent for name in one.resource}
        known = {attribute.name for attribute in signal.attributes}
        assert known - seen <= NEVER.get(signal.name, set()), signal.name


NEVER = {"log.overhead.stage.duration": {"apache.vhost", "postgresql.command", "postgresql.database"}}
"""A captured statement of PostgreSQL has no stages, and Apache's log has them only without a virtual host."""


def test_a_scrape_has_the_metrics_of_the_registry_with_the_names_of_prometheus(scraped: list[Family]) -> None:
    kinds = {"counter": "counter", "updowncounter": "gauge", "gauge": "gauge", "histogram": "histogram"}
    units = {"s": "seconds", "By": "bytes"}
    expected = {}
    for signal in (signal for signal in SIGNALS if signal.type == "metric"):
        unit = units.get(signal.raw["unit"], "")
        name = f"{signal.name.replace('.', '_').removesuffix(f'_{unit}')}{unit and '_'}{unit}"
        labels = {attribute.name.replace(".", "_") for attribute in signal.attributes}
        expected[name] = (kinds[signal.raw["instrument"]], unit, signal.brief, labels)
    assert {one.name for one in scraped} - {"target"} == set(expected)
    for one in (one for one in scraped if one.name != "target"):
        kind, unit, brief, labels = expected[one.name]
        assert (one.kind, one.unit, one.text) == (kind, unit, brief)
        assert one.labels - {"job", "instance", "le"} - SCOPE <= labels, one.name


def test_each_value_of_an_enumeration_is_sent(sent: list[Sent]) -> None:
    seen: dict[str, set[object]] = {}
    for one in sent:
        for name, (_, value) in one.attributes.items():
            seen.setdefault(name, set()).add(value)
    for name, attribute in REGISTRY.defined.items():
        if isinstance(attribute["type"], Mapping):
            assert {member["value"] for member in attribute["type"]["members"]} <= seen[name], name
