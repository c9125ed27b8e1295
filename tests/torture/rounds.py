"""One round: a gateway of its own, one theme, so many kills; then the books."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from fixtures.influx import Influx
from torture.gateway import Gateway
from torture.hands import Hands, Theme
from torture.judge import Outcome, judge


@dataclass(frozen=True, slots=True)
class Round:
    """What to play."""

    theme: Theme
    seed: int
    kills: int
    machines: int = 4
    pause_s: float = 3.0
    meets: int = 0  # each fault of the database, by a write


async def play(this: Round, folder: Path) -> Outcome:
    """Everything, in order. Raises TortureError where something never came."""
    home = folder / "influx"
    home.mkdir(parents=True)
    influx = Influx(home)
    influx.start()
    gateway = Gateway(
        folder / "gateway", f"torture-{this.theme.key}", this.seed, this.machines, influx,
        has_second=this.theme.has_second,
    )  # fmt: skip
    hands = Hands(gateway, this.theme, this.seed, this.kills, this.pause_s, this.meets)
    try:
        await gateway.start()
        await hands.torture()
        with_course = asyncio.create_task(gateway.watch()) if not this.theme.is_exact else None
        try:
            await gateway.settle()
        finally:
            if with_course is not None:
                with_course.cancel()
                await asyncio.gather(with_course, return_exceptions=True)
        return await judge(gateway, hands, this.seed)
    finally:
        await gateway.close()
        influx.kill()
