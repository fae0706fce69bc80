# Every command there is. CI and pre-commit call these same targets.

VENV ?= .venv
PYTHON ?=
DEMO_SECONDS ?= 60
E2E ?= e2e
JOBS ?= auto
SEEDS ?= 1 2 3
EVENTS ?= 100000
RATE ?= 500
VISITORS ?= 0
MINUTES ?= 10
FUZZ_RUNS ?= 1000000
AUDIT_SERVICE ?= pypi
TRIALS ?= 30

# `python -m` rather than the console scripts: works in a path with spaces.
BIN := $(VENV)/bin
RUN := "$(BIN)/python" -m
# uv installs five times as fast; pip is the fallback, for it may know a mirror
# that uv has not been told of.
PIP := $(RUN) pip --quiet --disable-pip-version-check
STAMP := $(VENV)/.installed
UV_COMPILE := $(RUN) uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-annotate --no-header

# A file's tests stay together, for they share what it starts.
PARALLEL := -n $(JOBS) --dist loadfile

# What `make test` must reach; raise them, never lower them. The core is on its way to
# 100. Roles that tests run as processes of their own are not counted in streams.
COVERAGE_CORE := 96
COVERAGE_STREAMS := 70

.DEFAULT_GOAL := help
.PHONY: help setup assets check test native test-native it deploy-tools deploy-check laws fuzz chaos chaos-long chaos-planted downtime mutation e2e clients demo up format docs lock clean audit

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile
	@echo "  Variables: PYTHON=python3.12  VENV=.venv  DEMO_SECONDS=60  E2E=clients  JOBS=2"

setup: $(STAMP) assets ## Make the virtual environment from the locked requirements

assets: ## Fonts and scripts of the web app, from npm's packages (cheap when there)
	@sh deploy/web/assets.sh "$(BIN)"

$(STAMP): requirements/bootstrap.txt requirements/dev.txt pyproject.toml
	@python="$$(sh deploy/find-python.sh "$(PYTHON)")" \
	&& echo "Setting up $(VENV) with $$("$$python" --version)" \
	&& "$$python" -m venv "$(VENV)" \
	&& $(PIP) install --require-hashes -r requirements/bootstrap.txt \
	&& { $(RUN) uv pip install --quiet --compile-bytecode --python "$(BIN)/python" \
			--require-hashes -r requirements/dev.txt \
		|| $(PIP) install --require-hashes -r requirements/dev.txt; } \
	&& $(PIP) install --no-index --no-deps --no-build-isolation --editable . \
	&& touch "$(STAMP)"

check: setup ## Format, lint, types, import law, generated docs, compose file
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy
	"$(BIN)/lint-imports"
	"$(BIN)/leadpulse" schema export --check
	"$(BIN)/leadpulse" schema metrics --check
	"$(BIN)/leadpulse" schema settings --check
	"$(BIN)/python" deploy/grafana/pages.py --check
	"$(BIN)/python" deploy/kubernetes/rules.py --check
	@if command -v docker-compose >/dev/null; \
	then docker-compose --file docker-compose.yml config --quiet; \
	else echo "docker-compose is not installed: docker-compose.yml not checked"; fi

test: setup ## The quick suite with coverage: no network, no Java
	$(RUN) pytest -m "not integration and not e2e" --cov --cov-report= --durations=15 $(PARALLEL)
	$(RUN) coverage report --include="schemas/*,scorers/*" \
		--fail-under=$(COVERAGE_CORE)
	$(RUN) coverage report --include="streams/*" --fail-under=$(COVERAGE_STREAMS)

it: setup laws deploy-tools ## The laws at length, Apache Kafka (Java 17 and Maven), Prometheus, manifests
	$(RUN) pytest -m integration $(IT)

# What the image's recipe and the manifests are held against; skipped without.
deploy-tools: setup
	@$(RUN) uv pip install --quiet --python "$(BIN)/python" \
			--require-hashes -r requirements/deploy.txt \
		|| $(PIP) install --require-hashes -r requirements/deploy.txt \
		|| echo "the tools of requirements/deploy.txt cannot be had: image and manifests are checked less" >&2

deploy-check: setup deploy-tools ## Image, compose file, manifests, rules, dashboards alone
	$(RUN) pytest -q tests/test_deploy.py tests/test_kubernetes.py \
		tests/test_observability.py tests/integration/test_deploy_tools.py

laws: setup ## The laws of scoring, fuzz of sources, 1,000 new examples each; 10,000 lives by the oracle
	HYPOTHESIS_PROFILE=$${HYPOTHESIS_PROFILE:-thorough} $(RUN) pytest -m hypothesis \
		-n $(JOBS) tests/scorers tests/streams/mapping tests/streams/sources \
		tests/streams/collector/test_adapters_hold.py \
		tests/streams/collector/test_openapi.py

chaos: setup ## Faults by chance under load on Apache Kafka, then the count (SEEDS="1 2 3" EVENTS=100000)
	$(RUN) tests.chaos.run --seeds $(SEEDS) --events $(EVENTS) --rate $(RATE)

chaos-long: setup ## Many faults at once, for hours; a signal ends it with the count (SEEDS MINUTES=10 RATE VISITORS=0)
	$(RUN) tests.chaos.run --seeds $(SEEDS) --dense $(MINUTES) --rate $(RATE) \
		--visitors $(VISITORS) --results tests/chaos/results.jsonl

