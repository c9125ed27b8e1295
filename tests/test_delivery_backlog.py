"""After an outage what is new is visible at once while the backlog drains beside it: bounded in rate, oldest first, and
of a point that stands in both the newest version remains. Points of the future stay out; routes lead where they should.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from fixtures.influx import Influx
from fixtures.memory import memory_folder
from fixtures.records import NS, T0_NS, batch, line, outbox_at, record
from fixtures.tls import listening, pump
from test_delivery import Scripted, commit, ids, influx1, quarantined, running

from edge.clock import ManualClock, SystemClock
from edge.delivery import Delivery
from edge.outbox.batch import Batch, Record
from edge.outbox.store import Outbox
from edge.plan import InfluxSink, Route, Target
from edge.points import RecordClass
from edge.sinks import Delivered, Outcome, Wait
from edge.sinks.factory import make_sink

pytestmark = pytest.mark.usefixtures("no_blocking")

HOUR = 3600 * NS


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


async def backlog(outbox: Outbox, records: int, pad: int = 900) -> None:
    """Ten points a record, an hour ago."""
    for n in range(records):
        await outbox.commit(batch(0, record(*range(10 * n, 10 * n + 10), pad=pad)))


class TestBeside:
    async def test_what_is_new_is_visible_while_the_backlog_drains(
        self, outbox: Outbox, influx: tuple[Influx, str]
    ) -> None:
        """Against influxd 1.6.7: 2 MB wait, 80 kB a second go; a new point does not wait for them."""
        server, database = influx
        await backlog(outbox, 200)
        sink = make_sink(influx1(server, database))
        delivery = Delivery(outbox, sink, SystemClock(), batch_bytes=100_000, backlog_bytes_per_s=80_000)
        async with running(delivery):
            waits = []
            for n in range(10_000, 10_005):
                began = time.monotonic()
                await outbox.commit(Batch(time.time_ns(), (record(n),)))
                while n not in (seen := await ids(server, database)):  # noqa: ASYNC110 - the database is asked
                    await asyncio.sleep(0.02)
                waits.append(time.monotonic() - began)
            assert len(seen) < 1500, "the backlog was through before anybody looked"
            assert sorted(waits)[2] < 2.0
            old = [n for n in seen if n < 10_000]
            assert old == list(range(len(old))), "not oldest first"
            delivery.pace.bytes_per_s = 0
            assert await delivery.drained(30)
        await sink.close()
        assert await ids(server, database) == [*range(2000), *range(10_000, 10_005)]
        assert not outbox.position("a").replaying

    async def test_the_backlog_keeps_its_rate(self, outbox: Outbox) -> None:
        await backlog(outbox, 40, pad=1000)
        clock = ManualClock(T0_NS + HOUR)
        await outbox.commit(Batch(clock.now_ns(), (record(9999),)))
        sink = Scripted()
        delivery = Delivery(outbox, sink, clock, batch_bytes=50_000, backlog_bytes_per_s=200_000)
        began = time.monotonic()
        async with running(delivery):
            assert await delivery.drained(20)
        size = sum(len(b"\n".join(lines)) for lines in sink.got)
        assert time.monotonic() - began > 0.8 * (size - 100_000) / 200_000
        assert max(len(b"\n".join(lines)) for lines in sink.got) <= 52_000

    async def test_one_stream_knocks_at_a_closed_door(self, outbox: Outbox) -> None:
        await backlog(outbox, 20, pad=1000)
        clock = ManualClock(T0_NS + HOUR)
        await outbox.commit(Batch(clock.now_ns(), (record(9999),)))
        under_way = 0

        class Closed(Scripted):
            async def write(self, lines: bytes, target: Target | None = None) -> Outcome:
                nonlocal under_way
                under_way += 1
                await asyncio.sleep(0.05)
                under_way -= 1
                if len(self.got) >= 3:
                    self.got.append([])
                    return Wait("refused", "down")
                return await super().write(lines)

        sink = Closed()
        delivery = Delivery(outbox, sink, clock, batch_bytes=20_000, jitter=lambda: 0.0)
        async with running(delivery):
            await asyncio.sleep(0.3)
            for n in range(5):
                await outbox.commit(Batch(clock.now_ns(), (record(10_000 + n),)))
            await asyncio.sleep(1.0)
        assert len(sink.got) <= 9

    async def test_no_piece_starts_while_something_new_is_on_its_way_but_a_busy_line_still_drains(
        self, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("edge.delivery.GIVE_WAY_S", 0.4)
        await backlog(outbox, 10, pad=1000)
        clock = ManualClock(T0_NS + HOUR)
        new: list[float] = []
        old: list[float] = []

        class Busy(Scripted):
            async def write(self, lines: bytes, target: Target | None = None) -> Outcome:
                outcome = await super().write(lines)
                if line(99_999) in lines:
                    new.append(time.monotonic())
                    await asyncio.sleep(1.0)
                    new.append(time.monotonic())
                elif outbox.position("a").replaying:
                    old.append(time.monotonic())
                    await asyncio.sleep(0.05)
                return outcome

        await outbox.commit(Batch(clock.now_ns(), (record(9999),)))
        delivery = Delivery(outbox, Busy(), clock, batch_bytes=17_000)
        async with running(delivery):
            while not old:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await outbox.commit(Batch(clock.now_ns(), (record(99_999),)))
            assert await delivery.drained(20)
        gone_meanwhile = [at for at in old if new[0] < at < new[1]]
        assert 1 <= len(gone_meanwhile) <= 3
        assert gone_meanwhile[0] - new[0] >= 0.35

    async def test_the_newest_version_of_a_point_remains(self, outbox: Outbox) -> None:
        """A window stands in the backlog while it was open, and is told closed while that backlog is on its way."""
        clock = ManualClock(T0_NS + HOUR)
        window = b"ledger,machine=m1 tc=%di " + b"%d" % (T0_NS + 5)
        await backlog(outbox, 30, pad=1000)
        await outbox.commit(batch(1, Record.of(RecordClass.LEDGER, [window % 1])))
        await backlog(outbox, 10, pad=1000)
        await outbox.commit(Batch(clock.now_ns(), (record(9999),)))
        closed = asyncio.Event()

        class Slow(Scripted):
            async def write(self, lines: bytes, target: Target | None = None) -> Outcome:
                outcome = await super().write(lines)
                if len(self.got) == 5 and not closed.is_set():
                    closed.set()
                    news = [Record.of(RecordClass.LEDGER, [window % 2]), record(*range(20_000, 20_100), pad=900)]
                    await outbox.commit(Batch(clock.now_ns() + HOUR, tuple(news)))
                await asyncio.sleep(0.01)
                return outcome

        sink = Slow()
        delivery = Delivery(outbox, sink, clock, batch_bytes=30_000, future_ns=60 * NS)
        async with running(delivery):
            assert await delivery.drained(20)
            assert await delivery.drained(20)  # what passed the backlog, once more
        told = [each for each in sink.delivered if each.startswith(b"ledger")]
        assert told[-1] == window % 2
        assert told.count(window % 1) == 1
        again = [each for each in sink.delivered if each == line(20_050, pad=900)]
        assert len(again) <= 2
        assert set(sink.delivered) >= {line(n, pad=1000) for n in range(300)} | {line(9999)}

    async def test_of_what_passed_the_backlog_only_points_as_old_as_it_are_told_again(self, outbox: Outbox) -> None:
        clock = ManualClock(T0_NS + 10 * HOUR)
        await backlog(outbox, 30, pad=1000)
        late = b"live,machine=m1 n=7i %d" % (T0_NS + 10 * HOUR)

        class Passed(Scripted):
            async def write(self, lines: bytes, target: Target | None = None) -> Outcome:
                if len(self.got) == 3 and outbox.last_id == 30:
                    await outbox.commit(Batch(clock.now_ns(), (Record.of(RecordClass.LIVE, [late, line(3)]),)))
                await asyncio.sleep(0.01)
                return await super().write(lines)

        sink = Passed()
        delivery = Delivery(outbox, sink, clock, batch_bytes=30_000, future_ns=60 * NS)
        async with running(delivery):
            assert await delivery.drained(20)
            assert await delivery.drained(20)
        assert sink.delivered.count(late) == 1
        assert sink.delivered.count(line(3)) == 2


class TestFuture:
    """The server's Date is T0; the bound is a minute."""

    FAR = b"live,machine=m1 n=1i %d" % (T0_NS + 3600 * NS)

    async def test_a_point_of_the_future_is_refused_and_the_rest_flows(self, outbox: Outbox) -> None:
        sink = Dated()
        clock = ManualClock(T0_NS)
        delivery = Delivery(outbox, sink, clock, future_ns=60 * NS)
        await outbox.commit(batch(0, Record.of(RecordClass.LIVE, [line(1), self.FAR, line(2)])))
        async with running(delivery):
            assert await delivery.drained(5)
        assert sink.delivered == [line(1), line(2)]
        ((bad, words),) = await quarantined(outbox)
        assert bad == self.FAR
        assert "3600 s ahead" in words or "3600 秒" in words

    async def test_the_very_first_point_is_not_sent_before_the_servers_clock_is_known(self, outbox: Outbox) -> None:
        class Telling(Dated):
            async def date_ns(self) -> int | None:
                return T0_NS

        sink = Telling()
        delivery = Delivery(outbox, sink, ManualClock(T0_NS), future_ns=60 * NS)
        await outbox.commit(batch(0, Record.of(RecordClass.LIVE, [self.FAR, line(1)])))
        async with running(delivery):
            assert await delivery.drained(5)
        assert sink.delivered == [line(1)]
        assert [bad for bad, _ in await quarantined(outbox)] == [self.FAR]

    async def test_a_clock_that_is_ahead_holds_its_points_until_it_is_set(self, outbox: Outbox) -> None:
        sink = Dated()
        clock = ManualClock(T0_NS + 3600 * NS)
        delivery = Delivery(outbox, sink, clock, future_ns=60 * NS, jitter=lambda: 0.0)
        await outbox.commit(batch(0, Record.of(RecordClass.LIVE, [line(1), self.FAR, line(2)])))
        async with running(delivery):
            assert not await delivery.drained(0.7)
            assert sink.delivered == [line(1), line(2)]
            assert "future_limit_s" in delivery.view(await outbox.stats()).error
            clock.step(-3600 * NS)
            assert await delivery.drained(5)
        assert sink.delivered == [line(1), line(2)]
        assert [bad for bad, _ in await quarantined(outbox)] == [self.FAR]

    async def test_a_server_whose_clock_was_behind_gets_them_once_it_is_set(self, outbox: Outbox) -> None:
        """Nothing is sent meanwhile, so it is asked."""

        class Behind(Scripted):
            date = T0_NS

            async def date_ns(self) -> int | None:
                return self.date

        sink = Behind()
        delivery = Delivery(outbox, sink, ManualClock(T0_NS + 3600 * NS), future_ns=60 * NS, jitter=lambda: 0.0)
        await outbox.commit(batch(0, Record.of(RecordClass.LIVE, [self.FAR])))
        async with running(delivery):
            assert not await delivery.drained(0.7)
            assert sink.delivered == []
            sink.date = T0_NS + 3600 * NS
            assert await delivery.drained(10)
        assert sink.delivered == [self.FAR]
        assert await quarantined(outbox) == []

    async def test_a_step_of_our_clock_back_condemns_nothing(self, outbox: Outbox) -> None:
        """The server's time goes on by the monotonic clock: what we wrote before the step is not of its future."""
        sink = Dated()
        clock = ManualClock(T0_NS)
        delivery = Delivery(outbox, sink, clock, future_ns=60 * NS)
        await commit(outbox, [1])
        async with running(delivery):
            assert await delivery.drained(5)
            clock.step(-8 * HOUR)
            await commit(outbox, [2, 3])
            assert await delivery.drained(5)
        assert await quarantined(outbox) == []


