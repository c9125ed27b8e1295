"""A real VictoriaMetrics: what is delivered stands once, whatever is sent twice and in whatever order; what it cannot
keep is kept from it or said; and a server that would keep things twice is waited for."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixtures.victoria import VictoriaServer
from hypothesis import given
from hypothesis import strategies as st
from line_protocol_parser import parse_line

from edge.plan import InfluxSink, Target, VictoriaRules
from edge.sinks import Delivered, Rejected, Sink, Wait
from edge.sinks.factory import make_sink
from ext.victoria import newest_ns, to_victoria

STEP_MS = 100
T_NS = 1_700_000_040_000_000_000  # a full minute


def plan_of(server: VictoriaServer, **rules: Any) -> InfluxSink:
    return InfluxSink("v", 1, server.url, victoria=VictoriaRules(**rules))


@pytest.fixture
async def sink(victoria_server: VictoriaServer) -> AsyncIterator[Sink]:
    sink = make_sink(plan_of(victoria_server))
    yield sink
    await sink.close()


def ledger(t_ns: int, tc: int, *, revision: int = 0, final: str = "true", case: str) -> bytes:
    return (
        f"ledger,case={case},window=1m tc={tc}i,coverage=0.987654321,final={final},revision={revision}i,"
        f'config_version="ab12" {t_ns}'
    ).encode()


async def test_a_point_told_again_stands_once_and_the_highest_revision_wins(
    sink: Sink, victoria_server: VictoriaServer
) -> None:
    lines = [ledger(T_NS + 60_000_000_000 * n, 100 + n, case="twice") for n in range(50)]
    late = [ledger(T_NS, 7, revision=1, case="twice"), ledger(T_NS, 5, revision=2, case="twice")]
    for body in (lines, late[::-1], lines, late, lines):  # a lower revision after a higher one, everything again
        assert isinstance(await sink.write(b"\n".join(body)), Delivered)
    series = await victoria_server.series('{case="twice"}')
    (counts,) = [samples for (name, _), samples in series.items() if name == "ledger_tc"]
    assert sorted(counts.values()) == [5, *range(101, 150)]
    assert min(counts) == T_NS // 1_000_000 + 3
    info = [labels for name, labels in series if name == "ledger_info"]
    assert [dict(labels)["config_version"] for labels in info] == ["ab12"]
    (coverage,) = [samples for (name, _), samples in series.items() if name == "ledger_coverage"]
    assert set(coverage.values()) == {0.987654321}


async def test_what_is_open_comes_when_it_is_closed(sink: Sink, victoria_server: VictoriaServer) -> None:
    def stop(duration: int, is_open: str) -> bytes:
        return f'stop,case=open duration_ns={duration}i,open={is_open},reason="break down" {T_NS + 1_234_567}'.encode()

    assert await sink.write(stop(5, "true") + b"\n" + ledger(T_NS, 1, final="false", case="open")) == Delivered()
    assert await victoria_server.series('{case="open"}') == {}
    closed = stop(60_000_000_000, "false")
    assert isinstance(await sink.write(closed), Delivered)
    series = await victoria_server.series('{case="open"}')
    assert {name: list(samples.values()) for (name, _), samples in series.items()} == {
        "stop_duration_ns": [60_000_000_000], "stop_open": [0], "stop_info": [1],
    }  # fmt: skip
    assert any(("reason", "break down") in labels for _, labels in series)


async def test_a_stop_that_was_none_is_void_whatever_comes_after(sink: Sink, victoria_server: VictoriaServer) -> None:
    told = f"gap,case=void duration_ns=9i,open=false,void=false {T_NS}".encode()
    void = f"gap,case=void duration_ns=0i,open=false,void=true {T_NS}".encode()
    for line in (told, void, told):
        assert isinstance(await sink.write(line), Delivered)
    series = await victoria_server.series('gap_duration_ns{case="void"}')
    assert [list(samples.values()) for samples in series.values()] == [[0]]


async def test_strings_are_labels_never_zeros_and_free_text_is_left_out(
    sink: Sink, victoria_server: VictoriaServer
) -> None:
    line = rf'live,case=text bucket=3i,state="停机, a=b \"c\" \\",shift="",detail="long story",observed=false {T_NS}'
    assert isinstance(await sink.write(line.encode()), Delivered)
    series = await victoria_server.series('{case="text"}')
    labels = {"case": "text", "state": '停机, a=b "c" \\'}
    assert series == {
        ("live_bucket", frozenset({("case", "text")})): {T_NS // 1_000_000: 3},
        ("live_observed", frozenset({("case", "text")})): {T_NS // 1_000_000: 0},
        ("live_info", frozenset(labels.items())): {T_NS // 1_000_000: 1},
    }


async def test_a_malformed_line_is_condemned_here_because_the_server_would_drop_it(
    sink: Sink, victoria_server: VictoriaServer
) -> None:
    outcome = await sink.write(b"m,case=bad x=1 1700000040000000000\nm,case=bad x= 1700000040000000000")
    assert isinstance(outcome, Rejected)
    assert outcome.words.startswith("line 2 is not line protocol")
    assert await victoria_server.series('{case="bad"}') == {}


async def test_what_is_made_ahead_is_sent_or_condemned_as_if_it_were_not(
    sink: Sink, victoria_server: VictoriaServer
) -> None:
    good, bad = ledger(T_NS, 7, case="ahead"), b"m,case=ahead x=1 1700000040000000000\nm x= 1"
    await sink.prepare(bad)
    outcome = await sink.write(bad)
    assert isinstance(outcome, Rejected)
    assert outcome.words.startswith("line 2 ")
    await sink.prepare(good)
    assert isinstance(await sink.write(good), Delivered)
    series = await victoria_server.series('ledger_tc{case="ahead"}')
    assert [list(samples.values()) for samples in series.values()] == [[7]]


async def test_a_target_is_the_label_db(sink: Sink, victoria_server: VictoriaServer) -> None:
    assert isinstance(await sink.write(f"m,case=db x=1 {T_NS}".encode(), Target("plant")), Delivered)
    assert [labels for _, labels in await victoria_server.series('{case="db"}')] == [{("case", "db"), ("db", "plant")}]


@pytest.fixture(scope="module")
def careless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VictoriaServer]:
    """As it comes: it keeps everything twice."""
    server = VictoriaServer(tmp_path_factory.mktemp("careless") / "data")
    server.start()
    yield server
    server.kill()


async def test_a_server_that_keeps_things_twice_is_waited_for(careless: VictoriaServer) -> None:
    sink = make_sink(plan_of(careless))
    outcome = await sink.write(ledger(T_NS, 1, case="careless"))
    await sink.close()
    assert isinstance(outcome, Wait)
    assert outcome.reason == "settings"
    assert "-dedup.minScrapeInterval=100ms" in outcome.detail
    assert await careless.series('{case="careless"}') == {}
    told = make_sink(replace(plan_of(careless), victoria=VictoriaRules(check=False)))
    assert isinstance(await told.write(ledger(T_NS, 1, case="careless")), Delivered)
    await told.close()


async def test_another_interval_is_waited_for_too(victoria_server: VictoriaServer) -> None:
    sink = make_sink(plan_of(victoria_server, dedup_ns=1_000_000_000))
    outcome = await sink.write(ledger(T_NS, 1, case="other"))
    await sink.close()
    assert isinstance(outcome, Wait)
    assert "100ms" in outcome.detail


async def test_nobody_there(tmp_path: Path) -> None:
    sink = make_sink(plan_of(VictoriaServer(tmp_path)))
    outcome = await sink.write(ledger(T_NS, 1, case="nobody"))
    await sink.close()
    assert isinstance(outcome, Wait)
    assert outcome.reason == "refused"


def test_the_installed_server_drops_bad_lines_and_says_204(victoria_server: VictoriaServer) -> None:
    """Why all this is needed; when this fails, the server has changed and the rules may become simpler."""
    body = f'm,case=raw s="x" {T_NS}\nnonsense'.encode()
    with urllib.request.urlopen(f"{victoria_server.url}/write", data=body, timeout=60) as answer:
        assert answer.status == 204
    assert [list(samples.values()) for samples in victoria_server.ask('{case="raw"}').values()] == [[0]]


keys = st.text("abcdefgh_ ,=é", min_size=1, max_size=6)
texts = st.text(st.characters(exclude_characters="\n\x00", exclude_categories=["Cs"]), max_size=12)
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)


def _key(text: str) -> str:
    return text.replace(",", r"\,").replace("=", r"\=").replace(" ", r"\ ")


def _value(value: float | bool | str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False) if not value else '"' + _quoted(value) + '"'
    return f"{value}i" if isinstance(value, int) else repr(value)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


@given(
    st.dictionaries(keys, st.booleans() | numbers | texts, min_size=1, max_size=5),
    st.integers(-(10**18), 4 * 10**18),
)
def test_what_is_rewritten_reads_as_the_same_values(fields: dict[str, Any], t_ns: int) -> None:
    """By an independent parser: numbers stand as they were, strings are labels, times are floored to milliseconds."""
    line = "m,t=1 " + ",".join(f"{_key(k)}={_value(v)}" for k, v in fields.items()) + f" {t_ns}"
    body, points = to_victoria(line.encode(), STEP_MS)
    assert points == 1
    strings = {k: v for k, v in fields.items() if isinstance(v, str) and v}
    plain = {k: v for k, v in fields.items() if not isinstance(v, str)}
    rows = body.decode().split("\n")[:-1]
    assert len(rows) == bool(plain) + bool(strings)
    if plain:
        point = parse_line(rows[0])
        assert (point["fields"], point["tags"], point["time"]) == (plain, {"t": "1"}, t_ns // 1_000_000)
    if strings:
        head, time = rows[-1].removesuffix(f" {t_ns // 1_000_000}"), t_ns // 1_000_000
        assert rows[-1].endswith(f" info=1 {time}")
        assert head == "m,t=1," + ",".join(f"{_key(k)}={_label(v)}" for k, v in strings.items()) + " info=1"


def _label(text: str) -> str:
    return _key(text.replace("\\", "\\\\"))


@given(st.binary(max_size=60) | st.text('mx=,\\ "1.ietf-\n', max_size=40).map(str.encode))
def test_whatever_comes_is_rewritten_or_refused(lines: bytes) -> None:
    """Junk never crashes the kernel; what it accepts, it accepts again."""
    try:
        body, _ = to_victoria(lines, STEP_MS)
    except ValueError:
        return
    scaled = b"\n".join(line + b"000000" for line in body.split(b"\n")[:-1])
    assert scaled == b"" or to_victoria(scaled, STEP_MS)[0]


@given(st.lists(st.integers(-(10**18), 4 * 10**18)))
def test_the_newest_time(times: list[int]) -> None:
    lines = b"\n".join(b'm s="a 99" %d' % t_ns for t_ns in times)
    assert newest_ns(lines) == max(times, default=-(2**63))


@pytest.mark.parametrize(
    "line",
    [b"", b"m", b"m x=1", b"m x=1i", b",a=b x=1 1", b"m,a x=1 1", b"m,a= x=1 1", b"m x=nan 1", b"m x=1e 1", b"m x=- 1",
     b'm x="a 1', b"m x=1,2 1", b"m x=1, 1", b"m x=1  1", b"m x=1 1x", b"m x=1 12345678901234567890", b"m =1 1",
     b"m," + b",".join(b"t%d=v" % n for n in range(31)) + b" x=1 1", b"m s=\"" + b"x" * 200_000 + b"\" 1"],
)  # fmt: skip
def test_what_the_server_would_drop_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="line 2"):
        to_victoria(b"m x=1 1\n" + line + b"\nm x=2 2", STEP_MS)
