"""``python -m otel_logtail`` is the command ``otel-logtail``."""

from otel_logtail.cli.main import main

if __name__ == "__main__":
    main()
