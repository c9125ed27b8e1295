"""A serial line of pseudo-terminals: real ports with real settings at both ends, and faults in between."""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import Callable
from typing import Self


class SerialLine:
    """Two ports, `client` and `device`, joined byte for byte.

    `answer` speaks in the device's stead: what the client sent in, what it hears out. `echo` lets the client hear
    itself; `garble` changes what the client hears. `sent` keeps what the client sent.
    """

    def __init__(self) -> None:
        self.echo = False
        self.answer: Callable[[bytes], bytes | None] | None = None
        self.delay_s = 0.0
        self.garble: Callable[[bytes], bytes] = bytes
        self.sent = bytearray()
        self.sent_at: list[float] = []
        self._client, self._client_port = os.openpty()
        self._device, self._device_port = os.openpty()
        for port in (self._client_port, self._device_port):
            tty.setraw(port)
        for end in (self._client, self._device):
            os.set_blocking(end, False)
        self.client = os.ttyname(self._client_port)
        self.device = os.ttyname(self._device_port)

    async def __aenter__(self) -> Self:
        """Join both ends."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._client, self._from_client)
        loop.add_reader(self._device, self._from_device)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Take the line away."""
        self.pull_out()
        asyncio.get_running_loop().remove_reader(self._device)
        for end in (self._device, self._device_port):
            os.close(end)

    def pull_out(self) -> None:
        """The client's port vanishes, as a USB adapter does."""
        if self._client >= 0:
            asyncio.get_running_loop().remove_reader(self._client)
            os.close(self._client_port)
            os.close(self._client)
            self._client = -1

    def stop_listening(self) -> None:
        """What the client sends is not taken from the port any more."""
        asyncio.get_running_loop().remove_reader(self._client)

    def say(self, data: bytes) -> None:
        """The client hears this."""
        if self._client >= 0:
            os.write(self._client, self.garble(data))

    def _from_client(self) -> None:
        data = os.read(self._client, 4096)
        loop = asyncio.get_running_loop()
        self.sent += data
        self.sent_at.append(loop.time())
        if self.echo:
            self.say(data)
        if self.answer is None:
            os.write(self._device, data)
        elif (reply := self.answer(data)) is not None:
            loop.call_later(self.delay_s, self.say, reply)

    def _from_device(self) -> None:
        self.say(os.read(self._device, 4096))
