"""The scrape endpoint, asked over HTTP as Prometheus does."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.error import URLError

import msgspec
import pytest
from prometheus_client.core import Metric
from prometheus_client.samples import Sample

from otel_logtail.errors import UsageError
from otel_logtail.exporter import ExporterContext
from otel_logtail.exporters.otlp.encoding import SCHEMA_URL, Encoding
from otel_logtail.exporters.prometheus.exporter import DEFAULT_PORT, PrometheusExporter, make
from otel_logtail.exporters.prometheus.shown import RECENT_NS, Shown
from otel_logtail.model import Delivered, ExportBatch, HealthRecord, HealthValue, Instrument, Point, Stream
from tests.support.command import USAGE
from tests.support.daemon import Program
from tests.support.otlp_items import LABELS, MS, SOURCE, T0, breach, intervals, point
from tests.support.places import CAPTURES
from tests.support.ports import free_port
from tests.support.scraping import families, scrape
from tests.support.waiting import bound_s

CAPTURE = CAPTURES / "0.42.0-stall.log"
ENCODING = Encoding(version="1.2.3", host="box", resource=(("team", "x"), ("k8s.pod", "p")))
READ = HealthValue("otel_logtail.bytes", "By", "Read.", "counter", (), 1234, "headroom-proxy")
TARGET = {"job": "headroom-proxy", "instance": "6f1c"}


@pytest.fixture
def exporting() -> Iterator[Callable[..., PrometheusExporter]]:
    made: list[PrometheusExporter] = []

    def make_one(*told: Point) -> PrometheusExporter:
        made.append(PrometheusExporter("127.0.0.1", 0, ENCODING))
        made[-1].resume(told)
        return made[-1]

    yield make_one
    for exporter in made:
        exporter.close()


def value(samples: Sequence[Sample], name: str, **labels: str) -> float:
    (found,) = [s.value for s in samples if s.name == name and labels.items() <= s.labels.items()]
    return found


def test_durations_are_a_histogram_with_the_names_that_a_collector_would_show(
    exporting: Callable[..., PrometheusExporter],
) -> None:
    exporter = exporting()
    assert exporter.export(intervals(point([100, 500, 501, 2000]))) == Delivered()
    family = families(exporter.port)["log_overhead_duration_seconds"]
    assert (family.type, family.unit) == ("histogram", "seconds")
    samples, mine = family.samples, {**TARGET, "headroom_path": "/v1/messages"}
    buckets = {s.labels["le"]: s.value for s in samples if s.name.endswith("_bucket")}
    assert (buckets["0.05"], buckets["0.1"], buckets["0.5"], buckets["1.0"], buckets["2.0"]) == (0, 1, 2, 3, 4)
    assert (len(buckets), buckets["+Inf"]) == (22, 4)
    assert value(samples, "log_overhead_duration_seconds_count", **mine) == 4
    assert value(samples, "log_overhead_duration_seconds_sum", **mine) == 3.101
    assert value(samples, "log_overhead_duration_seconds_created", **mine) == (T0 - 60_000 * MS) / 1e9
    labels = {name for s in samples for name in s.labels if not name.startswith("otel_scope_")}
    assert labels == {"headroom_path", "instance", "job", "le"}


def test_sums_stages_and_episodes_have_their_names_too(exporting: Callable[..., PrometheusExporter]) -> None:
    exporter = exporting()
    exporter.export(
        intervals(
            point([1, 2], instrument=Instrument.STAGE, attributes=(("stage", "read"),)),
            point([600, 700, 2500], instrument=Instrument.BREACHES, attributes=LABELS),
            point([3000, 4000], instrument=Instrument.EPISODES, attributes=LABELS),
        )
    )
    found = families(exporter.port)
    assert {name: family.type for name, family in found.items()} == {
        "target": "info",
        "log_overhead_stage_duration_seconds": "histogram",
        "log_overhead_breaches": "counter",
        "log_overhead_episodes": "counter",
        "log_overhead_episode_duration_seconds": "histogram",
    }
    labels = {"cause": "compress", "severity": "stall"}
    assert value(found["log_overhead_breaches"].samples, "log_overhead_breaches_total", **labels) == 3
    assert value(found["log_overhead_episodes"].samples, "log_overhead_episodes_total", **labels) == 2


def test_what_is_known_of_a_source_is_in_target_info(exporting: Callable[..., PrometheusExporter]) -> None:
    (sample,) = families(exporting(point([1])).port)["target"].samples
    assert (sample.name, sample.value) == ("target_info", 1)
    assert sample.labels == {**TARGET, "host_name": "box", "team": "x", "k8s_pod": "p"}


def test_exemplars_lead_to_the_trace_and_stay_until_newer_ones_come(
    exporting: Callable[..., PrometheusExporter],
) -> None:
    exporter = exporting()
    slow = (breach(7, 600, time_ns=T0 - 9 * MS), breach(8, 2500, time_ns=T0 - 5 * MS))
    exporter.export(intervals(msgspec.structs.replace(point([600, 2500]), exemplars=slow)))
    exporter.export(intervals(point([600, 2500, 1], time_ns=T0 + 10**9)))
    worse = (breach(9, 700, time_ns=T0 + 15 * 10**8),)
    exporter.export(
        intervals(msgspec.structs.replace(point([600, 2500, 1, 700], time_ns=T0 + 2 * 10**9), exemplars=worse))
    )
    samples = families(exporter.port)["log_overhead_duration_seconds"].samples
    found = {s.labels["le"]: (s.exemplar.labels, s.exemplar.value) for s in samples if s.exemplar is not None}
    ids = {"trace_id": bytes(range(1, 17)).hex(), "span_id": bytes(range(1, 9)).hex()}
    assert found == {"1.0": (ids, 0.7), "3.0": (ids, 2.5)}


def test_the_newest_total_is_shown_also_after_a_resend_and_after_other_thresholds(
    exporting: Callable[..., PrometheusExporter],
) -> None:
    exporter = exporting()
    old, new = point([1], time_ns=T0), point([1, 2, 3], time_ns=T0 + 10**9)
    other = point([1], time_ns=T0 + 2 * 10**9, bounds_ns=(100 * MS, 200 * MS))
    for one in (old, new, old):
        exporter.export(intervals(one))
    name = "log_overhead_duration_seconds"
    assert value(families(exporter.port)[name].samples, f"{name}_count") == 3
    exporter.export(intervals(other))
    samples = families(exporter.port)[name].samples
    assert value(samples, f"{name}_count") == 1
    assert [s.labels["le"] for s in samples if s.name.endswith("_bucket")] == ["0.1", "0.2", "+Inf"]


def test_the_longest_of_two_minutes_is_shown_so_that_no_scrape_misses_it(
    exporting: Callable[..., PrometheusExporter],
) -> None:
    exporter = exporting()

    def shown(at_s: int, *delta_ms: float) -> list[float]:
        one = point([1, *delta_ms], delta_ms=delta_ms, id=int(bool(delta_ms)), time_ns=T0 + at_s * 10**9)
        exporter.export(intervals(one))
        found = families(exporter.port).get("log_overhead_max_duration_seconds")
        return [sample.value for sample in found.samples] if found else []

    assert shown(0, 20, 700) == [0.7]
    assert shown(10, 300) == shown(20, 5) == [0.7]
    assert shown(30, 200) == shown(119) == [0.7]
    assert shown(121) == [0.3]
    assert shown(131, 9) == [0.2]
    assert shown(131, 9) == [0.2]  # sent again
    assert shown(160, 9000) == [9.0]
    assert shown(279) == [9.0]
    assert shown(281) == []


def test_maxima_that_fall_are_kept_for_two_minutes() -> None:
    shown = Shown(Encoding(version="1", host=""))
    for number in range(100):
        ms = 5000 - number
        shown.put([point([1, ms], delta_ms=(ms,), id=number + 1, time_ns=T0 + number * 10 * 10**9)])
    kept = [len(one.maxima) for family in shown._families.values() for one in family.values() if one.maxima]
    assert kept == [RECENT_NS // (10 * 10**9)]


def test_two_sources_of_one_store_are_two_jobs(exporting: Callable[..., PrometheusExporter]) -> None:
    exporter = exporting(point([1]), point([1, 2], source=msgspec.structs.replace(SOURCE, name="other")))
    found = families(exporter.port)
    samples = found["log_overhead_duration_seconds"].samples
    assert value(samples, "log_overhead_duration_seconds_count", job="headroom-proxy") == 1
    assert value(samples, "log_overhead_duration_seconds_count", job="other") == 2
    assert {s.labels["job"] for s in found["target"].samples} == {"headroom-proxy", "other"}


def test_each_series_has_the_labels_of_its_scope(exporting: Callable[..., PrometheusExporter]) -> None:
    exporter = exporting(point([1]))
    exporter.export(ExportBatch(Stream.SELF, (HealthRecord(0, "6f1c", T0, T0 + 1, (READ,)),)))
    found = families(exporter.port)
    assert not any(name.startswith("otel_scope") for sample in found.pop("target").samples for name in sample.labels)
    labels = [sample.labels for family in found.values() for sample in family.samples]
    assert {(of["otel_scope_name"], of["otel_scope_version"]) for of in labels} == {("otel_logtail", ENCODING.version)}
    assert {of["otel_scope_schema_url"] for of in labels} == {SCHEMA_URL}


def test_names_that_are_equal_as_labels_are_merged(exporting: Callable[..., PrometheusExporter]) -> None:
    evil = 'quote" back\\slash\nline'
    exporter = exporting(point([1], attributes=(("a.b", "1"), ("a_b", "2"), ("9", evil))))
    samples = families(exporter.port)["log_overhead_duration_seconds"].samples
    assert value(samples, "log_overhead_duration_seconds_count", a_b="1;2", _9=evil) == 1


def test_its_own_health_is_shown_as_it_is_now(exporting: Callable[..., PrometheusExporter]) -> None:
    exporter = exporting()

    def health(*values: HealthValue) -> ExportBatch:
        return ExportBatch(Stream.SELF, (HealthRecord(0, "6f1c", T0, T0 + 1, values),))

    pending = HealthValue(
        "otel_logtail.exporter.pending", "{item}", "Waiting.", "updowncounter", (("otel.component.name", "otlp"),), 7
    )
    exporter.export(health(pending, READ))
    found = families(exporter.port)
    gauge = found["otel_logtail_exporter_pending"]
    assert (gauge.type, value(gauge.samples, gauge.name, otel_component_name="otlp", job="otel-logtail")) == (
        "gauge",
        7,
    )
    counter = found["otel_logtail_bytes"]
    assert (counter.type, counter.unit) == ("counter", "bytes")
    assert value(counter.samples, "otel_logtail_bytes_total", **TARGET) == 1234
    exporter.export(health(READ))
    assert "otel_logtail_exporter_pending" not in families(exporter.port)


def test_the_plain_text_format_has_the_same_numbers(exporting: Callable[..., PrometheusExporter]) -> None:
    text = scrape(exporting(point([100])).port, "text/plain")
    assert "# TYPE log_overhead_duration_seconds histogram" in text
    assert 'log_overhead_duration_seconds_bucket{headroom_path="/v1/messages",instance="6f1c"' in text


NATIVE_FIRST = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,"
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
"""The formats that Prometheus 3.16 accepts with ``scrape_native_histograms``, shortened."""


def test_a_prometheus_that_prefers_native_histograms_gets_openmetrics(
    exporting: Callable[..., PrometheusExporter],
) -> None:
    port = exporting(point([100])).port
    assert scrape(port, NATIVE_FIRST) == scrape(port)


def test_nothing_is_served_before_the_totals_are_known() -> None:
    exporter = PrometheusExporter("127.0.0.1", 0, ENCODING)
    try:
        with socket.create_connection(("127.0.0.1", exporter.port), timeout=5) as line:
            line.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            line.settimeout(0.2)
            with pytest.raises(TimeoutError):
                line.recv(1)
            exporter.resume([point([100])])
            line.settimeout(5)
            answer = b""
            while piece := line.recv(65536):
                answer += piece
        assert b"log_overhead_duration_seconds_count" in answer
    finally:
        exporter.close()


# --- as it is started -------------------------------------------------------------------------------------------------


def test_it_is_bound_to_this_machine_by_default_and_elsewhere_on_request() -> None:
    port = free_port()
    for host, address in (("", "127.0.0.1"), ("0.0.0.0", "0.0.0.0")):  # noqa: S104 - on request
        options = {"prometheus_port": str(port), "prometheus_host": host}
        exporter = make(ExporterContext({}, options))
        try:
            assert exporter._server.address[:2] == (address, port)
        finally:
            exporter.close()


def test_the_standard_variables_are_honoured_and_flags_win() -> None:
    port, other = free_port(), free_port()
    environ = {"OTEL_EXPORTER_PROMETHEUS_PORT": str(port), "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.2"}
    for options, address in (({}, ("127.0.0.2", port)), ({"prometheus_port": str(other)}, ("127.0.0.2", other))):
        exporter = make(ExporterContext(environ, options))
        try:
            assert exporter._server.address == address
        finally:
            exporter.close()
    assert DEFAULT_PORT == 9464


def test_a_port_in_use_is_one_clear_usage_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError) as caught:
            make(ExporterContext({}, {"prometheus_port": str(port)}))
    assert str(caught.value) == (
        f"the exporter prometheus can't listen on 127.0.0.1 port {port}: address already in use"
    )
    assert "--prometheus-port" in caught.value.hint


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "9e3"])
def test_a_port_that_is_none_is_a_usage_error(port: str) -> None:
    with pytest.raises(UsageError, match=f"--prometheus-port '{port}': expected a number from 1 to 65535"):
        make(ExporterContext({}, {"prometheus_port": port}))


def test_without_its_package_the_error_shows_how_to_install_it() -> None:
    script = """
        import sys
        sys.modules["prometheus_client"] = None  # as if it were not installed
        from otel_logtail.cli.main import main
        sys.argv = ["otel-logtail", "--observer", "headroom", "--exporter", "prometheus", "--path", "/nowhere/x.log"]
        main()
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=bound_s(60), check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "otel-logtail: error: the exporter prometheus needs the package prometheus-client, which is not installed",
        "",
        "hint: pip install prometheus-client, or: pipx inject otel-logtail prometheus-client",
        *USAGE.splitlines(),
    ]