class Dated(Scripted):
    async def write(self, lines: bytes, target: Target | None = None) -> Outcome:
        await super().write(lines)
        return Delivered(T0_NS)


class TestRealInfluxDB:
    async def test_an_answer_that_is_lost_costs_a_second_sending_and_no_point(
        self, outbox: Outbox, influx: tuple[Influx, str]
    ) -> None:
        """Between us and influxd something lets every request through and cuts every second answer."""
        server, database = influx
        requests = 0

        async def cutting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal requests
            requests += 1
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", server.http)
            forward = asyncio.create_task(pump(reader, there_writer))
            try:
                answer = await there_reader.readuntil(b"\r\n\r\n")
                assert b"204" in answer.split(b"\r\n")[0]
                if requests % 2 == 0:
                    writer.write(answer)
                    await writer.drain()
            finally:
                forward.cancel()
                there_writer.close()

        async with listening(cutting) as port:
            sink = make_sink(InfluxSink("a", 1, f"http://127.0.0.1:{port}", database, deadline_ns=2 * NS))
            delivery = Delivery(outbox, sink, SystemClock(), jitter=lambda: 0.0)
            await commit(outbox, range(20))
            async with running(delivery):
                assert await delivery.drained(20)
            await sink.close()
        assert requests >= 4
        assert await ids(server, database) == list(range(20))

    async def test_routes_lead_to_databases_and_retention_policies(
        self, outbox: Outbox, influx: tuple[Influx, str]
    ) -> None:
        server, database = influx
        other = f"{database}_b"
        await server.query(f'CREATE DATABASE "{other}"')
        await server.query(f'CREATE RETENTION POLICY "long" ON "{database}" DURATION INF REPLICATION 1')
        routes = (
            Route(frozenset({"ledger"}), Target(database, "long")),
            Route(frozenset({"event"}), Target(other)),
            Route(frozenset({"tag"}), None),
        )
        sink = make_sink(influx1(server, database))
        delivery = Delivery(outbox, sink, SystemClock(), routes=routes)
        classes = (RecordClass.LIVE, RecordClass.LEDGER, RecordClass.EVENT, RecordClass.TAG)
        await outbox.commit(batch(0, *(record(1, 2, of=each) for each in classes)))
        async with running(delivery):
            assert await delivery.drained(10)
        await sink.close()
        assert await ids(server, database) == [1, 2]
        assert [row["n"] for row in await server.query(f'SELECT n FROM "{database}"."long"."ledger"')] == [1, 2]
        assert [row["n"] for row in await server.query("SELECT n FROM event", other)] == [1, 2]
        assert await server.query("SHOW MEASUREMENTS", other) == [{"name": "event"}]
        assert {row["name"] for row in await server.query("SHOW MEASUREMENTS", database)} == {"live", "ledger"}
        await server.query(f'DROP DATABASE "{other}"')
