"""A proxy that injects every protocol fault, between a client and an honest server.

Theory. The server stays honest; the proxy asks it and decides, rule by rule, what the client gets to hear. The first
half of this file is pure: a `Fault` (what goes wrong, and when) makes out of a request and its honest answer a list of
`Step`s, bytes after a pause and perhaps the end of the connection. The second half carries them out on a socket or on
a pseudo-terminal.

    to the answer        exception, silence, late, slow, unit, transaction, protocol, count, short, function, truncate,
                         split, held, duplicate, garbage, noise, checksum, echo, foreign
    to the connection    reset, reset-mid, hang-up, refuse, full, half-open, reboot
    to the device        gap, limit, shift, swap-words

Rules.
* A script says which request is struck and not when: each fault counts, from 1, the requests that concern it.
* Every request is read by `wire.requests`, which knows reads only, and told to the tap of the run.
* Nothing here is random: a case is the same case every time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import tty
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

from fixtures.wiretap import TAP
from peers.wire import Asked, NotARequestError, crc, requests

FOREVER = 10**9
_NO_LINGER = struct.pack("ii", 1, 0)  # close with RST


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, and with which requests."""

    do: str
    # which requests concern it: all of these must hold
    touching: tuple[int, int] | None = None  # addresses, inclusive
    connection: int | None = None  # of this connection only, from 1
    unit: int | None = None
    # which of those it strikes (connections for refuse and full)
    first: int = 1
    last: int = FOREVER
    every: int = 1
    # how
    code: int = 0  # of an exception
    for_s: float = 0.0  # a delay, or how long something lasts
    size: int = 0  # bytes, registers or pieces
    by: int = 0  # a difference

    def concerns(self, connection: int, asked: Asked) -> bool:
        """Whether this request is one of those that are counted."""
        if self.connection not in (None, connection) or self.unit not in (None, asked.unit):
            return False
        low, high = self.touching or (0, 0xFFFF)
        return asked.address <= high and asked.address + asked.quantity > low

    def strikes(self, number: int) -> bool:
        """Whether the so many-th of them is struck."""
        return self.first <= number <= self.last and (number - self.first) % self.every == 0


@dataclass(frozen=True, slots=True)
class Step:
    """Bytes for the client after a pause, and perhaps the end of the connection: "", "fin" or "reset"."""

    data: bytes
    after_s: float = 0.0
    end: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """A request and the honest answer to it, in the client's framing."""

    asked: Asked
    request: bytes
    pdu: bytes  # of the honest answer
    rtu: bool

    def frame(self, pdu: bytes | None = None, *, unit: int = 0, transaction: int = 0) -> bytes:
        """A frame around `pdu` (the honest one); `unit` and `transaction` are added to the right ones."""
        unit = (self.asked.unit + unit) & 0xFF
        body = bytes((unit,)) + (self.pdu if pdu is None else pdu)
        if self.rtu:
            return body + crc(body)
        header = (self.asked.transaction + transaction & 0xFFFF, 0, len(body))
        return b"".join(part.to_bytes(2, "big") for part in header) + body


def exception(asked: Asked, code: int) -> bytes:
    return bytes((asked.function | 0x80, code))


