# The front door: `make demo` and `make test` need nothing before them but Python 3.11 and make.
PYTHON ?= python3.11
VENV := .venv
RUN := $(VENV)/bin
# A process a core, each with one thread of its own; files stay whole, so that fixtures are shared.
PYTEST := OMP_NUM_THREADS=1 $(RUN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile
STAMP := $(VENV)/.installed

.PHONY: demo test test-slow test-all lint bench sample lock clean

demo: $(STAMP)
	$(RUN)/synopt demo --out out/demo

test: lint
	$(PYTEST)

# What is marked slow: trainings, thousands of damaged files.
test-slow: $(STAMP)
	$(PYTEST) -m "slow and not gpu and not network"

test-all: lint
	$(PYTEST) -m "not gpu and not network"

lint: $(STAMP)
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports
	$(RUN)/codespell

bench: $(STAMP)
	$(RUN)/python -m benchmarks.run

# Makes data_samples/ anew: the cohort, the bundle and the figures in its card.
sample: $(STAMP)
	$(RUN)/python -m benchmarks.sample

# torch goes first: other packages' looser ranges would fetch another build.
$(STAMP): pyproject.toml constraints.txt
	test -x $(RUN)/python || $(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --upgrade -c constraints.txt pip setuptools
	$(RUN)/python -m pip install --quiet -c constraints.txt torch
	$(RUN)/python -m pip install -qq -c constraints.txt --editable '.[dev]'
	touch $@

# Pins what is new, in an environment of its own; to raise a version, take its line out first.
lock:
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet -c constraints.txt pip setuptools
	build/lock/bin/python -m pip install --quiet -c constraints.txt torch
	build/lock/bin/python -m pip install --quiet -c constraints.txt '.[dev,bench]'
	(echo "# Every version of a fresh install, tried together on Python 3.11. Renew: make lock"; \
	build/lock/bin/python -m pip freeze --all --exclude synopt | sed 's/+cpu//' | sort -f) > build/constraints.txt
	mv build/constraints.txt constraints.txt
	rm -rf build/lock

clean:
	rm -rf $(VENV) out build dist *.egg-info
