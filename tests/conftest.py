"""Fixtures every test may ask for. They live in tests/fixtures, one module per real thing."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

pytest_plugins = [
    "fixtures.influx",
    "fixtures.influx2",
    "fixtures.victoria",
    "fixtures.blocking",
    "fixtures.looking",
    "fixtures.wiretap",
]


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A test that configures logging, as a command does, leaves the next one as it found it."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.setLevel(level)
    root.handlers[:] = handlers
