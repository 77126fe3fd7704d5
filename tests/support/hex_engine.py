"""An engine stand-in: the frames of hex's bus over real WebSockets, with the faults that a real one can have.

It stores the values of ``state::set``, and calls the workers that registered a state trigger on the key, as the engine
does. ``script`` determines the fate of the first calls, one word per call; after its end every call succeeds:

- ``ok``: stored and answered;
- ``mute``: taken, never answered, until the caller hangs up;
- ``drop``: stored, then the connection is cut before the answer;
- ``lose``: the connection is cut, and nothing is stored;
- ``late``: stored, and answered with other frames before the answer's own;
- ``alone``: answered only once it is sure that no second call came after this one;
- anything else: an error with this code.
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from types import TracebackType
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve

from tests.support.ports import free_port
from tests.support.waiting import CALM_S, bound_s

ALONE_S = 0.2
"""How long a second call has, after the first, to show that it is there."""

_ASIDE = ("no json", '{"type":"ping"}', '{"type":"invocationresult","invocation_id":"of-another-call","error":{}}')


class Engine:
    """An engine on a free port; a context manager. It can be stopped and started again on the same port.

    ``calls`` are the values of all received calls of ``state::set``, ``stored`` those that it stored, in order.
    ``invocations`` are the ids of the calls; ``together`` counts overlapping calls.
    """

    def __init__(
        self, script: Iterable[str] = (), *, token: str = "", slow: bool = False, tls: ssl.SSLContext | None = None
    ) -> None:
        self.script = iter(script)
        self.tls = tls
        self.token = token
        self.calls: list[dict[str, Any]] = []
        self.stored: list[dict[str, Any]] = []
        self.invocations: list[str] = []
        self.together = 0
        self.connections = 0
        self.state: dict[tuple[str, str], Any] = {}
        self.triggers: list[tuple[ServerConnection, dict[str, Any]]] = []
        self.handshake = threading.Event()
        if not slow:
            self.handshake.set()
        self.hanging = 0
        self._changed = threading.Condition()
        self._open: set[ServerConnection] = set()
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        self.port = free_port()
        self.url = f"{'wss' if tls else 'ws'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Engine:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        self._server = serve(
            self._serve,
            "127.0.0.1",
            self.port,
            ssl=self.tls,
            process_request=self._admit,
            compression=None,
            close_timeout=0.5,
        )
        self._thread = threading.Thread(target=self._server.serve_forever, name="engine")
        self._thread.start()

    def stop(self) -> None:
        if self._server is None or self._thread is None:
            return
        self.handshake.set()
        self._server.shutdown()
        self._thread.join()
        for connection in list(self._open):
            connection.close()
        assert self.wait_for(lambda engine: not engine._open)
        self._server = self._thread = None

    def wait_for(self, condition: Callable[[Engine], object], within_s: float = CALM_S) -> bool:
        """Wait until the condition is true, checking it after each event; return whether it is."""
        with self._changed:
            return bool(self._changed.wait_for(lambda: condition(self), bound_s(within_s)))

    def ids(self) -> list[str]:
        """The ids of what it stored."""
        return [value["data"]["id"] for value in self.stored]

    # --- the protocol -----------------------------------------------------------------------------------------------

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        with self._changed:
            self.hanging += 1
            self._changed.notify_all()
        assert self.handshake.wait(bound_s(30))
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return connection.respond(HTTPStatus.UNAUTHORIZED, "no\n")
        return None

    def _serve(self, connection: ServerConnection) -> None:
        with self._changed:
            self._open.add(connection)
            self.connections += 1
            self._changed.notify_all()
        try:
            connection.send(json.dumps({"type": "workerregistered", "worker_id": f"w{self.connections}"}))
            for text in connection:
                self._take(connection, json.loads(text))
        except ConnectionClosed:
            pass
        finally:
            with self._changed:
                self._open.discard(connection)
                self.triggers = [(owner, trigger) for owner, trigger in self.triggers if owner is not connection]
                self._changed.notify_all()

    def _take(self, connection: ServerConnection, frame: dict[str, Any]) -> None:
        kind = frame["type"]
        if kind == "registertrigger":
            with self._changed:
                self.triggers.append((connection, frame))
                self._changed.notify_all()
        elif kind == "invokefunction" and frame["function_id"] == "state::set":
            self._set(connection, frame)
        elif kind == "invokefunction" and frame.get("invocation_id"):
            self._answer(connection, frame, result=None)

    def _set(self, connection: ServerConnection, frame: dict[str, Any]) -> None:
        with self._changed:
            word = next(self.script, "ok")
            self.calls.append(frame["data"]["value"])
            self.invocations.append(frame["invocation_id"])
            self._changed.notify_all()
        if word == "mute":
            for _ in connection:
                self._count_one_more()
        elif word == "lose":
            _cut(connection)
        elif word in ("ok", "drop", "late", "alone"):
            if word == "alone":
                self._wait_for_a_second(connection)
            old_value = self._store(frame["data"])
            if word == "drop":
                _cut(connection)
                return
            if word == "late":
                for text in _ASIDE:
                    connection.send(text)
            self._answer(connection, frame, result={"old_value": old_value, "new_value": frame["data"]["value"]})
        else:
            self._answer(connection, frame, error={"code": word, "message": f"{word}\x1b[31m by the script"})

    def _wait_for_a_second(self, connection: ServerConnection) -> None:
        try:
            connection.recv(ALONE_S)
            self._count_one_more()
        except TimeoutError:
            pass

    def _count_one_more(self) -> None:
        with self._changed:
            self.together += 1

    def _store(self, data: dict[str, Any]) -> Any:
        where = (data["scope"], data["key"])
        with self._changed:
            old_value, self.state[where] = self.state.get(where), data["value"]
            self.stored.append(data["value"])
            owners = [(owner, trigger) for owner, trigger in self.triggers if _fires(trigger, where)]
            self._changed.notify_all()
        for owner, trigger in owners:
            event = {
                "type": "state",
                "event_type": "state:created" if old_value is None else "state:updated",
                "scope": data["scope"],
                "key": data["key"],
                "old_value": old_value,
                "new_value": data["value"],
            }
            owner.send(json.dumps({"type": "invokefunction", "function_id": trigger["function_id"], "data": event}))
        return old_value

    @staticmethod
    def _answer(connection: ServerConnection, frame: dict[str, Any], **end: Any) -> None:
        named = {"invocation_id": frame["invocation_id"], "function_id": frame["function_id"]}
        connection.send(json.dumps({"type": "invocationresult", **named, **end}))


def _fires(trigger: dict[str, Any], where: tuple[str, str]) -> bool:
    config = trigger["config"]
    return trigger["trigger_type"] == "state" and (config["scope"], config["key"]) == where


def _cut(connection: ServerConnection) -> None:
    """Stop it abruptly, as a crash does."""
    connection.socket.shutdown(socket.SHUT_RDWR)
