# Every target works on a fresh Debian 12 machine with nothing else done: what it needs, it sets up first.
#
#   make demo      simulated machines, agent, store and live page on loopback, until Ctrl-C
#   make test      lint, types, layers, and the whole suite against a checked and a release build of the kernels
#   make lint      the gates that need no server
#   make bench     benchmarks, one JSON line each; ONLY=name for one
#   make random    every property test with examples nobody has seen; what fails is printed with a line that repeats it
#   make laws      the laws of the ledger over LAWS samples (3 million) of random machine lives
#   make truth     a thousand simulated machine-days with faults, counted against true; writes docs/truth.md. DAYS=, SEED=
#   make faults    every fault of the wire through the real pollers; writes docs/faults.md and docs/faults_opcua.md
#   make torture   agent, servers and database killed KILLS times, disk, clock, store and network hurt; the books compared;
#                  writes docs/reliability.md. KILLS=, SEED=, JOBS=
#   make browse    seamline browse against a foreign server of NODES variables (100,000): time and memory
#   make restarts  an OPC UA server restarted RESTARTS (1000) times under the poller: nothing may be left behind
#   make setup     .venv with everything for development
#   make ext       rebuild the kernels after editing a .pyx

SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
PIP := -m pip --disable-pip-version-check --no-input --retries 10 --timeout 60
ONLY ?=
TESTS ?= tests
LAWS ?= 3000000
DAYS ?= 1000
SEED ?= 1
NODES ?= 100000
RESTARTS ?= 1000
KILLS ?= 200
JOBS ?= 2

export PYTHONDONTWRITEBYTECODE ?=

.PHONY: setup demo test lint bench random laws truth faults torture ext peers browse clean

setup: $(VENV)/.ready

# The stamp depends on pyproject.toml only: a changed .pyx needs `make ext`, changed Python nothing (editable install).
$(VENV)/.ready: pyproject.toml ext/CMakeLists.txt
	@.ci/need base
	$(PYTHON) -m venv $(VENV)
	$(PY) $(PIP) install -q "scikit-build-core==1.1.2" "cython==3.3.1" "cython-cmake==0.3.0" ninja cmake
	$(PY) $(PIP) install -q --no-build-isolation -e ".[dev]"
	touch $@

ext: $(VENV)/.ready
	@flock $(VENV)/.build.lock $(PY) $(PIP) install -q --no-build-isolation --no-deps -e .

demo: $(VENV)/.ready
	@$(VENV)/bin/seamline demo $(DEMO)

lint: $(VENV)/.ready
	$(VENV)/bin/ruff check edge protocols ext tests benchmarks
	$(VENV)/bin/ruff format --check edge protocols ext tests benchmarks
	PATH="$(VENV)/bin:$$PATH" cython-lint ext
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

# Foreign peers of the tests that come from npm.
peers: tests/peers/opcua/node_modules/.ready tests/peers/modbus_node/node_modules/.ready

tests/peers/%/node_modules/.ready: tests/peers/%/package-lock.json
	@.ci/need node
	cd tests/peers/$* && npm ci --omit=optional --ignore-scripts --no-audit --no-fund --loglevel=error --fetch-retries=8
	touch $@

# What is shipped is what is tested: each build is made as a wheel, installed, and the suite runs isolated (-I) so that the source
# tree cannot shadow it: the kernels with bounds and overflow checks, and the release build. Both at once, each in a venv of its own;
# what one prints is held back until the other one's is out.
test: lint peers
	@.ci/need test
	@$(MAKE) --no-print-directory -j2 --output-sync=target suite-checked suite-release

suite-%: build/venv-%/.ready
	@echo "== suite against the $* build =="
	@rm -rf build/wheel-$*
	@$(<D)/bin/python $(PIP) wheel -q . --no-build-isolation --no-deps -w build/wheel-$* --config-settings=build-dir=build/cmake-$* \
	  --config-settings=cmake.define.SEAMLINE_CHECKED=$(if $(filter checked,$*),ON,OFF)
	@$(<D)/bin/python $(PIP) install -q --no-deps --force-reinstall build/wheel-$*/*.whl
	@SEAMLINE_EXPECT_BUILD=$* $(<D)/bin/python -Im pytest $(TESTS) -p no:cacheprovider $(PYTEST)

build/venv-%/.ready: pyproject.toml
	@.ci/need base
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python $(PIP) install -q "scikit-build-core==1.1.2" "cython==3.3.1" "cython-cmake==0.3.0" ninja cmake
	@$(@D)/bin/python $(PIP) install -q --no-build-isolation --config-settings=build-dir=build/cmake-venv-$* ".[dev]"
	@touch $@

.PRECIOUS: build/venv-%/.ready

bench: $(VENV)/.ready
	@.ci/need test
	@$(PY) -m benchmarks $(ONLY)

random: $(VENV)/.ready peers
	@.ci/need test
	@$(PY) -m pytest $(TESTS) --hypothesis-profile=random -m hypothesis -q -p no:cacheprovider $(PYTEST)

laws: $(VENV)/.ready
	@SEAMLINE_LAWS=$(LAWS) $(PY) -m pytest tests/ext/test_ledger_laws_at_scale.py -q -p no:cacheprovider

truth: $(VENV)/.ready
	@PYTHONPATH=tests $(PY) -m truth --days $(DAYS) --seed $(SEED)

faults: $(VENV)/.ready peers
	@.ci/need test
	@PYTHONPATH=tests $(PY) -P -m peers.fault_page
	@PYTHONPATH=tests $(PY) -P -m peers.opcua_fault_page

torture: $(VENV)/.ready
	@.ci/need test
	@PYTHONPATH=tests $(PY) -P -m torture --kills $(KILLS) --seed $(SEED) --jobs $(JOBS)

browse: $(VENV)/.ready peers
	@.ci/need node
	@PYTHONPATH=tests $(PY) -P -m peers.browse_large --nodes $(NODES)

restarts: $(VENV)/.ready
	@SEAMLINE_RESTARTS=$(RESTARTS) $(PY) -m pytest tests/poll/test_opcua_restarts.py -q -s -p no:cacheprovider --timeout 7200

clean:
	rm -rf build dist $(VENV) tests/peers/*/node_modules
