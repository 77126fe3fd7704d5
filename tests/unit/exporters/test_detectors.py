"""Resource detectors: which ones run, what happens if one fails or hangs, and which resource has their attributes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from enum import Enum, IntEnum
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource

from otel_logtail.environment import DETECTORS
from otel_logtail.events import Reporter
from otel_logtail.exporter import ExporterContext
from otel_logtail.exporters import detectors
from otel_logtail.exporters.detectors import GROUP, detect
from otel_logtail.exporters.otlp.config import read_form
from otel_logtail.exporters.otlp.encoding import ITSELF, Encoding, describes_process, resource_of
from otel_logtail.exporters.otlp.logs import encode_marks
from otel_logtail.exporters.otlp.requests import encoding_of, requests
from otel_logtail.exporters.prometheus.shown import Shown
from otel_logtail.log import COMMAND
from otel_logtail.model import HealthRecord, HealthValue, MarkRecord, SourceInfo, Stream
from otel_logtail.store.outbox import Outbox
from tests.support.daemon import Program
from tests.support.otlp_items import intervals, point
from tests.support.pieces import Piece, line, opened
from tests.support.places import CAPTURES
from tests.support.said import Said
from tests.support.waiting import bound_s

RELEASED = threading.Event()


class MuteError(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


def detector(*found: dict[str, Any], hangs: bool = False, raises: BaseException | None = None) -> type:
    class Detector:
        def detect(self) -> Resource:
            if hangs:
                RELEASED.wait()
            if raises is not None:
                raise raises
            if not found:
                raise ConnectionError("no metadata\nserver")
            return Resource(found[0])

    return Detector


class Provider(str, Enum):
    NAME = "cloud.provider"
    AWS = "aws"


class Level(IntEnum):
    ONE = 1


INSTALLED = {
    "machine": detector({"host.name": "node-7", "host.ip": ("10.0.0.1", "::1"), "cloud.region": "eu"}),
    "newer": detector({"cloud.region": "us", "team": "a"}),
    "process": detector({"process.pid": 7, "process.command_args": ("x", "hunter2"), "container.id": "c"}),
    "k8s": detector({"k8s.pod.name": "p", "k8s.node.name": "node-7", "k8s.cluster.name": "c1"}),
    "forged": detector({"service.instance.id": "random", "telemetry.sdk.name": "opentelemetry", "service.name": "x"}),
    "broken": detector(),
    "exits": detector(raises=SystemExit(3)),
    "nested": detector(
        {"owner": {"team": "a"}, "owners": [{"team": "a"}], "pairs": [["a", 1]], "raw": b"x", "gone": [None]}
        | {"large": 1 << 63, "lone": "\ud800", "\ud800": 1, "numbers": [-(1 << 63), 1 << 64]}
        | {"least": -(1 << 63), "text": "a", "truth": True, "count": 3, "share": 0.5, "list": ["a", "b"], "none": []},
    ),
    "enums": detector({Provider.NAME: Provider.AWS, "zones": [Provider.AWS, "b"], "level": Level.ONE}),
    "hangs": detector({"cloud.zone": "never"}, hangs=True),
    "otel": detector({"team": "never"}),
    "service_instance": detector({"team": "never"}),
}


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    class Entry(EntryPoint):
        def load(self) -> Any:
            return INSTALLED[self.name]

    points = EntryPoints(Entry(name, "x", GROUP) for name in [*INSTALLED, "missing"])
    monkeypatch.setattr(detectors, "entry_points", lambda **wanted: points.select(**wanted))
    RELEASED.clear()
    yield
    RELEASED.set()


def found_by(value: str, *, redact: Callable[[str], str] = str, timeout_s: float = 60.0) -> tuple[dict[str, Any], str]:
    said = Said()
    found = detect({DETECTORS: value}, Reporter(said, COMMAND, redact=redact), timeout_s)
    return found, said.getvalue()


def test_nothing_is_detected_unless_it_is_requested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detectors, "entry_points", None)
    for environ in ({}, {DETECTORS: " , "}):
        assert detect(environ, Reporter(Said())) == {}


def test_the_last_one_in_the_list_wins() -> None:
    assert found_by("machine, newer")[0]["cloud.region"] == "us"
    found, said = found_by("newer,machine,,newer")
    assert found == {"team": "a", "host.name": "node-7", "host.ip": ("10.0.0.1", "::1"), "cloud.region": "eu"}
    assert said == ""


def test_a_star_stands_for_all_others() -> None:
    RELEASED.set()
    found, said = found_by("newer,*")
    assert found["cloud.region"] == "eu", "newer is first, and the machine's is among the others"
    assert {"process.pid", "k8s.pod.name", "team"} <= found.keys()
    assert found["team"] == "a"
    assert said.count("resource detector") == 4


def test_a_name_that_is_not_installed_is_ignored_with_the_names_that_are() -> None:
    found, said = found_by("host\x1b,newer")
    assert found == {"cloud.region": "us", "team": "a"}
    (warning,) = said.splitlines()
    assert warning == (
        rf"otel-logtail: warning: ignoring the variable {DETECTORS}: there is no detector 'host\x1b'; installed:"
        " broken, enums, exits, forged, hangs, k8s, machine, missing, nested, newer, otel, process,"
        " service_instance"
    )


def test_one_that_fails_or_hangs_does_not_take_the_others_with_it() -> None:
    timeout_s = round(bound_s(1.0), 1)
    found, said = found_by("hangs,broken,missing,newer", timeout_s=timeout_s)
    assert found == {"cloud.region": "us", "team": "a"}
    assert said.splitlines() == [
        f"otel-logtail: warning: resource detector hangs failed: no result within {timeout_s:g} s;"
        " its attributes are missing",
        r"otel-logtail: warning: resource detector broken failed: ConnectionError: no metadata\nserver;"
        " its attributes are missing",
        "otel-logtail: warning: resource detector missing failed: KeyError: 'missing'; its attributes are missing",
    ]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_one_that_exits_or_fails_without_a_text_is_a_warning_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(INSTALLED, "broken", detector(raises=MuteError()))
    found, said = found_by("exits,broken,newer")
    assert found == {"cloud.region": "us", "team": "a"}
    assert said.splitlines() == [
        "otel-logtail: warning: resource detector exits failed: SystemExit: 3; its attributes are missing",
        "otel-logtail: warning: resource detector broken failed: it stopped without a result;"
        " its attributes are missing",
    ]


def test_what_cannot_be_sent_is_ignored_with_its_names() -> None:
    found, said = found_by("nested")
    values = {"text": "a", "truth": True, "count": 3, "share": 0.5, "list": ("a", "b"), "none": ()}
    assert found == {**values, "least": -(1 << 63)}
    assert said == (
        "otel-logtail: warning: resource detector nested: ignoring gone, large, lone, numbers, owner, owners, pairs,"
        r" raw, \ud800: not text, a number of 64 bits or a flat list" + "\n"
    )
    (request,) = requests(intervals(point([1])), encoding("nested"))
    (metrics,) = request.message.resource_metrics
    assert {pair.key for pair in metrics.resource.attributes} >= found.keys()


def test_members_of_an_enum_are_texts_and_numbers() -> None:
    found, said = found_by("enums")
    assert json.dumps(found) == '{"cloud.provider": "aws", "zones": ["aws", "b"], "level": 1}'
    assert ({type(found["cloud.provider"]), type(found["level"])}, said) == ({str, int}, "")


def test_what_identifies_the_series_is_not_detected() -> None:
    assert found_by("forged,otel,service_instance") == ({}, "")


def test_secrets_are_removed() -> None:
    found, _ = found_by("process", redact=lambda text: text.replace("hunter2", "***"))
    assert found == {"process.pid": 7, "process.command_args": ("x", "***"), "container.id": "c"}


# --- the resources ---


def encoding(value: str, given: str = "") -> Encoding:
    context = ExporterContext({"OTEL_RESOURCE_ATTRIBUTES": given}, host="box", version="1", detected=found_by(value)[0])
    return encoding_of(read_form(context), context)


def test_the_process_is_that_of_otel_logtail_and_the_machine_is_that_of_both() -> None:
    form = encoding("machine,process,k8s")
    machine = {
        "host.name": "node-7",
        "host.ip": ("10.0.0.1", "::1"),
        "cloud.region": "eu",
        "k8s.node.name": "node-7",
        "k8s.cluster.name": "c1",
    }
    of_the_source = dict(resource_of("proxy", "i", form).attributes)
    assert of_the_source == {**machine, "service.name": "proxy", "service.instance.id": "i"}
    of_itself = dict(resource_of(ITSELF, "i", form).attributes)
    assert of_itself.items() >= machine.items()
    assert (of_itself["process.pid"], of_itself["container.id"], of_itself["k8s.pod.name"]) == (7, "c", "p")


def test_the_users_attributes_win_in_both() -> None:
    form = encoding("machine,process", "cloud.region=mars,process.pid=1,team=b")
    for name in ("proxy", ITSELF):
        attributes = resource_of(name, "i", form).attributes
        assert (attributes["cloud.region"], attributes["process.pid"], attributes["team"]) == ("mars", "1", "b")


@pytest.mark.parametrize(
    ("attribute", "expected"),
    [
        *(("process.pid", True), ("container.image.name", True), ("k8s.pod.uid", True), ("k8s.namespace.name", True)),
        *(("k8s.node.name", False), ("k8s.cluster.uid", False), ("host.id", False), ("os.type", False)),
        *(("cloud.provider", False), ("team", False), ("processor", False)),
    ],
)
def test_which_attributes_are_about_a_process(attribute: str, expected: bool) -> None:
    assert describes_process(attribute) is expected


def test_a_log_record_has_a_list_as_a_list() -> None:
    source = SourceInfo(1, "proxy", "fake", "log.overhead", "i", 500, 2000, 3000)
    request = encode_marks([MarkRecord(1, source, bytes(16), 1, "started")], encoding("machine"))
    (logs,) = request.resource_logs
    values = {pair.key: pair.value for pair in logs.resource.attributes}
    assert [one.string_value for one in values["host.ip"].array_value.values] == ["10.0.0.1", "::1"]
    assert values["host.name"].string_value == "node-7"


def test_a_scrape_has_them_in_target_info() -> None:
    shown = Shown(encoding("machine,process"))
    shown.put_health(HealthRecord(0, "i", 1, 2, (HealthValue("otel_logtail.x", "By", "", "gauge", (), 1, ""),)))
    (info,) = [sample for metric in shown.collect() for sample in metric.samples if sample.name == "target_info"]
    assert (info.labels["process_pid"], info.labels["host_name"]) == ("7", "node-7")


# --- the store ---


def test_a_process_id_starts_no_series_again_and_an_attribute_of_the_machine_does(tmp_path: Path) -> None:
    base = encoding("machine,process")
    other_process = encoding("machine")
    other_machine = encoding("machine,newer")
    assert base.form == other_process.form != other_machine.form
    with opened(tmp_path / "store.db") as store:
        piece = Piece(store)
        started: list[set[int]] = []
        for number, form in enumerate([base.form, other_process.form, other_machine.form]):
            outbox = Outbox.open(store.path, "otlp")
            outbox.register({Stream.INTERVALS}, 1, form=form)
            piece.commit(line(20.0 * number + 1, 0.1) + line(20.0 * number + 2, 0.1), seal_s=20.0 * number + 15)
            starts = set()
            while (batch := outbox.read(Stream.INTERVALS, 100)) is not None:
                starts |= {item.start_ns for item in batch.items}  # type: ignore[union-attr]
                outbox.advance(batch, len(batch.items), 1)
            started.append(starts)
            outbox.close()
    assert started[0] == started[1]
    assert min(started[2]) > max(started[0])


# --- the program ---


def test_the_program_continues_without_detectors_that_fail_or_hang(tmp_path: Path) -> None:
    (tmp_path / "acme.py").write_text(DETECTORS_OF_ACME)
    about = tmp_path / "acme-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    points = "".join(f"{name} = acme:{name.title()}\n" for name in ("team", "raises", "hangs"))
    (about / "entry_points.txt").write_text(f"[{GROUP}]\n{points}")
    arguments = ["--observer", "headroom", "--path", CAPTURES / "0.42.0-stall.log", "--exporter", "jsonl"]
    arguments += ["--jsonl-file", tmp_path / "{signal}.jsonl"]
    environ = {DETECTORS: "nope,*", "PYTHONPATH": str(tmp_path), "OTEL_RESOURCE_ATTRIBUTES": "os.type=mine"}
    with Program(tmp_path, *arguments, "--db", tmp_path / "s.db", environ=environ) as program:
        said = program.once()
    assert "there is no detector 'nope'; installed: hangs, host, os, otel, process, raises, service_instance, t" in said
    assert "resource detector raises failed: RuntimeError: no team; its attributes are missing" in said
    assert "resource detector hangs failed: no result within 5 s; its attributes are missing" in said
    found: dict[str, dict[str, Any]] = {}
    for request in map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines()):
        for part in request["resourceMetrics"]:
            named = {one["key"]: next(iter(one["value"].values())) for one in part["resource"]["attributes"]}
            if len(named) > 2:  # a source's health has only its name and instance
                found[named["service.name"]] = named
    assert found["headroom-proxy"].keys() >= {"host.arch", "host.name", "os.version", "team"}
    assert not [name for name in found["headroom-proxy"] if name.startswith(("process.", "telemetry."))]
    for one in found.values():
        assert (one["os.type"], one["team"]) == ("mine", "a")
    assert found[ITSELF]["process.runtime.name"] == "cpython"
    assert found[ITSELF]["service.instance.id"] == found["headroom-proxy"]["service.instance.id"]


DETECTORS_OF_ACME = """
import threading

from opentelemetry.sdk.resources import Resource


class Team:
    def detect(self):
        return Resource({"team": "a"})


class Raises:
    def detect(self):
        raise RuntimeError("no team")


class Hangs:
    def detect(self):
        threading.Event().wait()
"""
