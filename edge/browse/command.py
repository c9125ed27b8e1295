"""`seamline browse`: connect as the agent would, walk, write as it goes. Reads only; stores nothing.

seamline browse plc-3 -c site.yaml                        a device of the site file, with its security
seamline browse opc.tcp://192.168.1.20 --policy None      a server that is in no site file yet
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

from edge.arguments import EXIT_USAGE, Parser
from edge.browse.forms import CLASSES, FORMS, Form, Row
from edge.browse.globs import Globs
from edge.clock import SystemClock
from edge.errors import DeviceError, Text
from edge.plan import OpcuaDevice
from edge.trust import INSTALLED, pki_folder
from edge.trust.hosts import own_hosts
from protocols.errors import ProtocolError
from protocols.opcua.browse import OBJECT, OBJECTS, VARIABLE, Found, Walk
from protocols.opcua.channel import Pki
from protocols.opcua.described import Described, Types, node_text
from protocols.opcua.items import group
from protocols.opcua.nodes import Nodes
from protocols.opcua.reading import Reads
from protocols.opcua.security import POLICIES
from protocols.opcua.services import CallLimits, Services, name_of
from protocols.opcua.session import Session
from protocols.opcua.structures import Registry
from protocols.opcua.tags import OpcuaEndpoint, OpcuaTag
from protocols.opcua.wire import NodeKey

PASSWORD = "SEAMLINE_OPCUA_PASSWORD"  # noqa: S105 - the name of a variable
_DEADLINE_NS = 20_000_000_000  # a person waits; a small PLC answers a large call late
_AT_A_TIME = 250  # nodes whose types are read together
_READ_AHEAD = 4  # such batches under way
_TOLD = 5  # refused nodes named


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be written of what is found."""

    globs: Globs
    classes: int  # mask of node classes
    types: frozenset[str]  # lower case; empty = any
    depth: int  # below the start; 0 = no limit
    properties: bool
    limit: int  # nodes; 0 = no limit

    def enters(self, found: Found) -> bool:
        """Whether children of a node are looked at."""
        return (not self.depth or found.depth < self.depth) and self.globs.leads_to(found.path)

    def takes(self, found: Found) -> bool:
        """Whether a node is wanted, as far as its path and class tell."""
        return bool(found.kind & self.classes) and self.globs.wants(found.path, found.name)

    def fits(self, described: Described | None) -> bool:
        """Whether its type is wanted."""
        return not self.types or (described is not None and described.type.lower() in self.types)


def add_arguments(parser: Parser) -> None:
    """Where, what, how."""
    say = _Say(parser)
    parser.add_argument(
        "target",
        metavar=str(Text("设备|网址", "DEVICE|URL")),
        help=str(
            Text("站点文件中的设备 id，或 opc.tcp:// 网址", "id of a device in the site file, or an opc.tcp:// address")
        ),
    )
    say(
        "-c",
        "--config",
        Text(f"站点配置文件，默认 {INSTALLED}", f"site file, default {INSTALLED}"),
        metavar="FILE",
        type=Path,
    )
    say(
        "--pki",
        Text("证书目录，代替站点文件旁的", "folder of certificates, instead of the site's"),
        metavar="FOLDER",
        type=Path,
    )
    say(
        "--policy",
        Text("网址：安全策略，默认 auto", "address: security policy, default auto"),
        choices=("auto", "None", *POLICIES),
    )
    say(
        "--mode",
        Text("网址：默认 SignAndEncrypt", "address: default SignAndEncrypt"),
        choices=("Sign", "SignAndEncrypt"),
    )
    say(
        "--user",
        Text(f"网址：用户名；密码取自 {PASSWORD}", f"address: user name; password from {PASSWORD}"),
        metavar="NAME",
    )
    say(
        "--from",
        Text("起点：节点号或浏览路径，默认 Objects", "start: node id or browse path, default Objects"),
        metavar="NODE",
        dest="start",
    )
    say(
        "--match",
        Text(
            "名称或路径通配，可多次：*Count*、Line*/**/Total",
            "glob of a name or path, repeatable: *Count*, Line*/**/Total",
        ),
        metavar="GLOB",
        action="append",
        default=[],
    )
    say(
        "--depth",
        Text("起点以下几层，默认不限", "levels below the start, default all"),
        metavar="N",
        type=int,
        default=0,
    )
    say(
        "--class",
        Text("节点类别，默认 variable（tree 另含 object）", "node class, default variable (tree: object too)"),
        choices=tuple(CLASSES),
        action="append",
        dest="classes",
    )
    say(
        "--type",
        Text("数据类型，可多次：Double、UInt32", "data type, repeatable: Double, UInt32"),
        metavar="TYPE",
        action="append",
        default=[],
        dest="types",
    )
    say("--properties", Text("含属性节点（单位、量程等）", "with properties (units, ranges, …)"), action="store_true")
    say("--server", Text("含 Server 对象（诊断等）", "with the Server object (diagnostics, …)"), action="store_true")
    say("--limit", Text("最多写几个节点", "nodes to write at most"), metavar="N", type=int, default=0)
    say(
        "--format",
        Text("tree（默认）、csv、json，或 yaml：可直接粘贴为点位", "tree (default), csv, json, or yaml: tags to paste"),
        choices=tuple(FORMS),
        default="tree",
        dest="form",
    )


