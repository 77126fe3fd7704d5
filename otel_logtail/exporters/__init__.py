"""Destinations, one package each, found through the entry point group ``otel_logtail.exporters``."""
