"""One OPC UA server: keeps its session, writes what it publishes into the image, tells what became of it.

Theory. The server pushes; this task waits. Every publish is a consistent sample: its values go into the image with the
time it was sent by our clock (`edge.poll.publish_time`), the source time beside them, and one Frame goes up. Each
publish also proves that the subscription lives, so the values of its group that it does not list are unchanged at that
time; the frame says so (`confirms`) and their times move with it. Groups that are polled are read at their interval.

                        ┌──── resumed: what was missed is heard late, in its time ─────┐
    connect ─► listen ──┤ the connection breaks: COMM_LOST, pause, same session again ─┤─► listen
                        └──── the server forgot: begun anew, history fills the gap ────┘
    anything else goes wrong: the session is closed, and after a pause a new one is made

Rules.
* One owner of reconnect: this task. Never are there two sessions of it on a server.
* While there is no connection, tags are COMM_LOST; their values and times stay as they were.
* No publish for `watchdog_ns`, or a clock of the server that stands still for that long: the server is frozen or the
  link is half open, which is the same to a counter.
* Backoff starts over only after a connection that lasted: a server that accepts and drops us is not hammered.
* A fact is told when something changed, once, not at every attempt.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random

from edge.clock import Clock
from edge.errors import DeviceError, Text
from edge.plan import OpcuaDevice
from edge.poll.backoff import Backoff, Gate
from edge.poll.heard import Heard
from edge.poll.opcua_facts import Teller
from edge.poll.opcua_history import Backfill
from edge.poll.opcua_image import ImageWriter
from edge.poll.publish_time import PublishTime
from edge.poll.stats import PollStats
from edge.trust.expiry import ends_of, note
from protocols.errors import Fault, ProtocolError
from protocols.opcua.channel import Pki
from protocols.opcua.client import OpcuaClient
from protocols.opcua.errors import OpcuaConnectionError, OpcuaError, internal, silent, turned
from protocols.opcua.items import Batch
from protocols.opcua.services import CallLimits
from protocols.reading import Frame, Receiver, TagImage

_log = logging.getLogger(__name__)

UPKEEP_NS = 30_000_000_000  # how often refused nodes are asked for again and the round trip is measured
OFFER_NS = 3600_000_000_000  # how often a server that runs on our older certificate is offered the newest
_STEADY_NS = 30_000_000_000  # a connection that lasted this long was a good one: the next loss is tried at once again
_RESUME_NS = 600_000_000_000  # a session that could not be taken up again for this long is given up
_FORGOTTEN_NS = 70_000_000_000  # a server forgets a session nobody uses: the timeout asked for, and some
_RENEW_SHARE = 0.75  # of the channel's lifetime (OPC 10000-4 §5.6.2.1)
_NS_PER_S = 1e9

# The connection is gone and the session may live on: it is taken up again. Anything else ends the session too.
_BROKEN = frozenset(
    (
        *("timeout", "refused", "closed", "watchdog"),
        *("BadConnectionClosed", "BadSecureChannelClosed", "BadSecureChannelIdInvalid", "BadTcpSecureChannelUnknown"),
        *("BadSecureChannelTokenUnknown", "BadSessionIdInvalid", "BadSessionClosed", "BadTimeout"),
    )
)


class OpcuaPoller:
    """Keeps one server's image fresh. See `edge.poll.factory.Poller`."""

    def __init__(
        self,
        device: OpcuaDevice,
        image: TagImage,
        receiver: Receiver,
        clock: Clock,
        *,
        pki: Pki | None = None,
        jitter: Random | None = None,
        gate: Gate | None = None,
        heard: Heard | None = None,
    ) -> None:
        """`pki`: own certificates and trust list, needed unless security is None; `gate`: shared with the other servers
        of this gateway; `heard`: until when servers were heard before this process began.
        """
        self._device = device
        self._image = image
        self._receiver = receiver
        self._clock = clock
        self._pki = pki
        self._backoff = Backoff(jitter or Random())  # noqa: S311 - spreads attempts, guards nothing
        self._gate = gate or Gate()
        self._limits = CallLimits(device.endpoint.limits)
        self._writer = ImageWriter(device, image)
        self._teller = Teller(device, receiver, clock)
        self._stats = PollStats()
        self._left_behind: tuple[OpcuaClient, int] | None = None  # a session not ended; monotonic ns, until when
        self._ticks = False  # its clock moves, where it has one: the first value alone is no proof
        self._past = Backfill(device, image, receiver, clock, heard or Heard())
        self.skew_ns: int | None = None  # server's clock minus ours at the last publish; the way here makes it smaller
        self.security = ""  # policy and mode of the last session
        self.publishes = 0
        self.values = 0  # taken from publishes
        self.overflows = 0  # dropped by the server before it sent them
        self.gaps = 0  # publishes lost on the way, made good by a read
        self.recovered = 0  # publishes missed and sent again by the server
        self.sessions = 0  # made
        self.resumed = 0  # connections over which a session was taken up again

    @property
    def from_history(self) -> int:
        """Readings taken from the server's history."""
        return self._past.readings

    @property
    def stats(self) -> PollStats:
        """Counters, live. Requests are calls with an answer of their own; publishes are counted apart."""
        return self._stats

    async def run(self) -> None:
        """Hold one session after the other until cancelled; errors become facts and pauses."""
        while True:
            began_ns, reason = self._clock.monotonic_ns(), ""
            try:
                await self._session()
            except ProtocolError as error:
                reason = self._lost(error)
            except Exception as error:  # noqa: BLE001 - the top of this device's task: counted, told and started anew
                _log.exception("%s: the OPC UA session ended by an error of this program", self._device.id)
                reason = self._lost(internal(self._device.endpoint.url, error))
            self._lasted(began_ns)
            await asyncio.sleep(self._backoff.next_s(reason))

    async def read_once(self) -> None:
        """Every tag once, by the Read service. Errors: DeviceError."""
        try:
            async with self._connected() as client:
                batches = await client.read()
                self._refuse(client)
                for batch in batches:
                    self._take(batch, self._clock.now_ns())
                self._teller.connected(client)
        except ProtocolError as error:
            raise DeviceError(f"{self._device.id}: {Text(error.zh, error.en)}") from error

    # ── one session
    # ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _session(self) -> None:
        """From connecting to loss. Errors: ProtocolError, always: a session has no other end than cancellation."""
        async with self._connected() as client:
            times = await self._begin_anew(client)
            while True:
                self._refuse(client)
                self._teller.connected(client)
                began_ns = self._clock.monotonic_ns()
                try:
                    await self._attend(client, times)
                except OpcuaConnectionError as error:
                    if error.reason not in _BROKEN:
                        raise
                    self._lost(error)
                self._lasted(began_ns)
                times = await self._resume(client, times)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[OpcuaClient]:
        """A session, the round trip measured once; closed at the end whatever happens."""
        await self._clear_up()
        name = f"Seamline {self._device.id}"
        client = OpcuaClient(self._device.endpoint, self._device.tags, self._pki, self._limits, name)
        try:
            try:
                async with self._gate:
                    await client.connect()
            except ProtocolError:
                self._stats.failed_connects += 1
                raise
            self._stats.reconnects += 1
            self.sessions += 1
            self.security = client.security
            self._look_at_certificates(client)
            await self._measure(client)
            yield client
        finally:
            if not await client.close():
                self._left_behind = client, self._clock.monotonic_ns() + _FORGOTTEN_NS

    async def _clear_up(self) -> None:
        """End the session before, if its connection broke before the server could be told. Errors: ProtocolError."""
        if self._left_behind is None:
            return
        client, until_ns = self._left_behind
        if self._clock.monotonic_ns() < until_ns:
            try:
                async with self._gate:
                    await client.leave()
            except OpcuaError as error:  # refused, also by its certificate: this session is out of reach
                await client.drop()
                if isinstance(error, OpcuaConnectionError) and error.reason in _BROKEN:
                    self._stats.failed_connects += 1
                    raise
        self._left_behind = None

    async def _resume(self, client: OpcuaClient, times: PublishTime) -> PublishTime:
        """Over a new connection, the same session. Returns the clock of its publishes. Errors: ProtocolError where that
        is no use.
        """
        give_up_ns = self._clock.monotonic_ns() + _RESUME_NS
        reason = ""
        while True:
            await client.drop()
            await asyncio.sleep(self._backoff.next_s(reason))
            try:
                async with self._gate:
                    resumed = await client.resume()
            except OpcuaConnectionError as error:
                self._stats.failed_connects += 1
                if error.reason not in _BROKEN or self._clock.monotonic_ns() > give_up_ns:
                    raise
                reason = self._lost(error)
                continue
            break
        self._stats.reconnects += 1
        self.recovered += client.recovered
        client.recovered = 0
        if resumed.anew:
            self.sessions += 1
            await self._measure(client)
            return await self._begin_anew(client)
        self.resumed += 1
        self._writer.recall()
        self._hear(resumed.batches, times)
        return times

    async def _begin_anew(self, client: OpcuaClient) -> PublishTime:
        """Subscribe in a session that is new. What happened since the server was last heard it can tell only by its
        history. Errors: OpcuaError.
        """
        since_ns = self._clock.now_ns()
        await client.subscribe()
        self._past.begin_anew(since_ns, self._writer.begin_anew())
        return PublishTime(since_ns)

    def _lasted(self, began_ns: int) -> None:
        if self._clock.monotonic_ns() - began_ns > _STEADY_NS:
            self._backoff.start_over()

    # ── while it lasts
    # ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _attend(self, client: OpcuaClient, times: PublishTime) -> None:
        """Listen, read and look after the session until something of it fails. Errors: ProtocolError, always."""
        groups = range(len(self._device.endpoint.tag_groups))
        tasks = [asyncio.ensure_future(self._keep_up(client)), asyncio.ensure_future(self._past.fill(client))]
        tasks += [asyncio.ensure_future(self._poll(client, number)) for number in groups if client.reads_group(number)]
        if client.subscribed:
            tasks.append(asyncio.ensure_future(self._listen(client, times)))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)  # only `fill` ends by itself
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self, client: OpcuaClient, times: PublishTime) -> None:
        clock, url = self._clock, self._device.endpoint.url
        watchdog_s = max(self._device.endpoint.watchdog_ns / _NS_PER_S, 2.5 * client.publishing_s)
        # Monotonic: when the server's clock was last seen to move. One that stood still must move again to be believed.
        beat_ns = clock.monotonic_ns() if self._ticks else 0
        while True:
            try:
                async with asyncio.timeout(watchdog_s):
                    batches = await client.next_publish()
            except TimeoutError:
                self._stats.timeouts += 1
                raise silent(url, watchdog_s) from None
            self._hear(batches, times)
            self.publishes += 1
            self._count(client)
            if any(batch.heartbeat for batch in batches):
                self._ticks |= bool(beat_ns)
                beat_ns = clock.monotonic_ns()
            elif beat_ns and clock.monotonic_ns() - beat_ns > 2 * watchdog_s * _NS_PER_S:
                self._stats.timeouts += 1
                raise silent(url, 2 * watchdog_s)
            self._teller.connected(client)

    def _count(self, client: OpcuaClient) -> None:
        self.gaps += client.gaps
        self.recovered += client.recovered
        client.gaps = client.recovered = 0

    async def _poll(self, client: OpcuaClient, number: int) -> None:
        """Read a group at its interval, for as long as the session lasts."""
        interval_ns = self._device.endpoint.tag_groups[number].publishing_ns
        due_ns = self._clock.monotonic_ns()
        while True:
            sent_ns = self._clock.monotonic_ns()
            async for batch in client.read_group(number):
                self._take(batch, self._clock.now_ns())
            self._past.hear(self._clock.now_ns())
            now_ns = self._clock.monotonic_ns()
            self._stats.requests += 1
            self._stats.replied(now_ns - sent_ns)
            due_ns += interval_ns
            if due_ns < now_ns:
                missed = (now_ns - due_ns) // interval_ns + 1
                self._stats.skipped += missed
                due_ns += missed * interval_ns
            await asyncio.sleep((due_ns - now_ns) / _NS_PER_S)

    async def _keep_up(self, client: OpcuaClient) -> None:
        """What a session needs from time to time: new keys, refused nodes asked for again, a look at the server."""
        clock = self._clock
        upkeep_ns, renew_ns = clock.monotonic_ns() + UPKEEP_NS, clock.monotonic_ns() + _renew_after_ns(client)
        # Monotonic: when our newer certificate is offered. One refused as the session was made waits: a server that
        # judges it only after the channel stands would cost a session each time.
        offer_ns = clock.monotonic_ns() + OFFER_NS if client.session.outdated else 0
        while True:
            due_ns = min(upkeep_ns, renew_ns)
            await asyncio.sleep(max(0, due_ns - clock.monotonic_ns()) / _NS_PER_S)
            if clock.monotonic_ns() >= renew_ns:
                await client.session.renew()
                renew_ns = clock.monotonic_ns() + _renew_after_ns(client)
            if clock.monotonic_ns() >= upkeep_ns:
                await self._upkeep(client)
                if client.session.outdated and clock.monotonic_ns() >= offer_ns:
                    if await client.session.succeeded():
                        raise turned(self._device.endpoint.url, "own-certificate")
                    offer_ns = clock.monotonic_ns() + OFFER_NS
                upkeep_ns = clock.monotonic_ns() + UPKEEP_NS

    async def _upkeep(self, client: OpcuaClient) -> None:
        await self._measure(client)
        await client.session.rejudge()
        self._look_at_certificates(client)
        if what := await client.changed():
            raise turned(self._device.endpoint.url, what)
        await client.retry_refused()
        self._refuse(client)

    def _look_at_certificates(self, client: OpcuaClient) -> None:
        """When they end, for the metrics; and what a person should see to in time."""
        ends = ends_of(client.session.way)
        self._stats.certificate_ends_ns, self._stats.own_certificate_ends_ns = ends.server_ns, ends.own_ns
        self._teller.note = note(client.session.way, self._clock.now_ns())

    async def _measure(self, client: OpcuaClient) -> None:
        """One small read, timed: the latency of this server, and its clock."""
        sent_ns = self._clock.monotonic_ns()
        self._stats.requests += 1
        server_ns = await client.probe()
        took_ns = self._clock.monotonic_ns() - sent_ns
        self._stats.replied(took_ns)
        self._past.measured(server_ns, self._clock.now_ns() - took_ns // 2)

    # ── readings
    # ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _hear(self, batches: Sequence[Batch], times: PublishTime) -> None:
        arrival_ns = self._clock.now_ns()
        for batch, t_ns in zip(batches, times.of(batches, arrival_ns), strict=True):
            self._take(batch, t_ns)
        self._past.hear(arrival_ns)

    def _take(self, batch: Batch, t_ns: int) -> None:
        self._writer.write(batch, t_ns)
        if batch.publish_ns and not batch.replayed:
            self.skew_ns = batch.publish_ns - t_ns
        self.values += len(batch.tags)
        self.overflows += batch.overflows
        among = self._writer.among(batch.group) if batch.complete else None
        frame = Frame(self._device.index, t_ns, sorted(batch.tags), 0, confirms=batch.complete, among=among)
        self._receiver.on_frame(frame)

    def _lost(self, error: ProtocolError) -> str:
        """The connection is gone: tags first, then the fact. Returns the reason."""
        changed = self._writer.lose()
        if error.fault is Fault.DEVICE:
            self._stats.exceptions += 1
        reason = error.reason if isinstance(error, OpcuaError) else "error"
        self._teller.lost(reason, Text(error.zh, error.en), changed)
        return reason

    def _refuse(self, client: OpcuaClient) -> None:
        self._writer.refuse(problem.tag for problem in client.problems if problem.refused)


def _renew_after_ns(client: OpcuaClient) -> int:
    return round(client.session.channel_lifetime_s * _RENEW_SHARE * _NS_PER_S)