chaos-planted: setup ## The same on workers with a bug on purpose: each must be found
	! $(RUN) tests.chaos.run --plant no-positions --only kill kill_and_leave kill storm
	! $(RUN) tests.chaos.run --plant commit-before-flush --only kill kill_and_leave kill
	! $(RUN) tests.chaos.run --plant no-fencing --only zombie kill_and_leave zombie storm

downtime: setup ## Time without service after kills, with snapshots, a standby, neither (TRIALS=30)
	$(RUN) tests.chaos.downtime --trials $(TRIALS)

fuzz: setup ## A million requests against every adapter, guided by coverage
	$(RUN) uv pip install --quiet --python "$(BIN)/python" --group fuzz
	"$(BIN)/python" -m bench.fuzz_adapters \
		-runs=$(FUZZ_RUNS) -max_len=4096

audit: setup ## Known holes in what is installed (asks PyPI; AUDIT_SERVICE=osv: OSV), and the SBOM
	$(RUN) uv pip install --quiet --python "$(BIN)/python" --group audit
	mkdir -p build
	"$(BIN)/cyclonedx-py" requirements requirements/runtime.txt \
		--pyproject pyproject.toml --output-reproducible \
		--output-file build/sbom.cdx.json
	@echo "build/sbom.cdx.json is what a release consists of"
	$(RUN) pip_audit --strict --disable-pip --require-hashes \
		--vulnerability-service $(AUDIT_SERVICE) \
		--progress-spinner off -r requirements/runtime.txt || { \
		echo "make audit: holes are named above; or $(AUDIT_SERVICE) could not be" \
			"asked, and nothing is known (docs/security.md)" >&2; exit 1; }

native: setup ## The core compiled into build/native (needs a C compiler; two minutes)
	"$(BIN)/python" deploy/native.py build/native

test-native: native ## The core's tests on what `make native` made
	cd build/native && "$(abspath $(BIN))/python" -m pytest -q $(PARALLEL) \
		tests/scorers tests/golden tests/streams/test_released.py \
		tests/streams/worker/test_scoring.py tests/streams/worker/test_tables.py

mutation: setup ## Break the core on purpose; list what no test notices
	"$(BIN)/python" bench/mutation.py --sample 400

e2e: setup clients ## The whole product from outside, with real clients and a browser (E2E=clients: only those)
	$(RUN) pytest -m "$(E2E)" tests/e2e

# What real clients need; without it their tests are skipped, and fail in CI.
clients: setup
	@$(RUN) uv pip install --quiet --python "$(BIN)/python" \
			--require-hashes -r requirements/browser.txt \
		|| $(PIP) install --require-hashes -r requirements/browser.txt
	@if command -v npm >/dev/null; \
	then [ tests/e2e/node_modules/.package-lock.json -nt tests/e2e/package-lock.json ] \
		|| npm ci --prefix tests/e2e --loglevel=error; \
	else echo "npm is not installed (Debian: nodejs npm): Node's clients are not tested" >&2; \
	fi
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null \
		|| echo "chromium is not installed (Debian: chromium): browsers are not tested" >&2


demo: setup ## Watch leads heat up for DEMO_SECONDS
	"$(BIN)/leadpulse" demo --seconds $(DEMO_SECONDS)

up: setup ## Run every role on this machine until Ctrl-C
	"$(BIN)/leadpulse" up

format: setup ## Let ruff format and mend what it can
	$(RUN) ruff format .
	$(RUN) ruff check --fix .

docs: setup ## Write what is generated anew: schemas, AsyncAPI, metrics, settings, dashboards, manifests
	"$(BIN)/leadpulse" schema export
	"$(BIN)/leadpulse" schema metrics
	"$(BIN)/leadpulse" schema settings
	"$(BIN)/python" deploy/grafana/pages.py
	"$(BIN)/python" deploy/kubernetes/rules.py
	{ echo '# Made by `LEADPULSE_REPLICATION_FACTOR=3 leadpulse topics strimzi`.'; \
		LEADPULSE_REPLICATION_FACTOR=3 "$(BIN)/leadpulse" topics strimzi; \
	} > deploy/kubernetes/components/topics/topics.yaml

lock: setup ## Resolve pyproject.toml into requirements/ with hashes
	$(UV_COMPILE) pyproject.toml --extra telemetry \
		--output-file requirements/runtime.txt
	$(UV_COMPILE) pyproject.toml --extra embedded --extra telemetry --extra learn --group dev \
		--constraint requirements/runtime.txt --output-file requirements/dev.txt
	$(UV_COMPILE) pyproject.toml --extra telemetry --extra hubspot --extra salesforce \
		--constraint requirements/runtime.txt --output-file requirements/crm.txt
	$(UV_COMPILE) --group native \
		--constraint requirements/dev.txt --output-file requirements/native.txt
	$(UV_COMPILE) --group browser \
		--constraint requirements/dev.txt --output-file requirements/browser.txt
	$(UV_COMPILE) --group deploy \
		--constraint requirements/dev.txt --output-file requirements/deploy.txt
	printf '%s\n' uv hatchling editables | $(UV_COMPILE) - \
		--constraint requirements/dev.txt \
		--output-file requirements/bootstrap.txt

clean: ## Remove the environment, caches and local state
	rm -rf "$(VENV)" build dist .leadpulse .coverage .mypy_cache .ruff_cache \
		.pytest_cache .hypothesis .import_linter_cache tests/e2e/node_modules \
		deploy/web/node_modules streams/web/static/vendor
