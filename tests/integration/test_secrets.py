"""A secret reaches the receiver that it is for, and nothing else: no message, store, answer, unit or log."""

from __future__ import annotations

import base64
import logging
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import grpc  # type: ignore[import-untyped]  # grpcio ships no types
import pytest

from otel_logtail.cli.errors import redact_logs
from otel_logtail.delivery.receiver import without_secrets
from otel_logtail.model import Delivered, Partial, Refused, Retry
from otel_logtail.redact import GONE, Redactor, secrets_of
from tests.support.command import run as run_anew
from tests.support.forked import run
from tests.support.lines import line
from tests.support.ports import free_port
from tests.support.together import together_fixture

SECRET = "s3cr3t-Canary/Token+9"  # noqa: S105 - a made-up one
ENCODED = quote(SECRET, safe="")
BASIC = base64.b64encode(f"me:{SECRET}".encode()).decode()
FORMS = (SECRET, ENCODED, BASIC, SECRET[:12])
"""The forms of a secret; the last one is cut off."""

E = "OTEL_EXPORTER_OTLP_"
BEARER = {E + "HEADERS": f"authorization=Bearer%20{ENCODED},x-more=1"}


class Echo(socketserver.StreamRequestHandler):
    """Answers with what it was asked: a receiver, a proxy or an engine that repeats the token that it does not like."""

    status = "401 Unauthorized"
    filler = 0

    def handle(self) -> None:
        head = b""
        while (read := self.rfile.readline()) not in (b"\r\n", b""):
            head += read
        shown = b"." * self.filler + head.replace(b"\r\n", b" ")
        if self.status == "hang up":
            return
        if self.status == "garbage":
            self.wfile.write(shown + b"\r\n\r\n")
            return
        target = head.split()[1]
        self.wfile.write(b"HTTP/1.1 %s\r\nLocation: http://else.where%s\r\n" % (self.status.encode(), target))
        self.wfile.write(b"Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (len(shown), shown))


@contextmanager
def echoing(status: str, filler: int = 0) -> Iterator[str]:
    """An address at which everything is repeated."""
    handler = type("Handler", (Echo,), {"status": status, "filler": filler})
    if status == "closed":
        yield f"127.0.0.1:{free_port()}"
        return
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@contextmanager
def echoing_grpc(code: str) -> Iterator[str]:
    """The same over gRPC: a status whose details are the call's metadata."""

    class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpcio ships no types
        def service(self, details: Any) -> Any:
            told = " ".join(f"{key}: {value}" for key, value in details.invocation_metadata)

            def abort(_request: Any, context: Any) -> None:
                context.abort(getattr(grpc.StatusCode, code), f"refused: {told}")

            return grpc.unary_unary_rpc_method_handler(abort)

    with ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool, handlers=[Handler()])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield f"127.0.0.1:{port}"
        server.stop(None).wait()


def in_a_query(address: str) -> dict[str, str]:
    query = f"?api_key={ENCODED}&tenant=1"
    return {E + f"{name.upper()}_ENDPOINT": f"http://{address}/v1/{name}{query}" for name in ("metrics", "traces")}


def in_headers(address: str) -> dict[str, str]:
    return {E + "ENDPOINT": f"http://{address}", **BEARER}


def in_basic(address: str) -> dict[str, str]:
    return {E + "ENDPOINT": f"http://{address}", E + "HEADERS": f"Authorization=Basic%20{quote(BASIC)}"}


def in_a_proxy(address: str) -> dict[str, str]:
    proxy = f"http://me:{ENCODED}@{address}"
    return {E + "ENDPOINT": "http://collector.example:4318", "HTTP_PROXY": proxy, "http_proxy": proxy, "NO_PROXY": ""}


def in_hexs_query(address: str) -> dict[str, str]:
    return {"III_URL": f"ws://{address}/bus?token={ENCODED}", "III_TOKEN": SECRET}


