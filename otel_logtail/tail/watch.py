"""Decides when to scan: at file system events, and periodically, since events may be missed.

Correctness does not depend on events. Watchdog may lose them (a full queue, a symbolic link, a network file system, a
directory that was replaced).
"""

from __future__ import annotations

import inspect
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

_ALL = ""
"""Stands for all paths among the changed ones: a full scan is due, also if events have arrived before."""


class Watcher(Protocol):
    """Waits until a scan may find something."""

    @abstractmethod
    def watch(self, directories: Iterable[str]) -> None:
        """Watch these directories from now on (those that exist), and no others.

        Raises:
            OSError: There are no watches left, or the watching thread has died; the periodic scan still works.
        """

    @abstractmethod
    def wait(self, timeout_s: float) -> frozenset[str] | None:
        """Wait for changes and return the changed paths: none after the timeout, None to scan all paths."""

    @abstractmethod
    def wake(self) -> None:
        """End the wait now; may be called from a signal handler or another thread."""

    @abstractmethod
    def alive(self) -> bool:
        """Return whether events arrive; False if there are none, and after the watching thread has died."""

    @abstractmethod
    def close(self) -> None:
        """Stop watching."""


class TimedWatcher(Watcher):
    """No events: only the periodic scan and ``wake``. For file systems without events, and if watching has failed."""

    def __init__(self) -> None:
        # A token in the queue ends the wait. This is not a threading.Event: setting one in a signal handler can
        # deadlock, while SimpleQueue.put is reentrant. One token is enough for any number of changes. The queue itself
        # shows whether there is one: a thread that dies halfway leaves no flag behind that prevents later tokens.
        self._tokens: SimpleQueue[None] = SimpleQueue()
        self._changed: set[str] = set()

    def watch(self, directories: Iterable[str]) -> None:
        """Nothing to do."""

    def wait(self, timeout_s: float) -> frozenset[str] | None:
        try:
            self._tokens.get(timeout=timeout_s)
        except Empty:
            return frozenset()
        # after the token, so that a change that arrives in between is in this set or has a token of its own
        changed, self._changed = self._changed, set()
        return frozenset(changed) if changed and _ALL not in changed else None

    def wake(self) -> None:
        self.hint(_ALL)

    def hint(self, path: str) -> None:
        """Note that this path has changed."""
        self._changed.add(path)
        if self._tokens.empty():
            self._tokens.put(None)

    def alive(self) -> bool:
        return False

    def close(self) -> None:
        """Nothing to do."""


def _quieten_watchdog() -> None:
    """Silence watchdog's log, for all handlers and filters of this process.

    Its messages about lost events and deleted directories are harmless because of the periodic scan. If no events
    arrive any more, our reporter logs that.
    """
    import logging  # most runs with --once need none

    for name in ("watchdog", "fsevents"):
        logger = logging.getLogger(name)
        logger.propagate = False
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
    warnings.filterwarnings("ignore", module=r"watchdog\.")


class WatchdogWatcher(TimedWatcher):
    """Events of the operating system, through watchdog."""

    def __init__(self) -> None:
        super().__init__()
        from watchdog.events import FileDeletedEvent, FileModifiedEvent, FileSystemEventHandler
        from watchdog.observers import Observer
        from watchdog.utils import BaseThread

        watcher = self

        class Handler(FileSystemEventHandler):
            def on_any_event(self, event: FileSystemEvent) -> None:
                watcher.hint(os.fsdecode(event.src_path))

        # Not created or moved events: with them, a rename out of the directory delays every later event by 0.5 s.
        # The first write to a new file is an event.
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
            # watchdog 6, the last for Python 3.10, follows links by default; 7 has an argument for it
            asked = "follow_symlink" in inspect.signature(self._observer.schedule).parameters
            self._links: dict[str, Any] = {"follow_symlink": True} if asked else {}
            self._observer.start()
        except BaseException:
            self._unhook()
            raise

    def _on_error(self, error: threading.ExceptHookArgs) -> None:
        """Note that a thread has died. If it was one of watchdog's, events may not arrive any more."""
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
                continue  # it does not exist (yet): a periodic scan finds it later
            wanted[directory] = (stat.st_dev, stat.st_ino)
        living = {emitter.watch for emitter in self._observer.emitters if emitter.is_alive()}
        for directory, (watch, identity) in list(self._watches.items()):
            # the watch of a deleted directory is dead, even if a new one has the same inode; the watch of a renamed
            # directory continues silently
            if wanted.get(directory) != identity or watch not in living:
                del self._watches[directory]
                try:
                    self._observer.unschedule(watch)
                except (KeyError, OSError):
                    pass  # its emitter has stopped by itself
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
