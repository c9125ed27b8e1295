"""The feed: made once, shared by all, nobody waits for anybody, nothing happens unwatched."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging

import pytest

from edge.web.feed import Feed

PERIOD_S = 0.02


class Source:
    """Counts how often an event was made."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> bytes:
        self.made += 1
        return b"%d" % self.made


async def take(feed: Feed, count: int) -> list[bytes]:
    taken: list[bytes] = []
    async with contextlib.aclosing(feed.events()) as events:
        async for event in events:
            taken.append(event)
            if len(taken) == count:
                break
    return taken


async def test_all_listeners_are_handed_the_same_bytes() -> None:
    source = Source()
    feed = Feed(source, PERIOD_S)
    first, second = await asyncio.gather(take(feed, 4), take(feed, 4))
    assert first == second == [b"1", b"2", b"3", b"4"]
    assert all(a is b for a, b in zip(first, second, strict=True))
    assert source.made == 4


async def test_nothing_is_made_while_nobody_listens() -> None:
    source = Source()
    feed = Feed(source, PERIOD_S)
    await asyncio.sleep(3 * PERIOD_S)
    assert source.made == 0
    await take(feed, 2)
    made = source.made
    await asyncio.sleep(3 * PERIOD_S)
    assert (source.made, feed.listeners) == (made, 0)


async def test_a_newcomer_gets_the_newest_at_once_but_never_one_from_before_a_pause() -> None:
    source = Source()
    feed = Feed(source, 60.0)
    other = asyncio.create_task(take(feed, 2))
    async with asyncio.timeout(1):
        assert await take(feed, 1) == [b"1"]
        assert await take(feed, 1) == [b"1"]  # a minute has not passed
    other.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await other
    async with asyncio.timeout(1):
        assert await take(feed, 1) == [b"2"]  # nobody listened in between: the old one is history


async def test_one_who_stalls_misses_events_and_delays_nobody() -> None:
    source = Source()
    feed = Feed(source, PERIOD_S)
    stalled = feed.events()
    assert await anext(stalled) == b"1"
    assert len(await take(feed, 10)) == 10
    late = await anext(stalled)
    assert int(late) >= 10
    await stalled.aclose()
    assert feed.listeners == 0


async def test_an_event_that_cannot_be_made_is_counted_and_the_next_one_comes(caplog: pytest.LogCaptureFixture) -> None:
    numbers = itertools.count(1)

    def sometimes() -> bytes:
        if (number := next(numbers)) == 2:
            raise RuntimeError("a bug in the snapshot")
        return b"%d" % number

    feed = Feed(sometimes, PERIOD_S)
    with caplog.at_level(logging.ERROR):
        assert await take(feed, 2) == [b"1", b"3"]
    assert feed.failures == 1
    assert "a bug in the snapshot" in caplog.text


async def test_closing_ends_every_stream() -> None:
    feed = Feed(Source(), PERIOD_S)
    listeners = [asyncio.create_task(take(feed, 1000)) for _ in range(3)]
    await asyncio.sleep(2 * PERIOD_S)
    feed.close()
    async with asyncio.timeout(1):
        await asyncio.gather(*listeners)
    assert await take(feed, 1) == []
