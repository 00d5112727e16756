# The words of this project, the same here and in CI. `make` alone lists them.
# Needs Python 3.11 or newer, make and the package registries; everything else is set up on the way.

.DEFAULT_GOAL := help
SHELL := /bin/sh

setup := sh scripts/setup.sh
python := .venv/bin/python
# How soon Record can be pressed says nothing beside other work on the same cores.
measured_alone := e2e/test_start_time.py
# Where set-up puts node and npm on a machine that has none.
export PATH := $(CURDIR)/.build/node/bin:$(PATH)

.PHONY: help run dev test build check planted-bugs bench bench-growth bench-tusd bench-audit bench-media bench-page pictures kill-matrix stack-kills load load-purge soak migrate db-shell lock clean

help: ## List these words
	@echo 'Holdfast: a browser recorder that does not lose anything.'
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | while IFS='|' read -r word meaning; \
		do printf '%-16s %s\n' "$$word" "$$meaning"; done

run: ## Set up, build the page, start everything and serve it at http://localhost:3000
	@$(setup) run page
	@exec .venv/bin/holdfast serve

dev: ## The same, started again whenever a source file changes
	@$(setup) run page
	@exec $(python) -m scripts.serve_and_reload

test: ## Check and run every test, those in a real browser included (ARGS='-k word' for some)
	@$(setup) test page browser
	@$(python) -m scripts.check
	@$(if $(ARGS),,$(python) -m pytest --quiet $(measured_alone))
	@$(python) -m pytest $(or $(ARGS),-n 3 --dist loadfile --no-loadscope-reorder --ignore=$(measured_alone))

build: ## Build the page into web/dist
	@$(setup) run page

check: ## Format, lint, strict types, SQL lint, JavaScript syntax
	@$(setup) test node
	@$(python) -m scripts.check

planted-bugs: ## Plant twelve bugs that lose data, one at a time, and show which test catches each
	@$(setup) test
	@$(python) -m tests.planted.plant

bench: ## A backlog in the client; small benchmarks beside the bare bucket; bench-audit at a twentieth of its size
	@$(setup) test page
	@$(python) -m loadtest.client_backlog
	@$(python) -m loadtest.bench
	@AUDIT_PACKED=$(or $(AUDIT_PACKED),50000) AUDIT_OWN=$(or $(AUDIT_OWN),10000) $(python) -m loadtest.bench_audit

bench-growth: ## Speed against the ledger's size and against connections; results, and their plots in docs/ (GROWTH_PART=)
	@$(setup) test
	@$(python) -m loadtest.growth

bench-tusd: ## The same small and large chunks through Holdfast and through tusd, on one bucket
	@sh scripts/build_tusd.sh
	@$(setup) test page
	@$(python) -m loadtest.beside_tusd

bench-audit: ## Audit, verify, scrub and rebuild over a million chunks: time, memory, growth; then a purge (AUDIT_PACKED=, AUDIT_OWN=, AUDIT_PARTS=)
	@$(setup) test
	@$(python) -m loadtest.bench_audit

bench-media: ## How long a finished file takes, in how much memory, and how soon its middle plays (KIND=video, MINUTES=)
	@$(setup) test
	@$(python) -m loadtest.media_bench

bench-page: ## First visits' start; what recording costs: memory over half an hour of video, the worker's processor share, slices' time to disk
	@$(setup) test page browser
	@$(python) -m pytest -q e2e/bench_page.py

pictures: ## Take every state of the pages in every look, and from them the README's pictures and its animation
	@$(setup) test page browser
	@HOLDFAST_SCREENSHOTS=.build/pictures $(python) -m pytest -q e2e/film_story.py e2e/states_story.py e2e/test_people.py e2e/test_ops.py e2e/page/test_accessible.py
	@$(python) -m scripts.make_pictures .build/pictures docs/images

kill-matrix: ## All sixty deaths of the page (about ten minutes); writes their table into docs/RECOVERY.md
	@$(setup) test page browser
	@HOLDFAST_KILL_MATRIX=1 $(python) -m pytest -q e2e/test_kill_matrix.py

stack-kills: ## SIGKILL of the real API, PostgreSQL, SeaweedFS and MinIO at every step, and every fault of a link; tables into docs/RECOVERY.md
	@$(setup) test page
	@HOLDFAST_STACK_KILLS=1 HOLDFAST_REQUIRE_MINIO=1 $(python) -m pytest -q tests/stack tests/server/audit/test_damage_table.py

load: ## The assignment's load test on a fresh server, then the byte-level check (RATE=, DURATION=)
	@$(setup) test page
	@$(python) -m loadtest.run_load

load-purge: ## The load test, then 1 % of objects and rows purged, audited, sent again, audited, every byte checked (RATE=, DURATION=)
	@$(setup) test page
	@$(python) -m loadtest.purge

soak: ## Ten minutes at 2,000/s: memory with its slope, latency by the minute, every byte counted (RATE=, MINUTES=)
	@$(setup) test page
	@$(python) -m loadtest.soak

migrate: ## Bring the configured database's schema up to date
	@$(setup) run
	@.venv/bin/holdfast migrate

db-shell: ## SQL (pgcli) on the configured database, or on the embedded one while the server runs
	@$(setup) test
	@$(python) -m scripts.db_shell

lock: ## For maintainers: resolve requirements/*.in anew (needs uv)
	@sh scripts/lock.sh

clean: ## Remove what the other words made; recordings under .holdfast/ stay
	rm -rf .venv .build node_modules web/dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
