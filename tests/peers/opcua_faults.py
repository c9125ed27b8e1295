"""The faults of OPC UA, each told to the real poller by a real server: what happened, what was lost, how long it took.

Every case has a poller, a proxy and a counter that a node-opcua server moves ten times a second; they run at the same
time on one server. Cases that kill, freeze or replace the server have one of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asyncua.client.client import Client
from asyncua.ua.status_codes import StatusCodes as Codes
from fixtures.ports import free_port
from peers.node_opcua import NodePeer
from peers.opcua_proxy import OpcuaProxy, Rule
from peers.opcua_rig import MS, PEER, Rig, Seen, rig

from protocols.opcua.tags import OpcuaTag, TagGroup
from protocols.reading import Quality

STEADY_S = 1.0  # listened to after the recovery, to see that nothing is lost later
LIMIT_S = 120.0
_COUNTER = OpcuaTag("total", PEER + "V0", sampling_ns=0)


@dataclass(frozen=True, slots=True)
class Case:
    """One fault, in both languages, and what is promised of it."""

    name: str
    zh: str
    en: str
    does_zh: str
    does_en: str
    rules: tuple[Rule, ...] = ()
    lost_max: int | None = 0  # steps of the counter nobody saw; None: the server did not keep them
    within_s: float = 6.0  # on a calm machine
    felt_s: float = 1.5  # after its request; the answer to a Publish may take a second, the watchdog takes longer
    act: Callable[[Scene], Awaitable[float]] | None = None  # what is done to the server; needs one of its own
    options: dict[str, Any] = field(default_factory=dict)  # of its own server
    endpoint: dict[str, Any] = field(default_factory=dict)
    tags: tuple[OpcuaTag, ...] = (_COUNTER,)
    flows: Callable[[Rig], bool] = lambda made: made.quality() == Quality.GOOD
    sessions_left: int = 1  # more only where a session was made and not activated: no new channel reaches it
    struck: int = 0  # which of the strikes is the fault; those before prepare it
    rival_s: float = 0.0  # somebody else has the server's only session for this long


@dataclass(slots=True)
class Scene:
    """A running case."""

    made: Rig
    peer: NodePeer
    seen: Seen


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case."""

    case: Case
    told: tuple[str, ...]  # "up connected", "down closed", …
    lost: int
    recovery_s: float  # from the fault to the first value after it
    sessions: int  # on the server at the end, of this client
    sessions_made: int
    recovered: int  # notifications sent again by the server
    overflows: int
    flows: bool


def _rule(service: str, do: str, **more: Any) -> tuple[Rule, ...]:
    return (Rule(service, do, **more),)


_AGAIN_ZH, _AGAIN_EN = "断线，0.3 秒后重试", "down, tries again after 0.3 s"
_RESUME_ZH = "断线；0.3 秒后用新连接接续同一会话，补发漏收的通知"
_RESUME_EN = "down; after 0.3 s the same session over a new connection, what was missed is sent again"
_ANEW_ZH, _ANEW_EN = "关闭会话，建立新会话和新订阅", "closes the session; a new one with a new subscription"


def _phases() -> list[Case]:
    """The connection cut at every step of coming up."""
    cases = [
        Case("tcp", "TCP 连接建立即被重置", "TCP: reset as it connects", _AGAIN_ZH, _AGAIN_EN, _rule("TCP", "refuse"))
    ]
    for service in ("HEL", "OPN", "CreateSession", "Read", "CreateSubscription"):
        words = {"HEL": "Hello", "OPN": "OpenSecureChannel"}.get(service, service)
        cases.append(
            Case(f"cut-{service}", f"在 {words} 时断网", f"cut at {words}", _AGAIN_ZH, _AGAIN_EN, _rule(service, "cut"))
        )
    cases.append(
        Case(
            "cut-ActivateSession",
            "在 ActivateSession 时断网",
            "cut at ActivateSession",
            _AGAIN_ZH + "；已建未激活的会话只能等服务器按所请求的 60 秒超时清除",
            _AGAIN_EN + "; the session that was made is out of reach, the server ends it after the 60 s asked for",
            _rule("ActivateSession", "cut"),
            sessions_left=2,
        )
    )
    cases.append(
        Case(
            "cut-items",
            "在 CreateMonitoredItems 时断网",
            "cut at CreateMonitoredItems",
            _AGAIN_ZH,
            _AGAIN_EN,
            _rule("CreateMonitoredItems", "cut"),
        )
    )
    cases.append(
        Case(
            "lost-activate",
            "ActivateSession 的应答丢失",
            "the answer to ActivateSession is lost",
            _AGAIN_ZH + "；服务器自行清除无人使用的会话",
            _AGAIN_EN + "; a session nobody holds is the server's to end",
            _rule("ActivateSession", "lost"),
            sessions_left=1,
        )
    )
    return cases


