"""Promise: all mistakes of a site file are reported at once: line, key, what was expected, what may have been meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import compile_site
from edge.errors import ConfigError, Problem

TEN = """\
site: {id: plant-3, enterprise: 甲公司, province: 河南, city: 新乡, timezone: Asia/Shangai}
calendar:
  shifts:
    - {name: day, start: "08:00", end: "20:00"}
    - {name: night, start: "19:30", end: "08:00", days: mon-fri}
devices:
  - {id: plc-1, template: inovance-h5, host: 10.0.0.5}
  - {id: plc-2, template: delta-dvp, host: 10.0.0.6, port: fast}
  - {id: plc-2, template: xinje-xd, host: 10.0.0.7}
machines:
  - id: tape-01
    template: tape-sealer
    device: plc-3
    base: D1000
  - id: mask-01
    template: flat-mask-1+2
    device: plc-2
    base: D1000
    ideal_cycel_s: 0.5
    tags:
      run: {address: Q17}
  - id: kn-01
    template: kn95
    device: plc-2
    base: D20000
sinks:
  - {id: national, type: influxdb2, url: "http://db:8086", org: a, bucket: b, token: "${INFLUX_TOKEN}"}
"""

# line, key path, a word of the sentence in Chinese and English, the hint
EXPECTED = [
    (1, "site.timezone", "时区", "time zone", "Asia/Shanghai"),
    (5, "calendar.shifts[1]", "重叠", "overlaps", "days"),
    (7, "devices[0].template", "inovance-h5", "inovance-h5", "inovance-h5u"),
    (8, "devices[1].port", "整数", "whole number", ""),
    (9, "devices[2].id", "重复", "taken", ""),
    (13, "machines[0].device", "plc-3", "plc-3", "plc-"),
    (19, "machines[1].ideal_cycel_s", "不认识", "unknown key", "ideal_cycle_s"),
    (21, "machines[1].tags.run.address", "Q17", "Q17", ""),
    (25, "machines[2].base", "D20000", "D20000", ""),
    (27, "sinks[0].token", "INFLUX_TOKEN", "INFLUX_TOKEN", ""),
]

MINIMAL = """\
site: {id: s, enterprise: e, province: p, city: c}
devices:
  - {id: plc-1, template: inovance-h5u, host: h}
machines:
  - {id: m-1, template: tape-sealer, device: plc-1, base: D1000}
