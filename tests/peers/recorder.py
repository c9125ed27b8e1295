"""A receiver that remembers, and waits for what a test expects."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from protocols.reading import DeviceFact, Frame, Past


class Recorder:
    """Frames and facts in order of arrival."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.facts: list[DeviceFact] = []
        self.pasts: list[Past] = []
        self.told_s = 0.0  # loop time of the last fact
        self._lost_s: list[float] = []
        self._changed = asyncio.Event()

    def on_frame(self, frame: Frame) -> None:
        self.frames.append(frame)
        self._changed.set()

    def on_fact(self, fact: DeviceFact) -> None:
        self.facts.append(fact)
        self.told_s = asyncio.get_running_loop().time()
        if not fact.up:
            self._lost_s.append(self.told_s)
        self._changed.set()

    def on_past(self, past: Past) -> None:
        self.pasts.append(past)
        self._changed.set()

    async def until(self, holds: Callable[[], bool], timeout_s: float = 60.0) -> None:
        """Return as soon as `holds` after a frame or a fact."""
        async with asyncio.timeout(timeout_s):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    def lost_after(self, at_s: float) -> bool:
        """Whether the device was lost at or after this loop time."""
        return any(lost_s >= at_s for lost_s in self._lost_s)

    @property
    def ups(self) -> list[tuple[bool, str]]:
        return [(fact.up, fact.reason) for fact in self.facts]
