"""Parts that the observers of HTTP proxies share: methods, classes of status codes, and shapes."""

from __future__ import annotations

import pytest

from otel_logtail.model import Shape
from otel_logtail.observers.http import METHODS, Shapes, method, status_class


@pytest.mark.parametrize("name", METHODS)
def test_a_known_method_is_a_value_in_text_and_in_bytes(name: str) -> None:
    assert (method(name), method(name.encode())) == (name, name)


def test_there_are_the_eight_methods_of_rfc_9110_and_patch() -> None:
    assert sorted(METHODS) == ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"]


@pytest.mark.parametrize("invented", ["", "get", "BREW", "GET ", "G\xe9T", b"", b"get", b"BREW", b"\xff\xfe", b"GET\0"])
def test_an_invented_method_is_other(invented: str | bytes) -> None:
    assert method(invented) == "_OTHER"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        *((0, "0xx"), (9, "0xx"), (99, "0xx"), (100, "1xx"), (101, "1xx"), (200, "2xx"), (299, "2xx"), (304, "3xx")),
        *((499, "4xx"), (500, "5xx"), (599, "5xx"), (600, "0xx"), (999, "0xx"), (1000, "0xx"), (-1, "0xx")),
        (10**30, "0xx"),
    ],
)
def test_a_status_has_one_of_six_classes(code: int, expected: str) -> None:
    assert status_class(code) == expected


def test_equal_values_give_the_same_shape_with_its_attributes_by_name() -> None:
    shapes = Shapes(("wait", "body"), ("http.response.status_class", "acme.server", "http.request.method"))
    found = shapes.of("2xx", "shop", "GET")
    assert found is shapes.of("2xx", "shop", "GET")
    assert found == Shape(
        ("wait", "body"),
        (("acme.server", "shop"), ("http.request.method", "GET"), ("http.response.status_class", "2xx")),
    )
    assert shapes.of("5xx", "shop", "GET").attributes[2] == ("http.response.status_class", "5xx")


def test_an_empty_value_leaves_its_attribute_out() -> None:
    shapes = Shapes((), ("acme.server", "http.request.method"))
    assert shapes.of("", "GET").attributes == (("http.request.method", "GET"),)
    assert shapes.of("", "").attributes == ()


def test_the_number_of_shapes_that_are_kept_is_bounded() -> None:
    shapes = Shapes((), ("acme.server",), most=3)
    kept = {name: shapes.of(name) for name in ("a", "b", "c")}
    assert all(shapes.of(name) is shape for name, shape in kept.items())
    more = shapes.of("d")
    assert (shapes.of("d"), shapes.of("a")) == (more, kept["a"])
    assert shapes.of("a") is not kept["a"]


def test_a_shape_needs_a_value_for_each_attribute() -> None:
    with pytest.raises(ValueError, match="argument"):
        Shapes((), ("acme.server", "http.request.method")).of("shop")
