"""``python -m otel_logtail`` is ``otel-logtail``."""

from otel_logtail.cli import main

main()
