"""The command ``otel-logtail``, also as ``python -m otel_logtail``."""

import gc
import signal


def main() -> None:
    """Run the command line; until it is imported, an interrupt ends the process without a traceback.

    Imported modules live until the process exits: neither the imports nor the exit search them for garbage.
    """
    gc.set_threshold(50_000)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from otel_logtail.cli.main import main as run

    try:
        run()
    finally:
        gc.freeze()


if __name__ == "__main__":
    main()
