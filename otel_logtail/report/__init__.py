"""Show the answers of ``query`` as a report: text, a page with plots, and SLOs."""
