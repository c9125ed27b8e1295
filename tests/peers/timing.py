"""Deadlines on a busy machine: judged beside a bare timer of the same loop, which waits for the same reasons."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

TOO_LATE_S = 0.1


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """What is inside must be over when a timer that was set just now has rung, or hardly later."""
    loop = asyncio.get_running_loop()
    rang_s: list[float] = []
    timer = loop.call_later(seconds, lambda: rang_s.append(loop.time()))
    try:
        yield
    finally:
        timer.cancel()
    late_s = loop.time() - rang_s[0] if rang_s else 0.0
    assert late_s < TOO_LATE_S, f"over {late_s:.3f} s later than a timer of {seconds:g} s"
