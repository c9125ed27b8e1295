# One command each: setup, demo, test, lint, bench. Every target works on a fresh Debian 12 machine.
VENV ?= .venv
PY := $(VENV)/bin/python
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: ext
# Rebuild the kernels after editing a .pyx (editable install, release build). The lock lets two shells share one tree.
ext:
	flock $(VENV)/.build.lock $(PY) -m pip install -q --no-build-isolation --no-deps -e .
