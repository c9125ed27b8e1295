"""A task that fails is counted, told with its trace, started again, ever more seldom."""

from __future__ import annotations

import asyncio
import logging

import pytest

from edge import supervise as module
from edge.supervise import PAUSE_LIMIT_S, STEADY_S, supervise


class Loop:
    """Time that passes as soon as somebody sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        self.pauses: list[float] = []
        self._real = asyncio.sleep
        monkeypatch.setattr(asyncio, "sleep", self.sleep)
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self.now_s, raising=False)

    async def sleep(self, pause_s: float) -> None:
        self.pauses.append(pause_s)
        self.now_s += pause_s
        if len(self.pauses) == 9:
            raise asyncio.CancelledError
        await self._real(0)


@pytest.fixture
async def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    return Loop(monkeypatch)


async def test_it_backs_off_up_to_a_minute_and_counts(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> None:
        raise RuntimeError("bug")

    before = module.restarts
    with pytest.raises(asyncio.CancelledError):
        await supervise("poll plc-1", broken)
    assert loop.pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60] == [min(2**n, PAUSE_LIMIT_S) for n in range(9)]
    assert module.restarts - before == 9
    assert caplog.records[0].exc_info, "with its trace"
    assert caplog.records[0].levelno == logging.ERROR


async def test_a_task_that_ran_well_for_a_while_is_started_again_soon(loop: Loop) -> None:
    async def ends_after_a_while() -> None:
        loop.now_s += STEADY_S + 1

    with pytest.raises(asyncio.CancelledError):
        await supervise("page", ends_after_a_while)
    assert set(loop.pauses) == {1}


async def test_cancelling_ends_it_at_once() -> None:
    async def endless() -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(supervise("recorder", endless))
    await asyncio.sleep(0)
    before = module.restarts
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert module.restarts == before
