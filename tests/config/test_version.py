"""Promise: the configuration's version changes with what can move a figure, and with nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import compile_site

SITE = """\
site: {id: s, enterprise: e, province: p, city: c}
calendar: {shifts: [{name: day, start: "08:00", end: "20:00"}]}
devices:
  - {id: plc-1, template: inovance-h5u, host: h}
  - {id: plc-2, template: xinje-xd, host: i}
machines:
  - {id: a, template: tape-sealer, device: plc-1, base: D1000}
  - {id: b, template: kn95, device: plc-2, base: HD0}
sinks: [{id: x, type: influxdb1, url: "http://h", database: d, password: p}]
"""


def version(text: str) -> str:
    return compile_site(text, Path("/etc/x/site.yaml"), {}).config_version


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("host: h}", "host: other, port: 5020}"),
        ("password: p", "password: q"),
        ("database: d", "database: e"),
        ("base: HD0}", "base: HD0, name: 另一个名字}"),
        ("sinks:", "agent: {page: {port: 9}, language: en}\nsinks:"),
        ("enterprise: e", "enterprise: f"),
    ],
)
def test_what_moves_no_figure_keeps_the_version(old: str, new: str) -> None:
    assert old in SITE
    assert version(SITE.replace(old, new, 1)) == version(SITE)


def test_order_does_not_matter() -> None:
    lines = SITE.splitlines(keepends=True)
    swapped = [*lines[:3], lines[4], lines[3], lines[5], lines[7], lines[6], *lines[8:]]
    assert version("".join(swapped)) == version(SITE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("base: D1000", "base: D1002"),
        ("base: HD0", "base: HD0, ideal_cycle_s: 1.4"),
        ("base: HD0", "base: HD0, counters: {total: {width: 16}}"),
        ("base: HD0", "base: HD0, hold_s: 9"),
        ("base: HD0", "base: HD0, faults: {201: {zh: x, en: x, bucket: setup}}"),
        ("base: HD0", "base: HD0, product: {id: kn95, stop_s: 99}"),
        ("base: HD0", "base: HD0, state_default: {bucket: no-order}"),
        ("base: HD0", "base: HD0, tags: {die_temperature: {scale: 0.1}}"),
        ("base: HD0", "base: HD0, epoch: [{tag: run_s, when: decreases}]"),
        ("base: HD0", "base: HD0, state_times: []"),
        ("base: HD0", "base: HD0, together: [state, mode]"),
        ("base: HD0", "base: HD0, hold_while: {heating: true}"),
        ("base: HD0", "base: HD0, flush: {pieces: 3}"),
        ("base: HD0", "base: HD0, total_includes_rejects: false, counters: {good: null}"),
        ("base: HD0", "base: HD0, product: {id: kn95, pieces_per_count: 2}"),
        ("base: HD0", "base: HD0, products: [kn95, {id: kn95, since: 2026-03-01, stop_s: 99}]"),
        ('end: "20:00"', 'end: "20:30"'),
        ("city: c", "city: c, timezone: Europe/Berlin"),
        ("template: inovance-h5u, host: h", "template: inovance-h5u, host: h, word_order: ABCD"),
    ],
)
def test_what_moves_a_figure_changes_it(old: str, new: str) -> None:
    assert old in SITE
    assert version(SITE.replace(old, new, 1)) != version(SITE)


def test_it_is_twelve_hex_digits_and_the_same_in_every_run() -> None:
    assert version(SITE) == version(SITE)
    assert len(version(SITE)) == 12
    int(version(SITE), 16)
