"""A foreign OPC UA server (node-opcua) as a process of its own, to be killed, frozen and restarted."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
from pathlib import Path
from typing import Any, Self

import pytest

FOLDER = Path(__file__).parent / "opcua"
START_S = 120.0


class NodePeer:
    """The server of `opcua/server.js`. `folder` keeps its certificates; options are the script's."""

    script = "server.js"

    def __init__(self, folder: Path, **options: Any) -> None:
        self._options = {"folder": str(folder), **options}
        self._process: asyncio.subprocess.Process | None = None
        self._asking = asyncio.Lock()
        self.port = 0

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self) -> None:
        node = shutil.which("node")
        if node is None or not (FOLDER / "node_modules" / "node-opcua").is_dir():
            pytest.fail(
                "the foreign OPC UA peer is missing: install the packages nodejs and npm, then run `make peers`"
            )
        self._process = await asyncio.create_subprocess_exec(
            node,
            str(FOLDER / self.script),
            json.dumps({**self._options, "port": self.port}),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(START_S):
            self.port = (await self._event())["port"]

    async def _event(self) -> dict[str, Any]:
        """The next JSON line; the library prints its own words between them."""
        assert self._process is not None
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            if line.startswith(b"{"):
                return dict(json.loads(line))
        raise AssertionError("the peer ended")

    def do(self, command: str, **arguments: Any) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": command, **arguments}).encode() + b"\n")

    async def statistics(self) -> dict[str, Any]:
        async with self._asking:
            self.do("stats")
            return await self._event()

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        """As a power cut: no goodbye to anybody."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        await process.wait()
        if process.stdin is not None:
            process.stdin.close()
        await asyncio.sleep(0)


class CompanionPeer(NodePeer):
    """The server of `opcua/companion.js`: the OPC Foundation's PackML, Machinery and Jobs models."""

    script = "companion.js"

    async def set(self, **values: tuple[str, object]) -> None:
        """Set values by path from Objects (`__` for `/`), all in one turn of the server."""
        async with self._asking:
            self.do("set", values={path.replace("__", "/"): value for path, value in values.items()})
            answer = await self._event()
        assert answer == {"set": len(values)}, answer
