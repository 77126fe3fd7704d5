"""Upstreams, one a file, found through the entry point group ``otel_logtail.observers``."""
