"""One package for each supported program, found by the entry points ``otel_logtail.observers``."""
