"""What is measured: speed, memory, and the logs to measure with."""
