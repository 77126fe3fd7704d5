"""Fakes, and the contract that every exporter keeps, for our tests and those of plug-in authors.

Nothing here imports a test framework; ``ExporterContract`` is a base class for pytest (see its docstring).
"""

from __future__ import annotations

from otel_logtail.testing.contract import ExporterContract as ExporterContract
from otel_logtail.testing.fakes import Answer as Answer
from otel_logtail.testing.fakes import FakeExporter as FakeExporter
from otel_logtail.testing.fakes import FakeObserver as FakeObserver
from otel_logtail.testing.fakes import fake_line as fake_line
from otel_logtail.testing.receiver import RETRY_AFTER_S as RETRY_AFTER_S
from otel_logtail.testing.receiver import Fault as Fault
from otel_logtail.testing.receiver import Receiver as Receiver
from otel_logtail.testing.receiver import Told as Told
