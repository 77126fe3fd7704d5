"""The cost of a fleet's gateway per store: the output of one otel-logtail, replayed for many.

    python -m benchmarks.fleet                            200 stores, 10 minutes of their time; under a minute
    python -m benchmarks.fleet --stores 3 --minutes 6     a short run

The real program reads a generated log with a request per second. Its output is recorded and cut into the requests that
a daemon sends while the log grows: one for each interval of 10 s, one with health metrics each minute, and the spans. A
replay gives each store an id, a name and traces of its own. All stores send to one collector with gateway.yaml, which
writes to a real Prometheus. The run ends with 1 if a total in Prometheus is wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]  # grpcio ships no types
import msgspec
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.figures import Figure, table
from benchmarks.process import high_water_kib
from tests.support.collector import Collector, find_collector
from tests.support.daemon import Daemon
from tests.support.prometheus import Prometheus, find_prometheus
from tools import replay

METRICS = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
NAME = "store-0000"
SENDERS = 8
ORDINARY = {"GOGC": ""}


class Sent(msgspec.Struct, frozen=True, order=True):
    """One request at its time."""

    time_ns: int
    method: str
    body: bytes


class Output(msgspec.Struct, frozen=True):
    """Everything that one store sends in a time, in order; the samples and stalls in it."""

    requests: tuple[Sent, ...]
    instance: str
    samples: int
    stalls: int


class Cost(msgspec.Struct, frozen=True):
    """The cost of a replay at the gateway and at Prometheus."""

    requests: int
    wall_s: float
    gateway_cpu_s: float
    gateway_mib: float
    prometheus_cpu_s: float
    prometheus_mib: float
    series: int


# --- the output of one store ----------------------------------------------------------------------------------------


def record(folder: Path, minutes: int) -> Output:
    """Run the program on a log of these minutes, and return what it sends."""
    end_s = int(time.time()) // 60 * 60
    log = replay.storms(end_s, hours=1, seed=3, every_s=1.0, storm_s=20.0)
    received: list[tuple[str, bytes]] = []
    with receiving(received) as endpoint:
        flags = ("--source", NAME, "--from-start", "--export-interval", "10s", "--otlp-protocol", "grpc")
        daemon = Daemon(folder, *flags, endpoint=endpoint)
        daemon.write(b"".join(line for at_s, line in replay.due(log) if at_s >= end_s - minutes * 60))
        daemon.once()
    ((instance,),) = daemon.rows("SELECT value FROM meta WHERE key = 'instance'")
    ((stalls,),) = daemon.rows("SELECT count(*) FROM episode WHERE severity = 2")
    metrics = [ExportMetricsServiceRequest.FromString(body) for method, body in received if method == METRICS]
    live = [request for message in metrics if not is_health(message) for request in by_time(message)]
    health = [message for message in metrics if is_health(message)][-1]
    minutely = [at_time(health, (end_s - minute * 60) * 10**9) for minute in range(minutes)]
    traces = [Sent(last_ns(body), TRACES, body) for method, body in received if method == TRACES]
    return Output(tuple(sorted(live + minutely + traces)), instance, daemon.counter("samples"), stalls)


@contextmanager
def receiving(received: list[tuple[str, bytes]]) -> Iterator[str]:
    """Yield the endpoint of a receiver that accepts every request and keeps its bytes."""

    class Keeper(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpcio ships no types
        def service(self, call: Any) -> Any:
            def keep(body: bytes, _: Any) -> bytes:
                received.append((call.method, body))
                return b""  # an answer without any field

            return grpc.unary_unary_rpc_method_handler(keep)

    server = grpc.server(ThreadPoolExecutor(1), handlers=(Keeper(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def metrics_of(message: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each metric of a request with its points."""
    for resource in message.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                yield metric, getattr(metric, metric.WhichOneof("data")).data_points


def is_health(message: Any) -> bool:
    """Return whether a request has the program's own metrics only."""
    return all(metric.name.startswith("otel_logtail.") for metric, _ in metrics_of(message))


def by_time(message: Any) -> Iterator[Sent]:
    """Yield the points of a request as one request for each time: a backlog as it would have been sent live."""
    for time_ns in sorted({point.time_unix_nano for _, points in metrics_of(message) for point in points}):
        part = ExportMetricsServiceRequest.FromString(message.SerializeToString())
        for _, points in metrics_of(part):
            kept = [point for point in points if point.time_unix_nano == time_ns]
            del points[:]
            points.extend(kept)
        for resource in part.resource_metrics:
            for scope in resource.scope_metrics:
                filled = [m for m in scope.metrics if getattr(m, m.WhichOneof("data")).data_points]
                del scope.metrics[:]
                scope.metrics.extend(filled)
        yield Sent(time_ns, METRICS, part.SerializeToString())


def at_time(message: Any, time_ns: int) -> Sent:
    """Return a request with all its points at another time."""
    moved = ExportMetricsServiceRequest.FromString(message.SerializeToString())
    for _, points in metrics_of(moved):
        for point in points:
            point.time_unix_nano = time_ns
    return Sent(time_ns, METRICS, moved.SerializeToString())


def last_ns(body: bytes) -> int:
    """Return when the last span of a request ended."""
    return max(span.end_time_unix_nano for span in spans_of(ExportTraceServiceRequest.FromString(body)))


def spans_of(message: Any) -> Iterator[Any]:
    """Yield each span of a request."""
    for resource in message.resource_spans:
        for scope in resource.scope_spans:
            yield from scope.spans


# --- many of them ---------------------------------------------------------------------------------------------------


