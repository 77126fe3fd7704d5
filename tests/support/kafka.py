"""A real Kafka for tests: one process, broker and controller, started as ``scripts/kafka`` finds it.

``find_kafka()`` gives the launcher, or skips the test with a word on how to get one (``REQUIRE_KAFKA=1`` makes that a
failure, so that a build machine can't skip by accident).
"""

from __future__ import annotations

import socket
import struct
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.ports import free_ports
from tests.support.real_programs import RealProgram, find_program
from tests.support.waiting import bound_s

SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
num.network.threads=1
num.io.threads=2
"""
CLUSTER = "AAAAAAAAAAAAAAAAAAAAAQ"
ASK_VERSIONS = struct.pack(">hhih", 18, 0, 1, 1) + b"x"


def find_kafka() -> Path:
    """The launcher; skips or fails the test if there is none."""
    return find_program("kafka")


class Kafka(RealProgram):
    """One broker on ports of its own, with its data in ``folder``."""

    name = "Kafka"
    every_s = 0.05

    def __init__(self, launcher: Path, folder: Path) -> None:
        super().__init__(folder)
        self._launcher = launcher
        self._port, self._controller = free_ports(2)
        self.address = f"127.0.0.1:{self._port}"

    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        settings, data = self._folder / "server.properties", self._folder / "data"
        if not settings.exists():
            settings.write_text(SETTINGS.format(port=self._port, controller=self._controller, data=data))
            self._run("kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", str(settings))
        return [str(self._launcher), "kafka.Kafka", str(settings)], {}

    def is_ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port), bound_s(5)) as connection:
                connection.sendall(struct.pack(">i", len(ASK_VERSIONS)) + ASK_VERSIONS)
                return len(connection.recv(4)) == 4
        except OSError:
            return False

    def create_topic(self, name: str, *options: str) -> None:
        """Create a topic."""
        command = "org.apache.kafka.tools.TopicCommand"
        self._run(command, "--bootstrap-server", self.address, "--create", "--topic", name, *options)

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            [str(self._launcher), *command], capture_output=True, text=True, check=False, timeout=bound_s(60)
        )
        assert done.returncode == 0, done.stdout + done.stderr
