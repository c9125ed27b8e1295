"""One connection and all devices on it: one task, one heap of due times, one budget of patience.

Theory. Units behind one gateway, or on one serial line, share a wire: it is asked by one task, or two would talk at
once. Connect; then send what is due, in the order of due times, as far as the depth of the connection and the budget of
each device allow; take what came back; wait for the next of both. Any end of the connection leads back to the start
after a pause that grows while nobody answers.

Who costs whom. A missed deadline costs time on the wire, and on a shared wire it is the others' time. So:

* A unit that is down while others answer is demoted: it is asked one thing now and then, after a pause that grows, and
  all probes of the demoted together take at most `PROBE_SHARE` of the time.
* A unit that was never heard of is demoted at its first missed deadline where others answer, at its second otherwise.
* When the unit that falls silent is the one that was heard last, nobody has been heard since: then it is the connection
  that is in doubt, and it is made anew. So it is where nobody answers at all.
* The times of others do not move: due times stand on a grid, and how late a request starts is measured.
* A first missed deadline is made sure of within two seconds, however long the interval: a device that is asked once a
  minute would be believed alive for another minute, and a lost frame would cost one.

The wheel. `turn` takes what came, sends what is due and sets the one timer for what is next. An answer turns it, the
timer, or the end of the connection, straight from the event loop: to wake a task for each answer would cost as much as
the answer, and a future for each would take the loop another turn. The task itself sleeps until the connection is over,
and is told why.

Nothing here knows what an answer means (module `unit`) or how bytes travel (`protocols.modbus.client`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from heapq import heapify, heappop, heappush
from typing import NoReturn

from edge.clock import Clock
from edge.errors import DeviceError, Text
from edge.poll.block import Block, Read
from edge.poll.schedule import Backoff, next_due
from edge.poll.stats import LinkStats
from edge.poll.unit import SILENT_TO_DOWN, Unit, is_gateway
from protocols.modbus.client import ModbusClient
from protocols.modbus.connection import Exchange
from protocols.modbus.errors import ModbusError, ModbusExceptionReply, ModbusTimeout
from protocols.modbus.framing import WireCounters
from protocols.modbus.tags import Endpoint, SerialEndpoint

FOREIGN_GONE_NS = 300_000_000_000  # another master that was silent for so long is gone; an HMI asks all the time
MAKE_SURE_NS = 2_000_000_000  # after a missed deadline, at most so long until the same is asked once more
PROBE_SHARE = 0.1  # of the time of a connection that probes of its dead units may take
_FAR_NS = 1 << 62
_PROBE = -1  # in place of a block's number: see whether a demoted unit is back
_ROUNDING_S = 0.000_5  # timers of a loop count milliseconds; too early would be once more for nothing


class _Flight(Exchange):
    """One request under way, and what came of it."""

    __slots__ = ("_link", "block", "device", "epoch", "error", "number", "payload", "read", "start_ns")

    def __init__(self, link: Link, number: int, device: Unit, block: Block, read: Read, start_ns: int) -> None:
        super().__init__(read.request.unit, read.query)
        self._link = link
        self.number = number  # of the device on its link
        self.device = device
        self.block = block
        self.read = read
        self.start_ns = start_ns
        self.epoch = device.epoch  # in which it was asked
        self.payload: bytes | None = None
        self.error: ModbusError | None = None

    def answer(self, payload: bytes) -> None:
        """The wheel turns when all that came with it was taken in."""
        self.payload = payload
        self._link.landed.append(self)

    def fail(self, error: ModbusError) -> None:
        """Whoever says so is still at work on the connection."""
        self.error = error
        self._link.landed.append(self)
        asyncio.get_running_loop().call_soon(self._link.turn)


class Link:
    """Keeps the devices of one connection fresh. `run` until cancelled, or `read_once`."""

    def __init__(self, endpoint: Endpoint, units: Sequence[Unit], clock: Clock, backoff: Backoff | None = None) -> None:
        self._depth = max(1, endpoint.depth, *(unit.device.depth for unit in units))
        if not isinstance(endpoint, SerialEndpoint) and endpoint.depth != self._depth:
            endpoint = replace(endpoint, depth=self._depth)
        self.units = tuple(units)
        self.endpoint = endpoint
        self.stats = LinkStats()
        self._clock = clock
        self._client = ModbusClient(endpoint, self.turn)
        self._wire = self._client.counters
        self._backoff = backoff or Backoff()
        self._heap: list[tuple[int, int, int]] = []  # due, unit, block or _PROBE
        self._flights: set[_Flight] = set()
        self.landed: deque[_Flight] = deque()  # over, and not looked at yet
        self._loop: asyncio.AbstractEventLoop  # that serves; to ask for it every time costs a system call
        self._over: asyncio.Future[None] | None = None  # of the connection that is served
        self._watch: asyncio.Task[NoReturn] | None = None  # ends with the connection
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns = _FAR_NS
        self._busy_since_ns = 0
        self._probe_free_ns = 0  # before that no demoted unit is asked
        self._foreign = 0  # requests of another master that were heard so far
        self._foreign_ns = 0  # when the last of them was, while people believe there is one; 0 = there is none
        self._once = False
        self._ended: ModbusError | None = None  # the connection is to be given up, and why

    @property
    def name(self) -> str:
        """For logs: who is on it."""
        return ", ".join(unit.device.id for unit in self.units)

    @property
    def wire(self) -> WireCounters:
        """What was heard besides the answers, by reason."""
        return self._wire

    async def run(self) -> None:
        """Read until cancelled. A dead device is a fact and a pause."""
        if not any(unit.device.requests for unit in self.units):
            await asyncio.Event().wait()
        try:
            while True:
                try:
                    await self._connect()
                    await self._serve()
                except ModbusError as error:
                    self._lose(error)
                    pause_s = self._backoff.next_s(refused=error.reason == "refused")
                await asyncio.sleep(pause_s)
        finally:
            self._hang_up()

    async def read_once(self) -> list[DeviceError | None]:
        """Read every tag of every device once and hang up: for each device, why it was not read, or None."""
        self._once = True
        errors: list[DeviceError | None] = [None] * len(self.units)
        try:
            await self._connect()
            await self._serve()
        except ModbusError as error:
            self._lose(error)
            errors = [DeviceError(unit.explain(error)) for unit in self.units]
        else:
            errors = [
                None if unit.last_error is None else DeviceError(unit.explain(unit.last_error)) for unit in self.units
            ]
        finally:
            self._once = False
            self._hang_up()
        return errors

    # ── the connection
    # ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _connect(self) -> None:
        for unit in self.units:
            unit.connect()
        try:
            await self._client.connect()
        except ModbusError:
            for unit in self.units:
                unit.stats.failed_connects += 1
            raise
        for unit in self.units:
            unit.stats.reconnects += 1
        self.stats.connections += 1
        if self.endpoint.connect_pause_ns:
            await asyncio.sleep(self.endpoint.connect_pause_ns / 1e9)

    def _lose(self, error: ModbusError) -> None:
        self._hang_up()
        self.stats.up = False
        for unit in self.units:
            unit.demoted = False
            unit.lose(error)

    def _hang_up(self) -> None:
        self._client.close()
        now_ns = self._clock.monotonic_ns()
        for flight in self._flights:
            flight.device.landed(flight.block, flight.start_ns, now_ns, flight.epoch)
        self._flights.clear()
        self.landed.clear()
        self._heap.clear()
        self._still_busy(now_ns)
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._timer_ns = None, _FAR_NS

    # ── the loop
    # ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _serve(self) -> None:
        """Until the connection is lost: raises ModbusError. Returns where one round was asked for and is over."""
        now_ns = self._clock.monotonic_ns()
        self._ended = None
        for number in range(len(self.units)):
            self._schedule_all(number, now_ns)
        self._loop = loop = asyncio.get_running_loop()
        self._over = over = loop.create_future()
        self._watch = watch = asyncio.create_task(self._client.watch())
        watch.add_done_callback(self.turn)
        try:
            self.turn()
            await over
        finally:
            self._over = self._watch = None
            watch.cancel()
            await asyncio.wait([watch])
            if not watch.cancelled():
                watch.exception()

    def turn(self, _: object = None) -> None:
        """Once around. Called by the loop; whatever is raised here is raised where the task waits."""
        over = self._over
        if over is None or over.done():
            return
        now_ns, landed, watch = self._clock.monotonic_ns(), self.landed, self._watch
        try:
            while landed:
                self._land(landed.popleft(), now_ns)
            if self._ended is not None:
                raise self._ended
            if watch is not None and watch.done():
                watch.result()
            next_ns = self._send_due(now_ns)
        except Exception as error:  # noqa: BLE001 - not swallowed but handed over: the task's top counts and restarts
            over.set_exception(error)
            return
        if next_ns < self._timer_ns:
            self._set_timer(next_ns, now_ns)
        elif self._once and not self._flights and next_ns == _FAR_NS:
            over.set_result(None)

    def _schedule_all(self, number: int, now_ns: int) -> None:
        """Everything of a unit is due now: after an absence, values are wanted."""
        unit = self.units[number]
        unit.lay_grid(self._clock.now_ns() - self._clock.monotonic_ns())
        for place in range(len(unit.blocks)):
            heappush(self._heap, (now_ns, number, place))

    def _send_due(self, now_ns: int) -> int:
        """Send what is due and may be sent. Returns when to look again, ns; an answer may come first."""
        heap, units = self._heap, self.units
        while heap and heap[0][0] <= now_ns:
            due_ns, number, place = heappop(heap)
            unit = units[number]
            if place == _PROBE:
                if self._probe_free_ns > now_ns and self._others_answer(unit):
                    heappush(heap, (self._probe_free_ns, number, _PROBE))
                    continue
                place = unit.probe_place()
            block = unit.blocks[place]
            block.due_ns = due_ns
            unit.begin(block, now_ns)
            if not block.todo:  # nothing of it is read, and no probe is due
                self._finish(number, block, now_ns)
        next_ns = heap[0][0] if heap else _FAR_NS
        while len(self._flights) < self._depth:
            chosen, held_ns = self._who(now_ns)
            if chosen is None:
                return min(next_ns, held_ns)
            self._ask(chosen, now_ns)
        return next_ns

    def _who(self, now_ns: int) -> tuple[int | None, int]:
        """The unit whose oldest due request may be sent now, by number; or when one may."""
        chosen, chosen_ns, held_ns = None, _FAR_NS, _FAR_NS
        for number, unit in enumerate(self.units):
            if not unit.ready:
                continue
            free_ns = unit.budget.free_ns()
            if free_ns is None:
                continue
            if free_ns > now_ns:
                held_ns = min(held_ns, free_ns)
            elif unit.ready[0].due_ns < chosen_ns:
                chosen, chosen_ns = number, unit.ready[0].due_ns
        return chosen, held_ns

    def _ask(self, number: int, now_ns: int) -> None:
        unit = self.units[number]
        block, read = unit.next_read(now_ns)
        if read.half_of is None and not read.probes:
            unit.stats.lateness.add(now_ns - block.due_ns)
        flight = _Flight(self, number, unit, block, read, now_ns)
        try:
            self._client.post(flight)
        except ModbusError:  # lost in this very moment: the watch says so next
            unit.landed(block, now_ns, now_ns, unit.epoch)
            return
        if not self._flights:
            self._busy_since_ns = now_ns
        self._flights.add(flight)

    def _set_timer(self, until_ns: int, now_ns: int) -> None:
        """One that is set too early is left to ring for nothing once."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ns = until_ns
        delay_s = (until_ns - now_ns) / 1e9 + _ROUNDING_S
        self._timer = self._loop.call_later(delay_s, self._ring)

    def _ring(self) -> None:
        self._timer, self._timer_ns = None, _FAR_NS
        self.turn()

    # ── answers
    # ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _land(self, flight: _Flight, now_ns: int) -> None:
        if flight not in self._flights:
            return
        self._flights.remove(flight)
        if not self._flights:
            self._still_busy(now_ns)
        number, unit, block, read, start_ns = flight.number, flight.device, flight.block, flight.read, flight.start_ns
        if not unit.landed(block, start_ns, now_ns, flight.epoch):
            return
        error = flight.error
        if flight.payload is not None:
            unit.read(block, read, flight.payload, start_ns, now_ns)
            if unit.demoted or not self.stats.up:
                self._is_back(number, block, now_ns)
        elif isinstance(error, ModbusExceptionReply):
            unit.except_(block, read, error, start_ns, now_ns)
            if is_gateway(error):
                self.stats.up = True
                self._demote(number, error, now_ns - start_ns, now_ns)
                return
            self._is_back(number, block, now_ns)
        elif isinstance(error, ModbusTimeout) and self._client.connected and unit.mute(block, read, now_ns):
            unit.stats.timeouts += 1
        elif error is not None:
            self._miss(number, error, start_ns, now_ns)
            if unit.epoch != flight.epoch or self._ended is not None:
                return
            unit.maybe_again(block, read)
        if self._foreign_ns or self._wire.foreign_requests != self._foreign:
            self._hear_foreign_master(now_ns)
        if block.todo or block.flying:
            unit.go_on(block)
        else:
            self._finish(number, block, now_ns)

    def _finish(self, number: int, block: Block, now_ns: int) -> None:
        unit = self.units[number]
        if unit.finish(block, now_ns):
            self._forget(number)
            if not self._once:
                unit.lay_grid(self._clock.now_ns() - self._clock.monotonic_ns())
                for place, other in enumerate(unit.blocks):
                    interval_ns = other.request.interval_ns
                    due_ns, _ = next_due(now_ns, now_ns, interval_ns, other.phase_ns)
                    heappush(self._heap, (due_ns, number, place))
            return
        if not self._once and not unit.demoted:
            due_ns, missed = next_due(block.due_ns, now_ns, block.request.interval_ns, block.phase_ns)
            unit.stats.skipped += missed
            if unit.silent:
                due_ns = min(due_ns, now_ns + MAKE_SURE_NS)
            heappush(self._heap, (due_ns, number, block.place))

    def _is_back(self, number: int, block: Block, now_ns: int) -> None:
        """It answered: if it was demoted, all the rest of it is due now."""
        unit = self.units[number]
        self.stats.up = True
        self._backoff.reset()
        if unit.demoted:
            unit.demoted = False
            self._schedule_all(number, now_ns)
            self._heap = [e for e in self._heap if e[1] != number or unit.blocks[e[2]] is not block]
            heapify(self._heap)

    def _miss(self, number: int, error: ModbusError, start_ns: int, now_ns: int) -> None:
        """No usable answer: perhaps the unit is down, perhaps the connection."""
        unit = self.units[number]
        if isinstance(error, ModbusTimeout):
            unit.stats.timeouts += 1
        else:
            unit.stats.exceptions += 1
        if not self._client.connected:
            self._ended = error
            return
        others = self._others_answer(unit)
        patience = 1 if self._once or unit.demoted or (others and not unit.up) else SILENT_TO_DOWN
        if not unit.unanswered(start_ns, now_ns, patience):
            return
        heard_last = unit.heard_ns and all(unit.heard_ns >= other.heard_ns for other in self.units)
        alone = all(other.demoted for other in self.units if other is not unit)
        if not self._once and (heard_last or (alone and not any(other.heard_ns for other in self.units))):
            self._ended = error
            return
        self._demote(number, error, now_ns - start_ns, now_ns)

    def _demote(self, number: int, error: ModbusError, cost_ns: int, now_ns: int) -> None:
        """Down, on a connection that is fine: asked now and then."""
        unit = self.units[number]
        unit.last_error = error
        unit.lose(error)
        unit.demoted = True
        self._forget(number)
        if self._once:
            return
        if unit.stats.timeouts:
            self._probe_free_ns = now_ns + int(cost_ns * (1 / PROBE_SHARE - 1))
        due_ns = now_ns + int(unit.backoff.next_s() * 1e9)
        heappush(self._heap, (due_ns, number, _PROBE))

    def _forget(self, number: int) -> None:
        self._heap = [entry for entry in self._heap if entry[1] != number]
        heapify(self._heap)

    def _others_answer(self, unit: Unit) -> bool:
        return any(other.up and other is not unit for other in self.units)

    def _still_busy(self, now_ns: int) -> None:
        """Nothing is under way any more: so long the wire was busy."""
        if self._busy_since_ns:
            self.stats.busy_ns += now_ns - self._busy_since_ns
            self._busy_since_ns = 0

    def _hear_foreign_master(self, now_ns: int) -> None:
        """Told when it is first heard and when it is gone: whoever reads it is at the cabinet only once."""
        heard = self._wire.foreign_requests
        if heard != self._foreign:
            known, self._foreign, self._foreign_ns = self._foreign_ns, heard, now_ns
            if not known:
                self._say_up("foreign-master", self._foreign_master())
        elif self._foreign_ns and now_ns - self._foreign_ns >= FOREIGN_GONE_NS:
            self._foreign_ns = 0
            minutes = FOREIGN_GONE_NS // 60_000_000_000
            text = Text(
                f"{self.endpoint.peer} 上已有 {minutes} 分钟听不到另一个主站",
                f"no other master was heard on {self.endpoint.peer} for {minutes} minutes",
            )
            self._say_up("foreign-master-gone", text)

    def _foreign_master(self) -> Text:
        return Text(
            f"{self.endpoint.peer} 上还有另一个主站（触摸屏、另一台网关）在询问；一条 RS-485 线路只能有一个主站，"
            "否则应答会错位。请拆除其中一个，或经由能排队的网关共用",
            f"another master (an HMI, a second gateway) asks on {self.endpoint.peer}; an RS-485 line has one "
            "master, or answers get mixed up. Remove one of them, or share the line behind a gateway that queues",
        )

    def _say_up(self, reason: str, text: Text) -> None:
        for unit in self.units:
            if unit.up:
                unit.say_up(reason, text)
