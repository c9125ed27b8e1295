"""Delivery: every committed point reaches the database exactly once by query, whatever dies on the way; a bad point
costs only itself; one database never holds another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fixtures.influx import Influx
from fixtures.influx2 import BUCKET, ORG, TOKEN, Influx2Stub, cut, hang, reply
from fixtures.memory import memory_folder
from fixtures.records import NS, T0_NS, batch, line, outbox_at, record

from edge.clock import Clock, ManualClock, SystemClock
from edge.courier import Courier
from edge.delivery import Delivery
from edge.outbox.batch import Batch, Record
from edge.outbox.reader import Reader
from edge.outbox.store import Outbox
from edge.plan import InfluxSink, Target
from edge.points import RecordClass
from edge.sinks import Delivered, Outcome, Rejected, TooLarge, Wait
from edge.sinks.factory import make_sink

pytestmark = pytest.mark.usefixtures("no_blocking")


class Scripted:
    """A sink that answers what a test says; it stands for answers no real server can be made to give on demand."""

    url = "http://scripted"

    def __init__(self, *answers: Outcome, sink_id: str = "a") -> None:
        self.id = sink_id
        self.answers = list(answers)
        self.got: list[list[bytes]] = []
        self.prepared: list[bytes] = []
        self.bad: set[bytes] = set()
        self.max_bytes = 1 << 30

    async def date_ns(self) -> int | None:
        return None

    async def prepare(self, lines: bytes) -> None:
        self.prepared.append(lines)

    async def write(self, lines: bytes, target: Target | None = None) -> Outcome:
        await asyncio.sleep(0)
        split = lines.split(b"\n")
        self.got.append(split)
        if self.answers:
            return self.answers.pop(0)
        if len(lines) > self.max_bytes:
            return TooLarge()
        if self.bad.intersection(split):
            return Rejected("partial write: field type conflict")
        return Delivered()

    async def close(self) -> None:
        pass

    @property
    def delivered(self) -> list[bytes]:
        return [each for lines in self.got for each in lines]


UNEXPECTED = Wait("unexpected", "a portal?")


class Portal(Scripted):
    """While it is closed it refuses whatever comes, in words of its own."""

    closed = False
    opens_after = 1 << 30  # requests

    async def write(self, lines: bytes, target: Target | None = None) -> Outcome:
        if self.closed and len(self.got) >= self.opens_after:
            self.closed = False
        outcome = await super().write(lines)
        return Rejected("please log in", UNEXPECTED) if self.closed else outcome


@asynccontextmanager
async def running(delivery: Delivery) -> AsyncIterator[None]:
    task = asyncio.create_task(delivery.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled(), task.exception()


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """In memory: what a flush costs is not tested here."""
    with memory_folder(tmp_path) as folder:
        yield folder


@pytest.fixture
async def outbox(tmp_path: Path) -> AsyncIterator[Outbox]:
    outbox = outbox_at(tmp_path / "s.db", "a", "b")
    await outbox.open()
    yield outbox
    await outbox.close()


async def quarantined(outbox: Outbox) -> list[tuple[bytes, str]]:
    def look() -> list[tuple[bytes, str]]:
        with Reader(outbox.settings.path) as reader:
            return [(q.line, q.words) for q in reader.quarantined()]

    return await asyncio.to_thread(look)


async def commit(outbox: Outbox, numbers: Sequence[int]) -> None:
    for n in numbers:
        await outbox.commit(batch(n, record(n)))


class TestRules:
    """What follows from each outcome."""

    async def test_a_commit_wakes_a_sleeping_delivery(self, outbox: Outbox) -> None:
        sink = Scripted()
        delivery = Delivery(outbox, sink, ManualClock(T0_NS))
        async with running(delivery):
            await asyncio.sleep(0.02)
            assert sink.got == []
            await commit(outbox, range(3))
            assert await delivery.drained(2)
        assert sink.delivered == [line(n) for n in range(3)]
        assert outbox.position("a").cursor == 3

    async def test_waiting_sends_the_same_bytes_again_and_moves_nothing(self, outbox: Outbox) -> None:
        sink = Scripted(Wait("refused", "down"), Wait("refused", "down"))
        delivery = Delivery(outbox, sink, ManualClock(T0_NS), jitter=lambda: 0.0)
        await commit(outbox, range(2))
        async with running(delivery):
            await asyncio.sleep(0.1)
            assert outbox.position("a").cursor == 0
            view = delivery.view(await outbox.stats())
            assert (view.state, view.error, view.backlog_records) == ("waiting", "down", 2)
            assert await delivery.drained(5)
            assert delivery.view(await outbox.stats()).state == "idle"
        assert sink.got[0] == sink.got[1] == sink.got[2]

    async def test_retry_after_is_obeyed(self, outbox: Outbox) -> None:
        sink = Scripted(Wait("overloaded", "busy", retry_after_s=1.5))
        delivery = Delivery(outbox, sink, ManualClock(T0_NS), jitter=lambda: 0.0)
        await commit(outbox, [1])
        async with running(delivery):
            await asyncio.sleep(1.2)
            assert len(sink.got) == 1
            await asyncio.sleep(0.6)
            assert len(sink.got) == 2

    async def test_a_dead_server_is_not_hammered_even_when_somebody_waits(self, outbox: Outbox) -> None:
        sink = Scripted(*[Wait("refused", "down")] * 1000)
        delivery = Delivery(outbox, sink, ManualClock(T0_NS))
        await commit(outbox, [1])
        async with running(delivery):
            assert not await delivery.drained(1.2)
        assert len(sink.got) <= 4

    async def test_the_bad_points_stand_alone_in_quarantine_and_the_rest_flows(self, outbox: Outbox) -> None:
        sink = Scripted()
        sink.bad = {line(13), line(57), line(58)}
        delivery = Delivery(outbox, sink, ManualClock(T0_NS))
        await commit(outbox, range(100))
        async with running(delivery):
            assert await delivery.drained(5)
            assert await delivery.drained(5)  # the gap that tells of the quarantine
        assert {bad for bad, _ in await quarantined(outbox)} == sink.bad
        good = {each for lines in sink.got if not sink.bad.intersection(lines) for each in lines}
        assert {point for point in good if not point.startswith(b"gap")} == {line(n) for n in range(100)} - sink.bad
        view = delivery.view(await outbox.stats())
        assert (view.delivered_points, view.quarantined_points, view.backlog_records) == (98, 3, 0)

    async def test_too_large_is_split_and_remembered(self, outbox: Outbox) -> None:
        sink = Scripted()
        sink.max_bytes = 40_000
        delivery = Delivery(outbox, sink, ManualClock(T0_NS))
        for n in range(100):
            await outbox.commit(batch(n, record(n, pad=1000)))
        async with running(delivery):
            assert await delivery.drained(5)
            refused = sum(1 for lines in sink.got if len(b"\n".join(lines)) > sink.max_bytes)
            await outbox.commit(batch(200, *(record(n, pad=1000) for n in range(200, 300))))
            assert await delivery.drained(5)
        assert set(sink.delivered) >= {line(n, pad=1000) for n in [*range(100), *range(200, 300)]}
        assert refused == sum(1 for lines in sink.got if len(b"\n".join(lines)) > sink.max_bytes), "not remembered"
        assert await quarantined(outbox) == []

    async def test_the_log_says_why_nothing_goes_once_and_that_it_goes_again(
        self, outbox: Outbox, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def at_once(courier: Courier, retry_after_s: float | None = None) -> None:
            await asyncio.sleep(0)

        monkeypatch.setattr(Courier, "back_off", at_once)
        clock = ManualClock(T0_NS)
        away, refused = Wait("refused", "nobody listens"), Wait("unauthorized", "may not write")
        sink = Scripted(away, away, refused, refused, Delivered(), away)
        delivery = Delivery(outbox, sink, clock)
        with caplog.at_level("INFO", logger="edge.courier"):
            async with running(delivery):
                for n in range(3):
                    await commit(outbox, [n])
                    assert await delivery.drained(5)
                assert [entry.message for entry in caplog.records] == [
                    "database waits", "database waits", "database takes data again",
                ]  # fmt: skip
                clock.advance(61 * NS)
                sink.answers.append(away)
                await commit(outbox, [9])
                assert await delivery.drained(5)
        assert [entry.message for entry in caplog.records][3:] == ["database waits", "database takes data again"]

    async def test_words_nobody_knows_condemn_a_point_where_the_server_takes_others(self, outbox: Outbox) -> None:
        class Strange(Scripted):
            async def write(self, lines: bytes, target: Target | None = None) -> Outcome:
                outcome = await super().write(lines)
                return outcome if isinstance(outcome, Delivered) else Rejected("humidity is off", UNEXPECTED)

        sink = Strange()
        sink.bad = {line(0), line(7), line(19)}
        await commit(outbox, range(20))
        delivery = Delivery(outbox, sink, ManualClock(T0_NS), jitter=lambda: 0.0)
        async with running(delivery):
            assert await delivery.drained(10)
            await outbox.commit(batch(20, Record.of(RecordClass.LIVE, [line(7, pad=3)])))
            sink.bad.add(line(7, pad=3))
            assert await delivery.drained(10)
        assert {bad for bad, _ in await quarantined(outbox)} == {line(0), line(7), line(7, pad=3), line(19)}
        accepted = {each for lines in sink.got if not sink.bad.intersection(lines) for each in lines}
        assert {each for each in accepted if each.startswith(b"live")} == {line(n) for n in range(20)} - sink.bad

    async def test_what_refuses_everything_condemns_nothing(self, outbox: Outbox) -> None:
        """A portal that says 400 to all: before anything was taken, and in the middle of things, and as it ends."""
        sink = Portal()
        sink.closed = True
        await commit(outbox, range(20))
        delivery = Delivery(outbox, sink, ManualClock(T0_NS), jitter=lambda: 0.0)
        async with running(delivery):
            assert not await delivery.drained(0.7)
            assert delivery.view(await outbox.stats()).error == UNEXPECTED.detail
            assert {len(lines) for lines in sink.got} == {1}, "some are tried; all are not halved down to the last"
            sink.closed = False
            assert await delivery.drained(10)
            sink.closed = True
            await outbox.commit(batch(30, record(30)))
            assert not await delivery.drained(0.2)
            sink.opens_after = len(sink.got) + 1  # it refuses the point, and takes the proof
            assert await delivery.drained(10)
        assert await quarantined(outbox) == []
        assert {each for lines in sink.got for each in lines} == {*map(line, range(20)), line(30)}

    async def test_a_time_to_retry_at_is_measured_against_our_clock_and_bounded(
        self, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slept: list[float | None] = []

        async def back_off(courier: Courier, retry_after_s: float | None = None) -> None:
            slept.append(retry_after_s)

        monkeypatch.setattr(Courier, "back_off", back_off)
        sink = Scripted(*(Wait("overloaded", "busy", retry_at_ns=T0_NS + seconds * NS) for seconds in (30, -30)))
        await commit(outbox, [1])
        delivery = Delivery(outbox, sink, ManualClock(T0_NS))
        async with running(delivery):
            assert await delivery.drained(5)
        assert slept == [30.0, -30.0]

    async def test_a_point_too_large_for_the_server_is_quarantined(self, outbox: Outbox) -> None:
        sink = Scripted()
        sink.max_bytes = 500
        await outbox.commit(batch(1, record(1, pad=1000), record(2)))
        delivery = Delivery(outbox, sink, ManualClock(T0_NS))
        async with running(delivery):
            assert await delivery.drained(5)
        assert [bad for bad, _ in await quarantined(outbox)] == [line(1, pad=1000)]

    async def test_after_timeouts_the_batches_shrink_so_that_a_slow_link_still_moves(self, outbox: Outbox) -> None:
        class SlowLink(Scripted):
            async def write(self, lines: bytes, target: Target | None = None) -> Outcome:
                return Wait("timeout", "slow") if len(lines) > 60_000 else await super().write(lines)

        sink = SlowLink()
        for n in range(50):
            await outbox.commit(batch(n, record(n, pad=4000)))
        delivery = Delivery(outbox, sink, ManualClock(T0_NS), jitter=lambda: 0.0)
        async with running(delivery):
            assert await delivery.drained(20)
        assert sorted(set(sink.delivered)) == sorted(line(n, pad=4000) for n in range(50))

    async def test_new_points_do_not_wait_behind_a_long_backlog(self, outbox: Outbox) -> None:
        clock = ManualClock(T0_NS)
        await outbox.commit(batch(0, *(record(n, pad=1000) for n in range(100))))
        clock.advance(3600 * NS)
        await outbox.commit(Batch(clock.now_ns(), (record(1000),)))

        class OneMoreOnTheWay(Scripted):
            async def write(self, lines: bytes, target: Target | None = None) -> Outcome:
                if len(self.got) == 3:
                    await outbox.commit(Batch(clock.now_ns(), (record(1001),)))
                return await super().write(lines)

        sink = OneMoreOnTheWay()
        delivery = Delivery(outbox, sink, clock, batch_bytes=20_000)
        async with running(delivery):
            assert await delivery.drained(5)
        assert sink.delivered.index(line(1001)) < 80
        assert set(sink.delivered) == {line(n, pad=1000) for n in range(100)} | {line(1000), line(1001)}
        assert not outbox.position("a").replaying

    async def test_the_next_body_is_made_while_the_server_works_on_the_last(self, outbox: Outbox) -> None:
        """Nothing is done between two requests that could have been done during the first; one is made at most."""

        class Working(Scripted):
            """Answers no earlier than the next body is made; the very first is one point, to learn the clock."""

            def __init__(self) -> None:
                super().__init__()
                self.made = asyncio.Event()

            async def prepare(self, lines: bytes) -> None:
                await super().prepare(lines)
                self.made.set()

            async def write(self, lines: bytes, target: Target | None = None) -> Outcome:
                if self.got and line(49) not in lines.split(b"\n"):
                    async with asyncio.timeout(5):
                        await self.made.wait()
                    self.made.clear()
                return await super().write(lines)

        sink = Working()
        await commit(outbox, range(50))
        delivery = Delivery(outbox, sink, ManualClock(T0_NS), batch_bytes=10 * len(line(49)))
        async with running(delivery):
            assert await delivery.drained(10)
        assert sink.prepared == [b"\n".join(lines) for lines in sink.got[2:]]
        assert len(sink.prepared) >= 4
        assert sorted(sink.delivered) == sorted(line(n) for n in range(50))

    async def test_one_database_never_holds_another(self, outbox: Outbox) -> None:
        class Dead(Scripted):
            async def write(self, lines: bytes, target: Target | None = None) -> Outcome:
                await asyncio.sleep(3600)
                return Delivered()

        alive = Delivery(outbox, Scripted(sink_id="b"), ManualClock(T0_NS))
        dead = Delivery(outbox, Dead(), ManualClock(T0_NS))
        async with running(dead), running(alive):
            await commit(outbox, range(20))
            assert await alive.drained(3)
            assert not await dead.drained(0.05)
        assert (outbox.position("a").cursor, outbox.position("b").cursor) == (0, 20)

    async def test_the_servers_clock_is_compared(self, outbox: Outbox) -> None:
        sink = Scripted(Delivered(server_date_ns=T0_NS + 90 * NS))
        delivery = Delivery(outbox, sink, ManualClock(T0_NS))
        await commit(outbox, [1])
        async with running(delivery):
            assert await delivery.drained(2)
        assert delivery.server_offset_ns == 90 * NS + NS // 2
        assert delivery.view(await outbox.stats()).clock_ahead_s == 90.5


def influx1(server: Influx, database: str) -> InfluxSink:
    return InfluxSink("a", 1, server.url, database, deadline_ns=2 * NS)


async def ids(server: Influx, database: str) -> list[int]:
    """The numbers stored in `live`, in order of time."""
    return [point["n"] for point in await server.query("SELECT n FROM live", database)]


class TestRealInfluxDB:
    """Against influxd 1.6.7."""

    async def test_killed_and_restarted_mid_delivery_every_point_is_there_exactly_once(
        self, outbox: Outbox, influx: tuple[Influx, str]
    ) -> None:
        server, database = influx
        sink = make_sink(influx1(server, database))
        delivery = Delivery(outbox, sink, SystemClock(), batch_bytes=20_000)
        async with running(delivery):
            for start in range(0, 3000, 100):
                await outbox.commit(batch(start, record(*range(start, start + 100))))
                if start in (700, 1900):
                    await asyncio.to_thread(server.kill)
                if start in (1200, 2400):
                    await asyncio.to_thread(server.start)
            assert await delivery.drained(30)
        await sink.close()
        assert await ids(server, database) == list(range(3000))

    async def test_a_type_conflict_is_quarantined_with_the_servers_words_and_the_rest_flows(
        self, outbox: Outbox, influx: tuple[Influx, str]
    ) -> None:
        server, database = influx
        sink = make_sink(influx1(server, database))
        delivery = Delivery(outbox, sink, SystemClock())
        bad = b'live,machine=m1 n="a text" %d' % (T0_NS + 5000)
        malformed = b"live,machine=m1 n=1i,broken %d" % (T0_NS + 5001)
        await commit(outbox, range(20))
        await outbox.commit(batch(20, Record.of(RecordClass.LIVE, [line(20), bad, line(21), malformed, line(22)])))
        await commit(outbox, range(23, 40))
        async with running(delivery):
            assert await delivery.drained(10)
        await sink.close()
        assert await ids(server, database) == list(range(40))
        words = dict(await quarantined(outbox))
        assert set(words) == {bad, malformed}
        assert "field type conflict" in words[bad]
        assert "unable to parse" in words[malformed]

    async def test_without_the_database_everything_waits_until_it_is_created(
        self, outbox: Outbox, influx: tuple[Influx, str]
    ) -> None:
        server, database = influx
        await server.query(f'DROP DATABASE "{database}"')
        sink = make_sink(influx1(server, database))
        delivery = Delivery(outbox, sink, SystemClock())
        await commit(outbox, range(5))
        async with running(delivery):
            assert not await delivery.drained(0.7)
            view = delivery.view(await outbox.stats())
            assert view.state == "waiting"
            assert database in view.error
            await server.query(f'CREATE DATABASE "{database}"')
            assert await delivery.drained(10)
        await sink.close()
        assert await ids(server, database) == list(range(5))
        assert await quarantined(outbox) == []

    async def test_a_request_larger_than_the_server_takes_is_split(self, outbox: Outbox, tmp_path: Path) -> None:
        home = tmp_path / "influx"
        await asyncio.to_thread(home.mkdir)
        server = await asyncio.to_thread(Influx, home, max_body_bytes=30_000)
        await asyncio.to_thread(server.start)
        await server.query("CREATE DATABASE d")
        sink = make_sink(influx1(server, "d"))
        delivery = Delivery(outbox, sink, SystemClock())
        await outbox.commit(batch(0, *(record(n, pad=900) for n in range(100))))
        async with running(delivery):
            assert await delivery.drained(10)
        await sink.close()
        assert await ids(server, "d") == list(range(100))
        await asyncio.to_thread(server.kill)

    async def test_a_crash_before_the_cursor_was_saved_sends_twice_and_stores_once(
        self, tmp_path: Path, influx: tuple[Influx, str]
    ) -> None:
        server, database = influx
        path = tmp_path / "crash.db"
        outbox = outbox_at(path, "a")
        await outbox.open()
        await commit(outbox, range(50))
        copy = tmp_path / "copy.db"  # the disk as it was before the cursor moved
        await outbox.close()
        await asyncio.to_thread(lambda: copy.write_bytes(path.read_bytes()))
        for each in (path, copy):
            outbox = outbox_at(each, "a")
            await outbox.open()
            sink = make_sink(influx1(server, database))
            delivery = Delivery(outbox, sink, SystemClock())
            async with running(delivery):
                assert await delivery.drained(10)
            await sink.close()
            await outbox.close()
        assert await ids(server, database) == list(range(50))


class TestVersion2:
    """Against the strict stand-in for /api/v2/write."""

    async def test_through_every_trouble_each_point_arrives_once(self, outbox: Outbox, influx2: Influx2Stub) -> None:
        influx2.script.extend(
            [reply(503), cut, hang, reply(401, {"code": "unauthorized"}), reply(200, "<html>portal</html>"), reply(500)]
        )
        influx2.refuse = lambda each: b"n=7i" in each
        plan = InfluxSink("a", 2, influx2.url, org=ORG, bucket=BUCKET, token=TOKEN, deadline_ns=NS // 5)
        sink = await asyncio.to_thread(make_sink, plan)  # the first import of the client reads many files
        delivery = Delivery(outbox, sink, SystemClock(), jitter=lambda: 0.0)
        await commit(outbox, range(30))
        async with running(delivery):
            assert await delivery.drained(20)
        await sink.close()
        assert sorted(fields["n"] for fields in influx2.points.values()) == [n for n in range(30) if n != 7]
        assert [bad for bad, _ in await quarantined(outbox)] == [line(7)]


async def test_a_store_that_cannot_be_read_is_waited_for(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk in trouble moves no cursor and ends no task; delivery goes on when it heals."""
    from edge.errors import StoreError

    sink = Scripted()
    healthy = outbox.read_new
    broken = True

    async def read(sink_id: str, max_bytes: int) -> object:
        if broken:
            raise StoreError("the card is gone")
        return await healthy(sink_id, max_bytes)

    monkeypatch.setattr(outbox, "read_new", read)
    clock: Clock = ManualClock(T0_NS)
    delivery = Delivery(outbox, sink, clock)
    await commit(outbox, [1])
    async with running(delivery):
        await asyncio.sleep(0.05)
        assert delivery.view(await outbox.stats()).error == "the card is gone"
        broken = False
        assert await delivery.drained(5)
    assert sink.delivered == [line(1)]
