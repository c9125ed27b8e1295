"""The first dashboard says the truth: its file is well-formed, it asks only what is written, and every query gives the
figure that the ledger's integers give, on a real InfluxDB filled with encoded points."""

from __future__ import annotations

import asyncio
import itertools
import re
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from fixtures.grafana import (
    DASHBOARDS,
    Query,
    View,
    dashboard_queries,
    find_query,
    load_dashboard,
    panels,
    run_dashboard,
    run_query,
)
from fixtures.influx import Influx
from fixtures.ledger import HOUR_NS, MINUTE_NS, LedgerPlant

from edge.kpi.row import Sums
from edge.points import MEASUREMENTS
from ext.buckets import Bucket

QUERIES = dashboard_queries()
FIELDS = {m.name: {f.name for f in m.fields} for m in MEASUREMENTS}
TAGS = {m.name: set(m.tags) for m in MEASUREMENTS}


# ---- the file ----


def test_panels_have_unique_ids_places_and_words() -> None:
    """No two panels share an id or a place; each explains itself in both languages and shows a dash for the unknown."""
    every = list(panels(load_dashboard()))
    assert len({panel["id"] for panel in every}) == len(every)
    taken: set[tuple[int, int]] = set()
    for panel in every:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = set(
            itertools.product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"]))
        )
        assert not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] == "row":
            continue
        assert re.search(r"[\u4e00-\u9fff]", panel["title"]), panel["title"]
        assert re.search(r"[A-Za-z]", panel["title"]), panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["noValue"] == "–"


def test_the_data_source_is_a_variable_everywhere() -> None:
    """The file works in any Grafana: no id of somebody's data source is in it."""
    dashboard = load_dashboard()
    sources = [panel.get("datasource") for panel in panels(dashboard) if panel["type"] != "row"]
    sources += [target["datasource"] for panel in panels(dashboard) for target in panel.get("targets", ())]
    sources += [v["datasource"] for v in dashboard["templating"]["list"] if v["type"] == "query"]
    sources += [annotation["datasource"] for annotation in dashboard["annotations"]["list"]]
    assert sources
    assert all(source == {"type": "influxdb", "uid": "${datasource}"} for source in sources)
    names = [variable["name"] for variable in dashboard["templating"]["list"]]
    assert names == ["datasource", "site", "line", "machine"]


def test_what_a_panel_decorates_is_what_its_queries_return() -> None:
    """Colours and names are tied to columns by name: a renamed column must not lose them silently."""
    for panel in panels(load_dashboard()):
        texts = " ".join(target["query"] + f' "{target.get("alias", "")}"' for target in panel.get("targets", ()))
        for override in panel.get("fieldConfig", {}).get("overrides", ()):
            name = re.sub(r" \((sum|count)\)$", "", override["matcher"]["options"])
            assert f'"{name}"' in texts, (panel["title"], name)


def test_provisioning_takes_its_places_and_secrets_from_the_environment() -> None:
    (source,) = yaml.safe_load((DASHBOARDS / "provisioning/datasources/seamline.yaml").read_text())["datasources"]
    assert source["type"] == "influxdb"
    assert source["jsonData"]["version"] == "InfluxQL"
    assert all(
        value.startswith("$SEAMLINE_INFLUX_")
        for value in (source["url"], source["user"], source["jsonData"]["dbName"], source["secureJsonData"]["password"])
    )
    (provider,) = yaml.safe_load((DASHBOARDS / "provisioning/dashboards/seamline.yaml").read_text())["providers"]
    assert provider["options"]["path"] == "$SEAMLINE_DASHBOARDS"


