"""From a chunk of a log to samples, episodes and interval counts. Pure: no clock, file, SQL or thread."""
