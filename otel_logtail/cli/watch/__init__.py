"""``otel-logtail watch``: the newest figures of a store on a terminal."""