# What the client hears in place of the honest frame. Each takes the fault and what was heard.
def _split(fault: Fault, heard: Heard) -> list[Step]:
    frame = heard.frame()
    cuts = [len(frame) * i // fault.size for i in range(fault.size + 1)]
    pieces = [frame[a:b] for a, b in pairwise(cuts)]
    return [Step(piece, i * fault.for_s / fault.size) for i, piece in enumerate(pieces)]


def _wrong_checksum(_: Fault, heard: Heard) -> list[Step]:
    frame = heard.frame()
    return [Step(frame[:-1] + bytes((frame[-1] ^ 0x55,)))]


def _foreign_master(_: Fault, heard: Heard) -> list[Step]:
    """Another master asks the same unit for something else while we wait, and gets its answer; then comes ours."""
    query = bytes((heard.asked.function,)) + (0x0064).to_bytes(2, "big") + (1).to_bytes(2, "big")
    answer = bytes((heard.asked.function, 2, 0xAB, 0xCD))
    return [Step(heard.frame(query)), Step(heard.frame(answer), 0.005), Step(heard.frame(), 0.01)]


ANSWERS: dict[str, Callable[[Fault, Heard], list[Step]]] = {
    "exception": lambda fault, heard: [Step(heard.frame(exception(heard.asked, fault.code)))],
    "silence": lambda *_: [],
    "late": lambda fault, heard: [Step(heard.frame(), fault.for_s)],
    "unit": lambda fault, heard: [Step(heard.frame(unit=fault.by))],
    "transaction": lambda fault, heard: [Step(heard.frame(transaction=fault.by))],
    "protocol": lambda fault, heard: [Step(b"".join((heard.frame()[:2], b"\0\7", heard.frame()[4:])))],
    "count": lambda fault, heard: [Step(heard.frame(bytes((heard.pdu[0], heard.pdu[1] + fault.by)) + heard.pdu[2:]))],
    "short": lambda fault, heard: [Step(heard.frame(bytes((heard.pdu[0], heard.pdu[1] - 2)) + heard.pdu[2:-2]))],
    "function": lambda fault, heard: [Step(heard.frame(bytes((heard.pdu[0] ^ 7,)) + heard.pdu[1:]))],
    "truncate": lambda fault, heard: [Step(heard.frame()[: fault.size])],
    "split": _split,
    "duplicate": lambda fault, heard: [Step(heard.frame() * 2)],
    "garbage": lambda fault, heard: [Step(b"HTTP/1.1 400 Bad Request\r\n\r\n")],
    "noise": lambda fault, heard: [Step(bytes(range(0x80, 0x80 + fault.size)) + heard.frame())],
    "checksum": _wrong_checksum,
    "echo": lambda fault, heard: [Step(heard.request + heard.frame())],
    "foreign": _foreign_master,
    "reset": lambda *_: [Step(b"", end="reset")],
    "reset-mid": lambda fault, heard: [Step(heard.frame()[: fault.size]), Step(b"", 0.01, "reset")],
    "hang-up": lambda *_: [Step(b"", end="fin")],
}
KINDS = frozenset(ANSWERS) | {
    *("held", "slow", "refuse", "full", "half-open", "reboot", "gap", "limit", "shift", "swap-words")
}


def refusal(faults: Sequence[Fault], asked: Asked) -> int:
    """The exception code a device with such a memory map answers; 0 = it answers."""
    for fault in faults:
        if fault.do == "gap" or (fault.do == "limit" and asked.quantity > fault.size):
            return fault.code
    return 0


def translated(faults: Sequence[Fault], asked: Asked) -> Asked:
    """The question the honest server is asked: after a download, everything lies `by` places further on."""
    shift = sum(fault.by for fault in faults if fault.do == "shift")
    place = (asked.address + shift).to_bytes(2, "big")
    return Asked(asked.transaction, asked.unit, asked.pdu[:1] + place + asked.pdu[3:])


def swapped(pdu: bytes) -> bytes:
    """A reply with the words of each pair exchanged: another word order."""
    words = [pdu[i : i + 2] for i in range(2, len(pdu), 2)]
    pairs = [word for i in range(0, len(words) - 1, 2) for word in (words[i + 1], words[i])]
    return pdu[:2] + b"".join(pairs + words[len(pairs) :])


# From here on: sockets.


class FaultProxy:
    """Listens on a free port (or a pseudo-terminal) and passes on to the server on `target`, but for `faults`."""

    def __init__(self, target: int, faults: Sequence[Fault], *, rtu: bool = False, serial: bool = False) -> None:
        self.target = target
        self.faults = tuple(faults)
        self.rtu = rtu or serial
        self.port = 0
        self.path = ""  # of the serial line
        self.requests: list[tuple[float, Asked]] = []  # loop time and request
        self.struck_s: list[float] = []  # loop times at which a fault was felt
        self.connections = 0
        self.server_s = 0.0  # the longest the honest server took for an answer: that is the machine's doing
        self._server: asyncio.Server | None = None
        self._lines: set[_Line] = set()
        self.seen = [0] * len(self.faults)  # requests that concerned each fault
        self._held: list[bytes] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._rebooted = False
        self._serial = serial

    async def __aenter__(self) -> Self:
        if self._serial:
            self.path = _Pty(self).path
        else:
            await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        for line in tuple(self._lines):
            line.end("reset")
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Line(self), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def spawn(self, task: Any) -> None:
        made = asyncio.ensure_future(task)
        self._tasks.add(made)
        made.add_done_callback(self._tasks.discard)

    def felt(self) -> None:
        """A fault was felt now."""
        self.struck_s.append(asyncio.get_running_loop().time())

    def joined(self, line: _Line) -> str:
        """A client connects: "" to talk to it, else how it is sent away."""
        self.connections += 1
        line.number = self.connections
        self._lines.add(line)
        for fault in self.faults:
            if fault.do in ("refuse", "full") and fault.strikes(self.connections):
                self.felt()
                return "reset" if fault.do == "refuse" else "fin"
        return ""

    def left(self, line: _Line) -> None:
        self._lines.discard(line)

    async def answer(self, line: _Line, asked: Asked, request: bytes) -> None:
        """One request: count it, ask the server, and let the client hear what the faults leave of the answer."""
        self.requests.append((asyncio.get_running_loop().time(), asked))
        faults = self._striking(line, asked)
        for fault in faults:
            if fault.do not in ("split", "slow"):  # which only take time
                self.felt()
        if any(fault.do == "reboot" for fault in faults) and not self._rebooted:
            self._reboot(next(fault.for_s for fault in faults if fault.do == "reboot"))
            return
        if line.half_open or any(fault.do == "half-open" for fault in faults):
            line.half_open = True
            return
        pdu = await self._honest(line, faults, asked)
        for step in self._steps(faults, Heard(asked, request, pdu, self.rtu)):
            line.later(step)

    def _striking(self, line: _Line, asked: Asked) -> list[Fault]:
        striking = []
        for index, fault in enumerate(self.faults):
            if fault.concerns(line.number, asked):
                self.seen[index] += 1
                if fault.strikes(self.seen[index]):
                    striking.append(fault)
        return striking

    async def _honest(self, line: _Line, faults: Sequence[Fault], asked: Asked) -> bytes:
        if code := refusal(faults, asked):
            return exception(asked, code)
        now = asyncio.get_running_loop().time
        asked_s = now()
        pdu = await line.ask_server(translated(faults, asked))
        self.server_s = max(self.server_s, now() - asked_s)
        return swapped(pdu) if any(fault.do == "swap-words" for fault in faults) and pdu[0] < 0x80 else pdu

    def _steps(self, faults: Sequence[Fault], heard: Heard) -> list[Step]:
        delay_s = sum(fault.for_s for fault in faults if fault.do == "slow")
        for fault in faults:
            if fault.do == "held":  # comes in one segment with the next answer
                self._held.append(heard.frame())
                return []
            if fault.do in ANSWERS and not (heard.pdu[0] & 0x80 and fault.do != "exception"):
                return ANSWERS[fault.do](fault, heard)
        held, self._held = b"".join(self._held), []
        return [Step(held + heard.frame(), delay_s)]

    def _reboot(self, for_s: float) -> None:
        """Power off: every connection is cut, nobody listens, until it is up again."""
        self._rebooted = True
        assert self._server is not None
        self._server.close()
        for line in tuple(self._lines):
            line.end("reset")

        async def come_back() -> None:
            await asyncio.sleep(for_s)
            self.felt()
            await self._listen()

        self.spawn(come_back())


class _Line(asyncio.Protocol):
    """One client of the proxy, and the proxy's own connection to the server for it."""

    def __init__(self, proxy: FaultProxy) -> None:
        self.number = 0
        self.half_open = False
        self._proxy = proxy
        self._transport: Any = None
        self._buffer = b""
        self._turn = asyncio.Lock()
        self._server: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        if how := self._proxy.joined(self):
            self.end(how)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._proxy.left(self)
        if self._server is not None:
            self._server[1].close()

    def data_received(self, data: bytes) -> None:
        """Requests, whole ones: a client writes each at once, and loopback does not cut them."""
        TAP.arrive(data)
        with contextlib.suppress(NotARequestError):
            for asked in requests(data):
                self._proxy.spawn(self._proxy.answer(self, asked, data))

    async def ask_server(self, asked: Asked) -> bytes:
        """The honest reply PDU."""
        async with self._turn:
            if self._server is None:
                self._server = await asyncio.open_connection("127.0.0.1", self._proxy.target)
            reader, writer = self._server
            body = bytes((asked.unit,)) + asked.pdu
            writer.write(b"\0\1\0\0" + len(body).to_bytes(2, "big") + body)
            header = await reader.readexactly(6)
            return (await reader.readexactly(int.from_bytes(header[4:6], "big")))[1:]

    def later(self, step: Step) -> None:
        """Carry out a step when its time has come."""
        if step.after_s:
            asyncio.get_running_loop().call_later(step.after_s, self._do, step)
        else:
            self._do(step)

    def _do(self, step: Step) -> None:
        if self._transport is None:
            return
        if step.data:
            self._transport.write(step.data)
        if step.end:
            self.end(step.end)

    def end(self, how: str) -> None:
        """Hang up ("fin") or cut ("reset")."""
        if self._transport is None:
            return
        if how == "fin":
            self._transport.close()
            return
        if sock := self._transport.get_extra_info("socket"):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._transport.abort()


class _Pty:
    """A pseudo-terminal as the transport of a line: one client, for ever."""

    def __init__(self, proxy: FaultProxy) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._line = _Line(proxy)
        self._line.connection_made(self)
        asyncio.get_running_loop().add_reader(self._master, self._read)

    def _read(self) -> None:
        self._line.data_received(os.read(self._master, 4096))

    def write(self, data: bytes) -> None:
        os.write(self._master, data)

    def get_extra_info(self, _: str) -> None:
        return None

    def abort(self) -> None:
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)
        os.close(self._slave)
        self._line.connection_lost(None)
