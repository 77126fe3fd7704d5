"""Build the optional C helpers, which pyproject.toml cannot declare. Without a C compiler they are left out."""

from setuptools import Extension, setup

FLAGS = ["-O2", "-ffp-contract=off"]  # a fused multiply-add could put a duration into a different bucket than Python

setup(
    ext_modules=[
        Extension("otel_logtail.engine._hot", ["otel_logtail/engine/_hot.c"], extra_compile_args=FLAGS, optional=True),
        Extension(
            "otel_logtail.observers.headroom._bulk",
            ["otel_logtail/observers/headroom/_bulk.c"],
            extra_compile_args=FLAGS,
            optional=True,
        ),
    ]
)
