"""Every option of a database reaches the plan; secrets of proxies and keys come from files and are never printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import compile_site
from edge.config.check import render
from edge.plan import Reach, Route, SitePlan, Target, VictoriaRules

SITE = """
site: {id: p1, enterprise: e, province: 河南, city: 新乡}
devices: [{id: plc-1, template: inovance-h5u, host: 10.0.0.1}]
machines: [{id: m1, line: l1, template: tape-sealer, device: plc-1, base: D1000}]
"""
PEM = "-----BEGIN CERTIFICATE-----\n"


def plan_in(folder: Path, sinks: str) -> SitePlan:
    return compile_site(SITE + "sinks:\n" + sinks, folder / "site.yaml", {})


def test_the_way_to_a_server(tmp_path: Path) -> None:
    for name in ("ca.pem", "own.pem"):
        (tmp_path / name).write_text(PEM)
    (tmp_path / "pass").write_text("hush1\n")
    plan = plan_in(
        tmp_path,
        """
- id: a
  type: influxdb3
  url: https://db:8181/
  database: lines
  token: {file: pass}
  api: v2
  tls: {ca_file: ca.pem, certificate_file: own.pem, key_password: {file: pass}}
  proxy: {url: "http://proxy:3128/", user: agent, password: {file: pass}}
  gzip_level: 3
  connect_s: 2
  backlog_bytes_per_s: 50 kB
  future_limit_s: 600
""",
    )
    (sink,) = plan.sinks
    assert (sink.kind, sink.v2_route, sink.target, sink.url) == ("influxdb3", True, Target("lines"), "https://db:8181")
    assert sink.reach == Reach(
        ca_file=str(tmp_path / "ca.pem"), certificate_file=str(tmp_path / "own.pem"), key_password="hush1",
        proxy="http://proxy:3128", proxy_user="agent", proxy_password="hush1", connect_ns=2_000_000_000, gzip_level=3,
    )  # fmt: skip
    assert (sink.backlog_bytes_per_s, sink.future_ns) == (50_000, 600_000_000_000)
    assert "hush1" not in repr(plan) + render(plan, 0) + repr(sink.reach)


def test_routes_name_measurements_and_classes_are_short_for_theirs(tmp_path: Path) -> None:
    plan = plan_in(
        tmp_path,
        """
- id: a
  type: influxdb1
  url: http://db
  database: lines
  routes:
    - {classes: [tag], skip: true}
    - {measurements: [ledger, live], retention_policy: ten_years}
    - {classes: [ledger], database: other}
- {id: b, type: influxdb2, url: "http://db", org: o, bucket: x, token: t, routes: [{classes: [ledger], bucket: y}]}
""",
    )
    first, second = plan.sinks
    assert first.routes == (
        Route(frozenset({"tag"}), None),
        Route(frozenset({"ledger", "live"}), Target("lines", "ten_years")),
        Route(frozenset({"ledger"}), Target("other")),
    )
    assert second.routes == (Route(frozenset({"ledger"}), Target("y")),)
    assert "ledger, live → lines.ten_years" in render(plan, 0)


@pytest.mark.parametrize(
    ("options", "rules"),
    [("", VictoriaRules()), (", dedup_ms: 1000, check_flags: false", VictoriaRules(1_000_000_000, check=False))],
)
def test_victoria_metrics(tmp_path: Path, options: str, rules: VictoriaRules) -> None:
    (sink,) = plan_in(tmp_path, f"- {{id: v, type: victoriametrics, url: 'http://vm:8428'{options}}}\n").sinks
    assert (sink.victoria, sink.kind, sink.target) == (rules, "victoriametrics", Target(""))
