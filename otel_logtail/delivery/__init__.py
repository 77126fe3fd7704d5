"""One thread for each destination."""