# ---- the queries as text ----


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_a_query_asks_only_for_what_is_written(query: Query) -> None:
    """Every measurement, field and tag is in the dictionary; regular expressions are matched against tags only."""
    measurements = set(re.findall(r'FROM "(\w+)"', query.text))
    assert len(measurements) == 1, query.text
    (measurement,) = measurements
    names = {name for before, name in re.findall(r'(AS )?"([^"]+)"', query.text) if not before} - {measurement}
    aliases = set(re.findall(r'AS "([^"]+)"', query.text))
    keys = set(re.findall(r'KEY = "(\w+)"', query.text))
    assert names - aliases <= FIELDS[measurement] | TAGS[measurement]
    assert keys <= TAGS[measurement]
    compared = set(re.findall(r'"(\w+)" (?:=~|=|!=) ', query.text))
    assert compared <= TAGS[measurement]


@pytest.mark.parametrize("query", [q for q in QUERIES if '"ledger"' in q.text and "SHOW" not in q.text], ids=str)
def test_windows_are_never_mixed_and_percentages_never_averaged(query: Query) -> None:
    """Rows of a minute, an hour and a shift hold the same pieces: summed together they count three times."""
    assert len(re.findall(r"\"window\" = '(1m|1h|shift)'", query.text)) == 1
    assert not re.search(r"\b(mean|median|percentile|spread|last|first|max|min)\(", query.text)
    assert "$timeFilter" in query.text


@pytest.mark.parametrize("query", [q for q in QUERIES if " / " in q.text], ids=str)
def test_no_query_divides_by_what_may_be_zero(query: Query) -> None:
    """InfluxQL answers 0 for x / 0; a figure without a denominator must be missing instead."""
    without_patterns = re.sub(r"=~ /\S+/", "", query.text)
    for denominator in re.findall(r"/ ([^\s,)]+)", without_patterns):
        constant = re.fullmatch(r"[0-9.]+", denominator)
        assert constant or re.search(rf"WHERE {re.escape(denominator)} > 0", query.text), denominator


# ---- the figures ----


@pytest.fixture
async def plant(influx: tuple[Influx, str]) -> LedgerPlant:
    server, database = influx
    filled = LedgerPlant(time.time_ns())  # the live table asks for the last 30 s of the real clock
    filled.fill()
    await asyncio.to_thread(write, f"{server.url}/write?db={database}", b"\n".join(filled.lines))
    return filled


def write(url: str, lines: bytes) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, data=lines), timeout=60) as reply:
        assert reply.status == 204


Ask = Callable[..., Any]


@pytest.fixture
def ask(influx: tuple[Influx, str], plant: LedgerPlant) -> Ask:
    async def rows(title: str, ref: str = "A", view: View | None = None) -> list[dict[str, Any]]:
        return await run_query(influx[0], influx[1], find_query(title, ref), view or plant.view())

    return rows


async def test_every_query_is_accepted_and_every_panel_finds_something(
    influx: tuple[Influx, str], plant: LedgerPlant
) -> None:
    """A wrong name is no error to InfluxDB but an empty answer: on a plant that has everything, each must find rows."""
    answers = await run_dashboard(*influx, plant.view())
    assert [name for name, rows in answers.items() if not rows] == []
    assert len(answers) == len(QUERIES)


@pytest.mark.parametrize("machines", [(), ("M1",), ("M.2",), ("M1", "Mx2")])
async def test_totals_are_sums_divided_once(plant: LedgerPlant, ask: Ask, machines: tuple[str, ...]) -> None:
    view = plant.view(*machines)

    async def value(title: str, column: str) -> float:
        (row,) = await ask(title, view=view)
        result: float = row[column]
        return result

    def total(pick: Callable[[Sums], int]) -> int:
        return plant.total(pick, machines)

    ppt, rt, nrt, fpt = (total(lambda s, n=n: getattr(s, n)) for n in ("ppt_ns", "rt_ns", "nrt_ns", "fpt_ns"))
    assert await value("设备综合效率", "OEE") == pytest.approx(fpt / ppt, abs=1e-12)
    assert await value("时间开动率", "Availability") == pytest.approx(rt / ppt, abs=1e-12)
    assert await value("性能开动率", "Performance") == pytest.approx(nrt / rt, abs=1e-12)
    assert await value("合格品率", "Quality") == pytest.approx(fpt / nrt, abs=1e-12)
    assert await value("覆盖率 / Coverage", "Coverage") == pytest.approx(
        1 - total(lambda s: s.unknown_ns) / ppt, abs=1e-12
    )
    assert await value("合格产量 / Good output", "Good") == total(lambda s: s.gc + s.unscheduled_gc)
    assert await value("总产量", "Total") == total(lambda s: s.tc + s.unscheduled_tc)
    assert await value("不良 / Reject", "Reject") == total(lambda s: s.sc + s.unscheduled_sc)


