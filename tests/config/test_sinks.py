"""Every option of a database reaches the plan; secrets of proxies and keys come from files and are never printed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.tls import Authority

from edge.config import compile_site
from edge.config.check import render
from edge.errors import ConfigError
from edge.plan import Reach, Route, SitePlan, Target, VictoriaRules
from edge.reload.diff import diff

SITE = """
site: {id: p1, enterprise: e, province: 河南, city: 新乡}
devices: [{id: plc-1, template: inovance-h5u, host: 10.0.0.1}]
machines: [{id: m1, line: l1, template: tape-sealer, device: plc-1, base: D1000}]
"""


def plan_in(folder: Path, sinks: str) -> SitePlan:
    return compile_site(SITE + "sinks:\n" + sinks, folder / "site.yaml", {})


def test_the_way_to_a_server(tmp_path: Path) -> None:
    authority = Authority(tmp_path)  # ca.pem
    own = authority.issue("own", password=b"hush1")
    own.certificate.write_bytes(own.certificate.read_bytes() + own.key.read_bytes())
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
    assert len(sink.reach.pem_digest) == 64
    assert replace(sink.reach, pem_digest="") == Reach(
        ca_file=str(tmp_path / "ca.pem"), certificate_file=str(tmp_path / "own.pem"), key_password="hush1",
        proxy="http://proxy:3128", proxy_user="agent", proxy_password="hush1", connect_ns=2_000_000_000, gzip_level=3,
    )  # fmt: skip
    assert (sink.backlog_bytes_per_s, sink.future_ns) == (50_000, 600_000_000_000)
    assert "hush1" not in repr(plan) + render(plan, 0) + repr(sink.reach)


def test_a_renewed_certificate_is_another_way_to_the_server_and_nothing_else(tmp_path: Path) -> None:
    """The files are watched; of two plans only this database differs, and the ledger's version stays."""
    authority = Authority(tmp_path)
    authority.issue("own")
    text = "- {id: a, type: influxdb1, url: 'https://db', database: d, tls: {ca_file: ca.pem, certificate_file: own.pem, key_file: own.key}}\n- {id: b, type: influxdb1, url: 'http://db', database: d}\n"  # noqa: E501
    before = plan_in(tmp_path, text)
    assert {str(tmp_path / name) for name in ("ca.pem", "own.pem", "own.key")} <= set(before.files)
    assert diff(before, plan_in(tmp_path, text)).is_empty
    authority.issue("own")
    renewed = plan_in(tmp_path, text)
    change = diff(before, renewed)
    assert [(one.id, one.fields) for one in change.sinks.changed] == [("a", ("reach",))]
    assert change.sinks.kept == ("b",)
    assert before.config_version == renewed.config_version
    (tmp_path / "ca.pem").write_bytes(authority.issue("other").certificate.read_bytes())
    assert diff(renewed, plan_in(tmp_path, text)).sinks.changed_ids == {"a"}


def test_a_key_that_is_not_the_certificates_is_refused(tmp_path: Path) -> None:
    """Half of a renewal: what runs goes on with what it had until the other half is there."""
    authority = Authority(tmp_path)
    authority.issue("own")
    (tmp_path / "own.key").write_bytes(authority.issue("other").key.read_bytes())
    with pytest.raises(ConfigError) as failure:
        plan_in(
            tmp_path,
            "- {id: a, type: influxdb1, url: 'https://db', database: d, tls: {certificate_file: own.pem, key_file: own.key}}\n",  # noqa: E501
        )
    (problem,) = failure.value.problems
    assert "own.key" in str(problem)
    assert str(tmp_path / "own.key") in failure.value.files


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
