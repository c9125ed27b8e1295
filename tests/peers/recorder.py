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
        self._changed = asyncio.Event()

    def on_frame(self, frame: Frame) -> None:
        self.frames.append(frame)
        self._changed.set()

    def on_fact(self, fact: DeviceFact) -> None:
        self.facts.append(fact)
        self._changed.set()

    def on_past(self, past: Past) -> None:
        self.pasts.append(past)
        self._changed.set()

    async def until(self, holds: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Return as soon as `holds` after a frame or a fact."""
        async with asyncio.timeout(timeout_s):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    @property
    def ups(self) -> list[tuple[bool, str]]:
        return [(fact.up, fact.reason) for fact in self.facts]
