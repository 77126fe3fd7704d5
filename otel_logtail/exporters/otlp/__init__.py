"""OTLP over HTTP or gRPC."""
