"""A start that takes long says so: a damaged store of a gigabyte is read page by page before anything else can run.

systemd ends a service that is not ready within `TimeoutStartSec`, unless it asks for more time (sd_notify(3),
EXTEND_TIMEOUT_USEC), and would do so again at each restart. So more is asked for while the work goes on, what it is at
stands in `systemctl status`, and the log has a line every few seconds. Quick starts say nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from edge.logs import facts
from edge.notify import Notifier

log = logging.getLogger(__name__)

SAID_EVERY_S = 5.0
ASKED_FOR_S = 60


async def patiently(work: Coroutine[Any, Any, None], what: Callable[[], str], notifier: Notifier) -> None:
    """Do `work`; raises what it raises. `what` it is at is told as long as it lasts."""
    doing = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait((doing,), timeout=SAID_EVERY_S))[0]:
            notifier.starting(what(), ASKED_FOR_S)
            log.warning("starting", extra=facts(detail=what()))
    finally:
        doing.cancel()
    await doing
