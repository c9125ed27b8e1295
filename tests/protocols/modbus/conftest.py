"""Peers of the Modbus tests."""

import pytest
from peers.modbus import ScriptedPlc, build_libmodbus_server


@pytest.fixture(scope="session")
def libmodbus_server(tmp_path_factory):
    """The C server on libmodbus, built once."""
    return build_libmodbus_server(tmp_path_factory.mktemp("peers"))


@pytest.fixture
async def plc():
    """A server that misbehaves on command."""
    async with ScriptedPlc() as server:
        yield server