class _Say:
    """add_argument with a text in the reader's language."""

    def __init__(self, parser: Parser) -> None:
        self._parser = parser

    def __call__(self, *names: object, **options: object) -> None:
        *flags, text = names
        self._parser.add_argument(*map(str, flags), help=str(text), **options)  # type: ignore[arg-type]


def run(options: argparse.Namespace) -> int:
    """Exit status 0 done, 2 where the target is unknown. Errors: DeviceError, ConfigError."""
    endpoint, pki = _target(options)
    if endpoint is None:
        return EXIT_USAGE
    try:
        asyncio.run(_browse(endpoint, pki, options))
    except ProtocolError as error:
        raise DeviceError(str(Text(error.zh, error.en))) from error
    return 0


def _target(options: argparse.Namespace) -> tuple[OpcuaEndpoint | None, Path | None]:
    """The server and the folder of certificates; None where there is no such device."""
    if "://" in options.target:
        policy = options.policy or "auto"
        endpoint = OpcuaEndpoint(
            options.target,
            policy,
            "None" if policy == "None" else options.mode or "SignAndEncrypt",
            options.user,
            os.environ.get(PASSWORD),
        )
        config = options.config or (INSTALLED if INSTALLED.is_file() and policy != "None" else None)
        return endpoint, options.pki or (None if config is None else _site(config)[1])
    devices, pki = _site(options.config or INSTALLED)
    device = next((one for one in devices if one.id == options.target), None)
    if device is None:
        known = ", ".join(one.id for one in devices) or "–"
        print(
            Text(
                f"没有名为 {options.target!r} 的 OPC UA 设备；已配置：{known}",
                f"no OPC UA device {options.target!r}; the site file has: {known}",
            ),
            file=sys.stderr,
        )
        return None, None
    return device.endpoint, options.pki or pki


def _site(config: Path) -> tuple[list[OpcuaDevice], Path]:
    from edge.config import load

    plan = load(config, os.environ)
    return [one for one in plan.devices if isinstance(one, OpcuaDevice)], pki_folder(plan)


async def _browse(endpoint: OpcuaEndpoint, folder: Path | None, options: argparse.Namespace) -> None:
    pki = None if folder is None else Pki(folder, own_hosts, SystemClock().now_ns)
    endpoint = replace(endpoint, deadline_ns=max(endpoint.deadline_ns, _DEADLINE_NS))
    services = Services(endpoint.url, endpoint.deadline_ns / 1e9, CallLimits(endpoint.limits))
    session = Session(endpoint, pki, services)
    try:
        await session.open()
        await _write(services, options)
    finally:
        await session.close()


