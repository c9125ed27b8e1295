"""Peers of the Modbus tests."""

import asyncio

import pytest
from peers.modbus import ScriptedPlc, build_libmodbus_server

_ON_BOTH_LOOPS = ("test_depth", "test_line", "test_transports")


def pytest_asyncio_loop_factories(item):
    """What touches a transport holds on asyncio's loop and on uvloop, which the agent runs on where it exists."""
    loops = {"asyncio": asyncio.new_event_loop}
    if item.module.__name__.rpartition(".")[2] in _ON_BOTH_LOOPS:
        loops["uvloop"] = pytest.importorskip("uvloop").new_event_loop
    return loops


@pytest.fixture(scope="session")
def libmodbus_server(tmp_path_factory):
    """The C server on libmodbus, built once."""
    return build_libmodbus_server(tmp_path_factory.mktemp("peers"))


@pytest.fixture
async def plc():
    """A server that misbehaves on command."""
    async with ScriptedPlc() as server:
        yield server
