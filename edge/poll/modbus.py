"""One Modbus device that has a connection to itself: what most of them are, and what tests and `once` want."""

from __future__ import annotations

from edge.clock import Clock
from edge.plan import ModbusDevice
from edge.poll.learned import Notebook
from edge.poll.link import Link
from edge.poll.schedule import Backoff
from edge.poll.stats import PollStats
from edge.poll.unit import Unit
from protocols.reading import Receiver, TagImage


class ModbusPoller:
    """Reads one device. `run` until cancelled, or `read_once`."""

    def __init__(
        self,
        device: ModbusDevice,
        image: TagImage,
        receiver: Receiver,
        clock: Clock,
        backoff: Backoff | None = None,
        notebook: Notebook | None = None,
    ) -> None:
        self.unit = Unit(device, image, receiver, clock, notebook or Notebook())
        self.link = Link(device.endpoint, [self.unit], clock, backoff)

    @property
    def stats(self) -> PollStats:
        """Counters, live."""
        return self.unit.stats

    async def run(self) -> None:
        """Read until cancelled. A dead device is a fact and a pause."""
        await self.link.run()

    async def read_once(self) -> None:
        """Read every tag once and hang up. Raises DeviceError where the device is not reached or stops answering."""
        for error in await self.link.read_once():
            if error is not None:
                raise error
