"""A real InfluxDB 1.x that wants credentials: right ones deliver; wrong, expired or insufficient ones wait and lose
nothing; what waited flows once somebody has granted the right.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fixtures.influx import Influx
from fixtures.records import batch, outbox_at, record
from test_delivery import running

from edge.clock import SystemClock
from edge.delivery import Delivery
from edge.outbox.store import Outbox
from edge.plan import InfluxSink
from edge.sinks import Delivered, Wait
from edge.sinks.factory import make_sink

pytestmark = pytest.mark.usefixtures("no_blocking")

SECRET = "a secret that signs tokens"
_STATEMENTS = (
    "CREATE USER root WITH PASSWORD 'all' WITH ALL PRIVILEGES", "CREATE DATABASE lines",
    "CREATE USER seamline WITH PASSWORD 'päss:wörd/@'", "GRANT WRITE ON lines TO seamline",
    "CREATE USER reader WITH PASSWORD 'r'", "GRANT READ ON lines TO reader",
)  # fmt: skip
LINE = b"live,machine=m1 n=%di 1700000000000000000"


class Guarded(Influx):
    """It answers nobody without a login."""

    def ask(self, query: str, database: str = "") -> list[dict[str, Any]]:
        """As the administrator."""
        form = urllib.parse.urlencode({"q": query, "db": database, "epoch": "ns"}).encode()
        with urllib.request.urlopen(f"{self.url}/query?u=root&p=all", data=form, timeout=60) as got:
            (result,) = json.load(got)["results"]
        if "error" in result:
            raise ValueError(result["error"])
        rows = ((s["columns"], values) for s in result.get("series", ()) for values in s["values"])
        return [dict(zip(columns, values, strict=True)) for columns, values in rows]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    server = Guarded(tmp_path_factory.mktemp("guarded"), auth="true", secret=SECRET)
    server.start()
    try:
        for statement in _STATEMENTS:
            server.ask(statement)
        yield server
    finally:
        server.kill()


def plan(server: Influx, **login: str) -> InfluxSink:
    return InfluxSink("a", 1, server.url, "lines", **login)  # type: ignore[arg-type]


def token(user: str, *, expires_s: float, secret: str = SECRET) -> str:
    """A JSON web token (RFC 7519) as InfluxDB 1.x takes it."""
    said = ({"alg": "HS256", "typ": "JWT"}, {"username": user, "exp": int(time.time() + expires_s)})
    parts = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in said)
    signature = hmac.new(secret.encode(), parts, hashlib.sha256).digest()
    return (parts + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


@asynccontextmanager
async def sink(server: Influx, **login: str) -> AsyncIterator[Any]:
    made = make_sink(plan(server, **login))
    yield made
    await made.close()


async def test_a_user_with_any_password_delivers(guarded: Guarded) -> None:
    async with sink(guarded, user="seamline", password="päss:wörd/@") as to:
        assert isinstance(await to.write(LINE % 1), Delivered)


async def test_a_signed_token_delivers(guarded: Guarded) -> None:
    async with sink(guarded, token=token("seamline", expires_s=60)) as to:
        assert isinstance(await to.write(LINE % 2), Delivered)


@pytest.mark.parametrize(
    ("login", "status"),
    [
        ({}, 401),
        ({"user": "seamline", "password": "wrong"}, 401),
        ({"user": "nobody", "password": "wrong"}, 401),
        ({"user": "reader", "password": "r"}, 403),
        ({"token": token("seamline", expires_s=-60)}, 401),
        ({"token": token("seamline", expires_s=60, secret="another")}, 401),
        ({"token": "no token at all"}, 401),
    ],
)
async def test_what_is_not_right_waits_and_says_who_must_do_what(
    guarded: Guarded, login: dict[str, str], status: int
) -> None:
    async with sink(guarded, **login) as to:
        outcome = await to.write(LINE % 3)
    assert isinstance(outcome, Wait)
    assert (outcome.reason, str(status) in outcome.detail) == ("unauthorized", True)
    assert guarded.url in outcome.detail
    for secret in ("wrong", login.get("token", "wrong")):
        assert secret not in outcome.detail, "a secret is never printed"


async def test_what_waited_flows_once_the_right_was_granted(guarded: Guarded, tmp_path: Path) -> None:
    await guarded.query("CREATE USER late WITH PASSWORD 'l'")
    await guarded.query("CREATE DATABASE later")
    outbox: Outbox = outbox_at(tmp_path / "s.db", "a")
    await outbox.open()
    await outbox.commit(batch(0, record(1, 2, 3)))
    to = make_sink(InfluxSink("a", 1, guarded.url, "later", user="late", password="l"))
    delivery = Delivery(outbox, to, SystemClock(), jitter=lambda: 0.0)
    async with running(delivery):
        assert not await delivery.drained(1.0)
        assert delivery.view(await outbox.stats()).state == "waiting"
        await guarded.query("GRANT WRITE ON later TO late")
        assert await delivery.drained(20)
    await to.close()
    assert (await outbox.stats()).backlogs[0].quarantined == 0
    await outbox.close()
    (count,) = await guarded.query("SELECT count(n) FROM live", "later")
    assert count["count"] == 3
