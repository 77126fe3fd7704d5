"""The command ``otel-logtail``, also as ``python -m otel_logtail``."""

import signal


def main() -> None:
    """Run the command line; until it is imported, an interrupt ends the process without a traceback."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from otel_logtail.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
