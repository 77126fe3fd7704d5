"""Benchmarks of speed, latency and memory, and the logs that they use."""
