"""``otel-logtail watch``: the newest figures, about once a second."""

from __future__ import annotations

import os
import sys

import typer

from otel_logtail.cli.options import Db, Slos, Source, store_at


def watch(db: Db = None, source: Source = None, slo: Slos = None) -> None:
    """Show latency, episodes and exporters live.

    Keys: q quit, p pause, + - zoom, e episodes, ? help. If the output is not a terminal, one line a second is printed.

    Example: otel-logtail watch --slo 'stalls<3/day'
    """
    from otel_logtail.cli.streams import encodable
    from otel_logtail.cli.watch.feed import Feed
    from otel_logtail.cli.watch.screen import line
    from otel_logtail.cli.watch.terminal import Terminal, follow_lines, keys_of
    from otel_logtail.report.slo import parse_slo

    feed = Feed(store_at(db), source, [parse_slo(text) for text in slo or ()])
    if sys.stdout.isatty() and os.environ.get("TERM") not in (None, "", "dumb"):
        raise typer.Exit(Terminal(feed, sys.stdout, keys_of()).run())
    follow_lines(feed, lambda moment: print(encodable(line(moment), sys.stdout), flush=True))