"""


def problems_of(text: str, environ: dict[str, str] | None = None, folder: Path = Path("/etc/x")) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        compile_site(text, folder / "site.yaml", environ or {})
    return list(caught.value.problems)


def test_ten_mistakes_give_ten_problems_each_at_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    found = problems_of(TEN)
    assert [(p.line, p.path) for p in found] == [(line, path) for line, path, *_ in EXPECTED], "\n".join(
        map(str, found)
    )
    for problem, (_, _, zh, en, hint) in zip(found, EXPECTED, strict=True):
        assert zh in problem.what.zh
        assert en in problem.what.en
        assert hint in (problem.hint.en if problem.hint else "")
        assert problem.file == "/etc/x/site.yaml"
    monkeypatch.setenv("SEAMLINE_LANG", "zh")
    assert "site.yaml:8: devices[1].port: 应为整数" in str(found[3])
    monkeypatch.setenv("SEAMLINE_LANG", "en")
    assert "site.yaml:8: devices[1].port: a whole number is expected" in str(found[3])


def edit(old: str, new: str) -> str:
    assert old in MINIMAL
    return MINIMAL.replace(old, new)


# one mistake each: what is written instead, the line, the key path, a word of the English sentence or hint
CASES = {
    "unknown section": (MINIMAL + "sink: []\n", 6, "sink", "did you mean sinks"),
    "key given twice": (edit("host: h}", "host: h, host: i}"), 3, "devices[0].host", "given twice"),
    "not a mapping": (edit("{id: s, enterprise: e, province: p, city: c}", "plant"), 1, "site", "mapping"),
    "not a list": (edit("machines:\n  - {", "machines: {"), 4, "machines", "list"),
    "missing key": (edit(", province: p", ""), 1, "site.province", "required"),
    "number for text": (edit("id: s", "id: 7"), 1, "site.id", "quotes"),
    "no such machine kind": (edit("tape-sealer", "tape-sealr"), 5, "machines[0].template", "tape-sealer"),
    "no base": (edit(", base: D1000", ""), 5, "machines[0].base", "first word of its block"),
    "base in a bit area": (edit("D1000", "M1000"), 5, "machines[0].base", "16-bit word"),
    "base runs off its area": (
        edit("D1000", "D7990"),
        5,
        "machines[0].base",
        "D8000: outside D0…D7999 (good = base+10)",
    ),
    "no host": (edit(", host: h", ""), 3, "devices[0].host", "required"),
    "url on a Modbus device": (edit("host: h", 'host: h, url: "opc.tcp://h"'), 3, "devices[0].url", "has no url"),
    "port out of range": (edit("host: h", "host: h, port: 70000"), 3, "devices[0].port", "at most 65535"),
    "unit out of range": (edit("host: h", "host: h, unit: 300"), 3, "devices[0].unit", "at most 255"),
    "commit above a second": (MINIMAL + "agent: {store: {commit_s: 2}}\n", 6, "agent.store.commit_s", "at most 1"),
    "no such signal": (
        edit("base: D1000", "base: D1000, states: [{when: {rum: 1}, bucket: run, state: execute}]"),
        5,
        "machines[0].states[0].when.rum",
        "did you mean run",
    ),
    "no such bucket": (
        edit("base: D1000", "base: D1000, states: [{when: {run: 1}, bucket: running, state: execute}]"),
        5,
        "machines[0].states[0].bucket",
        "external-starved",
    ),
    "tag without an address": (
        edit("base: D1000", "base: D1000, tags: {totl: {type: u16}}"),
        5,
        "machines[0].tags.totl.address",
        "did you mean total",
    ),
    "switching off what is not there": (
        edit("base: D1000", "base: D1000, tags: {totl: null}"),
        5,
        "machines[0].tags.totl",
        "did you mean total",
    ),
    "bool in a register": (
        edit("base: D1000", "base: D1000, tags: {run: {address: D5, type: bool}}"),
        5,
        "machines[0].tags.run",
        "needs a bit",
    ),
    "word type on a coil": (
        edit("base: D1000", "base: D1000, tags: {mode: {address: M5}}"),
        5,
        "machines[0].tags.mode",
        "one bit lies here",
    ),
    "scale of zero": (
        edit("base: D1000", "base: D1000, tags: {x: {address: D5, scale: 0}}"),
        5,
        "machines[0].tags.x.scale",
        "every value is 0",
    ),
    "sentinel its type never holds": (
        edit("base: D1000", "base: D1000, tags: {x: {address: D5, sentinels: [70000]}}"),
        5,
        "machines[0].tags.x.sentinels",
        "never 70000",
    ),
    "sentinel of a fraction": (
        edit("base: D1000", "base: D1000, tags: {x: {address: D5, sentinels: [0.5]}}"),
        5,
        "machines[0].tags.x.sentinels",
        "never 0.5",
    ),
    "sentinel below a negative": (
        edit("base: D1000", "base: D1000, tags: {x: {address: D5, type: i16, sentinels: [-32769]}}"),
        5,
        "machines[0].tags.x.sentinels",
        "never -32769",
    ),
    "sentinel of more digits": (
        edit("base: D1000", "base: D1000, tags: {x: {address: D5, type: bcd16, sentinels: [10000]}}"),
        5,
        "machines[0].tags.x.sentinels",
        "never 10000",
    ),
    "word for what is never read": (
        edit("base: D1000", "base: D1000, tags: {x: {address: D5, words: {-1: none}}}"),
        5,
        "machines[0].tags.x.words",
        "never -1",
    ),
    "words of a text": (
        edit("base: D1000", "base: D1000, tags: {x: {address: D5, type: string, length: 2, words: {1: a}}}"),
        5,
        "machines[0].tags.x.words",
        "names of numbers",
    ),
    "length of a number": (
        edit("base: D1000", "base: D1000, tags: {x: {address: D5, length: 2}}"),
        5,
        "machines[0].tags.x.length",
        "for a string",
    ),
    "characters of a number": (
        edit("base: D1000", "base: D1000, tags: {x: {address: D5, encoding: gbk}}"),
        5,
        "machines[0].tags.x.encoding",
        "for a string",
    ),
    "counter of no integer type": (
        edit("base: D1000", "base: D1000, tags: {total: {type: f32}}"),
        5,
        "machines[0].tags.total.type",
        "integer type",
    ),
    "modulus beyond its type": (
        edit("base: D1000", "base: D1000, counters: {total: {width: 16, modulus: 100000}}"),
        5,
        "machines[0].counters.total.modulus",
        "65536",
    ),
    "counter that wraps too fast": (
        edit("base: D1000", "base: D1000, counters: {total: {modulus: 10, max_rate_per_s: 9}}"),
        5,
        "machines[0].counters.total",
        "cannot be counted",
    ),
    "maximum rate below the ideal": (
        edit("base: D1000", "base: D1000, counters: {total: {max_rate_per_s: 0.001}}"),
        5,
        "machines[0].counters.total.max_rate_per_s",
        "glitches",
    ),
    "no counter left": (
        edit("base: D1000", "base: D1000, counters: {total: null, good: null}"),
        5,
        "machines[0].counters",
        "required",
    ),
    "no such product": (edit("base: D1000", "base: D1000, product: gown"), 5, "machines[0].product", "suit"),
    "product and products": (
        edit("base: D1000", "base: D1000, product: suit, products: [suit]"),
        5,
        "machines[0].product",
        "not both",
    ),
    "thresholds out of order": (
        edit("base: D1000", "base: D1000, product: {id: suit, stop_s: 10}"),
        5,
        "machines[0].product",
        "out of order",
    ),
    "hold shorter than the poll": (edit("base: D1000", "base: D1000, hold_s: 0.5"), 5, "machines[0].hold_s", "shorter"),
    "no such calendar": (edit("base: D1000", "base: D1000, calendar: nights"), 5, "machines[0].calendar", "nights"),
    "two calendars, none chosen": (
        MINIMAL + "calendars: [{id: a}, {id: b}]\n",
        5,
        "machines[0].calendar",
        "several calendars",
    ),
    "a time that is none": (
        MINIMAL + 'calendar: {shifts: [{name: d, start: "8am", end: "20:00"}]}\n',
        6,
        "calendar.shifts[0].start",
        "08:00",
    ),
    "a day that is none": (
        MINIMAL + 'calendar: {shifts: [{name: d, start: "08:00", end: "20:00", days: mo}]}\n',
        6,
        "calendar.shifts[0].days",
        "mon-fri",
    ),
    "a date that is none": (MINIMAL + "calendar: {holidays: [2026-02-30]}\n", 6, "calendar.holidays[0]", "2026-10-01"),
    "break outside its shift": (
        MINIMAL + 'calendar:\n  shifts:\n    - name: d\n      start: "22:00"\n      end: "06:00"\n'
        '      breaks: [{start: "05:50", end: "06:10"}]\n',
        11,
        "calendar.shifts[0].breaks[0]",
        "not inside its shift",
    ),
    "overlap around the week": (
        MINIMAL + 'calendar:\n  shifts:\n    - {name: a, start: "22:00", end: "06:00", days: sun}\n'
        '    - {name: b, start: "05:00", end: "14:00", days: mon}\n',
        9,
        "calendar.shifts[1]",
        "overlaps shift a",
    ),
    "two shifts of one name": (
        MINIMAL + 'calendar:\n  shifts:\n    - {name: a, start: "06:00", end: "14:00"}\n'
        '    - {name: a, start: "14:00", end: "22:00", days: mon}\n',
        9,
        "calendar.shifts[1].name",
        "both called a",
    ),
    "sink without a database": (
        MINIMAL + 'sinks: [{id: a, type: influxdb1, url: "http://h:8086"}]\n',
        6,
        "sinks[0].database",
        "requires database",
    ),
    "bucket for InfluxDB 1": (
        MINIMAL + 'sinks: [{id: a, type: influxdb1, url: "http://h", database: d, bucket: t}]\n',
        6,
        "sinks[0].bucket",
        "has no bucket",
    ),
    "token and user": (
        MINIMAL + 'sinks: [{id: a, type: influxdb1, url: "http://h", database: d, token: t, user: u}]\n',
        6,
        "sinks[0].token",
        "not both",
    ),
    "InfluxDB 3 without a token": (
        MINIMAL + 'sinks: [{id: a, type: influxdb3, url: "http://h", database: d}]\n',
        6,
        "sinks[0].token",
        "requires token",
    ),
    "flags of VictoriaMetrics for another": (
        MINIMAL + 'sinks: [{id: a, type: influxdb1, url: "http://h", database: d, dedup_ms: 100}]\n',
        6,
        "sinks[0].dedup_ms",
        "has no dedup_ms",
    ),
    "certificates for plain http": (
        MINIMAL + 'sinks: [{id: a, type: influxdb1, url: "http://h", database: d, tls: {key_password: x}}]\n',
        6,
        "sinks[0].tls",
        "not https",
    ),
    "an authority that is not there": (
        MINIMAL + 'sinks: [{id: a, type: influxdb1, url: "https://h", database: d, tls: {ca_file: no.pem}}]\n',
        6,
        "sinks[0].tls.ca_file",
        "cannot read",
    ),
    "a key without its certificate": (
        MINIMAL + 'sinks:\n- {id: a, type: influxdb1, url: "https://h", database: d, tls: {key_file: /no}}\n',
        7,
        "sinks[0].tls.key_file",
        "required too",
    ),
    "password inside the address of a proxy": (
        MINIMAL + 'sinks: [{id: a, type: influxdb1, url: "http://h", database: d, proxy: {url: "http://u:p@h"}}]\n',
        6,
        "sinks[0].proxy.url",
        "password",
    ),
    "a route for nothing": (
        MINIMAL + 'sinks: [{id: a, type: influxdb1, url: "http://h", database: d, routes: [{database: e}]}]\n',
        6,
        "sinks[0].routes[0]",
        "classes or measurements",
    ),
    "a route to nowhere": (
        MINIMAL + 'sinks: [{id: a, type: influxdb1, url: "http://h", database: d, routes: [{classes: [tag]}]}]\n',
        6,
        "sinks[0].routes[0]",
        "database or skip",
    ),
    "a route for an unknown measurement": (
        MINIMAL + 'sinks:\n- {id: a, type: influxdb1, url: "http://h", database: d,\n'
        "   routes: [{measurements: [legder], skip: true}]}\n",
        8,
        "sinks[0].routes[0].measurements[0]",
        "no measurement legder",
    ),
    "a route to a bucket of InfluxDB 1": (
        MINIMAL
        + 'sinks:\n- {id: a, type: influxdb1, url: "http://h", database: d, routes: [{classes: [tag], bucket: b}]}\n',
        7,
        "sinks[0].routes[0].bucket",
        "has no bucket",
    ),
    "no such sink type": (
        MINIMAL + 'sinks: [{id: a, type: influx, url: "http://h"}]\n',
        6,
        "sinks[0].type",
        "influxdb1",
    ),
    "password inside an address": (
        MINIMAL + 'sinks: [{id: a, type: influxdb1, url: "http://u:hush@h", database: d}]\n',
        6,
        "sinks[0].url",
        "password",
    ),
    "restart proven by nobody": (
        edit("base: D1000", "base: D1000, epoch: [{tag: uptme, when: decreases}]"),
        5,
        "machines[0].epoch[0].tag",
        "did you mean uptime",
    ),
    "restart proven by no known way": (
        edit("base: D1000", "base: D1000, epoch: [{tag: run_s, when: falls}]"),
        5,
        "machines[0].epoch[0].when",
        "'decreases' or 'changes'",
    ),
    "hours counter nobody knows": (
        edit("base: D1000", "base: D1000, state_times: [{tag: run_h, bucket: run}]"),
        5,
        "machines[0].state_times[0].tag",
        "did you mean run_s",
    ),
    "hours of no bucket": (
        edit("base: D1000", "base: D1000, state_times: [{tag: run_s, bucket: unknown}]"),
        5,
        "machines[0].state_times[0].bucket",
        "external-starved",
    ),
    "hours in no unit": (
        edit("base: D1000", "base: D1000, state_times: [{tag: run_s, bucket: run, unit: h}]"),
        5,
        "machines[0].state_times[0].unit",
        "'ms', 's' or 'min'",
    ),
    "hours as a text": (
        edit("base: D1000", "base: D1000, tags: {run_s: {type: f32}}"),
        5,
        "machines[0].tags.run_s.type",
        "integer type or f64",
    ),
    "stale while nobody knows": (
        edit("base: D1000", "base: D1000, hold_while: {hetaing: true}"),
        5,
        "machines[0].hold_while.hetaing",
        "did you mean heating",
    ),
    "one fact with a signal nobody knows": (
        edit("base: D1000", "base: D1000, together: [state, mod]"),
        5,
        "machines[0].together[1]",
        "did you mean mode",
    ),
    "one fact in two requests": (
        edit("base: D1000", "base: D1000, together: [state, mode], tags: {mode: {address: D5000}}"),
        5,
        "machines[0].together",
        "one request",
    ),
    "a rule without a signal nobody knows": (
        edit("base: D1000", "base: D1000, states: [{when: {state: 6}, without: [rn], bucket: run, state: execute}]"),
        5,
        "machines[0].states[0].without[0]",
        "did you mean run",
    ),
    "a condition of no known form": (
        edit("base: D1000", "base: D1000, states: [{when: {state: {lst: 6}}, bucket: run, state: execute}]"),
        5,
        "machines[0].states[0].when.state",
        "{last: ...}",
    ),
    "a total of good pieces beside a good counter": (
        edit("base: D1000", "base: D1000, total_includes_rejects: false"),
        5,
        "machines[0].counters",
        "good: null",
    ),
    "a flush of less than nothing": (
        edit("base: D1000", "base: D1000, flush: {pieces: -1}"),
        5,
        "machines[0].flush.pieces",
        "at least 0",
    ),
    "pieces per count of no counter": (
        edit("base: D1000", "base: D1000, product: {id: suit, pieces_per_count: {totl: 4}}"),
        5,
        "machines[0].product.pieces_per_count",
        "total",
    ),
    "broken YAML": (edit("host: h}", "host: h"), 4, ".", "YAML syntax"),
    "an area off the map": (
        edit("host: h", "host: h, areas: [{prefix: D, range: 0-9, table: holding, base: 65530}]"),
        3,
        "devices[0].areas[0]",
        "does not fit",
    ),
    "forbidden range nobody knows": (
        edit("host: h", "host: h, limits: {forbidden: [Z9]}"),
        3,
        "devices[0].limits.forbidden[0]",
        "Z9",
    ),
    "forbidden range the wrong way round": (
        edit("host: h", "host: h, limits: {forbidden: [D9-D3]}"),
        3,
        "devices[0].limits.forbidden[0]",
        "nothing is forbidden",
    ),
    "forbidden range over two tables": (
        edit("host: h", "host: h, limits: {forbidden: [M0-D9]}"),
        3,
        "devices[0].limits.forbidden[0]",
        "of one table",
    ),
    "a needed register is forbidden": (
        edit("host: h", "host: h, limits: {forbidden: [D1008-D1009]}"),
        5,
        "machines[0]",
        "must never be read",
    ),
    "secret file that is not there": (
        MINIMAL + 'sinks: [{id: a, type: influxdb2, url: "http://h", org: o, bucket: b, token: {file: none}}]\n',
        6,
        "sinks[0].token",
        "cannot read the secret file",
    ),
    "half a variable": (edit("host: h", "host: '${HOST'"), 3, "devices[0].host", "${NAME}"),
}


@pytest.mark.parametrize("name", CASES)
def test_one_mistake_gives_one_problem_that_says_where_and_what(name: str) -> None:
    text, line, path, words = CASES[name]
    found = problems_of(text)
    assert len(found) == 1, "\n".join(map(str, found))
    (problem,) = found
    assert (problem.line, problem.path[: len(path)]) == (line, path), problem
    said = problem.what.en + (problem.hint.en if problem.hint else "")
    assert words in said
    assert problem.what.zh != problem.what.en


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    from edge.config import load

    for file in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(ConfigError, match="file"):
            load(file, {})
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    with pytest.raises(ConfigError, match="empty"):
        load(tmp_path / "empty.yaml", {})
    (tmp_path / "gbk.yaml").write_bytes("site: {id: 甲}".encode("gbk"))
    with pytest.raises(ConfigError, match="UTF-8"):
        load(tmp_path / "gbk.yaml", {})


def test_aliases_without_end_are_refused() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)
    )
    assert any("aliases" in p.what.en for p in problems_of(bomb))
    assert any("aliases" in p.what.en for p in problems_of("site: &s {id: *s}\n"))


def test_structural_mistakes_do_not_hide_semantic_ones_of_the_same_machine() -> None:
    text = edit("device: plc-1, base: D1000", "device: plc-9, base: D1000, line: 5, hold_s: soon")
    assert [p.path for p in problems_of(text)] == ["machines[0].device", "machines[0].hold_s", "machines[0].line"]


def test_choices_are_listed_in_the_language_of_the_reader() -> None:
    """No English "or" in a Chinese sentence."""
    (found,) = problems_of(edit("base: D1000", "base: D1000, tags: {x: {address: D5, word_order: CADB}}"))
    assert " or " in found.what.en
    assert " or " not in found.what.zh
    assert "DCBAHGFE" in found.what.zh
