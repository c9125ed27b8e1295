"""Lines to one database, until each of them is accepted or refused for good.

Rules.
* Wait: the very same lines are sent again after a back-off of 0.5 s doubling to 30 s, with jitter so that a thousand
  gateways do not return together; a Retry-After of the server is obeyed. After timeouts the batches shrink, so that a
  link too slow for one megabyte within the deadline still moves.
* Rejected: the lines are halved until the bad ones stand alone. InfluxDB has stored the good ones by then (a 400 is a
  partial write), and sending a point again overwrites it, so halving costs requests and never correctness.
* Rejected in words no database is known to say: halved and condemned only where the server takes other points at this
  very time; the last it took is sent once more to see that. Else something in between refuses everything: wait.
* TooLarge: halved as well; the size is a setting of the server and is remembered.
* Whoever reads the log is told why nothing goes, once a reason until data flow again, and no reason more than once a
  minute: a bad line is many troubles an hour.
* Nothing is sent whose time is further ahead of the server's clock than the bound: a year ahead, it would be the newest
  point of every dashboard for a year. Where our own clock is that far ahead the lines wait for either to be set (the
  server is asked for its own before each try); where it is not, they are refused, each with the reason.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from edge.clock import Clock
from edge.errors import Text
from edge.logs import facts
from edge.plan import Target
from edge.sinks import Delivered, Outcome, Rejected, Sink, TooLarge, Wait
from edge.sinks.routing import Router
from ext.victoria import newest_ns

log = logging.getLogger(__name__)

BACKOFF_MIN_S = 0.5
BACKOFF_MAX_S = 30.0
RETRY_AFTER_MAX_S = 3_600.0  # a server that asks for more is asked again after an hour
BATCH_MIN_BYTES = 16_384
SAID_AGAIN_NS = 60_000_000_000
_NS_PER_S = 1_000_000_000

Refused = tuple[bytes, str]  # a line, and why


@dataclass(slots=True)
class Server:
    """What is known of a server, by all who send to it."""

    sink: Sink
    clock: Clock
    router: Router
    max_batch_bytes: int
    future_ns: int
    jitter: Callable[[], float] = random.random
    delivered_points: int = 0
    offset_ns: int | None = None  # its clock ahead (+) of ours when it was last heard, to about a second
    hurried: int = 0  # how many wait for the end of the backlog: back-offs stay short
    hurry: asyncio.Event = field(default_factory=asyncio.Event)  # set: cut the present back-off
    proofs: dict[Target | None, bytes] = field(default_factory=dict)  # the last line it took, by target
    asked: bool = False  # for its clock: before the first lines, and while lines wait for a clock
    _trouble: str = ""  # the reason that was told last; "" = data flow
    _said: dict[str, int] = field(default_factory=dict)  # monotonic ns, by reason
    _date_ns: int = 0
    _heard_ns: int = 0  # monotonic: a step of our clock does not move the server's

    def heard(self, date_ns: int | None, sent_ns: int) -> None:
        """It answered with its Date. The header has whole seconds: its middle against the middle of the request."""
        if date_ns is not None:
            self._date_ns, self._heard_ns = date_ns + _NS_PER_S // 2, self.clock.monotonic_ns()
            self.offset_ns = self._date_ns - (sent_ns + self.clock.now_ns()) // 2

    def waits(self, wait: Wait) -> None:
        """Tell the log, where this is news."""
        now_ns = self.clock.monotonic_ns()
        said_ns = self._said.get(wait.reason)
        if wait.reason != self._trouble and (said_ns is None or now_ns - said_ns >= SAID_AGAIN_NS):
            self._trouble, self._said[wait.reason] = wait.reason, now_ns
            log.warning("database waits", extra=facts(sink=self.sink.id, reason=wait.reason, detail=wait.detail))

    def flows(self) -> None:
        """It took something: tell the log, where it knows of trouble."""
        if self._trouble:
            self._trouble = ""
            log.info("database takes data again", extra=facts(sink=self.sink.id))

    def now_ns(self) -> int | None:
        """What its clock shows; None before it was heard."""
        if self.offset_ns is None:
            return None
        return self._date_ns + self.clock.monotonic_ns() - self._heard_ns


@dataclass(slots=True)
class Load:
    """Lines on their way, in stretches that still have to be accepted, and what was refused so far."""

    stretches: list[tuple[Target | None, list[bytes] | bytes]]  # a stack: the last is sent next
    refused: list[Refused] = field(default_factory=list)


class Courier:
    """One stream of requests to a server. `on_change` is called when something about it changed."""

    def __init__(self, server: Server, on_change: Callable[[], None]) -> None:
        self._server = server
        self._on_change = on_change
        self._failures = 0
        self.batch_bytes = server.max_batch_bytes
        self.answer_ns: int | None = None  # how long the server took for its last yes to the lines of now
        self.waiting: Wait | None = None
        self.well = asyncio.Event()  # set while nothing is wrong
        self.well.set()

    def load(self, lines: bytes) -> Load:
        """To be delivered."""
        parcels = self._server.router.parcels(lines) if lines else ()
        return Load([(parcel.target, parcel.lines) for parcel in reversed(parcels)])

    async def prepare(self, lines: bytes) -> Load:
        """The same, and what is sent first of it is made ready, while another load is on its way."""
        load = self.load(lines)
        if load.stretches and isinstance(first := load.stretches[-1][1], bytes):
            await self._server.sink.prepare(first)
        return load

    async def deliver(self, load: Load) -> list[Refused]:
        """Send until every line is accepted or refused. Returns the refused ones; waits for as long as it takes."""
        self.answer_ns = None
        while load.stretches:
            await self._send(load)
        return load.refused

    async def _send(self, load: Load) -> None:
        """One request for the next stretch, and what follows from its outcome."""
        server = self._server
        target, stretch = load.stretches.pop()
        body = stretch if isinstance(stretch, bytes) else b"\n".join(stretch)
        if len(body) > self.batch_bytes and b"\n" in body:
            end = end_of_piece(body, 0, self.batch_bytes)
            load.stretches += [(target, body[end + 1 :]), (target, body[:end])]
            return
        if not server.asked:
            server.asked, sent_ns = True, server.clock.now_ns()
            server.heard(await server.sink.date_ns(), sent_ns)
        is_unknown = server.offset_ns is None and not server.delivered_points
        if is_unknown and (first := body.find(b"\n")) >= 0:  # it tells its clock with an answer: one point for that
            load.stretches += [(target, body[first + 1 :]), (target, body[:first])]
            return
        if self._is_ahead(body):
            await self._hold_back(load, target, body)
            return
        outcome = await self._write(target, body)
        if isinstance(outcome, Rejected) and outcome.otherwise is not None:
            behind = next((lines for to, lines in reversed(load.stretches) if to == target), b"")
            outcome = await self._looked_into(outcome, outcome.otherwise, target, body, behind)
        match outcome:
            case Delivered():
                server.proofs[target] = body[body.rfind(b"\n") + 1 :]
                self._accepted(body.count(b"\n") + 1)
            case Wait():
                load.stretches.append((target, body))
                await self._wait(outcome)
            case Rejected(words, _) if b"\n" not in body:
                load.refused.append((body, words))
            case TooLarge() if b"\n" not in body:
                load.refused.append((body, "413: the server takes no request of this size"))
            case Rejected() | TooLarge():
                if isinstance(outcome, TooLarge):
                    server.max_batch_bytes = max(BATCH_MIN_BYTES, len(body) // 2)
                    self.batch_bytes = min(self.batch_bytes, server.max_batch_bytes)
                load.stretches += [(target, half) for half in _halves(body.split(b"\n"))]

    async def _write(self, target: Target | None, body: bytes) -> Outcome:
        """One request."""
        server = self._server
        sent_ns, began_ns = server.clock.now_ns(), server.clock.monotonic_ns()
        outcome = await (server.sink.write(body) if target is None else server.sink.write(body, target))
        if isinstance(outcome, Delivered):
            self.answer_ns = server.clock.monotonic_ns() - began_ns
            server.heard(outcome.server_date_ns, sent_ns)
        return outcome

    async def _looked_into(
        self, refusal: Rejected, otherwise: Wait, target: Target | None, body: bytes, behind: bytes | list[bytes]
    ) -> Outcome:
        """Is it about these lines? Only where the server takes what it took before, or another of them, or of those
        that come behind.
        """
        proofs = self._server.proofs
        is_one = b"\n" not in body
        for line in (proofs[target],) if target in proofs else _samples(behind if is_one else body):
            if self._is_ahead(line):
                continue
            shown = await self._write(target, line)
            if isinstance(shown, Wait):
                return shown
            if isinstance(shown, Delivered):
                proofs[target] = line
                return await self._write(target, body) if is_one else refusal
        return otherwise

    def _accepted(self, points: int) -> None:
        self.waiting = None
        self._server.flows()
        self.well.set()
        self._failures = 0
        self._server.delivered_points += points
        self.batch_bytes = min(self.batch_bytes + self.batch_bytes // 8, self._server.max_batch_bytes)

    async def _wait(self, wait: Wait) -> None:
        self.waiting = wait
        self._server.waits(wait)
        self.well.clear()
        if wait.reason == "timeout":
            self.batch_bytes = max(BATCH_MIN_BYTES, self.batch_bytes // 2)
        retry_after_s = wait.retry_after_s
        if wait.retry_at_ns is not None:
            server_ns = self._server.now_ns()
            retry_after_s = (wait.retry_at_ns - (self._server.clock.now_ns() if server_ns is None else server_ns)) / 1e9
        await self.back_off(retry_after_s)

    async def back_off(self, retry_after_s: float | None = None) -> None:
        """Sleep before the next try; briefly where somebody waits for the end of the backlog."""
        server = self._server
        doublings = 0 if server.hurried else min(self._failures, 10)
        delay_s = min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2.0**doublings)
        delay_s = max(BACKOFF_MIN_S, delay_s * (0.5 + server.jitter() / 2))
        if retry_after_s is not None:
            delay_s = max(delay_s, min(retry_after_s, RETRY_AFTER_MAX_S))
        self._failures += 1
        server.hurry.clear()
        self._on_change()
        try:
            async with asyncio.timeout(delay_s):
                await server.hurry.wait()
        except TimeoutError:
            return

    def _is_ahead(self, lines: bytes) -> bool:
        now_ns = self._server.now_ns()
        return now_ns is not None and newest_ns(lines) > now_ns + self._server.future_ns

    async def _hold_back(self, load: Load, target: Target | None, lines: bytes) -> None:
        """Lines of which some are too far ahead: those that are not go on."""
        server = self._server
        ahead = [line for line in lines.split(b"\n") if self._is_ahead(line)]
        fine = [line for line in lines.split(b"\n") if not self._is_ahead(line)]
        ours_ns = server.clock.now_ns() - (server.now_ns() or 0)
        if ours_ns > server.future_ns:
            load.stretches.append((target, ahead))
            if fine:
                load.stretches.append((target, fine))
            else:
                server.asked = False  # nothing is sent, so no answer would tell that its clock was set
                await self._wait(_clock_ahead(server.sink.url, ours_ns))
            return
        load.refused += [(line, _too_far_ahead(newest_ns(line) - (server.now_ns() or 0))) for line in ahead]
        if fine:
            load.stretches.append((target, fine))


def end_of_piece(lines: bytes, start: int, size_bytes: int) -> int:
    """Where the last whole line of at most `size_bytes` from `start` ends; at least one line."""
    if len(lines) - start <= size_bytes:
        return len(lines)
    end = lines.rfind(b"\n", start, start + size_bytes + 1)
    if end < 0:
        end = lines.find(b"\n", start)
    return end if end >= 0 else len(lines)


def _samples(lines: bytes | list[bytes]) -> Iterable[bytes]:
    """The first, the last and one between them; none of none."""
    each = (lines.split(b"\n") if lines else []) if isinstance(lines, bytes) else lines
    return dict.fromkeys((each[0], each[len(each) // 2], each[-1])) if each else ()


def _halves(lines: list[bytes]) -> list[list[bytes]]:
    """In the order in which a stack pops them."""
    middle = len(lines) // 2
    return [lines[middle:], lines[:middle]]


def _clock_ahead(url: str, ahead_ns: int) -> Wait:
    detail = Text(
        f"网关时钟比 {url} 快 {ahead_ns / 1e9:.0f} 秒，超过 future_limit_s；未来的点暂不发送。请校准两边时钟（NTP）",
        f"the gateway's clock is {ahead_ns / 1e9:.0f} s ahead of {url}, more than future_limit_s; points of the future "
        "are held back. Set the clocks (NTP)",
    )
    return Wait("clock", str(detail))


def _too_far_ahead(ahead_ns: int) -> str:
    return str(
        Text(
            f"时间戳比数据库时钟快 {ahead_ns / 1e9:.0f} 秒，超过 future_limit_s",
            f"its time is {ahead_ns / 1e9:.0f} s ahead of the server's clock, more than future_limit_s",
        )
    )
