"""A poller on an OPC UA server, its image and what it told; and values of a server as the poller saw them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from peers.recorder import Recorder

from edge.clock import SystemClock
from edge.plan import OpcuaDevice
from edge.poll.heard import Heard
from edge.poll.opcua import OpcuaPoller
from protocols.opcua.channel import Pki
from protocols.opcua.tags import OpcuaEndpoint, OpcuaTag
from protocols.reading import Frame, Quality, TagImage

MS = 1_000_000
PEER = "nsu=urn:seamline:peer;s="


class Rig:
    """A poller, its image and what it told."""

    def __init__(
        self, endpoint: OpcuaEndpoint, tags: Sequence[OpcuaTag], name: str = "press", pki: Pki | None = None
    ) -> None:
        self.device = OpcuaDevice(3, name, "generic", endpoint, tuple(tags))
        self.image = TagImage(len(tags))
        self.seen = Recorder()
        self.heard = Heard()
        self.poller = OpcuaPoller(
            self.device, self.image, self.seen, SystemClock(), pki=pki, jitter=Random(7), heard=self.heard
        )

    def quality(self, tag: int = 0) -> Quality:
        return Quality(self.image.quality[tag])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Rig]:
        task = asyncio.create_task(self.poller.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def rig(
    url: str, nodes: Sequence[str | OpcuaTag], *, name: str = "press", pki: Pki | None = None, **endpoint: Any
) -> Rig:
    """Tags of the given nodes, publishing every 100 ms unless told otherwise."""
    settings = {"security": "None", "publishing_ns": 100 * MS, "watchdog_ns": 2500 * MS, **endpoint}
    tags = [
        node if isinstance(node, OpcuaTag) else OpcuaTag(f"t{i}", node, sampling_ns=100 * MS)
        for i, node in enumerate(nodes)
    ]
    return Rig(OpcuaEndpoint(url, **settings), tags, name, pki)


class Seen:
    """Every value of one tag in the order of its frames, with its time."""

    def __init__(self, made: Rig, tag: int = 0) -> None:
        self.values: list[int] = []
        self.times: list[int] = []
        self.arrived: list[float] = []  # loop times
        whole = made.seen.on_frame

        def note(frame: Frame) -> None:
            if tag in frame.tags:
                self.values.append(made.image.i64[tag])
                self.times.append(frame.t_ns)
                self.arrived.append(asyncio.get_running_loop().time())
            whole(frame)

        made.seen.on_frame = note  # type: ignore[method-assign]

    @property
    def lost(self) -> int:
        """Steps of a counter that were never seen."""
        return sum(max(0, b - a - 1) for a, b in zip(self.values, self.values[1:], strict=False))
