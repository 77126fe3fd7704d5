"""nginx's lines: times and their parts in three formats, attributes, and the plug-in."""

from __future__ import annotations

from typing import Any

import pytest

from otel_logtail.model import Sample
from otel_logtail.observer import ObserverContext
from otel_logtail.observers.nginx import NGINX
from otel_logtail.observers.nginx.options import MEASURE
from otel_logtail.observers.nginx.parts import INGRESS_STAGES, STAGES
from tests.support.nginx_lines import (
    END_NS,
    MS,
    SECOND,
    STAMP_NS,
    TRACEPARENT,
    ingress,
    line,
    observer,
    overhead,
    sample,
    timed,
)

# --- one line ---------------------------------------------------------------------------------------------------


def test_a_line_gives_its_end_its_whole_time_and_its_parts() -> None:
    found = sample(line(traceparent=TRACEPARENT))
    assert found == Sample(
        time_ns=END_NS,
        duration_ns=705 * MS,
        logged_ns=END_NS,
        cause="upstream",
        stage="wait",
        shape=found.shape,
        stage_ns=(0, 700 * MS, 2 * MS, 0, 3 * MS),
        trace=bytes.fromhex("0af7651916cd43dd8448eb211c80319cb7ad6b7169203331"),
    )
    assert found.shape.stages == STAGES
    assert found.shape.attributes == (
        ("http.request.method", "GET"),
        ("http.response.status_class", "2xx"),
        ("nginx.server", "shop"),
    )
    assert sample(line()).shape is found.shape


def test_combined_with_times_has_the_same_parts_and_whole_seconds() -> None:
    found = sample(timed())
    assert (found.time_ns, found.logged_ns, found.duration_ns) == (STAMP_NS, STAMP_NS, 705 * MS)
    assert (found.cause, found.stage, found.stage_ns) == ("upstream", "wait", (0, 700 * MS, 2 * MS, 0, 3 * MS))
    assert found.shape.stages == STAGES
    assert dict(found.shape.attributes) == {"http.request.method": "GET", "http.response.status_class": "2xx"}


def test_the_times_may_follow_the_agent_without_a_space() -> None:
    assert sample(timed().replace(b'" rt=', b'"rt=')) == sample(timed())
    raw = timed(more=' "10.0.0.7"')
    assert sample(raw.replace(b'" rt=', b'"rt=')) == sample(raw)


def test_a_line_of_ingress_nginx_has_the_time_of_the_last_attempt_as_wait() -> None:
    found = sample(ingress())
    assert (found.time_ns, found.logged_ns, found.duration_ns) == (STAMP_NS, STAMP_NS, 705 * MS)
    assert (found.cause, found.stage, found.stage_ns) == ("upstream", "wait", (702 * MS, 0, 3 * MS))
    assert found.shape.stages == INGRESS_STAGES
    assert dict(found.shape.attributes)["nginx.upstream"] == "default-web-80"


@pytest.mark.parametrize(
    ("times", "parts", "cause"),
    [
        (("0.705", "0.000", "0.700", "0.702"), (0, 700, 2, 0, 3), "upstream"),
        (("1.235", "0.000", "0.001", "1.236"), (0, 1, 1235, 0, 0), "body"),
        (("1.001", "-", "-", "1.001"), (1001, 0, 0, 0, 0), "connect"),
        (("1.001", "0.400", "-", "1.001"), (400, 601, 0, 0, 0), "upstream"),
        (("0.801", "0.000", "0.001", "0.001"), (0, 1, 0, 0, 800), "client"),
        (("1.614", "0.000, 0.000", "-, -", "0.804, 0.810"), (0, 810, 0, 804, 0), "upstream"),
        (("1.002", "-, 0.000", "-, 0.001", "1.001, 0.001"), (0, 1, 0, 1001, 0), "retry"),
        (("0.627", "- : 0.000", "- : 0.626", "0.000 : 0.626"), (0, 626, 0, 0, 1), "upstream"),
        (("0.609", "0.000 : 0.001", "0.001 : 0.601", "0.002 : 0.602"), (1, 600, 1, 2, 5), "upstream"),
        (("0.909", "-, 0.100 : 0.001", "-, - : 0.201", "0.300, 0.200 : 0.302"), (1, 200, 101, 500, 107), "retry"),
        (("0.001", "0.000, -", "0.001, -", "0.001, 0.000"), (0, 0, 0, 1, 0), "retry"),
        (("0.000", "0.000", "0.001", "0.001"), (0, 1, 0, 0, 0), "upstream"),
        (("0.500", "0.250", "0.250", "0.500"), (250, 0, 250, 0, 0), "body"),
        (("0.500", "0.250", "0.500", "0.500"), (250, 250, 0, 0, 0), "upstream"),
        (("0.500", "0.000, 0.250", "-, 0.250", "0.250, 0.250"), (250, 0, 0, 250, 0), "connect"),
        (("0.500", "0.000, 0.000", "-, -", "0.250, 0.000"), (0, 0, 0, 250, 250), "retry"),
        (("0.000", "0.000", "0.000", "0.000"), (0, 0, 0, 0, 0), "upstream"),
        (("0.100", "0.002", "0.000", "0.001"), (2, 0, 1, 0, 99), "client"),
        (("0.302", "0.000", "0.301", "0.300"), (0, 301, 0, 0, 2), "upstream"),
        (("0.700", "0.000, 0.100", "0.100, 0.300", "0.100, -"), (100, 200, 0, 100, 300), "client"),
        (("0.700", "0.000 : ", "0.600 : ", "0.700 : "), (0, 0, 0, 700, 0), "retry"),
    ],
)
def test_the_times_of_the_attempts_give_the_parts(
    times: tuple[str, str, str, str], parts: tuple[int, ...], cause: str
) -> None:
    for raw in (line(*times), timed(*times)):
        found = sample(raw)
        assert found.stage_ns == tuple(ms * MS for ms in parts)
        assert (found.cause, found.stage) == (cause, "wait" if cause == "upstream" else cause)
        assert found.duration_ns == round(float(times[0]) * SECOND)


