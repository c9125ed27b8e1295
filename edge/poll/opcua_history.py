"""Gaps of one OPC UA server, filled from its own history: an outage, and the time this gateway itself was off.

Theory. While the server is heard, when and with which difference of the clocks is noted (`edge.poll.heard`). A session
that begins anew begins after a gap; once it speaks, the server is asked for what it kept of that time. It is asked in
parts, oldest first: an hour, or less where an hour holds too much. So memory is bounded whatever the server keeps, and
a machine hears each part in one go.

Rules. Filling never stands in the way of what is heard now, and never ends a session that works: a server without
history, one that is too slow for it, or one that answers nonsense leaves the gap as it is, and that is said. Where the
connection breaks meanwhile, what is left of the gap is filled by the next session, `_TRIES` times at most.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from edge.clock import Clock
from edge.errors import Text
from edge.logs import facts
from edge.plan import OpcuaDevice
from edge.poll.heard import Heard
from edge.poll.past import Gap, heard_last, readings_of
from protocols.opcua.client import OpcuaClient
from protocols.opcua.errors import OpcuaConnectionError, OpcuaError
from protocols.opcua.history import History
from protocols.reading import Past, Receiver, Remembered, TagImage

_log = logging.getLogger(__name__)

_TRIES = 3
_PAUSE_S = 1.0  # between two parts: the store takes one, the server rests
_CUT = frozenset(("closed", "refused", "BadConnectionClosed", "BadSecureChannelClosed"))


class Backfill:
    """The gaps of one server."""

    def __init__(self, device: OpcuaDevice, image: TagImage, receiver: Receiver, clock: Clock, heard: Heard) -> None:
        self._device = device
        self._image = image
        self._receiver = receiver
        self._clock = clock
        self._heard = heard
        self._gap: Gap | None = None
        self._tries = 0
        self._speaks = asyncio.Event()  # the session was heard: what it says now is in the image
        self.skew_ns: int | None = None  # server's clock minus ours, by its answers to small reads
        self.readings = 0  # filled in

    def hear(self, t_ns: int) -> None:
        """The server was heard."""
        self._heard.note(self._device.id, self._device.endpoint.url, t_ns, self.skew_ns)
        self._speaks.set()

    def measured(self, server_ns: int, ours_ns: int) -> None:
        """What the two clocks said at the same moment; `server_ns` 0: it does not say."""
        self.skew_ns = server_ns - ours_ns if server_ns else None

    def begin_anew(self, to_ns: int, qualities: bytes) -> None:
        """A session begins, and hears nothing of what was before `to_ns`. `qualities`: of the image when the one before
        was lost; empty where there was none.
        """
        self._speaks.clear()
        last = self._heard.recall(self._device.id, self._device.endpoint.url)
        if self._gap is not None:  # not filled yet: it is longer now
            self._gap = replace(self._gap, to_ns=to_ns)
        elif last is not None and last.t_ns < to_ns:
            self._tries = _TRIES
            self._gap = Gap(last.t_ns, to_ns, last.skew_ns, tuple(heard_last(self._image, qualities, last.t_ns)))

    async def fill(self, client: OpcuaClient) -> None:
        """Ask for what the server kept. Errors: OpcuaConnectionError where the connection breaks."""
        if self._gap is None:
            return
        await self._speaks.wait()
        why: Text | None = Text("连接一再中断", "the connection broke again and again")
        if self._tries:
            self._tries -= 1
            try:
                why = await self._fill(client, self._gap)
            except OpcuaError as error:
                if isinstance(error, OpcuaConnectionError) and error.reason in _CUT:
                    raise
                why = Text(error.zh, error.en)
        self._gap = None
        if why is not None:
            _log.info("no history", extra=facts(device=self._device.id, detail=str(why)))

    async def _fill(self, client: OpcuaClient, gap: Gap) -> Text | None:
        """Returns why something was not filled."""
        skew_ns = self.skew_ns
        if skew_ns is None:
            return Text("服务器不给出自己的时间", "the server does not say what time it is")
        if set_ns := gap.set_by_ns(skew_ns):
            by = f"{set_ns / 1e9:+.0f} s"
            return Text(
                f"中断期间时钟被调整（{by}），历史时间不可信，不补",
                f"a clock was set during the outage ({by}): the times of the history cannot be believed",
            )
        history = await client.history()
        if not len(history):
            return Text("服务器未开放这些节点的历史", "the server keeps no history of these nodes")
        return await self._parts(client, history, gap, skew_ns)

    async def _parts(self, client: OpcuaClient, history: History, gap: Gap, skew_ns: int) -> Text | None:
        began_ns = max(0, client.about.start_ns - skew_ns)
        standing = {one.tag: one for one in gap.standing if began_ns <= gap.from_ns}
        spans, left = gap.parts(), Gap.VALUES_MAX
        while spans:
            from_ns, to_ns = span = spans.pop()
            kept = await history.read(from_ns + skew_ns, to_ns + skew_ns, Gap.PART_VALUES)
            if not kept.whole and to_ns - from_ns > Gap.LEAST_NS:
                middle_ns = (from_ns + to_ns) // 2
                spans += [(middle_ns, to_ns), (from_ns, middle_ns)]
                continue
            readings, stood = readings_of(self._device, client.of_tags(kept.data), span, skew_ns)
            standing |= stood
            self._hand_over(span, readings, standing, began_ns, last=not spans)
            standing |= {one.tag: one for one in readings}
            self._gap = replace(gap, from_ns=to_ns, standing=tuple(standing.values()))
            left -= len(readings)
            if left <= 0 and spans:
                return Text(
                    "历史太多，只补了较早的部分", "there is more history than is filled in; its newest part is left out"
                )
            if spans:
                await asyncio.sleep(_PAUSE_S)
        return None

    def _hand_over(
        self,
        span: tuple[int, int],
        readings: list[Remembered],
        standing: dict[int, Remembered],
        began_ns: int,
        *,
        last: bool,
    ) -> None:
        """One part. Its last values stand to its end where more parts follow, or where the server still says so."""
        at_end = standing | {one.tag: one for one in readings}
        steady = frozenset(tag for tag, one in at_end.items() if not last or self._image.i64[tag] == one.i64)
        if not readings and not standing:
            return
        self.readings += len(readings)
        from_ns, to_ns = span
        before = tuple(replace(one, t_ns=from_ns) for one in standing.values())
        self._receiver.on_past(Past(self._device.index, from_ns, to_ns, tuple(readings), before, steady, began_ns))
