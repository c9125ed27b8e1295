"""All sinks obey one table: only 204 is success, only the database's own words condemn points, all else waits."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from fixtures.influx import Influx
from fixtures.influx2 import BUCKET, ORG, TOKEN, Influx2Stub, Script, cut, hang, reply
from fixtures.ports import free_port
from hypothesis import given
from hypothesis import strategies as st

from edge.plan import InfluxSink, Reach, Target
from edge.sinks import Delivered, Rejected, Sink, TooLarge, Wait
from edge.sinks.factory import make_sink
from edge.sinks.http import gzip_level
from edge.sinks.verdict import judge_reply

pytestmark = pytest.mark.usefixtures("no_blocking")

LINE = b"m,k=v x=1i 1700000000000000000"


def plan_of(version: int, url: str) -> InfluxSink:
    plan = InfluxSink("s", version, url, deadline_ns=300_000_000)
    if version == 1:
        return replace(plan, database="db", user="u", password="p4ss")
    if version == 3:
        return replace(plan, database="db", token=TOKEN)
    return replace(plan, org=ORG, bucket=BUCKET, token=TOKEN)


@pytest.fixture(params=[1, 2, 3], ids=["influx1", "influx2", "influx3"])
async def sink(request: pytest.FixtureRequest, influx2: Influx2Stub) -> AsyncIterator[Sink]:
    sink = make_sink(plan_of(request.param, influx2.url))
    yield sink
    await sink.close()


async def test_204_is_delivered_and_tells_the_servers_clock(sink: Sink, influx2: Influx2Stub) -> None:
    influx2.script.append(reply(204, Date="Wed, 15 Nov 2023 06:13:20 GMT"))
    assert await sink.write(LINE) == Delivered(1_700_028_800_000_000_000)
    assert isinstance(await sink.write(LINE), Delivered)
    assert list(influx2.points.values()) == [{"x": 1}]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (reply(200, "<html>please log in</html>"), "unexpected"),
        (reply(201), "unexpected"),
        (reply(302, Location="http://portal.example/"), "unexpected"),
        (reply(401, {"error": "authorization failed"}), "unauthorized"),
        (reply(403, {"code": "forbidden", "message": "insufficient permissions"}), "unauthorized"),
        (reply(404, {"error": 'database not found: "db"'}), "not-found"),
        (reply(500, {"error": "retention policy not found: ten_years"}), "not-found"),
        (reply(408), "unexpected"),
        (reply(429, {"code": "too many requests"}), "overloaded"),
        (reply(503), "overloaded"),
        (reply(500, {"error": "engine: out of memory"}), "server-error"),
        (reply(502, "bad gateway"), "server-error"),
        (cut, "reset"),
        (hang, "timeout"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_everything_else_waits(sink: Sink, influx2: Influx2Stub, answer: Script, reason: str) -> None:
    influx2.script.append(answer)
    outcome = await sink.write(LINE)
    assert isinstance(outcome, Wait)
    assert outcome.reason == reason
    assert sink.url in outcome.detail
    assert "p4ss" not in outcome.detail
    assert TOKEN not in outcome.detail
    assert isinstance(await sink.write(LINE), Delivered)  # the sink is usable at once


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": 'partial write: field type conflict: input field "x" is type float dropped=1'}),
        (400, {"error": "unable to parse 'm x': missing fields"}),
        (400, {"code": "invalid", "message": "unable to parse 'm x': missing fields"}),
        (422, {"code": "unprocessable entity", "message": "partial write: points beyond retention policy dropped=1"}),
        (400, {"error": "parsing failed for write_lp endpoint", "data": {"error_message": "No fields were provided"}}),
        (400, {"error": "write buffer error: line protocol parse failed: timestamp out of range"}),
    ],
)
async def test_the_databases_own_words_condemn_points(
    sink: Sink, influx2: Influx2Stub, status: int, body: dict[str, str]
) -> None:
    influx2.script.append(reply(status, body))
    outcome = await sink.write(LINE)
    assert isinstance(outcome, Rejected)
    assert outcome.words.startswith(body.get("message") or body["error"])
    assert "data" not in body or "No fields were provided" in outcome.words


@pytest.mark.parametrize(
    "answer",
    [
        reply(400, "<html>plain HTTP request sent to HTTPS port</html>"),
        reply(400, {"error": "database is required"}),
        reply(422, "something about x"),
    ],
)
async def test_other_words_may_be_about_points_or_about_anything(
    sink: Sink, influx2: Influx2Stub, answer: Script
) -> None:
    influx2.script.append(answer)
    outcome = await sink.write(LINE)
    assert isinstance(outcome, Rejected)
    assert outcome.otherwise is not None
    assert outcome.otherwise.reason == "unexpected"


async def test_the_servers_clock_can_be_asked_for(sink: Sink, influx2: Influx2Stub) -> None:
    asked_ns = await sink.date_ns()
    assert asked_ns is not None
    assert abs(asked_ns - time.time_ns()) < 60_000_000_000
    assert influx2.requests == []  # nothing was written for it


@pytest.mark.parametrize("version", [1, 2, 3])
async def test_a_clock_nobody_tells_is_none(version: int) -> None:
    sink = make_sink(plan_of(version, f"http://127.0.0.1:{free_port()}"))
    assert await sink.date_ns() is None
    await sink.close()


async def test_413_asks_to_split(sink: Sink, influx2: Influx2Stub) -> None:
    influx2.script.append(reply(413))
    assert await sink.write(LINE) == TooLarge()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "7"}, 7.0),
        ({"Retry_After": "Wed, 15 Nov 2023 06:13:50 GMT", "Date": "Wed, 15 Nov 2023 06:13:20 GMT"}, 30.0),
        ({"Retry_After": "Wednesday, 15-Nov-23 06:13:50 GMT", "Date": "Wed Nov 15 06:13:20 2023"}, 30.0),
        ({"Retry_After": "Wed Nov 15 06:13:50 2023", "Date": "Wed, 15 Nov 2023 06:13:20 GMT"}, 30.0),
        ({"Retry_After": "Wed, 15 Nov 2023 06:13:50 -0000", "Date": "Wed, 15 Nov 2023 06:13:20 GMT"}, 30.0),
        ({"Retry_After": "Wed, 15 Nov 2023 06:13:00 GMT", "Date": "Wed, 15 Nov 2023 06:13:20 GMT"}, 0.0),
        ({"Retry_After": "Wed, 15 Nov 2023 06:13:50 +99999999999999"}, None),
        ({"Retry_After": "-5"}, None),
        ({"Retry_After": "soon"}, None),
        ({}, None),
    ],
)
async def test_retry_after(sink: Sink, influx2: Influx2Stub, headers: dict[str, str], seconds: float | None) -> None:
    influx2.script.append(reply(503, **headers))
    outcome = await sink.write(LINE)
    assert isinstance(outcome, Wait)
    assert outcome.retry_after_s == seconds


def test_a_date_to_retry_at_from_a_server_without_a_clock() -> None:
    """Then it is a time, to be compared with what is known of the server's clock, or with ours."""
    headers = {"Retry-After": "Wed, 15 Nov 2023 06:13:50 GMT"}
    outcome = judge_reply("db", 503, headers, b"")
    assert isinstance(outcome, Wait)
    assert (outcome.retry_after_s, outcome.retry_at_ns) == (None, 1_700_028_830_000_000_000)


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
    | st.from_regex(r"[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+ [\d:]* [+-]?\w*", fullmatch=True)
)
def test_whatever_a_server_says_of_time_is_understood_or_ignored(text: str) -> None:
    outcome = judge_reply("db", 429, {"Retry-After": text, "Date": text}, b"")
    assert isinstance(outcome, Wait)
    assert outcome.retry_after_s is None or outcome.retry_after_s >= 0
    judge_reply("db", 204, {"Date": text}, b"")


