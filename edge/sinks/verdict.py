"""What a server's answer, or its silence, means for the data: one table for InfluxDB 1.x, 2.x, 3.x, VictoriaMetrics.

Rules.
* Only 204 is success. A 200 is a portal or proxy page that has swallowed the request.
* A 400 or 422 condemns points where InfluxDB itself speaks about points (its known words). In other words it condemns
  them only where the same server takes other points; else, as any other 4xx, it is about the request or comes from
  something in between: the data wait.
* Everything else waits: data are never dropped because of a network, a right, or a server in trouble.

Sources: InfluxDB 1.x HTTP API reference, "/write"; InfluxDB v2 API, "POST /api/v2/write"; InfluxDB 3 HTTP API,
"/api/v3/write_lp"; RFC 9110 §10.2.3 (Retry-After), §15.5.8 (407).
"""

from __future__ import annotations

import asyncio
import calendar
import json
import ssl
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from aiohttp import (  # by name: where the page left the client out, it is loaded here and not in mid-delivery
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientError,
    ClientHttpProxyError,
    ClientOSError,
    ClientProxyConnectionError,
    ClientSSLError,
    ServerConnectionError,
)

from edge.errors import Text
from edge.sinks import Delivered, Outcome, Rejected, TooLarge, Wait

# How InfluxDB 1.x, 2.x and 3.x begin to speak of points it refuses.
_ABOUT_POINTS = (
    "partial write",
    "unable to parse",
    "field type conflict",
    "points beyond retention policy",
    "invalid field format",
    "input field",
    "max-values-per-tag",
    "max key length exceeded",
    "write buffer error: parse error",
    "line protocol parse failed",
    "failed to parse",
    "errors encountered on line",
    "parsing failed for write_lp endpoint",
    "outside retention policy",
    "outside of retention",
    "invalid column type for column",
)
_NO_POLICY = "retention policy not found"  # InfluxDB 1.x calls that an error of its own (500)
_WORDS_KEPT = 1_000


def judge_reply(target: str, status: int, headers: Mapping[str, str], body: bytes) -> Outcome:
    """The outcome of a complete reply. `target` names the database for people."""
    words = _words(body)
    match status:
        case 204:
            return Delivered(date_ns(headers))
        case 413:
            return TooLarge()
        case 400 | 422 if _is_about_points(words):
            return Rejected(words)
        case 400 | 422:
            return Rejected(words, _unexpected(target, status, words))
        case 401 | 403:
            return _unauthorized(target, status, words)
        case 404:
            return _not_found(target, status, words)
        case 500 if words.startswith(_NO_POLICY):
            return _not_found(target, status, words)
        case 407:
            return _proxy_refuses(target, status, words)
        case 429 | 503:
            return _overloaded(target, status, words, headers)
        case _ if status >= 500:
            return _server_error(target, status, words)
        case _:
            return _unexpected(target, status, words)


def judge_failure(target: str, error: ClientError | asyncio.TimeoutError | OSError) -> Wait:
    """No complete reply. Whether the server stored anything is unknown; sending again overwrites."""
    if isinstance(error, TimeoutError):
        reason, zh, en = "timeout", "在期限内没有回答", "did not answer in time"
    elif isinstance(error, ClientHttpProxyError):
        return _proxy_refuses(target, error.status, error.message)
    elif isinstance(error, ClientProxyConnectionError):
        reason, zh, en = (
            "proxy",
            "的代理无法到达，请检查 proxy 及代理服务",
            "is behind a proxy that cannot be reached: check proxy and whether it runs",
        )
    elif isinstance(error, ClientConnectorCertificateError | ClientSSLError) or _is_tls(error):
        reason, zh, en = (
            "tls",
            "无法建立可信连接，请检查双方证书、tls 设置和网关时钟",
            "cannot be trusted, or does not trust us: check both certificates, the tls settings and the clock",
        )
    elif isinstance(error, ClientConnectorDNSError):
        reason, zh, en = "dns", "的名字无法解析，请检查 DNS", "cannot be resolved: check the name and the DNS server"
    elif isinstance(error, ConnectionRefusedError) or _is_refused(error):
        reason, zh, en = (
            "refused",
            "拒绝连接，请检查数据库是否在运行",
            "refuses connections: check that the database runs",
        )
    elif isinstance(error, ServerConnectionError | ClientOSError | ConnectionError):
        reason, zh, en = "reset", "中断了连接", "cut the connection"
    else:
        reason, zh, en = "unreachable", "无法到达，请检查网络", "cannot be reached: check the network"
    cause = str(error) or type(error).__name__
    detail = Text(
        f"{target} {zh}（{cause}）；数据保留在存储中，会自动重试",
        f"{target} {en} ({cause}); the data stay in the store and are sent again",
    )
    return Wait(reason, str(detail))