def of_store(request: Sent, number: int, instance: str) -> bytes:
    """Return the request as another store sends it: with its own id, name and traces."""
    body = request.body
    if request.method == TRACES:
        message = ExportTraceServiceRequest.FromString(body)
        for span in spans_of(message):
            span.trace_id = number.to_bytes(4, "big") + span.trace_id[4:]
        body = message.SerializeToString()
    own = str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))
    name = f"store-{number:04d}"  # both are as long as what they replace, so the message stays valid
    return body.replace(instance.encode(), own.encode()).replace(NAME.encode(), name.encode())


def send_all(endpoint: str, output: Output, numbers: Sequence[int]) -> int:
    """Send the output of these stores, in order of time; return the number of requests."""
    requests = 0
    with grpc.insecure_channel(endpoint.removeprefix("http://")) as channel:
        send: dict[str, Callable[..., bytes]] = {method: channel.unary_unary(method) for method in (METRICS, TRACES)}
        for request in output.requests:
            for number in numbers:
                send[request.method](of_store(request, number, output.instance), timeout=60, wait_for_ready=True)
                requests += 1
    return requests


class OrdinaryPrometheus(Prometheus):
    """A Prometheus with its own settings of the garbage collector, unlike those of tests."""

    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        """Return the command line, and the variables."""
        return super().command()[0], ORDINARY


class Gateway:
    """A gateway, its Prometheus, and a collector that takes its traces."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        for name in ("prometheus", "tempo", "gateway"):
            (folder / name).mkdir()
        self.prometheus = stack.enter_context(OrdinaryPrometheus(find_prometheus(), folder / "prometheus"))
        self.tempo = stack.enter_context(Collector(find_collector(), folder / "tempo"))
        environ = {
            "PROMETHEUS_URL": self.prometheus.url,
            "TEMPO_ENDPOINT": self.tempo.grpc_endpoint.removeprefix("http://"),
            "DECISION_WAIT": "1s",
            "DEGRADED_PERCENT": "0",
            **ORDINARY,
        }
        self.collector = stack.enter_context(
            Collector(find_collector(), folder / "gateway", "gateway.yaml", environ=environ)
        )

    def replay(self, output: Output, stores: int) -> Cost:
        """Send the output of so many stores as fast as the gateway accepts it."""
        gateway, prometheus = self.collector.pid, self.prometheus.pid
        before = cpu_s(gateway), cpu_s(prometheus), time.monotonic()
        with ThreadPoolExecutor(SENDERS) as pool:
            parts = [range(first, stores, SENDERS) for first in range(min(SENDERS, stores))]
            sent = list(pool.map(lambda part: send_all(self.collector.grpc_endpoint, output, part), parts))
        wall_s = time.monotonic() - before[2]
        return Cost(
            requests=sum(sent),
            wall_s=wall_s,
            gateway_cpu_s=cpu_s(gateway) - before[0],
            gateway_mib=high_water_kib(gateway) / 1024,
            prometheus_cpu_s=cpu_s(prometheus) - before[1],
            prometheus_mib=high_water_kib(prometheus) / 1024,
            series=round(self.prometheus.own("prometheus_tsdb_head_series")),
        )

    def samples(self) -> int:
        """Return the number of samples in Prometheus, of all stores."""
        query = "last_over_time(log_overhead_duration_seconds_count[2h])"
        return round(sum(self.prometheus.instant(query, time.time()).values()))

    def stalls(self) -> int:
        """Return the number of stalls that passed the gateway's sampling."""
        return len({(span.trace_id, span.span_id) for span in self.tempo.spans() if span.status == 2})


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def figures(output: Output, stores: int, minutes: int, cost: Cost) -> Iterator[Figure]:
    """Yield the costs, at the stores' own speed or per request."""
    fleet_s = minutes * 60
    speed = fleet_s / cost.wall_s
    group = f"{stores} stores"
    size = sum(len(request.body) for request in output.requests) / len(output.requests)
    yield Figure(group, "requests", cost.requests / stores / minutes, "/min per store", note=f"of {size:,.0f} bytes")
    yield Figure(group, "rate of the replay", cost.requests / cost.wall_s, "requests/s", note=f"{speed:.1f} x live")
    live = cost.gateway_cpu_s / fleet_s * 100
    yield Figure(group, "gateway: CPU of all stores", live, "% of a core", note="at the stores' own speed")
    yield Figure(group, "gateway: CPU per request", cost.gateway_cpu_s / cost.requests * 1000, "ms")
    yield Figure(group, "gateway: peak memory", cost.gateway_mib, "MiB")
    prometheus = cost.prometheus_cpu_s / fleet_s * 100
    yield Figure(group, "Prometheus: CPU of all stores", prometheus, "% of a core", note="at the stores' own speed")
    yield Figure(group, "Prometheus: peak memory", cost.prometheus_mib, "MiB")
    yield Figure(group, "Prometheus: series", cost.series / stores, "per store")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stores", type=int, default=200)
    parser.add_argument("--minutes", type=int, default=10, help="time of each store that is replayed, at most 60")
    given = parser.parse_args(arguments)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="fleet-") as name, ExitStack() as stack:
        (folder := Path(name) / "store").mkdir()
        output = record(folder, given.minutes)
        gateway = Gateway(Path(name), stack)
        cost = gateway.replay(output, given.stores)
        samples, stalls = output.samples * given.stores, output.stalls * given.stores
        gateway.tempo.wait_until(lambda: gateway.stalls() >= stalls)
        found = gateway.samples(), gateway.stalls()
    print(table(list(figures(output, given.stores, given.minutes, cost))))
    print(f"samples: {found[0]:,} of {samples:,}; stalls: {found[1]:,} of {stalls:,}")
    print(f"load of the machine ({os.cpu_count()} cores): {load:.1f} before, {os.getloadavg()[0]:.1f} after")
    return int(found != (samples, stalls))


if __name__ == "__main__":
    sys.exit(main())