@pytest.mark.parametrize("version", [1, 2, 3])
async def test_nobody_listening_and_no_such_name(version: int) -> None:
    for url, reason in ((f"http://127.0.0.1:{free_port()}", "refused"), ("http://no-such-host.invalid:8086", "dns")):
        sink = make_sink(replace(plan_of(version, url), deadline_ns=5_000_000_000))
        outcome = await sink.write(LINE)
        await sink.close()
        assert isinstance(outcome, Wait)
        assert outcome.reason == reason


@pytest.mark.parametrize("version", [1, 2, 3])
async def test_far_servers_get_gzip(version: int, influx2: Influx2Stub) -> None:
    """Compression is on for every host but this machine; here it is asked for."""
    sink = make_sink(replace(plan_of(version, influx2.url), reach=Reach(gzip_level=1)))
    lines = b"\n".join(b"m,k=v x=%di %d" % (n, 1_700_000_000_000_000_000 + n) for n in range(500))
    assert isinstance(await sink.write(lines), Delivered)
    assert isinstance(await sink.write(LINE), Delivered)
    await sink.close()
    assert gzip.decompress(influx2.bodies[0]) == lines
    assert len(influx2.bodies[0]) * 3 < len(lines)
    assert influx2.requests[0].headers["Content-Encoding"] == "gzip"
    assert influx2.bodies[1] == LINE  # small ones are not worth it
    assert len(influx2.points) == 500


