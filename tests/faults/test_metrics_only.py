"""A receiver that has no place for a signal: the others flow, and one message names the setting that leaves it out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.lines import line, lines, started
from tests.support.receiver import UNAVAILABLE, Answer, Fail, Request, Take, flags, receiving
from tests.support.together import together_fixture

NO_SUCH_SIGNAL = Fail(404, "UNIMPLEMENTED")
TRACES = "if the receiver accepts metrics only, set OTEL_TRACES_EXPORTER=none"
LOGS = "if the receiver accepts no logs, set OTEL_LOGS_EXPORTER=none"


def metrics_only(request: Request) -> Answer:
    return Take() if request.signal == "metrics" else NO_SUCH_SIGNAL


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_metrics_flow_and_unsupported_signals_are_reported_once(tmp_path: Path, protocol: str) -> None:
    with receiving(protocol) as receiver, Daemon(tmp_path, *flags(protocol), endpoint=receiver.endpoint) as daemon:
        receiver.judge = metrics_only
        daemon.write(line(0))
        daemon.start()
        daemon.write(lines(1, 50), line(50, ms=700), line(400))
        daemon.wait_until(lambda: TRACES in daemon.said())
        daemon.write(lines(401, 450))
        daemon.wait_until(lambda: receiver.counted() >= 100)
        daemon.wait_until(lambda: receiver.healthy)  # these are metrics, too
        daemon.wait_until(lambda: sum(request.signal == "traces" for request, _ in receiver.asked) > 2)
        assert daemon.said().count(TRACES) == 1

        # another fault starts and ends meanwhile, and both are logged
        receiver.judge = lambda request: UNAVAILABLE if request.signal == "metrics" else NO_SUCH_SIGNAL
        daemon.write(lines(450, 460))
        busy = "503 Service Unavailable" if protocol == "http" else "answered UNAVAILABLE"
        daemon.wait_until(lambda: busy in daemon.said())
        receiver.judge = metrics_only
        daemon.wait_until(lambda: "otlp: delivering intervals again" in daemon.said(), 60)
        daemon.wait_until(lambda: receiver.counted() >= 110)
        assert daemon.said().count(TRACES) == 1
        daemon.stop()
        assert daemon.rows("SELECT count(*) FROM refused WHERE held") == [(0,)], (
            "a setting is no reason to quarantine anything"
        )


def named_setting_is_right(
    folder: Path, protocol: str, missing: str, events: str, said: str, setting: dict[str, str]
) -> None:
    with receiving(protocol) as receiver:
        receiver.judge = lambda request: NO_SUCH_SIGNAL if request.signal == missing else Take()
        arguments = [*flags(protocol), "--events", events]
        daemon = Daemon(folder, *arguments, endpoint=receiver.endpoint)
        daemon.write(lines(0, 50), line(50, ms=700), line(400))
        assert daemon.once(code=1).count(said) == 1
        assert receiver.counted() == 52
        settled = folder / "settled"
        settled.mkdir()
        other = Daemon(settled, *arguments, "--path", daemon.log, endpoint=receiver.endpoint, **setting)
        assert "warning" not in other.once()


settings = together_fixture(named_setting_is_right)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize(
    ("missing", "events", "said", "setting"),
    [
        ("traces", "span", TRACES, {"OTEL_TRACES_EXPORTER": "none"}),
        ("logs", "both", LOGS, {"OTEL_LOGS_EXPORTER": "none"}),
    ],
)
def test_the_setting_that_is_named_is_right(
    settings: Callable[..., None], protocol: str, missing: str, events: str, said: str, setting: dict[str, str]
) -> None:
    settings(protocol=protocol, missing=missing, events=events, said=said, setting=setting)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_receiver_without_logs_gets_no_marks_and_all_else(tmp_path: Path, protocol: str) -> None:
    with receiving(protocol) as receiver:
        receiver.judge = lambda request: NO_SUCH_SIGNAL if request.signal == "logs" else Take()
        daemon = Daemon(tmp_path, *flags(protocol), endpoint=receiver.endpoint)
        daemon.write(started(0), lines(1, 50), line(50, ms=700), line(400))
        printed = daemon.once()
        assert printed.count("the receiver accepts no logs, so it gets no marks: set OTEL_LOGS_EXPORTER=none") == 1
        assert receiver.counted() == 51
        assert daemon.rows("SELECT refused, failures FROM exporter") == [(1, 0)]
        daemon.write(started(401))
        assert "Traceback" not in daemon.once()
        assert daemon.rows("SELECT refused, failures FROM exporter") == [(2, 0)]