async def test_a_figure_without_denominator_is_missing_and_zero_is_zero(plant: LedgerPlant, ask: Ask) -> None:
    """M4 was planned and made nothing: OEE 0, no performance, no quality. Before the shift: no OEE at all."""
    idle = plant.view("M4")
    assert (await ask("设备综合效率", view=idle))[0]["OEE"] == 0
    assert await ask("性能开动率", view=idle) == []
    assert await ask("合格品率", view=idle) == []
    early = View(plant.start_ns, plant.start_ns + 20 * MINUTE_NS, plant.view("M1").variables)
    assert await ask("设备综合效率", view=early) == []
    assert await ask("覆盖率 / Coverage", view=early) == []
    assert (await ask("合格产量 / Good output", view=early))[0]["Good"] > 0


async def test_hours_close_to_the_total(plant: LedgerPlant, ask: Ask) -> None:
    rows = await ask("每小时合格产量")
    assert sum(row["good"] for row in rows) == plant.total(lambda s: s.gc + s.unscheduled_gc)
    assert {row["machine"] for row in rows} == {m.id for m in plant.machines}
    for row in await ask("每小时 OEE"):
        inside = [
            r.sums for r in plant.rows if r.key.window == "1m" and row["time"] <= r.key.start_ns < row["time"] + HOUR_NS
        ]
        assert row["OEE"] == pytest.approx(sum(s.fpt_ns for s in inside) / sum(s.ppt_ns for s in inside), abs=1e-12)


async def test_by_machine_every_figure_has_its_coverage(plant: LedgerPlant, ask: Ask) -> None:
    counts = {row["machine"]: row for row in await ask("机台汇总")}
    ratios = {row["machine"]: row for row in await ask("机台汇总", "B")}
    performance = {row["machine"]: row for row in await ask("机台汇总", "C")}
    quality = {row["machine"]: row for row in await ask("机台汇总", "D")}
    assert set(counts) == set(ratios) == {"M1", "M.2", "Mx2", "M4"}
    assert set(performance) == set(quality) == {"M1", "M.2", "Mx2"}
    for name, row in ratios.items():
        ppt = plant.total(lambda s: s.ppt_ns, [name])
        assert row["oee"] == pytest.approx(plant.total(lambda s: s.fpt_ns, [name]) / ppt, abs=1e-12)
        assert row["availability"] == pytest.approx(plant.total(lambda s: s.rt_ns, [name]) / ppt, abs=1e-12)
        assert row["coverage"] == pytest.approx(1 - plant.total(lambda s: s.unknown_ns, [name]) / ppt, abs=1e-12)
        assert counts[name]["good"] == plant.total(lambda s: s.gc + s.unscheduled_gc, [name])
        assert row["line"] == counts[name]["line"]


async def test_by_shift_a_line_is_one_row(plant: LedgerPlant, ask: Ask) -> None:
    rows = {row["line"]: row for row in await ask("班次汇总")}
    assert set(rows) == {"a", "b"}
    ours = ["M1", "M.2"]
    assert rows["a"]["good"] == plant.total(lambda s: s.gc, ours)
    assert rows["a"]["reject"] == plant.total(lambda s: s.sc, ours)
    assert rows["a"]["oee"] == pytest.approx(
        plant.total(lambda s: s.fpt_ns, ours) / plant.total(lambda s: s.ppt_ns, ours), abs=1e-12
    )
    assert rows["a"]["time"] == plant.start_ns + 30 * MINUTE_NS


