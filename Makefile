# `make demo` and `make test` need Python 3.10 or newer, make and the package index; nothing else.
PYTHON ?= python3
VENV ?= .venv
# Versions of tools and libraries in .venv, written by `make lock`. Pass CONSTRAINTS= for the newest ones.
CONSTRAINTS ?= constraints.txt
NEWEST := build/newest
LOWEST := build/lowest
UV := build/lock/bin/uv
DOCS := build/docs
WHEEL := build/wheel
# Tests of reading, storing, delivery and queries that take a minute together.
CORE := tests/unit/words tests/unit/observers tests/unit/engine/test_intervals.py tests/unit/engine/test_scan.py \
	tests/unit/store/test_writer.py tests/unit/tail/test_live.py tests/unit/query tests/integration/test_main_job.py \
	$(addprefix tests/unit/exporters/test_,otlp_encode.py otlp_http.py otlp_grpc.py prometheus.py hex.py)
KILLS ?= 1000
# The tests start Python thousands of times: each start would compile the program again.
unexport PYTHONDONTWRITEBYTECODE
# Tests at the same time: most of them wait for a process.
WORKERS ?= 6
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
UPSTREAMS := $(VENV)/.upstreams

.PHONY: help demo stack test core check contract bench format dashboards pictures collector prometheus torture fuzz dist wheel site lock newest lowest clean

help:  ## Show this
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /	/'

$(INSTALLED): pyproject.toml $(CONSTRAINTS) setup.py otel_logtail/engine/_hot.c otel_logtail/observers/headroom/_bulk.c
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo 'otel-logtail needs Python 3.10 or newer; name one with: make PYTHON=python3.12' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(if $(CONSTRAINTS),PIP_CONSTRAINT=$(CONSTRAINTS) PIP_BUILD_CONSTRAINT=$(CONSTRAINTS)) $(BIN)/python -m pip install --quiet \
		--disable-pip-version-check --config-settings editable_mode=compat --editable '.[dev]'
	@touch $@

demo: $(INSTALLED)  ## Follow a real log as it grows and print the result (half a minute)
	@$(BIN)/otel-logtail demo

stack: $(INSTALLED)  ## Run a collector, Prometheus and dashboards without Docker on a growing log, until Ctrl-C
	@$(BIN)/python -m tools.stack

