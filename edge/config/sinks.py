"""Databases and the agent's own settings of a site file. Secrets pass through and are never shown."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from edge.config.models import AgentModel, KeepClassesModel, KeepModel, SinkModel, SinkTlsModel
from edge.config.problems import KeyPath, Problems, suggest
from edge.config.validate import Placed
from edge.errors import Text
from edge.plan import AgentSettings, InfluxSink, KeepPlan, Reach, Route, Target, VictoriaRules
from edge.points import MEASUREMENTS

NS_PER_S = 1_000_000_000
DAY_NS = 86_400 * NS_PER_S

_REQUIRED = {
    "influxdb1": ("database",),
    "influxdb2": ("org", "bucket", "token"),
    "influxdb3": ("database", "token"),
    "victoriametrics": (),
}
_FOREIGN = {
    "influxdb1": ("org", "bucket", "api", "dedup_ms", "check_flags"),
    "influxdb2": ("database", "retention_policy", "user", "password", "api", "dedup_ms", "check_flags"),
    "influxdb3": ("retention_policy", "user", "password", "org", "bucket", "dedup_ms", "check_flags"),
    "victoriametrics": ("retention_policy", "org", "bucket", "api"),
}
_VERSION = {"influxdb1": 1, "influxdb2": 2, "influxdb3": 3, "victoriametrics": 1}
_MEASUREMENTS = {m.name: m.record_class.name.lower() for m in MEASUREMENTS}


def plan_sink(placed: Placed[SinkModel], problems: Problems, folder: Path) -> InfluxSink:
    """One database of the plan; keys that its kind lacks or does not know are problems. Relative file names count from
    `folder`.
    """
    model = placed.value
    for key in _REQUIRED[model.type]:
        if getattr(model, key) is None:
            placed.add(problems, (key,), Text(f"{model.type} 需要 {key}", f"{model.type} requires {key}"))
    for key in _FOREIGN[model.type]:
        if getattr(model, key) is not None:
            placed.add(problems, (key,), Text(f"{model.type} 没有 {key}", f"{model.type} has no {key}"))
    if model.token is not None and model.user is not None:
        zh, en = "token 与 user 只能写一个", "either a token or a user, not both"
        placed.add(problems, ("token",), Text(zh, en))
    _check_url(placed, ("url",), model.url, problems)
    return InfluxSink(
        id=model.id,
        version=_VERSION[model.type],
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
        v2_route=model.api == "v2",
        victoria=_victoria(model),
        reach=_reach(placed, problems, folder),
        routes=tuple(_route(placed, index, problems) for index in range(len(model.routes))),
        backlog_bytes_per_s=model.backlog_bytes_per_s,
        future_ns=round(model.future_limit_s * NS_PER_S),
    )


def _victoria(model: SinkModel) -> VictoriaRules | None:
    if model.type != "victoriametrics":
        return None
    return VictoriaRules((model.dedup_ms or 100) * 1_000_000, check=model.check_flags is not False)


def _reach(placed: Placed[SinkModel], problems: Problems, folder: Path) -> Reach:
    """How the server is reached."""
    model, tls = placed.value, placed.value.tls
    files = {key: folder / name for key in ("ca_file", "certificate_file", "key_file") if (name := getattr(tls, key))}
    if tls != SinkTlsModel() and not model.url.startswith("https:"):
        what = Text("有 tls，但 url 不是 https", "there are tls settings, but the url is not https")
        placed.add(problems, ("tls",), what)
    if tls.key_file and not tls.certificate_file:
        placed.add(problems, ("tls", "key_file"), Text("还需要 certificate_file", "certificate_file is required too"))
    proxy = model.proxy
    if proxy is not None:
        _check_url(placed, ("proxy", "url"), proxy.url, problems)
    reach = Reach(
        **{key: str(file) for key, file in files.items()},
        key_password=tls.key_password or "",
        proxy=proxy.url.rstrip("/") if proxy else "",
        proxy_user=(proxy.user or "") if proxy else "",
        proxy_password=(proxy.password or "") if proxy else "",
        connect_ns=round(model.connect_s * NS_PER_S),
        gzip_level=model.gzip_level,
    )
    return _with_files(placed, problems, reach, files)


def _with_files(placed: Placed[SinkModel], problems: Problems, reach: Reach, files: Mapping[str, Path]) -> Reach:
    """They must be there and fit together: a wrong one would be found out only at night. A renewed one is noticed."""
    digest, are_read = hashlib.sha256(), bool(files)
    for key, file in files.items():
        problems.files.append(str(file))
        try:
            content = file.read_bytes()
        except OSError as error:
            what = Text(f"读不了 {file}（{error.strerror}）", f"cannot read {file} ({error.strerror})")
            placed.add(problems, ("tls", key), what)
            are_read = False
            continue
        digest.update(hashlib.sha256(content).digest())
        if b"-----BEGIN " not in content:
            placed.add(problems, ("tls", key), Text(f"{file.name} 不是 PEM 文件", f"{file.name} is not a PEM file"))
            are_read = False
    if not are_read:
        return reach
    from edge.sinks.tls import tls_context  # the library for TLS costs what few sites need

    try:
        tls_context(reach)
    except (OSError, ValueError) as error:
        what = Text(
            f"这些证书文件不能用，或证书与密钥不配（{error}）",
            f"these certificates cannot be used, or the key is another's ({error})",
        )
        placed.add(problems, ("tls",), what)
    return replace(reach, pem_digest=digest.hexdigest())


def _route(placed: Placed[SinkModel], index: int, problems: Problems) -> Route:
    """One route. Classes are short for their measurements."""
    model, route, at = placed.value, placed.value.routes[index], ("routes", index)
    for position, name in enumerate(route.measurements):
        if name not in _MEASUREMENTS:
            what = Text(f"没有这个测量 {name}", f"there is no measurement {name}")
            placed.add(problems, (*at, "measurements", position), what, suggest(name, _MEASUREMENTS))
    if not route.classes and not route.measurements:
        placed.add(problems, at, Text("需要 classes 或 measurements", "classes or measurements are required"))
    names = {name for name, cls in _MEASUREMENTS.items() if cls in route.classes} | set(route.measurements)
    place = "bucket" if model.type == "influxdb2" else "database"
    given = [key for key in ("database", "retention_policy", "bucket") if getattr(route, key) is not None]
    for key in given:
        known = key == place or (key == "retention_policy" and model.type == "influxdb1")
        if not known or route.skip:
            who = "skip" if route.skip else model.type
            placed.add(problems, (*at, key), Text(f"{who} 没有 {key}", f"{who} has no {key}"))
    if route.skip:
        return Route(frozenset(names), None)
    if not given:
        placed.add(problems, at, Text(f"需要 {place} 或 skip", f"{place} or skip is required"))
    default = model.bucket if model.type == "influxdb2" else model.database
    return Route(frozenset(names), Target(getattr(route, place) or default or "", route.retention_policy or ""))


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
        store_keep=tuple(_keep(model.store.keep)),
    )


def _keep(model: KeepClassesModel) -> Iterator[KeepPlan]:
    """The classes that have a bound of their own."""
    for name in type(model).model_fields:
        kept: KeepModel = getattr(model, name)
        if kept.max_bytes or kept.max_age_days:
            yield KeepPlan(name, kept.max_bytes or 0, round((kept.max_age_days or 0) * DAY_NS))


def _check_url(placed: Placed[SinkModel], at: KeyPath, address: str, problems: Problems) -> None:
    """An address is shown to people: it may carry no secret."""
    try:
        url = urlsplit(address)
        valid = url.scheme in ("http", "https") and bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        valid = False
    if not valid:
        zh, en = "应为 http(s)://主机:端口", "http(s)://host:port is expected"
        placed.add(problems, at, Text(zh, en))
    elif "@" in url.netloc or url.query or url.fragment:
        zh = "网址里不要写用户名、密码或参数，请写在 user、password、token 下"
        en = "no user, password or parameters in the address: put them under user, password or token"
        placed.add(problems, at, Text(zh, en))
