"""`otel-logtail observers`: list, show and write observers."""
