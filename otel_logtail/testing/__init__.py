"""Fakes, and the contracts that every observer and every exporter keep, for our tests and those of plug-in authors.

Nothing here imports a test framework; ``ObserverContract`` and ``ExporterContract`` are base classes for pytest (see
their docstrings).
"""

from __future__ import annotations

from otel_logtail.testing.exporter_contract import ExporterContract as ExporterContract
from otel_logtail.testing.fakes import Answer as Answer
from otel_logtail.testing.fakes import FakeExporter as FakeExporter
from otel_logtail.testing.fakes import FakeObserver as FakeObserver
from otel_logtail.testing.fakes import fake_line as fake_line
from otel_logtail.testing.fakes import fake_mark as fake_mark
from otel_logtail.testing.observer_contract import ObserverContract as ObserverContract
from otel_logtail.testing.observer_contract import hex_escaped as hex_escaped
from otel_logtail.testing.observer_contract import json_escaped as json_escaped
from otel_logtail.testing.receiver import RETRY_AFTER_S as RETRY_AFTER_S
from otel_logtail.testing.receiver import Fault as Fault
from otel_logtail.testing.receiver import Receiver as Receiver
from otel_logtail.testing.receiver import Told as Told