@pytest.mark.parametrize("raw", [line("0.700", "", "", ""), timed("0.700", "-", "-", "-")])
def test_a_request_that_nginx_itself_answers_has_only_a_client(raw: bytes) -> None:
    found = sample(raw)
    assert (found.duration_ns, found.cause, found.stage) == (700 * MS, "client", "client")
    assert found.stage_ns == (None, None, None, None, 700 * MS)


def test_the_same_in_the_format_of_ingress_nginx() -> None:
    found = sample(ingress("0.700", "-", "-", "-", "-"))
    assert (found.duration_ns, found.cause, found.stage_ns) == (700 * MS, "client", (None, None, 700 * MS))


@pytest.mark.parametrize(
    ("raw", "duration_ms", "cause"),
    [
        (line("1.000", "0.000", "0.600", "0.700"), 300, "client"),
        (line("1.614", "0.000, 0.000", "-, -", "0.804, 0.800"), 814, "retry"),
        (line("1.000", "0.000, 0.000", "-, -", "0.300, 0.400"), 600, "retry"),
        (line("0.700", "", "", ""), 700, "client"),
        (line("0.700", "0.000", "0.700", "0.700"), 0, "client"),
        (timed("1.000", "0.000", "0.600", "0.700"), 300, "client"),
        (ingress("1.614", "a, b", "0, 0", "0.804, 0.800", "504, 504"), 814, "retry"),
    ],
)
def test_overhead_is_the_time_outside_the_last_upstream(raw: bytes, duration_ms: int, cause: str) -> None:
    found, total = sample(raw, overhead), sample(raw)
    assert (found.duration_ns, found.cause, found.stage) == (duration_ms * MS, cause, cause)
    assert (found.time_ns, found.stage_ns, found.shape) == (total.time_ns, total.stage_ns, total.shape)


@pytest.mark.parametrize(
    ("status", "kind"),
    [("009", "0xx"), ("000", "0xx"), ("100", "1xx"), ("206", "2xx"), ("499", "4xx"), ("504", "5xx"), ("999", "0xx")],
)
def test_any_status_is_a_sample_with_its_class(status: str, kind: str) -> None:
    for raw in (line(status=status), timed(status=status), ingress(status=status)):
        assert dict(sample(raw).shape.attributes)["http.response.status_class"] == kind


@pytest.mark.parametrize(
    ("sent", "expected"), [("POST", "POST"), ("BREW", "_OTHER"), ("", "_OTHER"), ("get", "_OTHER")]
)
def test_only_known_methods_are_attributes(sent: str, expected: str) -> None:
    for raw in (line(method=sent), timed(request=f"{sent} / HTTP/1.1")):
        assert dict(sample(raw).shape.attributes)["http.request.method"] == expected


@pytest.mark.parametrize("server", ["", "x" * 300])
def test_a_server_without_a_name_or_with_a_long_one_is_not_an_attribute(server: str) -> None:
    assert "nginx.server" not in dict(sample(line(server=server)).shape.attributes)


@pytest.mark.parametrize("name", ["", "-", "x" * 300])
def test_an_upstream_without_a_name_or_with_a_long_one_is_not_an_attribute(name: str) -> None:
    assert "nginx.upstream" not in dict(sample(ingress(name=name)).shape.attributes)


@pytest.mark.parametrize("sent", ["x", TRACEPARENT.upper(), "00-" + "0" * 32 + "-" + "1" * 16 + "-01", "\\u0000"])
def test_a_traceparent_that_is_not_valid_is_not_a_trace(sent: str) -> None:
    assert sample(line(traceparent=sent)).trace == b""


def test_the_traceparent_may_be_left_out_and_other_fields_added() -> None:
    assert sample(line().replace(b',"traceparent":""', b"")) == sample(line())
    assert sample(line(agent="curl", uri="/a?b")) == sample(line())
    assert sample(
        line().replace(b'","', b'", "').replace(b'":"', b'": "').replace(b'{"msec": ', b'{"msec":')
    ) == sample(line())


# --- the plug-in --------------------------------------------------------------------------------------------------


def test_it_recommends_a_format_whose_lines_it_reads() -> None:
    assert "log_format otel_logtail escape=json" in NGINX.configuration()
    assert "map $http_traceparent" in NGINX.configuration()
    assert "observers show nginx" in NGINX.no_sample


def test_it_is_made_with_its_options() -> None:
    made: list[Any] = [NGINX.make(ObserverContext(options=values)) for values in ({}, {MEASURE.name: "overhead"})]
    durations = [sample(line("1.000", "0.000", "0.600", "0.700"), each).duration_ns // MS for each in made]
    assert durations == [1000, 300]


@pytest.mark.parametrize(
    ("name", "is_live", "is_copy"),
    [
        ("access.log", True, False),
        ("otel.log", True, False),
        ("shop.example.access.log", True, False),
        ("shop.log", True, False),
        ("access.log.1", False, False),
        ("access.log-20261129", False, False),
        ("error.log", True, True),
        ("error.log.1", True, True),
        ("shop.error.log", True, True),
        ("shop-error.log", True, True),
        ("shop_error.log.2.gz", True, True),
        ("terror.log", True, False),
    ],
)
def test_access_logs_are_followed_and_error_logs_never(name: str, is_live: bool, is_copy: bool) -> None:
    rule = observer.paths()
    assert rule.is_copy(name) == is_copy
    if not is_copy:
        assert rule.is_live(name) == is_live
