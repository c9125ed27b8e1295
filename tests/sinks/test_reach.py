"""TLS is verified, a private authority is the only one trusted, mutual TLS and proxies work, and what goes wrong on the
way waits with its reason; nobody prints a secret."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.influx2 import BUCKET, ORG, TOKEN, Influx2Stub
from fixtures.proxy import proxy
from fixtures.tls import Authority, Pair, tls_in_front

import edge.sinks.influx2  # noqa: F401 - its first import reads many files
from edge.plan import InfluxSink, Reach
from edge.sinks import Delivered, Outcome, Wait
from edge.sinks.factory import make_sink

pytestmark = pytest.mark.usefixtures("no_blocking")

LINE = b"m,k=v x=1i 1700000000000000000"
VERSIONS = pytest.mark.parametrize("version", [1, 2, 3])


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    authority = Authority(tmp_path_factory.mktemp("ca"))
    authority.issue("server")
    authority.issue("gateway", password=b"s3cret")
    authority.issue("expired", days=-1)
    return authority


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="module")
def folder(plant: Authority) -> Path:
    return plant.ca_file.parent


def pair(folder: Path, name: str) -> Pair:
    return Pair(folder / f"{name}.pem", folder / f"{name}.key")


def plan_of(version: int, url: str, **reach: object) -> InfluxSink:
    own = {1: {"database": "db"}, 2: {"org": ORG, "bucket": BUCKET, "token": TOKEN}, 3: {"database": "db"}}[version]
    plan = InfluxSink("s", version, url, deadline_ns=3_000_000_000, reach=Reach(**reach), **own)  # type: ignore[arg-type]
    return replace(plan, token=TOKEN) if version == 3 else plan


async def outcome_of(plan: InfluxSink) -> Outcome:
    sink = make_sink(plan)
    try:
        return await sink.write(LINE)
    finally:
        await sink.close()


def reason_of(outcome: Outcome) -> str:
    assert isinstance(outcome, Wait), outcome
    assert "s3cret" not in outcome.detail
    return outcome.reason


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


@VERSIONS
async def test_a_private_authority_is_trusted_and_nothing_else(
    version: int, influx2: Influx2Stub, plant: Authority, folder: Path, stranger: Authority
) -> None:
    async with tls_in_front(port_of(influx2.url), pair(folder, "server")) as url:
        assert isinstance(await outcome_of(plan_of(version, url, ca_file=str(plant.ca_file))), Delivered)
        assert reason_of(await outcome_of(plan_of(version, url))) == "tls"  # the system does not know it
        assert reason_of(await outcome_of(plan_of(version, url, ca_file=str(stranger.ca_file)))) == "tls"
        by_name = url.replace("127.0.0.1", "localhost")  # not in the certificate
        assert reason_of(await outcome_of(plan_of(version, by_name, ca_file=str(plant.ca_file)))) == "tls"
    async with tls_in_front(port_of(influx2.url), pair(folder, "expired")) as url:
        assert reason_of(await outcome_of(plan_of(version, url, ca_file=str(plant.ca_file)))) == "tls"
    assert len(influx2.requests) == 1


@VERSIONS
async def test_a_server_that_asks_who_we_are(
    version: int, influx2: Influx2Stub, plant: Authority, folder: Path
) -> None:
    gateway = {
        "ca_file": str(plant.ca_file),
        "certificate_file": str(folder / "gateway.pem"),
        "key_file": str(folder / "gateway.key"),
    }
    async with tls_in_front(port_of(influx2.url), pair(folder, "server"), plant.ca_file) as url:
        delivered = await outcome_of(plan_of(version, url, key_password="s3cret", **gateway))
        assert isinstance(delivered, Delivered)
        nobody = await outcome_of(plan_of(version, url, ca_file=str(plant.ca_file)))
        assert reason_of(nobody) in ("tls", "reset")  # the server's alert, where it arrives before the end
        assert reason_of(await outcome_of(plan_of(version, url, key_password="wrong", **gateway))) == "tls"
        gone = gateway | {"key_file": str(folder / "gone.key")}
        assert reason_of(await outcome_of(plan_of(version, url, key_password="s3cret", **gone))) == "tls"


async def test_a_renewed_certificate_is_taken_up_without_a_restart(
    influx2: Influx2Stub, plant: Authority, stranger: Authority, folder: Path, tmp_path: Path
) -> None:
    ca_file = tmp_path / "ca.pem"
    await asyncio.to_thread(shutil.copy, stranger.ca_file, ca_file)
    async with tls_in_front(port_of(influx2.url), pair(folder, "server")) as url:
        sink = make_sink(plan_of(1, url, ca_file=str(ca_file)))
        assert reason_of(await sink.write(LINE)) == "tls"
        await asyncio.to_thread(shutil.copy, plant.ca_file, ca_file)
        assert isinstance(await sink.write(LINE), Delivered)
        await sink.close()


@VERSIONS
async def test_through_a_proxy(version: int, influx2: Influx2Stub, plant: Authority, folder: Path) -> None:
    async with proxy("agent:s3cret") as on_the_way, tls_in_front(port_of(influx2.url), pair(folder, "server")) as url:
        login = {"proxy": on_the_way.url, "proxy_user": "agent", "proxy_password": "s3cret"}
        assert isinstance(await outcome_of(plan_of(version, influx2.url, **login)), Delivered)
        secured = plan_of(version, url, ca_file=str(plant.ca_file), **login)
        assert isinstance(await outcome_of(secured), Delivered)
        wrong = login | {"proxy_password": "other"}
        assert reason_of(await outcome_of(plan_of(version, influx2.url, **wrong))) == "proxy"
        refused = plan_of(version, url, ca_file=str(plant.ca_file), **wrong)
        assert reason_of(await outcome_of(refused)) == "proxy"
    assert on_the_way.lines[0].startswith(f"POST {influx2.url}")
    assert on_the_way.lines[1].startswith("CONNECT 127.0.0.1:")
    assert len(influx2.requests) == 2
    assert reason_of(await outcome_of(plan_of(version, influx2.url, **login))) == "proxy"  # it is gone