def leaks(found: dict[str, str]) -> dict[str, str]:
    """Return where a form of the secret occurs, with the text around it."""
    places = {name: [text.find(form) for form in FORMS if form in text] for name, text in found.items()}
    return {name: found[name][max(0, where[0] - 80) :][:200] for name, where in places.items() if where}


class Case(NamedTuple):
    """The place of the secret, and the behavior of the other side."""

    exporter: str
    where: Any
    status: str
    filler: int = 0


HTTP = (
    "closed",
    "400 Bad Request",
    "401 Unauthorized",
    "404 Not Found",
    "500 Oh",
    "302 Found",
    "200 OK",
    "garbage",
    "hang up",
)
CASES = [
    *(Case("otlp", in_a_query, status) for status in HTTP),
    *(Case("otlp", in_headers, status) for status in ("400 Bad Request", "401 Unauthorized", "garbage")),
    Case("otlp", in_headers, "401 Unauthorized", 70),  # a receiver's answer is cut off at some length
    Case("otlp", in_basic, "403 Forbidden"),
    *(Case("otlp", in_a_proxy, status) for status in ("closed", "407 Proxy Authentication Required", "garbage")),
    *(Case("grpc", in_headers, code) for code in ("UNAUTHENTICATED", "INVALID_ARGUMENT", "UNIMPLEMENTED")),
    *(
        Case("hex", in_hexs_query, status)
        for status in ("closed", "401 Unauthorized", "302 Found", "garbage", "hang up")
    ),
]


class Run(NamedTuple):
    """The messages and stored data of a daemon with a secret, by place, and its own messages."""

    found: dict[str, str]
    said: str
    checked: str


def run_of(folder: Path, case: Case) -> Run:
    log, store = folder / "proxy-8787.log", folder / "store"
    log.write_bytes(line(1) + line(2, ms=700) + line(500))
    store.mkdir()
    db = store / "s.db"
    options = ["--exporter", "hex", "--hex-max-age", "none"] if case.exporter == "hex" else ["--exporter", "otlp"]
    if case.exporter == "grpc":
        options += ["--otlp-protocol", "grpc"]
    daemon = ["--observer", "headroom", "--path", log, "--db", db, *options]
    receiver = echoing_grpc(case.status) if case.exporter == "grpc" else echoing(case.status, case.filler)
    with receiver as address:
        environ = {E + "TIMEOUT": "1000", **case.where(address)}
        done = run(*daemon, "--once", home=folder, environ=environ, check=False)
        checked = run(*daemon, "doctor", home=folder, environ=environ, check=False)
    status = run("status", "--db", db, "--format", "json", home=folder, environ=environ)
    found = {
        "messages": done.stderr + done.stdout,
        "doctor": checked.stdout + checked.stderr,
        "status": status.stdout + status.stderr,
        **{file.name: file.read_bytes().decode("latin-1") for file in store.iterdir()},
    }
    assert db.name in found
    return Run(found, done.stderr, checked.stdout)


runs = together_fixture(run_of)
"""The runs of all cases: each waits some seconds for its receiver."""


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.exporter} {case.where.__name__} {case.status} {case.filler}"
)
def test_a_secret_is_in_no_message_and_not_in_the_store(runs: Callable[..., Run], case: Case) -> None:
    found, said, checked = runs(case=case)
    assert " otlp: " in said or " hex: " in said, said
    assert "FAIL" in checked or case.exporter == "hex"
    assert leaks(found) == {}