class Scraped(Program):
    """The real command line with a scrape endpoint, over a log that was written before."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        start = ("--observer", "headroom", "--path", CAPTURE, "--db", folder / "store.db", "--from-start")
        scrape = ("--exporter", "prometheus", "--prometheus-port", self.port, "--export-interval", "500ms")
        super().__init__(folder, *start, *scrape)

    def shows(self, condition: Callable[[dict[str, Metric]], bool]) -> dict[str, Metric]:
        """Wait until the endpoint shows this; return what it shows."""
        found: dict[str, Metric] = {}

        def holds() -> bool:
            nonlocal found
            try:
                found = families(self.port)
            except (URLError, ConnectionError):
                return False
            return bool(found) and condition(found)

        self.wait_until(holds)
        return found


def samples_in(found: dict[str, Metric]) -> float:
    family = found.get("log_overhead_duration_seconds")
    return 0 if family is None else sum(s.value for s in family.samples if s.name.endswith("_count"))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_after_a_restart_the_first_scrape_has_the_same_totals(tmp_path: Path, how: signal.Signals) -> None:
    with Scraped(tmp_path) as program:
        shown = program.start().shows(lambda found: samples_in(found) == 111)
        program.signal(how)
        program.ends()
        again = program.start().shows(lambda _: True)
        program.stop()
    names = [name for name in shown if name.startswith("log_overhead") and shown[name].type != "gauge"]
    assert len(names) >= 3
    for name in names:
        numbers = [(s.name, s.labels, s.value) for s in shown[name].samples]
        assert [(s.name, s.labels, s.value) for s in again[name].samples] == numbers
