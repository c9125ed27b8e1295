"""One event per second for however many pages are open.

Theory. The event is made once and every listener is handed the same bytes. Nobody has a queue: a listener that comes
back for more gets the newest event, so one that stalls for a minute misses a minute of them and costs the others
nothing. With nobody listening there is no task, no snapshot and no serialising at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable

log = logging.getLogger(__name__)


class Feed:
    """Fans out what `produce` returns, once per `period_s`, while somebody listens."""

    def __init__(self, produce: Callable[[], bytes], period_s: float = 1.0) -> None:
        self.failures = 0  # events that could not be made: a bug in `produce`, logged and survived
        self._produce = produce
        self._period_s = period_s
        self._latest: bytes | None = None
        self._ticked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._listeners = 0
        self._closed = False

    @property
    def listeners(self) -> int:
        """How many are listening now."""
        return self._listeners

    async def events(self) -> AsyncGenerator[bytes, None]:
        """The newest event at once if there is one, then each next one; ends when the feed is closed."""
        self._join()
        try:
            seen: bytes | None = None
            while not self._closed:
                if self._latest is None or self._latest is seen:
                    await self._ticked.wait()
                    continue
                seen = self._latest
                yield seen
        finally:
            self._leave()

    def close(self) -> None:
        """End every listener's stream and the work behind it."""
        self._closed = True
        self._ticked.set()
        self._stop()

    def _join(self) -> None:
        self._listeners += 1
        if self._task is None and not self._closed:
            self._task = asyncio.create_task(self._run(), name="page feed")

    def _leave(self) -> None:
        self._listeners -= 1
        if not self._listeners:
            self._stop()

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._latest = None  # whoever listens next must not be shown an old event first

    async def _run(self) -> None:
        while True:
            try:
                self._latest = self._produce()
            except Exception:  # top of the task: a page without news is better than no page until the next restart
                self.failures += 1
                log.exception("the page's event could not be made; trying again in %s s", self._period_s)
            ticked, self._ticked = self._ticked, asyncio.Event()
            ticked.set()
            await asyncio.sleep(self._period_s)