async def _write(services: Services, options: argparse.Namespace) -> None:
    reads = Reads(services)
    namespaces = (await reads.about()).namespaces
    form: Form = FORMS[options.form]()
    wanted = _wanted(options)
    start = await _start(services, reads, namespaces, options.start)
    skip = frozenset[NodeKey]() if options.server else Walk.SKIP
    walk = Walk(services, enters=wanted.enters, properties=wanted.properties, skip=skip - {start.key})
    _print(form.head())
    written = 0
    async with aclosing(_described(walk, start, wanted, Types(reads))) as batches:
        async for batch in batches:
            for found, described in batch:
                if wanted.fits(described) and not (wanted.limit and written >= wanted.limit):
                    _print(form.lines(Row(node_text(found.key, namespaces), found, described)))
                    written += 1
            if wanted.limit and written >= wanted.limit:
                break
    _print(form.tail())
    if not written:
        print(Text("没有符合条件的节点", "no node fits what was asked for"), file=sys.stderr)
    _tell_refused(walk)


def _wanted(options: argparse.Namespace) -> Wanted:
    names = options.classes or (["object", "variable"] if options.form == "tree" else ["variable"])
    classes = 0
    for name in names:
        classes |= CLASSES[name]
    types = frozenset(one.lower() for one in options.types)
    globs = Globs(options.match)
    return Wanted(globs, classes, types, options.depth, options.properties, options.limit)


async def _start(services: Services, reads: Reads, namespaces: Sequence[str], text: str | None) -> Found:
    """Where to begin; the start itself is written too. Errors: OpcuaError."""
    if text is None:
        return Found(OBJECTS, "Objects", "Objects", OBJECT, "", 0)
    tag = OpcuaTag("from", text)
    nodes = Nodes(services, reads, group([tag], OpcuaEndpoint(services.url).tag_groups), Registry())
    nodes.namespaces = list(namespaces)
    await nodes.resolve([0])
    if 0 not in nodes.found:
        code = name_of(nodes.refused[0])
        raise DeviceError(Text(f"找不到起点 {text}（{code}）", f"there is no start {text} ({code})"))
    node = nodes.found[0]
    return Found((node.NamespaceIndex, node.Identifier), text, text, OBJECT, "", 0)


async def _described(
    walk: Walk, start: Found, wanted: Wanted, types: Types
) -> AsyncGenerator[list[tuple[Found, Described | None]], None]:
    """Wanted nodes in order, some at a time, with the types of variables: read while the walk goes on."""
    pending: deque[asyncio.Task[list[tuple[Found, Described | None]]]] = deque()
    batch: list[Found] = []
    try:
        async with aclosing(walk.nodes(start)) as nodes:
            async for found in nodes:
                if found is not start and wanted.takes(found):
                    batch.append(found)
                    if len(batch) == _AT_A_TIME:
                        pending.append(asyncio.create_task(_with_types(batch, types)))
                        batch = []
                if len(pending) == _READ_AHEAD:
                    yield await pending.popleft()
        pending.append(asyncio.create_task(_with_types(batch, types)))
        while pending:
            yield await pending.popleft()
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


async def _with_types(batch: Sequence[Found], types: Types) -> list[tuple[Found, Described | None]]:
    variables = [one.key for one in batch if one.kind == VARIABLE]
    described = iter(await types.describe(variables) if variables else ())
    return [(one, next(described) if one.kind == VARIABLE else None) for one in batch]


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")


def _tell_refused(walk: Walk) -> None:
    if not walk.refused:
        return
    shown = "; ".join(f"{path} ({code})" for path, code in walk.refused[:_TOLD])
    count = len(walk.refused)
    print(
        Text(
            f"{count} 个节点不让浏览，其下的内容未列出：{shown}",
            f"{count} nodes would not be browsed, what is below them is not listed: {shown}",
        ),
        file=sys.stderr,
    )
