"""When to look: file system events as hints, with a slow timed look behind them.

An event only says that looking now may pay. None is needed for the tail to be right: watchdog may lose events (a full
queue, a symlink, a network file system, a directory that was replaced), and the timed look finds what they did not say.
"""

from __future__ import annotations

import inspect
import logging
import os
import threading
import warnings
from abc import abstractmethod
from collections.abc import Iterable
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import BaseObserver, ObservedWatch


class Waker(Protocol):
    """Waits until it may pay to look at the files."""

    @abstractmethod
    def watch(self, directories: Iterable[str]) -> None:
        """Wake for changes in these directories from now on (those that exist), and no longer for others.

        Raises:
            OSError: the system has no more watches to give, or the watching part has died; the timed look still works.
        """

    @abstractmethod
    def wait(self, timeout_s: float) -> frozenset[str] | None:
        """Wait for hints, at most so long: the paths that changed (none: the time is over); None: look at all."""

    @abstractmethod
    def wake(self) -> None:
        """Make the wait end now; may be called from a signal handler or another thread."""

    @abstractmethod
    def alive(self) -> bool:
        """Whether hints come by themselves; False where there are none, and once the watching part has died."""

    @abstractmethod
    def close(self) -> None:
        """Stop watching."""


class TimedWaker(Waker):
    """No events at all: only the timed look and ``wake``. For file systems without events, and when watching failed."""

    def __init__(self) -> None:
        # a token in the queue means: stop waiting. Not an Event: setting one in a signal handler can deadlock, putting
        # into a SimpleQueue is reentrant. One token is enough, however many hints there are.
        self._tokens: SimpleQueue[None] = SimpleQueue()
        self._pending = False
        self._changed: set[str] = set()

    def watch(self, directories: Iterable[str]) -> None:
        """Nothing to do."""

    def wait(self, timeout_s: float) -> frozenset[str] | None:
        try:
            self._tokens.get(timeout=timeout_s)
        except Empty:
            return frozenset()
        # in this order, so that a hint that comes in between is in this set or brings a token of its own
        self._pending = False
        changed, self._changed = self._changed, set()
        return frozenset(changed) or None

    def wake(self) -> None:
        if not self._pending:
            self._pending = True
            self._tokens.put(None)

    def hint(self, path: str) -> None:
        """Somebody has changed this path."""
        self._changed.add(path)
        self.wake()

    def alive(self) -> bool:
        return False

    def close(self) -> None:
        """Nothing to do."""


def _quieten_watchdog() -> None:
    """Keep to itself what watchdog says, whatever handlers and filters others have set up in this process.

    What it says of lost events and folders that went is true, and harmless: the timed look stands behind them. What
    matters to a user (that no events come any more) is said by our reporter.
    """
    for name in ("watchdog", "fsevents"):
        logger = logging.getLogger(name)
        logger.propagate = False
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
    warnings.filterwarnings("ignore", module=r"watchdog\.")


class WatchdogWaker(TimedWaker):
    """Hints from the operating system, through watchdog."""

    def __init__(self) -> None:
        super().__init__()
        from watchdog.events import FileDeletedEvent, FileModifiedEvent, FileSystemEventHandler
        from watchdog.observers import Observer
        from watchdog.utils import BaseThread

        waker = self

        class Handler(FileSystemEventHandler):
            def on_any_event(self, event: FileSystemEvent) -> None:
                waker.hint(os.fsdecode(event.src_path))

        # not created or moved ones: with these, a rename out of the directory holds every later event back for 0.5 s.
        # A new file is noticed by the first write to it.
        self._filter = [FileModifiedEvent, FileDeletedEvent]
        self._handler = Handler()
        self._watches: dict[str, tuple[ObservedWatch, tuple[int, int]]] = {}
        self._died = ""
        self._threads = BaseThread
        self._hook = threading.excepthook
        self._own_hook = self._on_error  # one object, to be known again in close()
        threading.excepthook = self._own_hook
        try:
            _quieten_watchdog()
            self._observer: BaseObserver = Observer()
            # watchdog 6, the last for Python 3.10, follows links as it is; 7 has to be asked to
            asked = "follow_symlink" in inspect.signature(self._observer.schedule).parameters
            self._links: dict[str, Any] = {"follow_symlink": True} if asked else {}
            self._observer.start()
        except BaseException:
            self._unhook()
            raise

    def _on_error(self, error: threading.ExceptHookArgs) -> None:
        """A thread has died. If it is one of watchdog's (it has several, and tells nobody), hints may come no more."""
        if not isinstance(error.thread, self._threads):
            self._hook(error)
            return
        self._died = f"{type(error.exc_value).__name__}: {error.exc_value}"
        self.wake()

    def _unhook(self) -> None:
        if threading.excepthook is self._own_hook:
            threading.excepthook = self._hook

    def watch(self, directories: Iterable[str]) -> None:
        if not self.alive():
            raise OSError(self._died or "the watching thread has ended")
        wanted: dict[str, tuple[int, int]] = {}
        for directory in directories:
            try:
                stat = os.stat(directory)
            except OSError:
                continue  # not there (yet): the timed look finds it when it comes
            wanted[directory] = (stat.st_dev, stat.st_ino)
        living = {emitter.watch for emitter in self._observer.emitters if emitter.is_alive()}
        for directory, (watch, identity) in list(self._watches.items()):
            # the watch of a directory that was deleted is dead, even if one with the same inode was made again; and it
            # goes on silently when the directory was renamed
            if wanted.get(directory) != identity or watch not in living:
                del self._watches[directory]
                try:
                    self._observer.unschedule(watch)
                except (KeyError, OSError):
                    pass  # its emitter has ended by itself
        for directory, identity in wanted.items():
            if directory not in self._watches:
                watch = self._observer.schedule(
                    self._handler, directory, recursive=False, event_filter=self._filter, **self._links
                )
                self._watches[directory] = (watch, identity)

    def alive(self) -> bool:
        return not self._died and self._observer.is_alive()

    def close(self) -> None:
        self._observer.stop()
        self._observer.join(timeout=2)
        self._unhook()
