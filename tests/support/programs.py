"""Programs that start otel-logtail with a fault."""

from __future__ import annotations

DEADLY = """
import signal, threading
from otel_logtail.cli.main import main

def die(queue):
    raise SystemExit

def end_the_watcher(number, frame):
    for thread in threading.enumerate():
        if type(thread).__module__.startswith("watchdog.") and hasattr(thread, "emitters"):
            thread.dispatch_events = die

signal.signal(signal.SIGUSR1, end_the_watcher)
main()
"""
"""The program itself, but its watching thread dies behind the first file system event after SIGUSR1."""
