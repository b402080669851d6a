# The front door. Every target makes what it needs first (deploy/setup.sh): system packages, .venv, the core.
.DEFAULT_GOAL := build
.PHONY: help build demo test bench lint fuzz clean

help:  ## what there is
	@sed -n 's/^\([a-z]*\):.*## */  make \1\t/p' $(MAKEFILE_LIST)

build:  ## make this checkout ready to run
	@deploy/setup.sh

# set -m: Ctrl-C is the demo's way to end, and none of make's business.
demo: build  ## train on a storm, storm a detector with labelled anomalies, print the scorecard; a dashboard meanwhile
	@[ ! -t 0 ] || set -m; .venv/bin/haechi demo; exit $$?

test: build  ## every test: the core's (also under sanitizers), a short fuzz run, Python's
	@.venv/bin/python tests/run.py

bench: build  ## what the README claims, measured here
	@.venv/bin/haechi bench detect --json

lint: build  ## formatting, types, and the core with warnings as errors
	@deploy/lint.sh

fuzz: build  ## fuzz every reader of hostile bytes, a minute each (SECONDS=600 for longer)
	@.venv/bin/python tests/run.py --only fuzz --fuzz-seconds $(or $(SECONDS),60)

clean:  ## everything that was built; .venv stays
	rm -rf build build-* .cache .coverage* htmlcov .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf src/haechi/bin src/haechi/native/_core*.so
