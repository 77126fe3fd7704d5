"""Log files as one source of chunks: whole lines, each chunk with the checkpoint behind it."""