def _short_lived(opened: bytes) -> bytes:
    """The answer to OpenSecureChannel without security: the channel's keys last two seconds. RevisedLifetime stands
    before the nonce, which is empty or null (OPC 10000-4 §5.6.2)."""
    return opened[:-8] + (2000).to_bytes(4, "little") + opened[-4:]


def _breaks() -> list[Case]:
    """The connection broken while values flow."""
    publish = "Publish"
    return [
        Case("cut-publish", "发布时断网", "cut at a Publish", _RESUME_ZH, _RESUME_EN, _rule(publish, "cut", first=8)),
        Case(
            "lost-publish",
            "一个发布应答在途中丢失，随即断网",
            "the answer to a Publish is lost with the connection",
            _RESUME_ZH,
            _RESUME_EN,
            _rule(publish, "lost", first=8),
        ),
        Case(
            "down-3s",
            "断网 3 秒",
            "no network for 3 s",
            "断线；重试直到网络恢复，接续同一会话，服务器队列中的值按原时间补入",
            "down; tries until it is back, same session, what the server's queues kept comes with its own times",
            _rule(publish, "down", first=8, for_s=3.0),
            within_s=12.0,
        ),
        Case(
            "half-open",
            "链路半开：谁也不再说话，也没有断开",
            "half open: nobody says anything, nobody hangs up",
            "看门狗 2.5 秒后判定断线，接续同一会话",
            "the watchdog ends it after 2.5 s; same session over a new connection",
            _rule(publish, "stall", first=8),
            within_s=10.0,
            felt_s=4.0,
        ),
        Case(
            "three-cuts",
            "连续三次断网",
            "cut three times in a row",
            _RESUME_ZH,
            _RESUME_EN,
            (Rule(publish, "cut", first=8), Rule("ActivateSession", "cut", first=2, last=3)),
            within_s=8.0,
        ),
        Case(
            "republish-cut",
            "补发时又断网",
            "cut again while missed notifications are sent",
            _RESUME_ZH,
            _RESUME_EN,
            (Rule(publish, "lost", first=8), Rule("Republish", "cut")),
            within_s=8.0,
        ),
        Case(
            "republish-none",
            "服务器没有保留漏收的通知",
            "the server does not have the missed notification any more",
            "编号缺口被发现，读取全部点补上当前值；中间的变化已无处可取",
            "the gap in the numbering is seen, every tag is read; the changes in between are nowhere to be had",
            (Rule(publish, "lost", first=8), Rule("Republish", "fault", last=9, code=Codes.BadMessageNotAvailable)),
            lost_max=None,
        ),
        Case(
            "mute",
            "TCP 连接完好、读取照常，发布与保活却不再到达",
            "no publish and no keep-alive any more, while the connection lives and reads are answered",
            "看门狗 2.5 秒后判定断线，接续同一会话",
            "the watchdog ends it after 2.5 s; same session over a new connection",
            _rule(publish, "mute", first=8, last=9),
            within_s=10.0,
            felt_s=4.0,
        ),
        Case(
            "renewal",
            "续期安全通道时断网",
            "cut as the secure channel is renewed",
            _RESUME_ZH,
            _RESUME_EN,
            (Rule("OPN", "forge", forged=_short_lived), Rule("OPN", "cut", first=2)),
            struck=1,
        ),
        Case(
            "renewal-lost",
            "安全通道续期的应答丢失，随即断网",
            "the answer to the renewal of the secure channel is lost with the connection",
            _RESUME_ZH,
            _RESUME_EN,
            (Rule("OPN", "forge", forged=_short_lived), Rule("OPN", "lost", first=2)),
            struck=1,
        ),
        Case(
            "garbage",
            "一个应答被换成网页服务器的文字",
            "words of a web server in place of an answer",
            "文字被当作超长报文的开头，看门狗 2.5 秒后判定断线，接续同一会话",
            "taken for the head of a message without end; the watchdog ends it after 2.5 s, same session",
            _rule(publish, "garbage", first=8),
            within_s=10.0,
            felt_s=5.0,
        ),
    ]