# Proxies that observers are tested against. Without them their tests are skipped, which CI does not allow.
$(UPSTREAMS): $(INSTALLED) tests/upstreams.txt
	@$(if $(CONSTRAINTS),PIP_CONSTRAINT=$(CONSTRAINTS)) $(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--requirement tests/upstreams.txt || \
		echo 'cannot install the proxies of tests/upstreams.txt: their tests are skipped' >&2
	@touch $@

test: $(UPSTREAMS)  ## Run all tests (with a real collector where there is one: see `make collector`)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(ARGS)

core: $(INSTALLED)  ## Run the tests of reading, storing, delivery and queries (a minute)
	$(BIN)/python -m pytest -q $(CORE)

check: $(INSTALLED)  ## Lint, formatting, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/docs/test_layers.py

contract: $(INSTALLED)  ## Hold the observer headroom to the newest release of headroom-ai
	@$(BIN)/python -m tools.contract

bench: $(INSTALLED)  ## Run the benchmarks and compare each figure with its limit (some minutes; ARGS=--full for the long ones, ARGS=--quick for three minutes)
	@$(BIN)/python -m benchmarks $(ARGS)

format: $(INSTALLED)  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

dashboards: $(INSTALLED)  ## Generate Grafana's dashboards from tools/dashboards.py
	@$(BIN)/python -m tools.dashboards

pictures: $(INSTALLED)  ## Draw the pictures of the README again (needs Chromium)
	@$(BIN)/python -m tests.support.pictures

collector:  ## Find or build the collector that the tests use (a build needs Go 1.25 and takes some minutes)
	@scripts/collector

prometheus:  ## Find or build the Prometheus that the tests use (a build needs Go 1.26 and takes some minutes)
	@scripts/prometheus

torture: $(INSTALLED)  ## Kill the daemon 1,000 times under rotation, then run 10,000 random histories (an hour)
	$(BIN)/python -m tests.torture --kills $(KILLS)
	$(BIN)/python -m tests.torture.interleaved --seeds 3000
	TORTURE_EXAMPLES=10000 $(BIN)/python -m pytest -q tests/model tests/unit/store/test_outbox.py tests/unit/store/test_maintenance.py

# atheris finds inputs by coverage; clang builds the C functions with the sanitizers.
fuzz: $(INSTALLED)  ## Fuzz each parser for ten minutes, five hours in all (ARGS="--seconds 60 scan framing" for less)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --requirement tests/fuzz/requirements.txt
	@$(BIN)/python -m tests.fuzz $(ARGS)

dist: $(INSTALLED)  ## Build the wheel and the source distribution into dist/
	rm -rf dist
	$(BIN)/python -m build --outdir dist

# The wheel is tried alone first. The tests then run from the source distribution without the package's folder, so that they
# import the installed wheel; pytest and the other tools are those of .venv.
wheel: dist  ## Check the wheel and the source distribution, and run the core tests with the installed wheel (on Linux)
	rm -rf $(WHEEL)
	tools=$$(scripts/packaging) && $$tools twine check --strict dist/* && \
		$$tools auditwheel repair --wheel-dir $(WHEEL) dist/*.whl && $$tools abi3audit --strict $(WHEEL)/*.whl
	$(BIN)/python -m venv $(WHEEL)/venv
	$(WHEEL)/venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS) $(WHEEL)/*.whl
	$(WHEEL)/venv/bin/otel-logtail --observer headroom --path tests/captures/0.42.0-stall.log --once --db $(WHEEL)/store.db
	$(WHEEL)/venv/bin/otel-logtail query summary --format json --db $(WHEEL)/store.db | grep -q '"count":111,'
	$$(scripts/packaging) cyclonedx_py environment $(WHEEL)/venv/bin/python --of JSON -o $(WHEEL)/otel-logtail.cdx.json
	mkdir $(WHEEL)/sdist
	tar --extract --file dist/*.tar.gz --directory $(WHEEL)/sdist --strip-components 1
	rm -r $(WHEEL)/sdist/otel_logtail
	purelib='import sysconfig; print(sysconfig.get_path("purelib"))'; \
		$(BIN)/python -c "$$purelib" > "$$($(WHEEL)/venv/bin/python -c "$$purelib")/tools.pth"
	cd $(WHEEL)/sdist && ../venv/bin/python -m pytest -q -n $(WORKERS) --dist loadgroup $(CORE)

# The extra `docs` without the project itself, which the site does not need.
$(DOCS)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt mkdocs-material
	@touch $@

site: $(DOCS)/.installed  ## Build the documentation site into build/site, and check that its pages request nothing from another host
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict --quiet
	$(DOCS)/bin/python -m tools.site

$(UV):
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --disable-pip-version-check uv

lock: $(UV)  ## Update constraints.txt to the newest versions that pyproject.toml allows
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.10 --extra dev --extra docs --extra packaging \
		--custom-compile-command 'make lock' --no-annotate --output-file constraints.txt \
		pyproject.toml tests/upstreams.txt

newest:  ## Run the checks and the core tests with the newest versions instead of the locked ones
	rm -rf $(NEWEST)
	$(MAKE) check VENV=$(NEWEST) CONSTRAINTS=
	$(NEWEST)/bin/python -m pytest -q -n $(WORKERS) --dist loadgroup $(CORE)

lowest: $(UV)  ## Run the core tests with the lowest versions that pyproject.toml declares
	rm -rf $(LOWEST)
	$(UV) pip compile --quiet --resolution lowest-direct --python $(PYTHON) --extra dev --no-annotate \
		--output-file $(LOWEST).txt pyproject.toml
	$(MAKE) core VENV=$(LOWEST) CONSTRAINTS=$(LOWEST).txt

clean:  ## Remove the virtual environment, builds and caches
	rm -rf $(VENV) dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis
