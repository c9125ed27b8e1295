"""Modbus peers for the tests: a foreign server in C, one that misbehaves on command, a recording proxy."""

import asyncio
import shutil
import struct
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fixtures.wiretap import TAP

HEADER = struct.Struct(">HHHB")


def build_libmodbus_server(folder: Path) -> Path:
    """Compile libmodbus_server.c. The test fails, naming the packages, where compiler or library is missing."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.fail("no C compiler: apt-get install gcc libc6-dev libmodbus-dev pkg-config")
    binary = folder / "libmodbus_server"
    source = Path(__file__).with_name("libmodbus_server.c")
    command = [compiler, "-O1", "-Wall", "-o", str(binary), str(source), "-I/usr/include/modbus", "-lmodbus"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode:
        pytest.fail(f"libmodbus_server.c does not build: apt-get install gcc libc6-dev libmodbus-dev\n{built.stderr}")
    return binary


@asynccontextmanager
async def running(binary: Path):
    """The foreign server as a process of its own; yields its port."""
    process = await asyncio.create_subprocess_exec(
        binary, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield int(await process.stdout.readline())
    finally:
        process.stdin.close()
        await process.wait()


class ScriptedPlc:
    """A Modbus TCP server on asyncio that answers from memory, or misbehaves as its attributes say.

    Register n holds `value(n)`, bit n is on where `value(n)` is odd; addresses in `illegal` give exception 2.
    """

    def __init__(self) -> None:
        self.port = 0
        self.value = lambda n: n & 0xFFFF
        self.illegal: set[int] = set()
        self.max_quantity = 2000  # beyond it: exception 3
        self.exception = 0  # answer everything with this exception
        self.mute = False  # read requests, answer nothing
        self.delay_s = 0.0
        self.script = []  # functions (request frame, honest reply) -> bytes, used up one per request
        self.requests: list[tuple[int, int, int]] = []  # function code, address, quantity
        self.connections = 0
        self.asked = asyncio.Event()  # set by every request
        self._server = None
        self._writers, self._tasks = set(), set()

    async def start(self) -> None:
        """Listen, on the port of last time if there was one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Die: every connection is reset and the port is closed."""
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._tasks)
        await self._server.wait_closed()

    async def __aenter__(self):
        """Listen."""
        await self.start()
        return self

    async def __aexit__(self, *_):
        """Die."""
        await self.stop()

    async def _serve(self, reader, writer) -> None:
        self.connections += 1
        self._writers.add(writer)
        self._tasks.add(asyncio.current_task())
        try:
            while True:
                head = await reader.readexactly(HEADER.size)
                frame = head + await reader.readexactly(HEADER.unpack(head)[2] - 1)
                TAP.arrive(frame)
                if (reply := await self._answer(frame)) is not None:
                    writer.write(reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            self._tasks.discard(asyncio.current_task())
            writer.close()

    async def _answer(self, frame: bytes) -> bytes | None:
        function, address, quantity = struct.unpack(">BHH", frame[7:12])
        self.requests.append((function, address, quantity))
        self.asked.set()
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        honest = self._frame(frame, self._pdu(function, address, quantity))
        if self.script:
            return self.script.pop(0)(frame, honest)
        return None if self.mute else honest

    def _pdu(self, function: int, address: int, quantity: int) -> bytes:
        if self.exception:
            return bytes([function | 0x80, self.exception])
        if quantity > self.max_quantity:
            return bytes([function | 0x80, 3])
        span = range(address, address + quantity)
        if self.illegal.intersection(span):
            return bytes([function | 0x80, 2])
        if function in (1, 2):
            bits = sum((self.value(n) & 1) << i for i, n in enumerate(span))
            data = bits.to_bytes((quantity + 7) // 8, "little")
        else:
            data = b"".join(self.value(n).to_bytes(2, "big") for n in span)
        return bytes([function, len(data)]) + data

    @staticmethod
    def _frame(request: bytes, pdu: bytes) -> bytes:
        transaction, _, _, unit = HEADER.unpack(request[:7])
        return HEADER.pack(transaction, 0, len(pdu) + 1, unit) + pdu


class RecordingProxy:
    """Passes bytes between a client and a server and keeps what the client sent."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.port = 0
        self.sent = bytearray()
        self._tasks = set()
        self._server = None

    async def __aenter__(self):
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        """Hang up."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def function_codes(self) -> list[int]:
        """The function code of every request that went through."""
        codes, rest = [], bytes(self.sent)
        while rest:
            end = 6 + HEADER.unpack(rest[:7])[2]
            codes.append(rest[7])
            rest = rest[end:]
        return codes

    async def _pass(self, reader, writer) -> None:
        self._tasks.add(asyncio.current_task())
        to_server = await asyncio.open_connection("127.0.0.1", self.target)
        try:
            await asyncio.gather(
                self._copy(reader, to_server[1], self.sent), self._copy(to_server[0], writer, bytearray())
            )
        finally:
            writer.close()
            to_server[1].close()

    @staticmethod
    async def _copy(reader, writer, keep) -> None:
        while data := await reader.read(4096):
            keep += data
            writer.write(data)
        writer.close()