def _refusals() -> list[Case]:
    """What a server answers."""
    resumed = "接续同一会话", "the same session is taken up again"

    def fault(name: str, service: str, zh: str, en: str, **more: Any) -> Case:
        code, first, last = getattr(Codes, name), more.pop("first", 1), more.pop("last", 0)
        rules = _rule(service, "fault", code=code, first=first, last=last)
        key = f"{name}-{service}"
        return Case(key, f"{service} 应答 {name}", f"{service} answers {name}", zh, en, rules, **more)

    lossy = {"lost_max": None}
    return [
        fault(
            "BadTooManyOperations",
            "CreateMonitoredItems",
            "批量减半并记住",
            "halves the call and remembers",
            first=2,
            tags=(_COUNTER, OpcuaTag("speed", PEER + "Speed")),
        ),
        fault(
            "BadTooManyMonitoredItems",
            "CreateMonitoredItems",
            _ANEW_ZH,
            _ANEW_EN,
            first=2,
        ),
        fault("BadInternalError", "CreateSubscription", _AGAIN_ZH, _AGAIN_EN),
        fault("BadOutOfMemory", "CreateSubscription", _AGAIN_ZH, _AGAIN_EN),
        fault("BadOutOfMemory", "CreateMonitoredItems", _ANEW_ZH, _ANEW_EN, first=2),
        fault("BadTooManySubscriptions", "CreateSubscription", _AGAIN_ZH, _AGAIN_EN),
        Case(
            "BadTooManySubscriptions-second",
            "两组中的第二组：CreateSubscription 应答 BadTooManySubscriptions",
            "the second of two groups: CreateSubscription answers BadTooManySubscriptions",
            "第二组改为读取，第一组照常推送",
            "what the second group has is read instead, the first is pushed",
            _rule("CreateSubscription", "fault", code=Codes.BadTooManySubscriptions, first=2),
            tags=(_COUNTER, OpcuaTag("speed", PEER + "Speed", group=1)),
            endpoint={"groups": (TagGroup(publishing_ns=100 * MS), TagGroup("slow", publishing_ns=200 * MS))},
            flows=lambda made: made.quality() == made.quality(1) == Quality.GOOD,
        ),
        fault("BadTimeout", "Read", _AGAIN_ZH, _AGAIN_EN),
        fault("BadSubscriptionIdInvalid", "Publish", _ANEW_ZH, _ANEW_EN, first=8, **lossy),
        fault("BadNoSubscription", "Publish", _ANEW_ZH, _ANEW_EN, first=8, **lossy),
        fault("BadSessionIdInvalid", "Publish", *resumed, first=8),
        fault("BadSecureChannelIdInvalid", "Publish", *resumed, first=8),
        fault(
            "BadTooManyPublishRequests",
            "Publish",
            "少挂一个发布请求，会话继续",
            "one Publish request fewer; the session goes on",
            first=8,
        ),
        fault("BadServerHalted", "Publish", _ANEW_ZH, _ANEW_EN, first=8, **lossy),
        Case(
            "BadServiceUnsupported-Republish",
            "服务器不支持 Republish，一个发布丢失",
            "the server knows no Republish, and a Publish is lost",
            "读取全部点补上",
            "every tag is read instead",
            (Rule("Publish", "lost", first=8), Rule("Republish", "fault", last=9, code=Codes.BadServiceUnsupported)),
            **lossy,
        ),
    ]


# ── what is done to a server of one's own


def _now_s() -> float:
    return asyncio.get_running_loop().time()


async def _restart(scene: Scene, **options: Any) -> float:
    """Struck is when the server listens again: how long it is away is not our doing."""
    await scene.peer.kill()
    await _until(scene.made, lambda made: False in dict(made.seen.ups))
    scene.peer._options.update(options)
    await scene.peer.start()
    return _now_s()


async def _freeze(scene: Scene) -> float:
    scene.peer.freeze()
    struck_s = _now_s()
    await asyncio.sleep(4.0)
    scene.peer.thaw()
    return struck_s


async def _stand_still(scene: Scene) -> float:
    """The clock alone; the counter goes on. Until the watchdog has noticed, and again after that."""
    scene.peer.do("clock", stands=True)
    struck_s = _now_s()
    await _until(scene.made, lambda made: "watchdog" in [reason for _, reason in made.seen.ups])
    scene.peer.do("clock", stands=False)
    return struck_s


async def _bad_status(scene: Scene) -> float:
    scene.peer.do("bad", status="BadNoCommunication")
    struck_s = _now_s()
    await scene.made.seen.until(lambda: scene.made.quality(1) == Quality.COMM_LOST)
    scene.peer.do("weld", value=181.0)
    return struck_s


