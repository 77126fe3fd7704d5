"""Only what pyproject.toml can't say yet: the compiled helpers, which are left out where there is no C compiler."""

from setuptools import Extension, setup

FLAGS = ["-O2", "-ffp-contract=off"]  # a fused multiply-add would put a duration into another bucket than Python does

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