WRONG = {
    "a user": {"--otlp-endpoint": f"http://me:{SECRET}@127.0.0.1:1"},
    "a token as a user": {"--otlp-endpoint": f"http://{ENCODED}@127.0.0.1:1"},
    "a query": {"--otlp-endpoint": f"http://127.0.0.1:1/?key={ENCODED}"},
    "a fragment": {"--otlp-endpoint": f"http://127.0.0.1:1/#{ENCODED}"},
    "a query that is no URL's": {"--otlp-endpoint": f"127.0.0.1?key={ENCODED}"},
    "a path of one signal": {"--otlp-endpoint": f"http://127.0.0.1:1/v1/metrics?key={ENCODED}"},
    "another scheme": {E + "METRICS_ENDPOINT": f"htp://127.0.0.1/v1?key={ENCODED}", "OTEL_TRACES_EXPORTER": "none"},
    "no port": {E + "METRICS_ENDPOINT": f"http://127.0.0.1:x/v1?key={ENCODED}"},
    "gRPC with a query": {"--otlp-endpoint": f"http://127.0.0.1:4317/?key={ENCODED}", "--otlp-protocol": "grpc"},
    "a header without a name": {E + "HEADERS": SECRET},
    "a header that cannot be sent": {E + "HEADERS": f"authorization={ENCODED}%0A"},
    "a token that cannot be sent": {"III_TOKEN": f"{SECRET} x", "--exporter": "hex"},
    "hex with a user": {"--hex-url": f"ws://me:{SECRET}@127.0.0.1:1", "--exporter": "hex"},
    "hex with a fragment": {"--hex-url": f"ws://127.0.0.1:1/#{ENCODED}", "--exporter": "hex"},
    "hex with another scheme": {"--hex-url": f"http://127.0.0.1:1/?t={ENCODED}", "--exporter": "hex"},
    "a placeholder": {"--otlp-endpoint": f"http://$(IP):1/?key={ENCODED}"},
}


KEYS = {"--otlp-endpoint": "endpoint", "--otlp-protocol": "protocol", "--hex-url": "url"}


@pytest.mark.parametrize("wrong", WRONG)
def test_an_error_about_a_value_with_a_secret_does_not_repeat_it(tmp_path: Path, wrong: str) -> None:
    values = {"--exporter": "otlp", **WRONG[wrong]}
    flags = [word for name, value in values.items() if name.startswith("--") for word in (name, value)]
    environ = {name: value for name, value in values.items() if not name.startswith("--")}
    does_not_repeat([*flags, "--observer", "headroom", "--once"], environ, tmp_path)


@pytest.mark.parametrize("wrong", [wrong for wrong, values in WRONG.items() if KEYS.keys() & values.keys()])
def test_nor_does_doctor_if_the_value_is_in_a_file(tmp_path: Path, wrong: str) -> None:
    values = WRONG[wrong]
    table = [f'{KEYS[name]} = "{value}"' for name, value in values.items() if name in KEYS]
    file, exporter = tmp_path / "x.toml", values.get("--exporter", "otlp")
    file.write_text("\n".join(["[source.a]", 'observer = "headroom"', f"[exporter.{exporter}]", *table, ""]))
    does_not_repeat(["--config", str(file), "doctor"], {}, tmp_path)


def does_not_repeat(arguments: list[str], environ: dict[str, str], tmp_path: Path) -> None:
    done = run("--db", tmp_path / "s.db", *arguments, home=tmp_path, environ=environ, check=False)
    assert done.returncode in (1, 2), done.stdout + done.stderr
    assert leaks({"stdout": done.stdout, "stderr": done.stderr}) == {}


@pytest.mark.parametrize("kind", ["systemd", "launchd", "hex"])
def test_a_unit_holds_no_secret(tmp_path: Path, kind: str) -> None:
    """A unit can be read by every user, and so can the arguments of a process."""
    daemon = ["--observer", "headroom", "--path", "/var/log/proxy-*.log", "--exporter", "hex"]
    given = ["service", kind, *daemon, "--hex-url", f"ws://127.0.0.1:1/bus?token={ENCODED}"]
    refused = run(*given, home=tmp_path, check=False)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--hex-url holds a secret" in refused.stderr
    assert "OTEL_LOGTAIL_HEX_URL" in refused.stderr
    assert not [form for form in FORMS if form in refused.stderr]
    environ = {**BEARER, "III_TOKEN": SECRET, "OTEL_LOGTAIL_HEX_URL": f"ws://127.0.0.1:1/bus?token={ENCODED}"}
    unit = run("service", kind, *daemon, home=tmp_path, environ=environ).stdout
    assert not [form for form in FORMS if form in unit]