@pytest.mark.parametrize("version", [1, 2, 3])
async def test_a_body_made_ahead_is_the_one_that_is_sent(version: int, influx2: Influx2Stub) -> None:
    """And only for the lines it was made of; made or not, the server gets the same."""
    sink = make_sink(replace(plan_of(version, influx2.url), reach=Reach(gzip_level=1)))
    first, second = (
        b"\n".join(b"m,k=%s x=%di %d" % (key, n, 1_700_000_000_000_000_000 + n) for n in range(100))
        for key in (b"a", b"b")
    )
    await sink.prepare(first)
    for lines in (second, first, first):
        assert isinstance(await sink.write(lines), Delivered)
    await sink.prepare(first)
    await sink.prepare(second)
    for lines in (first, second):
        assert isinstance(await sink.write(lines), Delivered)
    await sink.close()
    assert [gzip.decompress(body) for body in influx2.bodies] == [second, first, first, first, second]


async def test_influx1_request(influx2: Influx2Stub) -> None:
    sink = make_sink(replace(plan_of(1, influx2.url + "/"), retention_policy="year"))
    await sink.write(LINE)
    await sink.close()
    request = influx2.requests[0]
    assert (request.path, dict(request.query)) == ("/write", {"db": "db", "rp": "year", "precision": "ns"})
    assert request.headers["Authorization"].startswith("Basic ")
    assert influx2.bodies == [LINE]


async def test_influx2_request(influx2: Influx2Stub) -> None:
    sink = make_sink(plan_of(2, influx2.url))
    await sink.write(LINE)
    await sink.close()
    request = influx2.requests[0]
    assert (request.path, dict(request.query)) == (
        "/api/v2/write", {"org": ORG, "bucket": BUCKET, "precision": "ns"},
    )  # fmt: skip
    assert influx2.bodies == [LINE]


async def test_influx3_request(influx2: Influx2Stub) -> None:
    """By its own route, and by the one for clients of 2.x, where the database is the bucket."""
    sink = make_sink(plan_of(3, influx2.url))
    assert isinstance(await sink.write(LINE, Target("other")), Delivered)
    await sink.close()
    request = influx2.requests[0]
    assert request.path == "/api/v3/write_lp"
    assert dict(request.query) == {"db": "other", "precision": "nanosecond", "accept_partial": "true"}
    sink = make_sink(replace(plan_of(3, influx2.url), v2_route=True))
    influx2.script.append(reply(204))
    assert isinstance(await sink.write(LINE), Delivered)
    await sink.close()
    request = influx2.requests[1]
    assert (request.path, request.query["bucket"]) == ("/api/v2/write", "db")
    assert request.headers["Authorization"] == f"Token {TOKEN}"


