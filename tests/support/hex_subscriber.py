"""A worker of the real iii-sdk that subscribes to an event as hex's workers do: hex_subscriber.py URL EVENT NUMBER.

Prints the value of each event as a line of JSON, and ends after so many. A process of its own: the SDK starts threads
and sets OpenTelemetry's global providers.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

from iii import InitOptions, register_worker  # type: ignore[import-untyped]  # as it is


def main(url: str, event: str, number: int) -> int:
    got: list[Any] = []
    done = threading.Event()

    def take(change: Any) -> None:
        got.append(change["new_value"])
        sys.stdout.write(json.dumps(change["new_value"]) + "\n")  # at once: events are handled in several threads
        if len(got) >= number:
            done.set()

    worker = register_worker(url, InitOptions(otel={"enabled": False}))
    worker.register_function("test::take", take)
    worker.register_trigger({"type": "state", "function_id": "test::take", "config": {"scope": "events", "key": event}})
    complete = done.wait(30.0)
    worker.shutdown()
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