async def _nothing(_scene: Scene) -> float:
    """The server is as it is."""
    return _now_s()


_PATH = "/0:Objects/nsu=urn:seamline:peer;Machine/nsu=urn:seamline:peer;"


def _servers() -> list[Case]:
    """The server itself."""
    return [
        Case(
            "restart",
            "服务器断电重启",
            "the server is killed and started again",
            "断线；服务器忘了会话：同一客户端新建一个会话，重新查找全部节点",
            "down; the server has forgotten the session: one new session, every node looked up again",
            act=_restart,
            lost_max=None,
            within_s=20.0,
        ),
        Case(
            "namespace",
            "重启后命名空间序号变化",
            "after a restart the namespace has another index",
            "按 URI 重新查找",
            "found again by its URI",
            act=lambda scene: _restart(scene, shift=3),
            lost_max=None,
            within_s=20.0,
        ),
        Case(
            "numeric-ids",
            "下载程序后数字节点号变化，旧号已属于别的变量",
            "after a download numeric ids moved, and the old id is another variable",
            "按浏览路径重新查找，不信旧号",
            "found again by its browse path; the old id is not believed",
            act=lambda scene: _restart(scene, numeric=5100),
            options={"numeric": 5000},
            tags=(_COUNTER, OpcuaTag("numbered", _PATH + "Numbered")),
            flows=lambda made: made.image.i64[1] == 4711 and made.quality(1) == Quality.GOOD,
            lost_max=None,
            within_s=20.0,
        ),
        Case(
            "frozen",
            "服务器僵死 4 秒（连接未断）",
            "the server is frozen for 4 s, its sockets open",
            "看门狗判定断线；醒来后接续同一会话",
            "the watchdog ends it; the same session when it wakes",
            act=_freeze,
            lost_max=None,
            within_s=20.0,
        ),
        Case(
            "clock",
            "服务器时钟快 3 小时",
            "the server's clock is 3 hours ahead",
            "照常；源时间原样保留，次序与时间按网关时钟",
            "flows; source times stay as they are, order and time by our clock",
            act=_nothing,
            options={"clockAhead": 3 * 3_600_000},
        ),
        Case(
            "clock-stands",
            "服务器时钟停住，仍在应答",
            "the server's clock stands still, though it answers",
            "两倍看门狗（5 秒）后判定冻结：点失联；时钟走动后接续同一会话",
            "taken for frozen: after twice the watchdog (5 s) tags are comm-lost; the same session once it moves",
            act=_stand_still,
            within_s=20.0,
        ),
        Case(
            "too-many-sessions",
            "服务器唯一的会话被别人占用 3 秒（BadTooManySessions）",
            "somebody else holds the server's only session for 3 s (BadTooManySessions)",
            "等 10 秒左右再试，不与他人争会话",
            "waits some 10 s before it asks again: somebody must hang up first",
            act=_nothing,
            options={"sessions": 1},
            rival_s=3.0,
            within_s=20.0,
        ),
        Case(
            "status",
            "一个节点报 BadNoCommunication",
            "one node turns Bad_NoCommunication",
            "只有该点失联，旧值旧时间保留，恢复后继续",
            "that tag alone is comm-lost and keeps value and time; then good again",
            act=_bad_status,
            tags=(_COUNTER, OpcuaTag("weld", PEER + "Weld", sampling_ns=50 * MS)),
            flows=lambda made: made.image.f64[1] == 181.0 and made.quality(1) == Quality.GOOD,
        ),
        Case(
            "unknown-nodes",
            "四个节点中两个不存在",
            "two of four nodes do not exist",
            "只有这两个点坏，其余照常，30 秒问一次",
            "these two are bad, the rest flows; asked for again every 30 s",
            act=_nothing,
            tags=(
                _COUNTER,
                OpcuaTag("no", PEER + "Nothing"),
                OpcuaTag("nowhere", "nsu=urn:nobody;s=x"),
                OpcuaTag("speed", PEER + "Speed"),
            ),
            flows=lambda made: (
                [made.quality(i) for i in range(4)] == [Quality.GOOD, Quality.BAD, Quality.BAD, Quality.GOOD]
            ),
        ),
        Case(
            "item-limit",
            "订阅最多 20 个监视项，而有 41 个点",
            "the server takes 20 items for 41 tags",
            "超出的点改为读取，全部有值",
            "what is beyond is read instead; all of them flow",
            act=_nothing,
            options={"items": 40, "maxItems": 20},
            tags=(_COUNTER, *(OpcuaTag(f"v{i}", f"{PEER}V{i}", sampling_ns=100 * MS) for i in range(40))),
            flows=lambda made: all(quality == Quality.GOOD for quality in made.image.quality),
            within_s=10.0,
        ),
    ]


