"""A plug-in for otel-logtail: the log of the web server acme, and stalls in a CSV file."""
