"""Programs that start otel-logtail with a fault."""

from __future__ import annotations

DEADLY = """
import ctypes, signal, threading, time
from otel_logtail.cli.main import main

def end_the_watcher(number, frame):
    for thread in threading.enumerate():
        if type(thread).__module__.startswith("watchdog.") and hasattr(thread, "emitters"):
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))

signal.signal(signal.SIGUSR1, end_the_watcher)
main()
"""
"""The program itself, but that SIGUSR1 ends its watching thread."""
