"""When certificates end, and what a person should know while everything still works. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from edge.errors import Text
from protocols.opcua.channel import Way
from protocols.opcua.fingerprint import pairs

WARN_NS = 30 * 86_400 * 1_000_000_000
_DAY_NS = 86_400 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Ends:
    """Of the certificates a session uses; None without security. UTC."""

    server_ns: int | None
    own_ns: int | None


def ends_of(way: Way) -> Ends:
    """When the certificates of a session end."""
    return Ends(
        None if way.server is None else way.server.ends_ns,
        None if way.own is None else way.own.facts.ends_ns,
    )


def note(way: Way, now_ns: int) -> Text:
    """What to see to, empty where there is nothing; begins with a separator, to go behind a sentence."""
    notes: list[Text] = []
    if way.server is not None and way.server.ends_ns - now_ns < WARN_NS:
        when = _when(way.server.ends_ns, now_ns)
        notes.append(
            Text(
                f"服务器证书{when.zh}，请在服务器上更换",
                f"the server's certificate {when.en}; renew it on the server",
            )
        )
    if way.own is not None and way.newest is not None and way.newest != way.own.facts:
        until, shown = _day(way.own.facts.ends_ns), pairs(way.newest.sha256)
        notes.append(
            Text(
                f"服务器尚未信任本网关的新证书（SHA-256 {shown}），旧证书用到 {until}：请在服务器上信任新证书",
                f"the server does not trust this gateway's new certificate yet (SHA-256 {shown}); the old one serves "
                f"until {until}: trust the new one on the server",
            )
        )
    elif way.own is not None and way.own.facts.ends_ns - now_ns < WARN_NS:
        when = _when(way.own.facts.ends_ns, now_ns)
        notes.append(
            Text(
                f"本网关的证书{when.zh}，请签发方更换（seamline trust show own）",
                f"this gateway's certificate {when.en}; have it renewed by whoever signs it (seamline trust show own)",
            )
        )
    return Text("".join(f"；{one.zh}" for one in notes), "".join(f"; {one.en}" for one in notes))


def _when(ends_ns: int, now_ns: int) -> Text:
    days = (ends_ns - now_ns) // _DAY_NS
    if days < 0:
        return Text(f"已于 {_day(ends_ns)} 过期", f"expired on {_day(ends_ns)}")
    return Text(f"还有 {days} 天到期（{_day(ends_ns)}）", f"ends in {days} days, on {_day(ends_ns)}")


def _day(instant_ns: int) -> str:
    return str(datetime.fromtimestamp(instant_ns // 1_000_000_000, UTC).date())
