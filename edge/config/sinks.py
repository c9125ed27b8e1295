"""Databases and the agent's own settings of a site file. Secrets pass through and are never shown."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from edge.config.models import AgentModel, SinkModel
from edge.config.problems import Problems
from edge.config.validate import Placed
from edge.errors import Text
from edge.plan import AgentSettings, InfluxSink

NS_PER_S = 1_000_000_000
DAY_NS = 86_400 * NS_PER_S

_REQUIRED = {"influxdb1": ("database",), "influxdb2": ("org", "bucket", "token")}
_FOREIGN = {"influxdb1": ("org", "bucket", "token"), "influxdb2": ("database", "retention_policy", "user", "password")}


def plan_sink(placed: Placed[SinkModel], problems: Problems) -> InfluxSink:
    """One InfluxDB of the plan; keys that its version lacks or does not know are problems."""
    model = placed.value
    for key in _REQUIRED[model.type]:
        if getattr(model, key) is None:
            placed.add(problems, (key,), Text(f"{model.type} 需要 {key}", f"{model.type} requires {key}"))
    for key in _FOREIGN[model.type]:
        if getattr(model, key) is not None:
            placed.add(problems, (key,), Text(f"{model.type} 没有 {key}", f"{model.type} has no {key}"))
    _check_url(placed, problems)
    return InfluxSink(
        id=model.id,
        version=int(model.type[-1]),
        url=model.url.rstrip("/"),
        database=model.database or "",
        retention_policy=model.retention_policy or "",
        user=model.user or "",
        password=model.password or "",
        org=model.org or "",
        bucket=model.bucket or "",
        token=model.token or "",
        deadline_ns=round(model.deadline_s * NS_PER_S),
        batch_bytes=model.batch_bytes,
    )


def plan_agent(model: AgentModel, folder: Path) -> AgentSettings:
    """The agent's settings; a relative store path counts from the site file's folder."""
    return AgentSettings(
        store_path=str(folder / model.store.path),
        store_max_bytes=model.store.max_bytes,
        store_max_age_ns=round(model.store.max_age_days * DAY_NS),
        commit_ns=round(model.store.commit_s * NS_PER_S),
        live_ns=round(model.live_s * NS_PER_S),
        page_host=model.page.host,
        page_port=model.page.port,
        log_format=model.log_format,
        language=model.language,
    )


def _check_url(placed: Placed[SinkModel], problems: Problems) -> None:
    """An address is shown to people: it may carry no secret."""
    try:
        url = urlsplit(placed.value.url)
        valid = url.scheme in ("http", "https") and bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        valid = False
    if not valid:
        zh, en = "应为 http(s)://主机:端口", "http(s)://host:port is expected"
        placed.add(problems, ("url",), Text(zh, en))
    elif "@" in url.netloc or url.query or url.fragment:
        zh = "网址里不要写用户名、密码或参数，请写在 user、password、token 下"
        en = "no user, password or parameters in the address: put them under user, password or token"
        placed.add(problems, ("url",), Text(zh, en))
