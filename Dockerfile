# docker build -t otel-logtail .
# docker run --read-only -v ~/.headroom/logs:/logs:ro -v logtail:/var/lib/otel-logtail --user "$(id -u):0" otel-logtail \
#     --observer headroom --path '/logs/proxy*.log' --otlp-endpoint http://collector:4318
#
# The process runs as user 10001 and group 0, which owns the store's directory. If only the log's owner can read the log, pass
# --user with that owner's id and group 0. Only the store's directory is written to.

FROM python:3.13.9-bookworm AS build
WORKDIR /src
COPY pyproject.toml constraints.txt setup.py MANIFEST.in README.md CHANGELOG.md LICENSE ./
COPY otel_logtail ./otel_logtail
RUN PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
    python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .
RUN python -m venv --without-pip /opt/otel-logtail
RUN wheel=$(echo /wheels/otel_logtail-*.whl) \
    && python -m pip --python /opt/otel-logtail/bin/python install \
        --no-cache-dir --constraint constraints.txt "$wheel[hex,prometheus]"
# the packages of the image, as CycloneDX: the tool stays in this stage
RUN python -m venv --without-pip /sbom \
    && python -m pip --python /sbom/bin/python install \
        --no-cache-dir --no-compile --constraint constraints.txt cyclonedx-bom \
    && /sbom/bin/python -m cyclonedx_py environment /opt/otel-logtail/bin/python --of JSON -o /opt/otel-logtail/sbom.cdx.json

FROM python:3.13.9-slim-bookworm
LABEL org.opencontainers.image.title=otel-logtail \
    org.opencontainers.image.description="Measures the latency of a program you can't instrument, from the log it already writes" \
    org.opencontainers.image.version=0.1.0 \
    org.opencontainers.image.licenses=Apache-2.0 \
    org.opencontainers.image.source=https://github.com/otel-logtail/otel-logtail
RUN install -d -m 2770 -o 10001 -g 0 /var/lib/otel-logtail
COPY --from=build /opt/otel-logtail /opt/otel-logtail
ENV PATH=/opt/otel-logtail/bin:$PATH \
    OTEL_LOGTAIL_DB=/var/lib/otel-logtail/otel-logtail.db \
    OTEL_LOGTAIL_HEALTH_PORT=13143
USER 10001:0
WORKDIR /
VOLUME /var/lib/otel-logtail
# Check that the daemon's main loop turns. bash is an essential package of Debian and opens the connection itself: the image has
# no curl, and a Python process would use more CPU than an idle daemon in a minute. Commands and --once have no health port.
# If the daemon listens on all addresses, the check uses that of loopback. The port is not 13133, which a collector has: with
# --network host both are on the same addresses.
HEALTHCHECK --interval=30s --timeout=5s --start-period=1m \
    CMD ["bash", "-c", "h=${OTEL_LOGTAIL_HEALTH_HOST:-127.0.0.1}; case $h in 0.0.0.0) h=127.0.0.1;; ::) h=::1;; esac; exec 3<>/dev/tcp/$h/$OTEL_LOGTAIL_HEALTH_PORT && printf 'GET /livez HTTP/1.0\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [ \"$status\" = 200 ]"]
ENTRYPOINT ["otel-logtail"]
CMD ["--help"]