OVERFLOW = Case(
    "overflow",
    "断网 3 秒而队列只有 5 个值",
    "no network for 3 s, and a queue of 5 values",
    "接续会话；溢出位被计数，丢失不隐瞒",
    "same session; the overflow bit is counted, the loss is not hidden",
    _rule("Publish", "down", first=8, for_s=3.0),
    lost_max=None,
    within_s=12.0,
    endpoint={"groups": (TagGroup(publishing_ns=100 * MS, queue_size=5),)},
)

CASES: tuple[Case, ...] = (*_phases(), *_breaks(), OVERFLOW, *_refusals(), *_servers())


async def run(case: Case, shared: NodePeer | None, folder: Path) -> Outcome:
    """One case to its end. `shared`: the server of all cases that do nothing to it."""
    if case.act is None:
        assert shared is not None
        return await _through_proxy(case, shared)
    peer = NodePeer(folder, **{"items": 1, "sessions": 20} | case.options)
    peer.port = free_port()
    async with peer:
        return await _on(case, peer, peer.url, None)


async def _through_proxy(case: Case, peer: NodePeer) -> Outcome:
    async with OpcuaProxy(peer.port, case.rules) as proxy:
        return await _on(case, peer, proxy.url, proxy)


async def _on(case: Case, peer: NodePeer, url: str, proxy: OpcuaProxy | None) -> Outcome:
    made = rig(url, case.tags, name=case.name, **{"deadline_ns": 12_000 * MS} | case.endpoint)
    seen = Seen(made)
    rival = asyncio.ensure_future(_rival(url, case.rival_s)) if case.rival_s else None
    if rival is not None:
        await asyncio.sleep(case.rival_s / 2)
    async with made.running():
        if proxy is None:
            assert case.act is not None
            await _until(made, case.flows if case.act is _nothing else lambda made: made.quality() == Quality.GOOD)
            struck_s = await case.act(Scene(made, peer, seen))
        else:
            async with asyncio.timeout(LIMIT_S):
                await proxy.struck_once.wait()
                while len(proxy.struck_s) <= case.struck:  # noqa: ASYNC110 - a moment later
                    await asyncio.sleep(0.05)
            struck_s = proxy.struck_s[case.struck]
        struck_s = await rival if rival is not None else struck_s
        await asyncio.sleep(case.felt_s)
        await _until(made, lambda made: case.flows(made) and bool(seen.arrived) and seen.arrived[-1] > made.seen.told_s)
        since_s = max(struck_s, made.seen.told_s - 0.001 if made.seen.lost_after(struck_s) else struck_s)
        recovery_s = next(at for at in seen.arrived if at >= since_s) - struck_s
        await asyncio.sleep(STEADY_S)
        flows, sessions = case.flows(made), (await peer.statistics())["names"]
        poller = made.poller
        return Outcome(
            case,
            tuple(f"{'up' if up else 'down'} {reason}" for up, reason in made.seen.ups),
            seen.lost,
            recovery_s,
            sum(name.startswith(f"Seamline {case.name} ") for name in sessions),
            poller.sessions,
            poller.recovered,
            poller.overflows,
            flows,
        )


async def _rival(url: str, for_s: float) -> float:
    """Another client of the server; when it hung up."""
    async with Client(url):
        await asyncio.sleep(for_s)
    return _now_s()


async def _until(made: Rig, holds: Callable[[Rig], bool]) -> None:
    await made.seen.until(lambda: holds(made), LIMIT_S)


async def run_all(folder: Path, cases: Sequence[Case] = CASES) -> list[Outcome]:
    """Every case, eight at a time; servers of their own are started two at a time."""
    few, many = asyncio.Semaphore(2), asyncio.Semaphore(8)

    async def one(number: int, case: Case, shared: NodePeer) -> Outcome:
        if case.act is None:
            async with many:
                return await run(case, shared, folder)
        async with few:
            return await run(case, None, folder / str(number))

    async with NodePeer(folder / "shared", sessions=100, items=1) as shared:
        return list(await asyncio.gather(*(one(number, case, shared) for number, case in enumerate(cases))))
