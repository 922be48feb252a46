# The commands need only Python 3.12 or newer and make.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && echo $$python && break; done)
HOST ?= 127.0.0.1
PORT ?= 8000
BIN := .venv/bin
MANAGE := $(BIN)/python manage.py
PYTEST = $(BIN)/pytest $(PYTEST_OPTIONS)
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.12 \
	--no-emit-index-url --no-emit-find-links --no-annotate pyproject.toml

.PHONY: dev serve test test-faults test-redis test-plans test-browser test-openapi test-cluster test-django bench scale screenshots check lock audit
.DEFAULT_GOAL := dev
# After a failed command, make deletes its target: a half-written file would look finished.
.DELETE_ON_ERROR:

dev: .venv/installed .env  ## serve the site and the API on http://127.0.0.1:8000, with a database and demo content
	@$(MANAGE) migrate --verbosity 0
	@$(MANAGE) demo_data --if-empty
	@printf '\n  Site     http://$(HOST):$(PORT)/\n  API      http://$(HOST):$(PORT)/api/articles\n  Try it   http://$(HOST):$(PORT)/api/docs\n  Admin    http://$(HOST):$(PORT)/admin/\n  Health   http://$(HOST):$(PORT)/health\n\n'
	@exec env DJANGO_RUNSERVER_HIDE_WARNING=true $(MANAGE) runserver $(HOST):$(PORT)

serve: .venv/installed .env  ## run the production server; HOST and PORT say where
	@exec $(MANAGE) serve --host $(HOST) --port $(PORT)

# Two workers, each with its own test database. All tests of a file run on one worker, because they
# share PostgreSQL servers that take seconds to start. Without the reordering by number of tests, the
# slow files are not the last: at the end, both workers run the many short files of tests/website.
test: .venv/installed  ## run all tests that need nothing beyond the lock file
	$(PYTEST) -m "not faults and not browser and not redis and not plans and not openapi and not cluster" -n 2 --dist loadfile --no-loadscope-reorder

test-faults: .venv/installed  ## stop, freeze, kill and cut off PostgreSQL under load
	$(PYTEST) -m faults -n 2 --dist loadfile --no-loadscope-reorder

test-redis: .venv/installed  ## test the counters that machines share; needs redis-server
	$(PYTEST) -m redis

test-plans: .venv/installed  ## plan every query on sites of up to a million articles
	$(PYTEST) -m plans

test-browser: .venv/installed  ## use the site, the admin and the API's pages in a real browser; needs chromium
	$(PYTEST) -m browser -n 2 --dist loadfile

test-openapi: .venv/installed  ## send generated requests to a server; compile a client; needs npm
	$(PYTEST) -m openapi

test-cluster: .venv/installed  ## lose, freeze and delay PostgreSQL nodes and API machines under load; needs Patroni, etcd and haproxy
	$(PYTEST) -m cluster

test-django: .venv/installed  ## run Django's own tests with this backend; downloads Django's source once
	$(BIN)/python -m tests.django_suite

bench: .venv/installed  ## compare the cost of requests and connections with others; QUICK=1 takes 4 minutes
	@$(BIN)/python -m tests.benchmarks.speed $(if $(QUICK),--quick)
	@$(BIN)/python -m tests.benchmarks.pooling $(if $(QUICK),--quick)

scale: .venv/installed  ## compute the tables of docs/scale.md; MEASURE=1 measures their figures first
	@$(BIN)/python -m tests.benchmarks.scale $(if $(MEASURE),--measure) $(if $(VALIDATE),--validate)

screenshots: .venv/installed  ## make the pictures in docs/screenshots/ anew; needs chromium
	@$(BIN)/python -m tests.screenshots

check: .venv/installed  ## check format, lint, types, import contracts, missing migrations
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .
	$(BIN)/lint-imports --no-cache
	DJANGO_SETTINGS_MODULE=tests.settings $(MANAGE) makemigrations --check --dry-run

lock: .venv/installed  ## write the newest versions that pyproject.toml allows into both lock files
	$(COMPILE) --upgrade --output-file requirements.lock
	$(COMPILE) --upgrade --output-file requirements-dev.lock --group dev --constraint requirements.lock

# --strict: otherwise packages that PyPI does not know, or cannot be asked for, count as good.
audit: .venv/installed  ## list known vulnerabilities of the packages that production installs
	@$(BIN)/uv tool run pip-audit --strict --disable-pip --require-hashes --requirement requirements.lock || \
		{ echo "Either a package has a known vulnerability, or its data could not be read: see above."; exit 1; }

.venv/installed: requirements-dev.lock
	@test -n "$(PYTHON)" || { echo "Python 3.12 or newer was not found. Name it: make PYTHON=/path/to/python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.lock
	@touch $@

.env:
	@umask 077; $(or $(PYTHON),python3) -c 'import re, secrets; secret = lambda name: f"{name}={secrets.token_urlsafe(48)}"; \
		print(re.sub("(?m)^SECRET_KEY=.*", secret("SECRET_KEY"), open(".env.example").read())); \
		print("# Passwords of database roles, for docker-compose.yml. The last three: for docker-compose.cluster.yml."); \
		print(*map(secret, ("POSTGRES_PASSWORD", "CONDUIT_OWNER_PASSWORD", "CONDUIT_PASSWORD", \
			"PATRONI_REPLICATION_PASSWORD", "PATRONI_REWIND_PASSWORD", "PATRONI_RESTAPI_PASSWORD")), sep="\n")' > $@
