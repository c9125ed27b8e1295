"""One OPC UA server: keeps its session, writes what it publishes into the image, tells what became of it.

Theory. The server pushes; this task waits. Every publish is a consistent sample: its values go into the image with the
time it was sent by our clock (`edge.poll.publish_time`), the source time beside them, and one Frame goes up. Each
publish also proves that the subscription lives, so the values it does not list are unchanged at that time; the frame
says so (`confirms`) and their times move with it.

Rules.
* One owner of reconnect: this task. Whatever goes wrong ends the session as a whole; after a pause exactly one new
  session is made, with a new subscription, whose first publish carries every current value.
* While there is no session, tags are COMM_LOST; their values and times stay as they were.
* Only a good or uncertain value replaces the old one. A bad, stale or lost one sets the quality and keeps value and
  time; so does a number that is none (null, NaN, infinite) or does not fit int64.
* No publish for `watchdog_ns`: the server is frozen or the link is half open, which is the same to a counter.
* Backoff starts over only after a session that lasted: a server that accepts and drops us is not hammered.
* A fact is told when something changed, once, not at every attempt.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from array import array
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from edge.clock import Clock
from edge.errors import DeviceError, Text
from edge.plan import OpcuaDevice
from edge.poll.publish_time import PublishTime
from edge.poll.stats import PollStats
from protocols.errors import Fault, ProtocolError
from protocols.opcua.certificate import Identity, ensure_identity
from protocols.opcua.client import OpcuaClient
from protocols.opcua.errors import OpcuaError, certificate_unwritable, internal, silent
from protocols.opcua.items import Batch, Problem
from protocols.opcua.status import quality
from protocols.reading import DeviceFact, Frame, Quality, Receiver, TagImage

_log = logging.getLogger(__name__)

UPKEEP_NS = 30_000_000_000  # how often refused nodes are asked for again and the round trip is measured
FIRST_PAUSE_S = 0.3
PAUSE_CAP_S = 30.0
_PAUSE_GROWTH = 1.5
_STEADY_NS = 30_000_000_000  # a session that lasted this long was a good one: the next loss starts from the first pause
_RENEW_SHARE = 0.75  # of the channel's lifetime (OPC 10000-4 §5.6.2.1)
_NS_PER_S = 1e9
_NODES_SHOWN = 5  # in a text for people


def state_folder() -> Path:
    """Where this gateway keeps what it made itself: systemd's StateDirectory=, else the user's state folder (XDG)."""
    if given := os.environ.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0])
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "seamline"


class ImageWriter:
    """Puts batches into the image of one device."""

    __slots__ = ("_believed", "_image", "_scales")

    def __init__(self, device: OpcuaDevice, image: TagImage) -> None:
        self._image = image
        self._scales = [(tag.scale, tag.offset) for tag in device.tags]
        self._believed: set[int] = (
            set()
        )  # tags whose value was heard in this session and stands: a publish confirms them

    def lose(self) -> list[int]:
        """The session is gone: every tag that was ever heard is COMM_LOST. Returns the tags that changed."""
        qualities = self._image.quality
        changed = [tag for tag, now in enumerate(qualities) if now not in (Quality.COMM_LOST, Quality.NOT_CONFIGURED)]
        for tag in changed:
            qualities[tag] = Quality.COMM_LOST
        self._believed.clear()
        return changed

    def refuse(self, tags: Iterable[int]) -> None:
        """The server does not give these nodes."""
        for tag in tags:
            self._image.quality[tag] = Quality.BAD
            self._believed.discard(tag)

    def write(self, batch: Batch, t_ns: int) -> None:
        """Values, qualities and times of one sample; `t_ns` is its arrival, UTC."""
        if batch.complete:
            self._confirm(t_ns)
        image, scales, believe = self._image, self._scales, self._believed.add
        i64, f64, qualities, times, sources = image.i64, image.f64, image.quality, image.t_ns, image.source_ns
        columns = zip(batch.tags, batch.values, batch.statuses, batch.source_ns, strict=True)
        for tag, value, status, source_ns in columns:
            trust = quality(status) if status else Quality.GOOD
            if trust > Quality.UNCERTAIN:
                self._distrust(tag, trust)
                continue
            if isinstance(value, str):
                image.text[tag], i64[tag] = value, bool(value.strip())
            else:
                try:
                    i64[tag] = round(value)  # type: ignore[arg-type]  # null raises
                except (TypeError, ValueError, OverflowError):
                    self._distrust(tag, Quality.BAD)
                    continue
                scale, offset = scales[tag]
                f64[tag] = value * scale + offset  # type: ignore[operator]  # round() has seen it
            qualities[tag] = trust
            times[tag] = t_ns
            sources[tag] = source_ns
            believe(tag)

    def _confirm(self, t_ns: int) -> None:
        """What was heard and is not listed is unchanged at `t_ns`."""
        image = self._image
        if len(self._believed) == image.size:
            image.t_ns[:] = array("q", (t_ns,)) * image.size
            return
        for tag in self._believed:
            image.t_ns[tag] = t_ns

    def _distrust(self, tag: int, trust: Quality) -> None:
        self._image.quality[tag] = trust
        self._believed.discard(tag)


class OpcuaPoller:
    """Keeps one server's image fresh. See `edge.poll.factory.Poller`."""

    def __init__(
        self,
        device: OpcuaDevice,
        image: TagImage,
        receiver: Receiver,
        clock: Clock,
        *,
        pki: Path | None = None,
        jitter: Random | None = None,
    ) -> None:
        """`pki`: folder of this gateway's certificate, `<state folder>/pki` by default."""
        self._device = device
        self._receiver = receiver
        self._clock = clock
        self._pki = pki
        self._jitter = jitter or Random()  # noqa: S311 - spreads attempts, guards nothing
        self._writer = ImageWriter(device, image)
        self._told: tuple[bool, str] | None = None  # up and reason of the last fact
        self._problems: tuple[Problem, ...] = ()  # as last told
        self._stats = PollStats()
        self.skew_ns: int | None = None  # server's clock minus ours at the last publish; the way here makes it smaller
        self.security = ""  # policy and mode of the last session
        self.publishes = 0
        self.values = 0  # taken from publishes
        self.overflows = 0  # dropped by the server before it sent them
        self.gaps = 0  # publishes lost on the way, made good by a read

    @property
    def stats(self) -> PollStats:
        """Counters, live. Requests are calls with an answer of their own; publishes are counted apart."""
        return self._stats

    async def run(self) -> None:
        """Hold one session after the other until cancelled; errors become facts and pauses."""
        pause_s = FIRST_PAUSE_S
        while True:
            began_ns = self._clock.monotonic_ns()
            try:
                await self._session()
            except ProtocolError as error:
                self._lost(error)
            except Exception as error:  # noqa: BLE001 - the top of this device's task: counted, told and started anew
                _log.exception("%s: the OPC UA session ended by an error of this program", self._device.id)
                self._lost(internal(self._device.endpoint.url, error))
            if self._clock.monotonic_ns() - began_ns > _STEADY_NS:
                pause_s = FIRST_PAUSE_S
            await asyncio.sleep(pause_s * self._jitter.uniform(0.8, 1.2))
            pause_s = min(pause_s * _PAUSE_GROWTH, PAUSE_CAP_S)

    async def read_once(self) -> None:
        """Every tag once, by the Read service. Errors: DeviceError."""
        try:
            async with self._connected() as client:
                batch = await client.read()
                self._refuse(client)
                self._take(batch, self._clock.now_ns())
                self._tell_problems(client)
        except ProtocolError as error:
            raise DeviceError(f"{self._device.id}: {Text(error.zh, error.en)}") from error

    # ── one session
    # ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _session(self) -> None:
        """From connecting to loss. Errors: ProtocolError, always: a session has no other end than cancellation."""
        async with self._connected() as client:
            await client.subscribe()
            self._refuse(client)
            self._tell_problems(client)
            await self._listen(client)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[OpcuaClient]:
        """A session, the round trip measured once; closed at the end whatever happens."""
        client = OpcuaClient(self._device.endpoint, self._device.tags, await self._identity())
        try:
            await client.connect()
        except ProtocolError:
            self._stats.failed_connects += 1
            raise
        self._stats.reconnects += 1
        self.security = client.security
        try:
            await self._measure(client)
            yield client
        finally:
            await client.close()

    async def _identity(self) -> Identity | None:
        if self._device.endpoint.security == "None":
            return None
        folder = self._pki or state_folder() / "pki"
        try:
            return await asyncio.to_thread(ensure_identity, folder, socket.gethostname(), self._clock.now_ns())
        except OSError as error:
            raise certificate_unwritable(str(folder), error) from error

    async def _listen(self, client: OpcuaClient) -> None:
        clock = self._clock
        watchdog_s = max(self._device.endpoint.watchdog_ns / _NS_PER_S, 2.5 * client.publishing_s)
        upkeep_ns = clock.monotonic_ns() + UPKEEP_NS
        renew_ns = clock.monotonic_ns() + _renew_after_ns(client)
        times = PublishTime()
        while True:
            try:
                async with asyncio.timeout(watchdog_s):
                    batches = await client.next_publish()
            except TimeoutError:
                self._stats.timeouts += 1
                raise silent(self._device.endpoint.url, watchdog_s) from None
            for batch, t_ns in zip(batches, times.of(batches, clock.now_ns()), strict=True):
                self._take(batch, t_ns)
            self.publishes += 1
            self.gaps += client.gaps
            client.gaps = 0
            now_ns = clock.monotonic_ns()
            if now_ns >= renew_ns:
                await client.renew()
                renew_ns = now_ns + _renew_after_ns(client)
            if now_ns >= upkeep_ns:
                await self._upkeep(client)
                upkeep_ns = clock.monotonic_ns() + UPKEEP_NS
            self._tell_problems(client)

    async def _upkeep(self, client: OpcuaClient) -> None:
        await self._measure(client)
        await client.retry_refused()
        self._refuse(client)

    async def _measure(self, client: OpcuaClient) -> None:
        """One small read, timed: the latency of this server."""
        sent_ns = self._clock.monotonic_ns()
        self._stats.requests += 1
        await client.probe()
        self._stats.replied(self._clock.monotonic_ns() - sent_ns)

    def _take(self, batch: Batch, t_ns: int) -> None:
        self._writer.write(batch, t_ns)
        if batch.publish_ns:
            self.skew_ns = batch.publish_ns - t_ns
        self.values += len(batch.tags)
        self.overflows += batch.overflows
        self._receiver.on_frame(Frame(self._device.index, t_ns, sorted(batch.tags), 0, confirms=batch.complete))

    # ── facts
    # ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _lost(self, error: ProtocolError) -> None:
        """The session ended: tags first, then the fact. The same reason is told once."""
        changed = self._writer.lose()
        self._problems = ()
        if error.fault is Fault.DEVICE:
            self._stats.exceptions += 1
        reason = error.reason if isinstance(error, OpcuaError) else "error"
        self._tell(up=False, reason=reason, text=Text(error.zh, error.en), tags=changed)

    def _refuse(self, client: OpcuaClient) -> None:
        self._writer.refuse(problem.tag for problem in client.problems if problem.refused)

    def _tell_problems(self, client: OpcuaClient) -> None:
        """Connected; with the nodes that are not to be had, where there are any."""
        problems = client.problems
        if problems == self._problems and self._told is not None and self._told[0]:
            return
        self._problems = problems
        if not problems:
            text = Text(f"已连接，安全：{client.security}", f"connected, security {client.security}")
            self._tell(up=True, reason="connected", text=text, tags=[])
            return
        shown = "; ".join(f"{self._device.tags[one.tag].node}: {one.words}" for one in problems[:_NODES_SHOWN])
        rest = len(problems) - _NODES_SHOWN
        more = Text(f"；另有 {rest} 个" if rest > 0 else "", f"; and {rest} more" if rest > 0 else "")
        text = Text(
            f"已连接，{len(problems)} 个变量不可用，请核对站点文件与 PLC 程序（{shown}{more.zh}）",
            f"connected; {len(problems)} tags cannot be had, compare the site file with the PLC program "
            f"({shown}{more.en})",
        )
        self._told = None  # other nodes with the same reason are news
        self._tell(up=True, reason="nodes-refused", text=text, tags=[one.tag for one in problems])

    def _tell(self, *, up: bool, reason: str, text: Text, tags: list[int]) -> None:
        if self._told == (up, reason) and not tags:
            return
        self._told = (up, reason)
        self._receiver.on_fact(DeviceFact(self._device.index, self._clock.now_ns(), up, reason, str(text), tags))


def _renew_after_ns(client: OpcuaClient) -> int:
    return round(client.channel_lifetime_s * _RENEW_SHARE * _NS_PER_S)
