"""A real Chromium, driven through the pipe of its DevTools protocol: layout, colors, paper and its messages."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.waiting import bound_s

PROGRAM = shutil.which("chromium") or shutil.which("google-chrome")
"""The browser of this machine; None: there is none."""

MISSING = "no Chromium here: `apt-get install chromium` brings it"

_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-extensions")


class Browser:
    """One browser with one page. ``messages`` are the errors and policy violations that it logged for the page."""

    def __init__(self, process: subprocess.Popen[bytes], to_fd: int, from_fd: int) -> None:
        self._process = process
        self._to_fd = to_fd
        self._from_fd = from_fd
        self._rest = b""
        self._loaded: set[str] = set()
        self._number = 0
        self._session: str | None = None
        self.messages: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Log", "Runtime"):
            self.call(f"{domain}.enable")
        self.call("Page.setLifecycleEventsEnabled", enabled=True)

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol, and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to_fd, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, url: str, width: int, *, dark: bool = False, paper: bool = False, script: bool = True) -> None:
        """Load a page into a window of a width, and wait until it is drawn."""
        self.messages.clear()
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media="print" if paper else "screen", features=[scheme])
        self.call("Emulation.setScriptExecutionDisabled", value=not script)
        before = ("about:blank",) if "#" in url else ()  # a page that is already open would only scroll
        for address in (*before, url):
            loader = self.call("Page.navigate", url=address)["loaderId"]
            while loader not in self._loaded:
                self._read()

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression in the page, as JSON."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def move_to(self, x: float, y: float) -> None:
        """Move the mouse."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def pdf(self) -> bytes:
        """Print the page."""
        found = self.call("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
        return base64.b64decode(found["data"])

    def picture(self, path: Path) -> None:
        """Write a picture of all of the page, for the eyes of a developer."""
        found = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def _read(self) -> dict[str, Any]:
        """Return the next message, and note what is logged."""
        deadline_s = time.monotonic() + bound_s(60)
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._from_fd], [], [], max(0.0, deadline_s - time.monotonic()))
            assert ready, "the browser does not answer"
            data = os.read(self._from_fd, 1 << 20)
            assert data, "the browser is gone"
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        parameters = message.get("params", {})
        if message.get("method") == "Page.lifecycleEvent" and parameters["name"] == "load":
            self._loaded.add(parameters["loaderId"])
        elif message.get("method") == "Log.entryAdded":
            self.messages.append(parameters["entry"]["text"])
        elif message.get("method") in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
            self.messages.append(json.dumps(parameters))
        return message


@contextlib.contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Start a browser with an empty profile in a folder, and end it."""
    assert PROGRAM is not None
    child, parent = os.pipe(), os.pipe()  # the browser reads from 3, and writes to 4
    ends = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (child[0], parent[1])]

    def place() -> None:
        os.dup2(ends[0], 3)
        os.dup2(ends[1], 4)

    with (folder / "browser.log").open("wb") as log:
        process = subprocess.Popen(
            [PROGRAM, *_FLAGS, "--remote-debugging-pipe", f"--user-data-dir={folder / 'profile'}", "about:blank"],
            preexec_fn=place,
            close_fds=False,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    for fd in (child[0], parent[1], *ends):
        os.close(fd)
    try:
        yield Browser(process, child[1], parent[0])
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(child[1])
        os.close(parent[0])
