"""Promise: secrets come from the environment or from files, and nothing ever prints them."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import compile_site
from edge.config.check import render
from edge.config.models import SinkModel
from edge.errors import ConfigError
from edge.plan import InfluxSink, OpcuaDevice, SitePlan

TOKEN, PASSWORD, USER = "tok-3f9a7c", "pw-81bd02", "user-55aa"

SITE = """\
site: {id: s, enterprise: e, province: p, city: "${CITY:-新乡}"}
devices:
  - {id: ua, template: generic-opcua, url: "opc.tcp://${HOST}:4840",
     security: {user: "${OPC_USER}", password: "${OPC_PW}"}}
machines: [{id: m, template: packml, device: ua, base: "$${x}"}]
sinks:
  - {id: a, type: influxdb2, url: "http://h", org: o, bucket: b, token: {file: token.txt}}
  - {id: b, type: influxdb1, url: "http://h", database: d, user: "${OPC_USER}", password: "${OPC_PW}"}
"""
ENVIRON = {"HOST": "10.0.0.9", "OPC_USER": USER, "OPC_PW": PASSWORD}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "token.txt").write_text(TOKEN + "\n")
    return tmp_path


def plan_in(folder: Path) -> SitePlan:
    return compile_site(SITE, folder / "site.yaml", ENVIRON)


def test_secrets_reach_the_plan(folder: Path) -> None:
    plan = plan_in(folder)
    (server,) = plan.devices
    assert isinstance(server, OpcuaDevice)
    assert (server.endpoint.url, server.endpoint.user, server.endpoint.password) == (
        "opc.tcp://10.0.0.9:4840",
        USER,
        PASSWORD,
    )
    first, second = plan.sinks
    assert isinstance(first, InfluxSink)
    assert (first.token, second.user, second.password) == (TOKEN, USER, PASSWORD)
    assert plan.site.city == "新乡"
    assert server.tags[0].node.startswith("ns=2;s=${x}.")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_nothing_prints_them(folder: Path, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAMLINE_LANG", language)
    plan = plan_in(folder)
    model = SinkModel(id="a", type="influxdb2", url="http://h", org="o", bucket="b", token=TOKEN)
    for said in (render(plan, 0), repr(plan.sinks), str(plan.devices[0].endpoint), repr(model), plan.config_version):
        assert TOKEN not in said
        assert PASSWORD not in said
    assert TOKEN not in repr(plan)
    assert PASSWORD not in repr(plan)


@pytest.mark.parametrize(
    "broken",
    [
        SITE.replace("type: influxdb2", "type: influxdb4"),
        SITE.replace("bucket: b, token:", "bucket: b, tocken: {x: 1}, token:").replace(
            "org: o", "org: ${OPC_PW}, database: x"
        ),
        SITE.replace("database: d", "database: d, batch_bytes: '${OPC_PW}'"),
        SITE.replace('url: "http://h", org', 'url: "http://u:${OPC_PW}@h", org'),
        SITE.replace('url: "http://h", database', 'url: "${OPC_PW}", database'),
        SITE.replace("id: ua,", "id: ua, deadline_s: '${OPC_PW}',"),
        SITE.replace("template: packml", "template: packml, ideal_cycle_s: '${OPC_PW}'"),
        SITE.replace("security: {", "security: {policy: '${OPC_PW}', "),
        SITE + "agent: {language: '${OPC_PW}', store: {max_bytes: '${OPC_PW}'}}\n",
    ],
)
def test_no_error_quotes_them(folder: Path, broken: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compile_site(broken, folder / "site.yaml", ENVIRON)
    said = str(caught.value) + repr(caught.value.problems)
    assert PASSWORD not in said
    assert TOKEN not in said
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_an_empty_or_missing_secret_file_is_a_problem(folder: Path) -> None:
    (folder / "token.txt").write_text("\n")
    with pytest.raises(ConfigError, match=r"token\.txt"):
        plan_in(folder)


def test_a_secret_keeps_its_inner_blanks(folder: Path) -> None:
    (folder / "token.txt").write_text(" a b \r\n")
    assert plan_in(folder).sinks[0].token == " a b "


def test_a_plan_names_the_files_it_rests_on(folder: Path) -> None:
    """Who watches them sees every edit that may change it; a refused file names them too, there or not."""
    (folder / "own").mkdir()
    site = SITE + "templates: own\n"
    assert compile_site(site, folder / "site.yaml", ENVIRON).files == (
        str(folder / "site.yaml"),
        str(folder / "token.txt"),
        str(folder / "own"),
    )
    (folder / "token.txt").unlink()
    with pytest.raises(ConfigError) as refusal:
        compile_site(site, folder / "site.yaml", ENVIRON)
    assert str(folder / "token.txt") in refusal.value.files
