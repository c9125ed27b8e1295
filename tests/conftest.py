"""Fixtures every test may ask for. They live in tests/fixtures, one module per real thing."""

pytest_plugins = ["fixtures.influx", "fixtures.influx2", "fixtures.blocking"]
