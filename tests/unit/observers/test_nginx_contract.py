"""nginx's observer keeps the contract of observers, with a client's bytes as nginx escapes them."""

from __future__ import annotations

import re

from otel_logtail.observer import Observer, ObserverContext
from otel_logtail.observers.nginx.observer import NginxObserver
from otel_logtail.testing import ObserverContract
from otel_logtail.testing.observer_contract import hex_escaped, json_escaped
from tests.support.places import CAPTURES

TRACED, SLOW, RETRIED, REDIRECTED = 31, 32, 84, 90
"""Lines with a traceparent, one attempt, two attempts, and an internal redirect, from 0."""
TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def lines(name: str, *numbers: int) -> list[bytes]:
    found = (CAPTURES / "nginx" / f"{name}.log").read_bytes().split(b"\n")[:-1]
    return [found[number] for number in numbers] if numbers else found


def of_alice(name: str) -> list[bytes]:
    return [raw.replace(b" - - [", b" - alice [") for raw in lines(name, SLOW, RETRIED, REDIRECTED)]


def traceparent(raw: bytes) -> bytes:
    (found,) = TRACEPARENT.findall(raw)
    return bytes(found)


class Contract(ObserverContract):
    number = 4_000

    def observer(self) -> Observer:
        return NginxObserver(ObserverContext())

    def write(self, text: bytes, field: bytes) -> bytes | None:
        if field == b"GET":
            return text if re.fullmatch(rb"[A-Z_-]+", text) else None  # nginx answers 400 to any other method
        if field == b"alice":
            text = text.partition(b":")[0]
        return self.escaped(text)

    def escaped(self, text: bytes) -> bytes:
        return hex_escaped(text)


class TestRecommended(Contract):
    number = 10_000
    true_lines = lines("otel", TRACED, SLOW, RETRIED, REDIRECTED)
    other_lines = lines("otel")
    client_fields = (b"GET", traceparent(lines("otel", TRACED)[0]))

    def escaped(self, text: bytes) -> bytes:
        return text if TRACEPARENT.fullmatch(text) else b""  # the map of the recommended configuration


class TestMoreFields(Contract):
    true_lines = lines("wide", TRACED, SLOW, RETRIED, REDIRECTED)
    other_lines = lines("wide")
    client_fields = (b"GET", b"driver/1.0", b"/slow/3000?n=33", traceparent(lines("wide", TRACED)[0]))

    def escaped(self, text: bytes) -> bytes:
        return json_escaped(text)


class TestTimed(Contract):
    true_lines = of_alice("timed")
    other_lines = lines("timed") + lines("access", SLOW)
    client_fields = (b"GET", b"driver/1.0", b"/slow/3000?n=33", b"alice")


class TestIngress(Contract):
    true_lines = of_alice("ingress")
    other_lines = lines("ingress")
    client_fields = (b"GET", b"driver/1.0", b"/slow/3000?n=33", b"alice", *(raw[-32:] for raw in true_lines))
