"""A foreign Modbus TCP server for the tests: pymodbus. A program; its contract is told in foreign.py.

Serves addresses 0 … 199 of every table of the units 1, 2 and 3; pymodbus answers what lies beyond with exception 2. An
argument, four hexadecimal digits a register, is what the holding registers of unit 1 hold instead.
"""

import asyncio
import sys

from pymodbus import ModbusDeviceIdentification
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

ADDRESSES = 200
UNITS = 3


def memory(unit: int, given: bytes = b"") -> SimDevice:
    """The four tables of one unit; `given`: its holding registers."""
    shift, addresses = unit - 1, range(ADDRESSES)
    words = [int.from_bytes(given[i : i + 2], "big") for i in range(0, len(given), 2)]
    holding = words or [n * 257 + shift & 0xFFFF for n in addresses]
    return SimDevice(
        id=unit,
        simdata=(
            [SimData(0, values=[(n + shift) % 3 == 0 for n in addresses], datatype=DataType.BITS)],
            [SimData(0, values=[(n + shift) % 2 == 1 for n in addresses], datatype=DataType.BITS)],
            [SimData(0, values=holding, datatype=DataType.REGISTERS)],
            [SimData(0, values=[65535 - n - shift for n in addresses], datatype=DataType.REGISTERS)],
        ),
    )


async def serve() -> None:
    """Until standard input ends."""
    identity = ModbusDeviceIdentification(
        info_name={"VendorName": "Seamline tests", "ProductCode": "pymodbus", "MajorMinorRevision": "1.0"}
    )
    given = bytes.fromhex("".join(sys.argv[1:]))
    devices = [memory(unit, given if unit == 1 else b"") for unit in range(1, UNITS + 1)]
    server = ModbusTcpServer(devices, address=("127.0.0.1", 0), identity=identity)
    await server.serve_forever(background=True)
    print(server.transport.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.shutdown()


if __name__ == "__main__":
    asyncio.run(serve())
