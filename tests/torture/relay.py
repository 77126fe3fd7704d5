"""The network between the program and its collector: it can fail at any moment, also halfway through an answer."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Coroutine
from typing import TypeVar

_T = TypeVar("_T")


class Relay:
    """Carries connections to one port of this machine, in a thread of its own.

    ``loses``: how often, from 0 to 1, an answer is lost: its request has arrived, and the connection ends.
    """

    def __init__(self, port: int, seed: int) -> None:
        self.loses = 0.0
        self.lost = 0
        self.cut = False
        self._target = port
        self._chance = random.Random(seed)  # noqa: S311 - a schedule, no secret
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._carry, "127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def _do(self, work: Coroutine[None, None, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def set_cut(self, cut: bool) -> None:
        """Cut all connections in any state and accept no others, or accept them again."""
        self.cut = cut

        async def hang_up() -> None:
            for writer in self._open:
                writer.transport.abort()

        if cut:
            self._do(hang_up())

    def close(self) -> None:
        """End it."""
        self.set_cut(True)

        async def end() -> None:
            self._server.close()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

        self._do(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            if self.cut:
                return
            target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self._target)
            self._open.add(target_writer)
            try:
                await asyncio.gather(
                    self._pass(reader, target_writer, answers=False), self._pass(target_reader, writer, answers=True)
                )
            finally:
                self._open.discard(target_writer)
                target_writer.transport.abort()
        except OSError:
            pass  # the collector is down or the connection was closed, as intended
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        while data := await reader.read(65536):
            if answers and self._chance.random() < self.loses:
                self.lost += 1
                raise ConnectionAbortedError
            writer.write(data)
            await writer.drain()
        raise ConnectionAbortedError  # one side hung up
