"""A real PostgreSQL with its JSON log, and a client of its protocol that measures each statement."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from otel_logtail.observers.postgresql import POSTGRESQL
from tests.support.ports import free_port
from tests.support.real_programs import RealProgram
from tests.support.upstreams import find_installed
from tests.support.waiting import bound_s

USER = "postgres"


class PostgresServer(RealProgram):
    """A server with a database of its own; its log is configured as users paste it.

    The server refuses to run as root, and its user cannot enter the folders of tests. So root gives it a folder
    directly below that for temporary files.
    """

    name = "postgres"

    def __init__(self, folder: Path, *configuration: str) -> None:
        super().__init__(folder)
        self._programs = find_installed("postgres").parent
        self._configuration = "\n".join((POSTGRESQL.configuration(), *configuration))
        self._root = Path(tempfile.mkdtemp(prefix="otel-logtail-postgres-"))
        self._as_user: list[str] = []
        if os.geteuid() == 0:
            user = pwd.getpwnam(USER)
            os.chown(self._root, user.pw_uid, user.pw_gid)
            self._as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        self.port = free_port()
        self.data = self._root / "data"
        self.logs = self.data / "log"

    def kill(self) -> None:
        """End the server in order, and delete its data."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # a fast shutdown, which ends the other processes, too
            self._process.wait(bound_s())
            self._process = None
        shutil.rmtree(self._root, ignore_errors=True)

    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        """Create the database and its configuration; return the command line."""
        # in SQL_ASCII, any bytes are text
        initdb = [str(self._programs / "initdb"), "--pgdata", str(self.data), "--username", USER]
        initdb += ["--auth", "trust", "--encoding", "SQL_ASCII", "--no-locale", "--no-sync"]
        subprocess.run([*self._as_user, *initdb], check=True, capture_output=True, cwd="/", timeout=bound_s(60))
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(f"\n{self._configuration}\n")
            file.write(
                f"port = {self.port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\nfsync = off\n"
            )
        return [*self._as_user, str(self._programs / "postgres"), "-D", str(self.data)], {}

    def is_ready(self) -> bool:
        """Return whether the server answers a query."""
        try:
            with Connection(self.port) as connection:
                return connection.run("select 1").error == ""
        except OSError:
            return False


class Took(NamedTuple):
    """A statement as the client measured it; ``error`` is the SQLSTATE of its error, or empty."""

    duration_ns: int
    end_ns: int
    error: str
    value: bytes


class Connection:
    """A connection to the server; a context manager."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=bound_s(60))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream = self._socket.makefile("rb")
        names = b"user\0postgres\0database\0postgres\0\0"
        self._socket.sendall(struct.pack("!ii", len(names) + 8, 196608) + names)
        error, _ = self._read()
        if error:
            self.close()
            raise ConnectionError(error)

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the server."""
        self._stream.close()
        self._socket.close()

    def run(self, sql: str | bytes) -> Took:
        """Run a statement by the simple protocol."""
        return self._take(_message(b"Q", _text(sql)))

    def execute(self, sql: str, *values: str) -> Took:
        """Run a statement with parameters, by the extended protocol."""
        bound = b"".join(struct.pack("!i", len(value)) + value.encode() for value in values)
        return self._take(
            _message(b"P", b"\0" + _text(sql) + b"\0\0")
            + _message(b"B", b"\0\0\0\0" + struct.pack("!h", len(values)) + bound + b"\0\0")
            + _message(b"E", b"\0\0\0\0\0")
            + _message(b"S", b"")
        )

    def _take(self, messages: bytes) -> Took:
        begin_ns = time.monotonic_ns()
        self._socket.sendall(messages)
        error, value = self._read()
        return Took(time.monotonic_ns() - begin_ns, time.time_ns(), error, value)

    def _read(self) -> tuple[str, bytes]:
        """Return the SQLSTATE of an error, and the first column of the last row, once the server is ready."""
        error, value = "", b""
        while True:
            head = self._stream.read(5)
            if len(head) < 5:
                return error or "closed", value
            body = self._stream.read(struct.unpack("!i", head[1:])[0] - 4)
            if head[:1] == b"E":
                error = next(field[1:].decode() for field in body.split(b"\0") if field[:1] == b"C")
            elif head[:1] == b"D":
                value = body[6 : 6 + struct.unpack("!i", body[2:6])[0]]
            elif head[:1] == b"Z":
                return error, value


def _text(sql: str | bytes) -> bytes:
    return (sql.encode() if isinstance(sql, str) else sql) + b"\0"


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body