async def test_the_waterfall_and_the_buckets_close(plant: LedgerPlant, ask: Ask) -> None:
    """Hours by bucket add up to calendar time; each step of the waterfall is the ledger's."""
    (fall,) = await ask("从日历时间")
    hours = [fall[name] for name in fall if name != "time"]
    truth = [plant.total(lambda s, n=n: getattr(s, n)) for n in ("all_ns", "ppt_ns", "rt_ns", "nrt_ns", "fpt_ns")]
    assert hours == pytest.approx([ns / HOUR_NS for ns in truth], abs=1e-9)
    for row in await ask("时间去向"):
        booked = sum(value for name, value in row.items() if name not in ("time", "machine"))
        assert booked == pytest.approx(plant.total(lambda s: s.all_ns, [row["machine"]]) / HOUR_NS, abs=1e-9)
        unknown = plant.total(lambda s: s.unknown_ns, [row["machine"]]) / HOUR_NS
        assert row["状态未知 Unknown"] == pytest.approx(unknown, abs=1e-9)


async def test_now_shows_the_newest_view_and_nothing_older(plant: LedgerPlant, ask: Ask) -> None:
    """A rate unknown now is not that of a moment ago; a silent machine has no state; off shift there is no OEE."""
    state = {row["machine"]: row for row in await ask("实时状态", "B")}
    assert set(state) == {"M1", "M.2", "Mx2"}
    assert (state["M1"]["bucket"], state["M1"]["rate_per_min"], state["M1"]["shift_gc"]) == (Bucket.UNKNOWN, None, 20)
    assert (state["M.2"]["bucket"], state["M.2"]["rate_per_min"]) == (Bucket.RUN, 42.5)
    assert state["Mx2"]["shift_gc"] is None
    figures = {row["machine"]: row for row in await ask("实时状态", "C")}
    assert {name: row["shift_oee"] for name, row in figures.items()} == {"M1": 0.65, "M.2": 0.65}
    assert figures["M1"]["shift_coverage"] == pytest.approx(0.9)
    assert {row["machine"] for row in await ask("实时状态", "A")} == {"M1", "M.2", "Mx2", "M4"}


async def test_stops_devices_tags_and_gaps_are_told_as_written(plant: LedgerPlant, ask: Ask) -> None:
    stops = await ask("停机排列图")
    assert [(row["reason"], row["minutes"]) for row in stops] == [("breakdown", 9), ("breakdown", 3), ("setup", 20)]
    assert [row["fault_code"] for row in await ask("最近停机")] == [203, 202, 201]
    (device,) = await ask("设备通信")
    assert (device["requests"], device["exceptions"], device["timeouts"], device["connects"]) == (190, 1, 2, 2)
    assert device["latency"] == 12.5
    assert [row["up"] for row in await ask("设备在线") if row["up"] is not None] == [True, True, False]
    values = [row["value"] for row in await ask("过程值")]
    assert sum(values) / len(values) == 455.0  # the bad reading is not in it
    (gap,) = await ask("数据缺口")
    assert (gap["cause"], gap["object"], gap["seconds"], gap["detail"]) == ("link-down", "plc-1", 90, "cable")


async def test_variables_narrow_each_other(influx: tuple[Influx, str], plant: LedgerPlant) -> None:
    answers = await run_dashboard(*influx, plant.view(line="b"))
    assert {row["value"] for row in answers["variable site"]} == {"s1", "s2"}
    assert {row["value"] for row in answers["variable line"]} == {"a", "b"}
    assert {row["value"] for row in answers["variable machine"]} == {"Mx2", "M4"}
