"""`seamline simulate`: serves simulated machines alone, for any client, until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import signal
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from edge.clock import Clock, SystemClock
from edge.config import load
from edge.errors import ConfigError, Text
from edge.simulate.document import tables
from edge.simulate.inject import InjectionError, order_of
from edge.simulate.journal import Header, Journal, JournalError
from edge.simulate.plant import Plant, Shifts
from edge.simulate.site import demo_site, for_agent, moved_here, plan_of
from edge.simulate.world import World

_MACHINES = 12


@dataclass(frozen=True, slots=True)
class SimulateOptions:
    """What to simulate, and how."""

    config: Path | None = None  # a site file at speed 1; without it, the demo site
    machines: int = _MACHINES
    speed: Fraction | None = None  # None: as the journal says, or 1
    seed: int | None = None  # None: as the journal says, or 1
    http: tuple[str, int] = ("127.0.0.1", 0)
    journal: Path | None = None
    write_site: Path | None = None  # where to put the site file an agent needs
    wait_go: bool = False  # produce only after POST /go
    inject: tuple[str, ...] = ()
    handover_s: float = Shifts().period_s  # 0 = counters are never cleared
    quiet: bool = False  # no tag tables
    modbus_only: bool = False  # demo site without OPC UA


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `seamline simulate`."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "-c",
        "--config",
        type=Path,
        metavar="FILE",
        help=str(
            Text(
                "站点文件（周期按 1 倍速）；设备改在本机地址上服务",
                "site file (cycles at speed 1); served on this machine",
            )
        ),
    )
    what.add_argument(
        "--machines",
        type=_positive,
        default=_MACHINES,
        metavar="N",
        help=str(Text("演示站点的机台数，默认 12", "machines of the demo site, default 12")),
    )
    parser.add_argument(
        "--speed",
        type=_speed,
        metavar="X",
        help=str(Text("机台快放倍数，默认 1", "how much faster machines live, default 1")),
    )
    parser.add_argument("--seed", type=int, metavar="S", help=str(Text("随机种子，默认 1", "random seed, default 1")))
    parser.add_argument(
        "--http",
        type=_address,
        default=("127.0.0.1", 0),
        metavar="HOST:PORT",
        help=str(Text("真值与控制接口，默认本机任选端口", "truth and control, default loopback, any port")),
    )
    parser.add_argument(
        "--journal",
        type=Path,
        metavar="FILE",
        help=str(
            Text("记录命令；被杀后用同一文件重启，计数接着走", "record commands; a killed simulation resumes from it")
        ),
    )
    parser.add_argument(
        "--write-site",
        type=Path,
        metavar="FILE",
        help=str(Text("写出采集代理用的站点文件", "write the site file for an agent")),
    )
    parser.add_argument(
        "--wait-go", action="store_true", help=str(Text("等 POST /go 才开始生产", "produce only after POST /go"))
    )
    parser.add_argument(
        "--inject",
        action="append",
        default=[],
        metavar="KIND:TARGET[:name=value,…][@SECONDS]",
        help=str(
            Text(
                "注入故障，可多次，例如 server-down:plc-1:for=5@20",
                "inject a fault, repeatable: server-down:plc-1:for=5@20",
            )
        ),
    )
    parser.add_argument(
        "--handover",
        type=_seconds,
        default=Shifts().period_s,
        metavar="SECONDS",
        help=str(
            Text(
                "交班清零周期（真实秒），0 为从不", "real seconds between shift changes that clear counters, 0 = never"
            )
        ),
    )
    parser.add_argument(
        "--modbus-only", action="store_true", help=str(Text("演示站点不含 OPC UA", "demo site without OPC UA"))
    )
    parser.add_argument("--quiet", action="store_true", help=str(Text("不打印点表", "do not print the tag tables")))


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM. Exit status: 0, or 2 where nothing could be started."""
    options = SimulateOptions(
        config=args.config,
        machines=args.machines,
        speed=args.speed,
        seed=args.seed,
        http=args.http,
        journal=args.journal,
        write_site=args.write_site,
        wait_go=args.wait_go,
        inject=tuple(args.inject),
        handover_s=args.handover,
        quiet=args.quiet,
        modbus_only=args.modbus_only,
    )
    try:
        _run(options)
    except (JournalError, InjectionError) as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        why = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        print(Text(f"无法启动：{why}", f"cannot start: {why}"), file=sys.stderr)
        return 2
    return 0


