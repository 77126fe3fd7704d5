"""Rules of the parts that all signals have: attributes, resources and instrumentation scopes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tests.support.otlp_rules.faults import Fault, Faults, Key, key_of, values_of

RULES = {
    "an attribute's key is unique": "common/README.md#attribute-collections",
    "an attribute's key is not empty": "common/README.md#attribute",
    "an attribute's value is not null": "common/README.md#attribute",
    "a resource has service.name": "resource/sdk.md#sdk-provided-resource-attributes",
    "a resource occurs once in a request": "resource/sdk.md#resource-sdk",
    "a scope has a name": "common/instrumentation-scope.md",
    "a scope has a version": "common/instrumentation-scope.md",
    "a scope occurs once in a resource": "common/instrumentation-scope.md",
    "a schema URL names a version": "schemas/README.md#schema-url",
}
"""The rules, and the section of the specification that each is from."""

SIGNALS = {
    "metrics": ("resource_metrics", "scope_metrics", "metrics"),
    "traces": ("resource_spans", "scope_spans", "spans"),
    "logs": ("resource_logs", "scope_logs", "log_records"),
}
"""The fields of a request of each signal: its resources, their scopes, the items of these."""

SCHEMAS = "https://opentelemetry.io/schemas/"


def signal_of(message: Any) -> str:
    """Return the signal of a request."""
    return next(signal for signal, (field, _, _) in SIGNALS.items() if field in message.DESCRIPTOR.fields_by_name)


def items_of(message: Any) -> Iterator[tuple[Key, Key, Any]]:
    """Yield each item of a request with the keys of its resource and its scope."""
    groups, scopes, items = SIGNALS[signal_of(message)]
    for group in getattr(message, groups):
        for scope in getattr(group, scopes):
            own = (("name", scope.scope.name), ("version", scope.scope.version))
            for item in getattr(scope, items):
                yield key_of(group.resource.attributes), own, item


def check_attributes(pairs: Iterable[Any], holder: str) -> Faults:
    """Check the attributes of anything."""
    pairs = list(pairs)
    keys = [pair.key for pair in pairs]
    if len(set(keys)) < len(keys):
        yield Fault("an attribute's key is unique", f"{holder}: {keys}")
    for pair in pairs:
        if not pair.key:
            yield Fault("an attribute's key is not empty", holder)
        if pair.value.WhichOneof("value") is None:
            yield Fault("an attribute's value is not null", f"{holder}: {pair.key}")


def check_envelope(message: Any) -> Faults:
    """Check the resources and scopes of a request."""
    groups, scopes, _ = SIGNALS[signal_of(message)]
    resources = set()
    for group in getattr(message, groups):
        yield from check_attributes(group.resource.attributes, "resource")
        key = key_of(group.resource.attributes)
        if "service.name" not in values_of(group.resource.attributes):
            yield Fault("a resource has service.name", key)
        if key in resources:
            yield Fault("a resource occurs once in a request", key)
        resources.add(key)
        yield from _check_schema(group.schema_url)
        yield from _check_scopes(getattr(group, scopes))


def _check_scopes(groups: Iterable[Any]) -> Faults:
    seen = set()
    for group in groups:
        scope = group.scope
        yield from check_attributes(scope.attributes, "scope")
        if not scope.name:
            yield Fault("a scope has a name", scope)
        if not scope.version:
            yield Fault("a scope has a version", scope)
        if (scope.name, scope.version) in seen:
            yield Fault("a scope occurs once in a resource", scope)
        seen.add((scope.name, scope.version))
        yield from _check_schema(group.schema_url)


def _check_schema(url: str) -> Faults:
    if not url.startswith(SCHEMAS) or url.removeprefix(SCHEMAS).count(".") != 2:
        yield Fault("a schema URL names a version", url)