def test_what_libraries_log_holds_no_secret(tmp_path: Path) -> None:
    """urllib3 logs URLs if its log is enabled; that of websockets, with headers, stays off."""
    (tmp_path / "sitecustomize.py").write_text("import logging\nlogging.basicConfig(level=logging.DEBUG)\n")
    log = tmp_path / "proxy-8787.log"
    log.write_bytes(line(1) + line(2, ms=700) + line(500))
    daemon = [
        "--observer",
        "headroom",
        "--path",
        log,
        "--db",
        tmp_path / "s.db",
        "--exporter",
        "otlp",
        "--exporter",
        "hex",
    ]
    with echoing("401 Unauthorized") as address:
        environ = {**in_a_query(address), **in_hexs_query(address), **BEARER, "PYTHONPATH": str(tmp_path)}
        done = run_anew(*daemon, "--hex-max-age", "none", "--once", home=tmp_path, environ=environ, check=False)
    assert "DEBUG:urllib3" in done.stderr
    assert not [form for form in FORMS if form in done.stderr], done.stderr


def test_an_error_that_is_logged_with_its_traceback_holds_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    factory = logging.getLogRecordFactory()
    redact_logs(Redactor([SECRET]))
    try:
        try:
            raise ValueError(SECRET)
        except ValueError:
            logging.getLogger("a library").exception("with %s", SECRET)
        logging.getLogger("a library").warning("%d things", "no number" if sys.platform == "?" else 2)
    finally:
        logging.setLogRecordFactory(factory)
    assert SECRET not in caplog.text
    assert "2 things" in caplog.text and "ValueError" in caplog.text


@pytest.mark.parametrize(
    "delivery",
    [
        Retry(f"no {SECRET}"),
        Refused(f"no {SECRET}"),
        Partial(1, Refused(f"no {SECRET}")),
        Partial(1, Retry(f"no {SECRET}")),
        Delivered(),
    ],
)
def test_the_words_of_any_outcome_hold_no_secret(delivery: Any) -> None:
    cleaned = without_secrets(delivery, Redactor([SECRET]))
    assert type(cleaned) is type(delivery)
    assert SECRET not in repr(cleaned)


# --- the rule ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://h:1/v1/metrics?a=b answered 404", f"http://h:1/v1/metrics?{GONE} answered 404"),
        ("'https://u:p@h/x'", f"'https://{GONE}@h/x'"),
        ("https://h/x#frag: y", f"https://h/x#{GONE} y"),
        ("url: /v1/metrics?key=abc&b=c (Caused by X)", f"url: /v1/metrics?key={GONE}&b={GONE} (Caused by X)"),
        ("is this an OTLP endpoint? /v1/metrics is appended", "is this an OTLP endpoint? /v1/metrics is appended"),
        (
            "http://h:4318 takes metrics; see OTEL_EXPORTER_OTLP_HEADERS=a",
            "http://h:4318 takes metrics; see OTEL_EXPORTER_OTLP_HEADERS=a",
        ),
        ("SELECT a FROM b WHERE c = 'x?y'", "SELECT a FROM b WHERE c = 'x?y'"),
    ],
)
def test_what_looks_like_an_address_loses_what_may_be_secret(text: str, expected: str) -> None:
    assert Redactor()(text) == expected


def test_a_secret_that_was_cut_off_is_left_out_too() -> None:
    redact = Redactor([SECRET])
    for length in range(6, len(SECRET)):
        assert redact(f"no {SECRET[:length]}{GONE}: set X") == f"no {GONE}: set X"
        assert redact(f"no {SECRET[:length]}") == f"no {GONE}"


def test_ordinary_words_are_not_secrets() -> None:
    environ = {
        E + "METRICS_ENDPOINT": "https://h/v1/metrics?format=protobuf&version=2",
        E + "HEADERS": "x-scope=a",
        "SOMETHING": "http://[broken",
        "EMPTY": "://",
    }
    assert Redactor(secrets_of(environ))("http/protobuf version 2 a") == "http/protobuf version 2 a"
