"""One task that keeps the tags of one Modbus device fresh, gently, and tells the truth when it cannot.

Theory. Connect; then follow the schedule: wait for the next due time (or the loss of the connection, whichever is
first), read one block, decode it into the image, hand the frame upward. Any end of the connection leads back to the
start after a pause that grows while the device stays dead.

What an answer means:

    reply                   tags GOOD or BAD as decoded, frame upward; the device is up
    exception 2, 3          some address (or the length) is refused: halve down to the bad tags, which become BAD
    exception 1             this table does not exist in the device: all tags of the block BAD
    exception 10, 11        the unit behind the gateway is gone: the device is down
    other exceptions        a bad moment of the device: nothing was read, nothing is re-stamped, a fact when it is new
    nonsense, no answer     once: nothing was read; twice in a row, or out of step: the device is down
    connection lost         the device is down

Down means: a fact (on change only), all tags COMM_LOST, values and times as they were. Up is said at the first answer,
not at the connection: PLCs are known that accept connections and never speak.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NoReturn

from edge.clock import Clock
from edge.errors import DeviceError, Text
from edge.plan import ModbusDevice
from edge.poll.block import Block, Read
from edge.poll.schedule import Backoff, Budget, Schedule, phase_ns
from edge.poll.stats import PollStats
from protocols.errors import Fault
from protocols.modbus.client import ModbusClient
from protocols.modbus.errors import (
    GATEWAY_PATH_UNAVAILABLE,
    GATEWAY_TARGET_FAILED,
    ILLEGAL_DATA_ADDRESS,
    ILLEGAL_DATA_VALUE,
    ILLEGAL_FUNCTION,
    ModbusError,
    ModbusExceptionReply,
    ModbusProtocolError,
    ModbusTimeout,
)
from protocols.reading import DeviceFact, Frame, Quality, Receiver, TagImage

SILENT_TO_DOWN = 2
_REFUSALS = (ILLEGAL_FUNCTION, ILLEGAL_DATA_ADDRESS, ILLEGAL_DATA_VALUE)
_GATEWAY = (GATEWAY_PATH_UNAVAILABLE, GATEWAY_TARGET_FAILED)

_WHOSE = {
    Fault.DEVICE: Text("设备侧", "the device"),
    Fault.NETWORK: Text("网络侧", "the network"),
    Fault.CONFIG: Text("配置侧", "the configuration"),
}


class ModbusPoller:
    """Reads one device. `run` until cancelled, or `read_once`."""

    def __init__(
        self,
        device: ModbusDevice,
        image: TagImage,
        receiver: Receiver,
        clock: Clock,
        backoff: Backoff | None = None,
    ) -> None:
        self.stats = PollStats()
        self._device = device
        self._image = image
        self._receiver = receiver
        self._clock = clock
        self._client = ModbusClient(device.endpoint)
        self._blocks = [Block(request, device.tags) for request in device.requests]
        self._budget = Budget.of(device.limits.pause_ns, device.limits.requests_per_s)
        self._backoff = backoff or Backoff()
        self._up: bool | None = None  # None: never tried
        self._silent = 0  # requests without a usable answer, in a row
        self._patience = SILENT_TO_DOWN

    async def run(self) -> None:
        """Read until cancelled. A dead device is a fact and a pause."""
        if not self._blocks:
            await asyncio.Event().wait()
        try:
            while True:
                try:
                    await self._connect()
                    await self._follow_schedule()
                except ModbusError as error:
                    self._lose(error)
                    pause_s = self._backoff.next_s(refused=error.reason == "refused")
                await asyncio.sleep(pause_s)
        finally:
            self._client.close()

    async def read_once(self) -> None:
        """Read every tag once and hang up. Raises DeviceError where the device is not reached or stops answering."""
        self._patience = 1
        try:
            await self._connect()
            for block in self._blocks:
                await self._poll(block)
        except ModbusError as error:
            self._lose(error)
            raise DeviceError(self._explain(error)) from error
        finally:
            self._patience = SILENT_TO_DOWN
            self._client.close()

    async def _connect(self) -> None:
        try:
            await self._client.connect()
        except ModbusError:
            self.stats.failed_connects += 1
            raise
        self.stats.reconnects += 1
        self._silent = 0
        if self._device.endpoint.connect_pause_ns:
            await self._wait(self._clock.monotonic_ns() + self._device.endpoint.connect_pause_ns)

    async def _follow_schedule(self) -> NoReturn:
        """Until the connection is lost: raises ModbusError."""
        now_ns = self._clock.monotonic_ns()
        offset_ns = self._clock.now_ns() - now_ns
        intervals_ns = [block.request.interval_ns for block in self._blocks]
        phases_ns = [phase_ns(self._device.index, interval_ns, offset_ns) for interval_ns in intervals_ns]
        schedule = Schedule(intervals_ns, phases_ns, now_ns)
        while True:
            due_ns, index = schedule.first()
            await self._wait(due_ns)
            self.stats.lateness.add(self._clock.monotonic_ns() - due_ns)
            await self._poll(self._blocks[index])
            self.stats.skipped += schedule.done(self._clock.monotonic_ns())

    async def _wait(self, until_ns: int) -> None:
        """Until that monotonic time; raises ModbusConnectionError as soon as the connection is lost."""
        while (rest_ns := until_ns - self._clock.monotonic_ns()) > 0:
            try:
                async with asyncio.timeout(rest_ns / 1e9):
                    await self._client.watch()
            except TimeoutError:
                continue

    async def _poll(self, block: Block) -> None:
        """One round of a block: what is accepted, then one probe of what was refused."""
        refused = block.refused_tags
        for read in block.reads:
            await self._read(block, read)
        probe = block.maybe_probe(self._clock.monotonic_ns())
        if probe is not None:
            await self._probe(block, probe)
        self._mark_refused(block, refused)

    async def _read(self, block: Block, read: Read) -> bool:
        """Read a part of a block, halving it where addresses are refused. True where it was read as a whole."""
        try:
            await self._refresh(read)
        except ModbusExceptionReply as reply:
            if reply.code in _GATEWAY:
                raise
            if reply.code in _REFUSALS:
                block.refusal = reply.code
                await self._halve(block, read)
            else:
                self._note_exception(block, reply)
            return False
        except (ModbusTimeout, ModbusProtocolError) as error:
            self._tolerate(error)
            return False
        if block.exception:
            block.exception = 0
            self._say_up("recovered", Text("设备恢复正常应答", "the device answers normally again"))
        return True

    async def _halve(self, block: Block, read: Read) -> None:
        """Find out which atoms are refused; the good ones are read on the way and lose no cycle."""
        if read.end - read.begin == 1 or block.refusal == ILLEGAL_FUNCTION:
            block.refuse(read.begin, read.end, self._clock.monotonic_ns())
            return
        middle = (read.begin + read.end) // 2
        left = await self._read(block, block.part(read.begin, middle))
        right = await self._read(block, block.part(middle, read.end))
        if left and right:
            block.split(middle, self._clock.monotonic_ns())

    async def _probe(self, block: Block, probe: Read) -> None:
        """Does the device take back a refusal?"""
        try:
            await self._refresh(probe)
        except ModbusExceptionReply as reply:
            if reply.code in _GATEWAY:
                raise
            block.refuse_again(probe, self._clock.monotonic_ns())
        except (ModbusTimeout, ModbusProtocolError) as error:
            self._tolerate(error)
        else:
            block.accept(probe.begin, probe.end)

    def _tolerate(self, error: ModbusError) -> None:
        """No usable answer: raises `error` where the connection is over or patience is at its end."""
        self._silent += 1
        if self._silent >= self._patience or not self._client.connected:
            raise error

    async def _refresh(self, read: Read) -> None:
        """One request within the budget; its reply into the image and upward."""
        await self._wait(self._clock.monotonic_ns() + self._budget.wait_ns(self._clock.monotonic_ns()))
        start_ns = self._clock.monotonic_ns()
        self.stats.requests += 1
        dropped = self._client.dropped_frames
        try:
            payload = await self._client.read(read.request)
        except ModbusExceptionReply as reply:
            self.stats.exceptions += 1
            self._answered(start_ns, up=reply.code not in _GATEWAY)
            raise
        except ModbusProtocolError:
            self.stats.exceptions += 1
            raise
        except ModbusTimeout:
            self.stats.timeouts += 1
            raise
        finally:
            self.stats.dropped_frames += self._client.dropped_frames - dropped
            self._budget.spent(start_ns, self._clock.monotonic_ns())
        t_ns = self._clock.now_ns()
        latency_ns = self._answered(start_ns, up=True)
        read.decoder.decode(payload, t_ns, self._image)
        tags = range(read.request.first, read.request.first + read.request.count)
        self._receiver.on_frame(Frame(self._device.index, t_ns, tags, latency_ns))

    def _answered(self, start_ns: int, up: bool) -> int:
        """Somebody spoke: the device, which is up then, or a gateway in its stead. Returns the latency, ns."""
        latency_ns = self._clock.monotonic_ns() - start_ns
        self.stats.replied(latency_ns)
        self._silent = 0
        if up and not self._up:
            self._up = True
            self._backoff.reset()
            self._say_up("connected", Text("设备在线", "the device answers"))
        return latency_ns

    def _lose(self, error: ModbusError) -> None:
        """The device is down: one fact, all tags COMM_LOST, values and times untouched."""
        self._client.close()
        self._silent = 0
        for index in range(self._image.size):
            self._image.quality[index] = Quality.COMM_LOST
        if self._up is not False:
            self._up = False
            tags = range(self._image.size)
            self._say(
                DeviceFact(self._device.index, self._clock.now_ns(), False, error.reason, self._explain(error), tags)
            )

    def _note_exception(self, block: Block, reply: ModbusExceptionReply) -> None:
        """A bad moment of the device: a fact when it is new."""
        if block.exception != reply.code:
            block.exception = reply.code
            tags = range(block.request.first, block.request.first + block.request.count)
            self._say_up(reply.reason, Text(reply.zh, reply.en), tags)

    def _mark_refused(self, block: Block, before: Sequence[int]) -> None:
        """Refused tags are BAD (their values and times stay what they were); a fact where the set has changed."""
        refused = block.refused_tags
        for index in refused:
            self._image.quality[index] = Quality.BAD
        if refused == before:
            return
        if not refused:
            self._say_up("recovered", Text("此前被拒绝的地址已恢复", "addresses refused before are readable again"))
            return
        names = ", ".join(self._device.tags[index].name for index in refused)
        detail = Text(
            f"设备拒绝读取 {names}；其余变量不受影响。检查地址与设备程序（配置侧）",
            f"the device refuses {names}; all other tags are fine. Check address and PLC program (configuration)",
        )
        self._say_up(f"exception-{block.refusal}", detail, refused)

    def _say_up(self, reason: str, detail: Text, tags: Sequence[int] = ()) -> None:
        text = f"{self._device.id}: {detail}"
        self._say(DeviceFact(self._device.index, self._clock.now_ns(), True, reason, text, tags))

    def _say(self, fact: DeviceFact) -> None:
        self._receiver.on_fact(fact)

    def _explain(self, error: ModbusError) -> str:
        """For people: which device, what, whose fault."""
        whose = _WHOSE[error.fault]
        return f"{self._device.id}: {Text(f'{error.zh}（{whose.zh}）', f'{error.en} ({whose.en})')}"
