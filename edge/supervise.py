"""The top of every task:

what ends by a bug is counted, logged with its trace, and started again. The one broad `except` of the agent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from edge.logs import facts

log = logging.getLogger(__name__)

PAUSE_S = 1.0
PAUSE_LIMIT_S = 60.0
STEADY_S = 60.0

restarts = 0  # of all tasks since the process began; a metric, and zero on a healthy gateway


async def supervise(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run `work` for ever;

    a task that fails again and again is tried at most once a minute. Ends only by cancellation.
    """
    global restarts
    pause_s = PAUSE_S
    loop = asyncio.get_running_loop()
    while True:
        began_s = loop.time()
        try:
            await work()
        except Exception:
            log.exception("task failed, starts again", extra=facts(task=name, pause_s=pause_s))
        else:
            log.error("task ended, starts again", extra=facts(task=name))
        restarts += 1
        if loop.time() - began_s > STEADY_S:
            pause_s = PAUSE_S
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, PAUSE_LIMIT_S)