async def serve(options: SimulateOptions) -> None:
    """Serve until SIGINT or SIGTERM, or until cancelled. Raises `SeamlineError`, `OSError` where it cannot start."""
    from edge.simulate.http import Interface  # aiohttp is heavy, and `add_arguments` must be cheap

    enough = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, enough.set)
    clock = SystemClock()
    world, agent_site, fresh = prepare(options, clock)
    interface = Interface(world, plan_of(agent_site), agent_site)
    try:
        await world.start()
        port = await interface.start(*options.http)
        if options.write_site:
            _write(options.write_site, agent_site)
        if fresh:
            _begin(world, options)
        _announce(world, options, port)
        await enough.wait()
    finally:
        await interface.close()
        await world.close()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def prepare(options: SimulateOptions, clock: Clock) -> tuple[World, str, bool]:
    """The plant, replayed from its journal if there is one; the agent's site file; whether this is a new run."""
    journal = Journal(options.journal)
    header, entries = journal.open()
    fresh = header is None
    if header is None:
        header = _header(options, clock)
        journal.begin(header)
    else:
        _check_same(options, header)
    plan = plan_of(header.site)
    speed = Fraction(header.speed)
    shifts = Shifts(period_s=header.handover_s) if header.handover_s else None
    world = World(Plant(plan, header.seed, speed, header.t0_ns, shifts), journal, clock)
    world.replay(entries)
    agent_site = header.site if speed == 1 else for_agent(header.site, speed)
    return world, agent_site, fresh


def _header(options: SimulateOptions, clock: Clock) -> Header:
    if options.config:
        text = _checked(options.config)
        site = moved_here(text, options.config.parent)
    else:
        text = ""
        site = demo_site(options.machines, protocols=("modbus",) if options.modbus_only else ("modbus", "opcua"))
    return Header(
        t0_ns=clock.now_ns(),
        seed=1 if options.seed is None else options.seed,
        speed=str(options.speed or 1),
        site=site,
        handover_s=options.handover_s,
        source=_digest(text),
    )


def _checked(path: Path) -> str:
    """The site file, its mistakes told with their lines; secrets of databases are not needed. Raises ConfigError."""
    try:
        load(path, os.environ)
    except ConfigError as error:
        problems = [problem for problem in error.problems if not problem.path.startswith("sinks")]
        if problems:
            raise ConfigError(problems) from error
    return path.read_text(encoding="utf-8")


def _check_same(options: SimulateOptions, header: Header) -> None:
    """A journal is the life of one plant; it cannot go on as another's."""
    source = _digest(options.config.read_text(encoding="utf-8")) if options.config else header.source
    given = {
        "--speed": (options.speed, Fraction(header.speed)),
        "--seed": (options.seed, header.seed),
        "-c": (source, header.source),
    }
    for name, (asked, recorded) in given.items():
        if asked is not None and asked != recorded:
            zh = f"{options.journal} 属于另一次仿真（{name} 不同）；换一个日志文件，或改回原来的参数"
            en = f"{options.journal} belongs to another simulation ({name} differs); name another, or ask as before"
            raise JournalError(str(Text(zh, en)))


def _begin(world: World, options: SimulateOptions) -> None:
    if not options.wait_go:
        world.go()
    for text in options.inject:
        world.inject(order_of(text))


def _announce(world: World, options: SimulateOptions, port: int) -> None:
    if not options.quiet:
        print("\n".join(tables(world.plan, world.images)))
    print(f"\nhttp://{options.http[0]}:{port}/truth  /healthz  /site.yaml  /tags   POST /go /stop /inject")
    if options.write_site:
        print(Text(f"代理的站点文件：{options.write_site}", f"site file for an agent: {options.write_site}"))
    if world.plant.go_ns is None:
        print(Text("等待 POST /go 开始生产", "waiting for POST /go to begin production"))
    sys.stdout.flush()


def _write(path: Path, text: str) -> None:
    """Whole or not at all: somebody may be waiting for the file to appear."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name + ".new")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)


def _run(options: SimulateOptions) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(options))
    else:
        uvloop.run(serve(options))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise _expected(text, Text("不小于 1 的整数", "a whole number of at least 1"))
    return int(text)


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if number != 0 and not 30 <= number < float("inf"):
        raise _expected(text, Text("0，或不少于 30 的秒数", "0, or at least 30 seconds"))
    return number


def _speed(text: str) -> Fraction:
    try:
        speed = Fraction(text)
    except (ValueError, ZeroDivisionError):
        speed = Fraction(0)
    if not Fraction(1, 1000) <= speed <= 1000:
        raise _expected(text, Text("0.001 与 1000 之间的数", "a number between 0.001 and 1000"))
    return speed


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdigit() or int(port) > 65_535:
        raise _expected(text, Text("主机:端口", "HOST:PORT"))
    return host.strip("[]") or "127.0.0.1", int(port)


def _expected(text: str, what: Text) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(str(Text(f"应为{what.zh}：{text!r}", f"{what.en} is expected, not {text!r}")))