@pytest.mark.parametrize("version", [1, 2])
async def test_a_target_replaces_the_configured_one(version: int, influx2: Influx2Stub) -> None:
    sink = make_sink(plan_of(version, influx2.url))
    influx2.script.append(reply(204))
    await sink.write(LINE, Target("archive", "ten_years"))
    await sink.close()
    query = influx2.requests[0].query
    assert (query["db"], query["rp"]) == ("archive", "ten_years") if version == 1 else query["bucket"] == "archive"


async def test_influx1_takes_a_bearer_token(influx2: Influx2Stub) -> None:
    sink = make_sink(replace(plan_of(1, influx2.url), user="", password="", token="a.jwt"))
    await sink.write(LINE)
    await sink.close()
    assert influx2.requests[0].headers["Authorization"] == "Bearer a.jwt"


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"token": "x"}, "unauthorized"), ({"org": "x"}, "not-found"), ({"bucket": "x"}, "not-found")],
)
async def test_a_wrong_token_org_or_bucket_waits(influx2: Influx2Stub, change: dict[str, Any], reason: str) -> None:
    sink = make_sink(replace(plan_of(2, influx2.url), **change))
    outcome = await sink.write(LINE)
    await sink.close()
    assert isinstance(outcome, Wait)
    assert outcome.reason == reason


async def test_cancelling_a_write_ends_at_once(sink: Sink, influx2: Influx2Stub) -> None:
    influx2.script.append(hang)
    task = asyncio.create_task(sink.write(LINE))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)  # the server would take 30 s


def test_an_unknown_version_is_refused() -> None:
    with pytest.raises(ValueError, match="version 4"):
        make_sink(InfluxSink("s", 4, "http://127.0.0.1"))


@pytest.mark.parametrize(
    ("url", "compress"),
    [
        ("http://127.0.0.1:8086", False),
        ("http://[::1]:8086", False),
        ("http://localhost", False),
        ("https://influx.example", True),
        ("http://10.0.0.5:8086", True),
    ],
)
def test_only_this_machine_is_spared_compression(url: str, compress: bool) -> None:
    assert gzip_level(plan_of(1, url)) == int(compress)
    assert gzip_level(replace(plan_of(1, url), reach=Reach(gzip_level=6))) == 6
    assert gzip_level(replace(plan_of(1, url), reach=Reach(proxy="http://far:3128"))) == 1


async def test_a_real_influxdb_1_obeys_the_same_table(influx: tuple[Influx, str]) -> None:
    server, database = influx
    sink = make_sink(InfluxSink("s", 1, server.url, database))
    delivered = await sink.write(LINE)
    assert isinstance(delivered, Delivered)
    assert delivered.server_date_ns is not None
    conflict = await sink.write(b"m,k=v x=2i 1700000000000000001\nm,k=v x=2.5 1700000000000000002")
    assert isinstance(conflict, Rejected)
    assert "partial write" in conflict.words
    assert "field type conflict" in conflict.words
    assert isinstance(await sink.write(b"m,k=v x=3i 1700000000000000003\nnonsense"), Rejected)
    stored = await server.query("SELECT x FROM m", database)
    assert [point["x"] for point in stored] == [1, 2, 3]  # a 400 is a partial write: the good lines are in
    await sink.close()
    missing = make_sink(InfluxSink("s", 1, server.url, "no-such-database"))
    outcome = await missing.write(LINE)
    await missing.close()
    assert isinstance(outcome, Wait)
    assert outcome.reason == "not-found"
