"""Fixtures every test may ask for. They live in tests/fixtures, one module per real thing."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = [
    "fixtures.influx",
    "fixtures.influx2",
    "fixtures.victoria",
    "fixtures.blocking",
    "fixtures.disturbed",
    "fixtures.looking",
    "fixtures.scenarios",
    "fixtures.wiretap",
]

# The suite says the same of the same commit every time: examples are drawn from each test itself, and none has a
# deadline, because a busy machine is not a fault of the code. `make random` looks for new ones.
SLOW_IS_FINE = [HealthCheck.too_slow]
settings.register_profile("suite", derandomize=True, deadline=None, suppress_health_check=SLOW_IS_FINE)
settings.register_profile("random", deadline=None, print_blob=True, suppress_health_check=SLOW_IS_FINE)
settings.load_profile("suite")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A test that configures logging, as a command does, leaves the next one as it found it."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.setLevel(level)
    root.handlers[:] = handlers
