"""Values of options that an exporter declares as secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_logtail.daemon import settings as settings_module
from otel_logtail.daemon.settings import Settings
from otel_logtail.exporter import Exporter, ExporterContext, ExporterPlugin
from otel_logtail.option import Option, Text
from otel_logtail.redact import Redactor
from otel_logtail.testing import FakeExporter


def make(context: ExporterContext) -> Exporter:
    return FakeExporter()


FAKE = ExporterPlugin(
    summary="A fake.",
    make=make,
    options=(Option("fake_key", Text(), "Key.", secret=True), Option("fake_url", Text(), "URL.")),
)


def test_a_secret_value_is_left_out_of_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings_module, "exporters", lambda: {"fake": FAKE})
    given = {"fake": {"fake_key": "correct-horse", "fake_url": "http://h:1"}}
    settings = Settings(db=Path("s.db"), sources=(), exporters=("fake",), exporter_options=given)
    assert settings.secrets() == ("correct-horse",)
    assert Redactor(settings.secrets())("fake: correct-horse is refused by http://h:1") == (
        "fake: … is refused by http://h:1"
    )