def _is_tls(error: BaseException | None) -> bool:
    """A server that refuses our certificate says so when the first bytes are read (RFC 8446 §4.4.2.4), underneath."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _proxy_refuses(target: str, status: int, words: str) -> Wait:
    return Wait(
        "proxy",
        str(
            Text(
                f"通往 {target} 的代理拒绝转发（{status}：{words}）；请检查 proxy 的用户、密码和规则，数据会自动重试",
                f"the proxy on the way to {target} refuses ({status}: {words}); check its user, password and rules, "
                "the data are sent again",
            )
        ),
    )


def _is_refused(error: BaseException) -> bool:
    return isinstance(error, ClientConnectorError) and isinstance(error.os_error, ConnectionRefusedError)


def _unauthorized(target: str, status: int, words: str) -> Wait:
    return Wait(
        "unauthorized",
        str(
            Text(
                f"{target} 拒绝了凭据（{status}：{words}）；请数据库管理员授予写权限，或改正配置中的用户、密码或 token",
                f"{target} refuses the credentials ({status}: {words}); its administrator must grant write access, or "
                "correct user, password or token in the site file",
            )
        ),
    )


def _not_found(target: str, status: int, words: str) -> Wait:
    return Wait(
        "not-found",
        str(
            Text(
                f"{target} 不存在（{status}：{words}）；请数据库管理员创建它，或改正配置中的名称；创建后数据会自动补传",
                f"{target} does not exist ({status}: {words}); its administrator must create it, or correct the name "
                "in the site file; the data follow by themselves",
            )
        ),
    )


def _overloaded(target: str, status: int, words: str, headers: Mapping[str, str]) -> Wait:
    detail = Text(
        f"{target} 过载（{status}：{words}）；稍后自动重试",
        f"{target} is overloaded ({status}: {words}); sent again later",
    )
    return Wait("overloaded", str(detail), *_retry_after(headers))


def _server_error(target: str, status: int, words: str) -> Wait:
    return Wait(
        "server-error",
        str(
            Text(
                f"{target} 内部错误（{status}：{words}）；请查看数据库日志，数据会自动重试",
                f"{target} failed ({status}: {words}); look at the database's log, the data are sent again",
            )
        ),
    )


def _unexpected(target: str, status: int, words: str) -> Wait:
    return Wait(
        "unexpected",
        str(
            Text(
                f"{target} 给出意外回答（{status}：{words}），可能是代理或登录页；请检查 url 以及中间的设备",
                f"{target} gave an unexpected answer ({status}: {words}), perhaps a proxy or a login page; check the "
                "url and what stands in between",
            )
        ),
    )


def _words(body: bytes) -> str:
    """The server's own words: 1.x has {"error": …}, 2.x {"code": …, "message": …}, 3.x {"error": …, "data": [{
    "line_number": …, "error_message": …}]}; else the beginning of the page.
    """
    text = body[: 4 * _WORDS_KEPT].decode("utf-8", "replace").strip()
    try:
        reply = json.loads(body)
    except ValueError:
        return " ".join(text.split())[:200]
    if isinstance(reply, dict):
        text = str(reply.get("message") or reply.get("error") or text) + _about_lines(reply.get("data"))
    return text[:_WORDS_KEPT]


def _about_lines(data: object) -> str:
    """What 3.x says of single lines; of a batch that is halved only the first matters."""
    first = data[0] if isinstance(data, list) and data else data
    return f": {first['error_message']}" if isinstance(first, dict) and "error_message" in first else ""


def _is_about_points(words: str) -> bool:
    return any(sign in words for sign in _ABOUT_POINTS)


def date_ns(headers: Mapping[str, str]) -> int | None:
    """The server's clock (RFC 9110 §6.6.1), whole seconds; None where it does not tell."""
    return _http_date_ns(headers.get("Date"))


def _retry_after(headers: Mapping[str, str]) -> tuple[float | None, int | None]:
    """Seconds, or a date; that is measured against the server's own Date where there is one, so that no clock of ours
    is needed.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text), None
    until_ns, now_ns = _http_date_ns(text), date_ns(headers)
    if until_ns is None or now_ns is None:
        return None, until_ns
    return max(0.0, (until_ns - now_ns) / 1e9), None


def _http_date_ns(text: str | None) -> int | None:
    """Any of the three forms (RFC 9110 §5.6.7), two of which name no zone: all are GMT. None for what is none."""
    try:
        return calendar.timegm(parsedate_to_datetime(text).utctimetuple()) * 1_000_000_000 if text else None
    except (ValueError, OverflowError):
        return None
