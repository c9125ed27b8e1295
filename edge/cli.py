"""The command `seamline`.

Parses arguments and hands over; every command lives in its own room and is imported only when called.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from edge import __version__
from edge.arguments import EXIT_USAGE, Parser
from edge.errors import ConfigError, SeamlineError, Text

EXIT_DISAGREES = 1  # the command ran and found something wrong
MOST_DAYS = 800  # that a calendar is printed for
MOST_WATERMARK_S = 86_400.0  # a replay keeps that much of every machine in memory

# their options live in their own rooms, which the agent must not import
HEAVY = ("simulate", "demo", "store", "probe", "trust", "browse")
Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 found wrong, 2 not started."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    _choose_language(arguments)
    parser = build_parser(next((a for a in arguments if a in HEAVY), ""))
    options = parser.parse_args(arguments)
    command: Command | None = getattr(options, "command", None)
    if command is None:
        parser.print_help()
        return EXIT_USAGE
    try:
        status = command(options)
        sys.stdout.flush()
        return status
    except ConfigError as error:
        _complain(error)
        return EXIT_USAGE
    except SeamlineError as error:
        print(error, file=sys.stderr)
        return EXIT_DISAGREES
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `seamline check | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _choose_language(arguments: Sequence[str]) -> None:
    """`--lang` must act before the help texts are made."""
    for index, argument in enumerate(arguments):
        if argument.startswith("--lang="):
            os.environ["SEAMLINE_LANG"] = argument.partition("=")[2]
        elif argument == "--lang" and index + 1 < len(arguments):
            os.environ["SEAMLINE_LANG"] = arguments[index + 1]


def _complain(error: ConfigError) -> None:
    print(error, file=sys.stderr)
    count = len(error.problems)
    print(
        Text(
            f"共 {count} 处错误；未启动任何东西，正在运行的配置不受影响。",
            f"{count} problem{'s' if count != 1 else ''}; nothing was started, and nothing that runs was changed.",
        ),
        file=sys.stderr,
    )


def build_parser(chosen: str = "") -> Parser:
    """Every command with its help, in the reader's language.

    Options that come from elsewhere are imported only for `chosen`.
    """
    parser = Parser(
        prog="seamline",
        description=str(
            Text(
                "Seamline：医用防护用品产线的边缘采集代理。读 PLC（只读）、如实计数、先存后发。",
                "Seamline: edge agent for lines that make medical protective goods. Reads PLCs (read-only), counts "
                "truthfully, stores before it forwards.",
            )
        ),
        epilog=str(
            Text(
                "第一次使用：seamline demo（模拟产线），然后 seamline init 生成带注释的配置样例。",
                "First time here: seamline demo (simulated line), then seamline init for annotated samples.",
            )
        ),
    )
    parser.add_argument(
        "--version", action="version", version=f"seamline {__version__}", help=str(Text("显示版本", "show the version"))
    )
    parser.add_argument("--lang", choices=("zh", "en"), help=str(Text("界面语言", "language of texts")))
    commands = parser.add_subparsers(title=str(Text("命令", "commands")), metavar=str(Text("命令", "COMMAND")))

    run = _add(commands, "run", _run, Text("运行采集代理（守护进程）", "run the agent (daemon)"))
    _site_file(run)
    run.add_argument(
        "--log-format", choices=("json", "text"), help=str(Text("覆盖配置里的日志格式", "overrides the site file"))
    )

    once = _add(
        commands,
        "once",
        _once,
        Text("所有点位读一次并打印，不存不发", "read every tag once and print it; stores and sends nothing"),
    )
    _site_file(once)
    once.add_argument("--device", metavar="ID", help=str(Text("只读这一台设备", "only this device")))
    once.add_argument("--json", action="store_true", help=str(Text("以 JSON 输出", "print JSON")))

    check = _add(
        commands,
        "check",
        _check,
        Text("检查配置并打印编译后的计划，不碰网络", "check a site file and print the compiled plan; no network"),
    )
    _site_file(check)
    check.add_argument(
        "--diff",
        type=Path,
        metavar="OLD",
        help=str(
            Text(
                "不打印计划，而是打印从 OLD 改为此文件时，运行中的代理会做什么",
                "instead of the plan, print what a running agent would do, were this file put in the place of OLD",
            )
        ),
    )
    check.add_argument(
        "--learned",
        action="store_true",
        help=str(Text("从存储中列出已学到的设备限制", "what was learned of the devices, from the store")),
    )
    check.add_argument(
        "--forget",
        action="append",
        metavar="DEVICE",
        help=str(Text("忘记这台设备学到的（all：全部）", "forget what was learned of this device (all: of every one)")),
    )

    probe = _add(
        commands,
        "probe",
        _probe,
        Text(
            "调试时核对点表：用触摸屏上的数值找出字序、偏移、类型，并改正配置",
            "commissioning: values a person reads off the HMI against the registers; finds word order, offset and "
            "type, and corrects the site file",
        ),
    )
    if chosen == "probe":
        from edge.probe.command import add_arguments as add_probe_arguments

        add_probe_arguments(probe)

    calendar = _add(
        commands,
        "calendar",
        _calendar,
        Text(
            "打印一段日子的每个班次（本地时间、UTC、计划分钟），核对轮班用",
            "print every shift of some dates (local time, UTC, planned minutes), to check a rotation by",
        ),
    )
    _site_file(calendar)
    _calendar_options(calendar)

    replay = _add(
        commands,
        "replay",
        _replay,
        Text("用记录的读数重算账本，不碰网络", "make the ledger again from recorded readings; no network"),
    )
    _site_file(replay)
    _replay_options(replay)

    store = _add(
        commands,
        "store",
        _store,
        Text(
            "查看、检查、导出、导入本机存储，处理隔离的数据点",
            "look at the store: figures, gaps, check, export, import, quarantine",
        ),
    )
    if chosen == "store":
        from edge.store.options import add_arguments as add_store_arguments

        add_store_arguments(store)

    trust = _add(
        commands,
        "trust",
        _trust,
        Text("OPC UA 服务器证书：列出、信任、拒绝、查看", "certificates of OPC UA servers: list, accept, reject, show"),
    )
    browse = _add(
        commands,
        "browse",
        _browse,
        Text(
            "列出 OPC UA 服务器的节点（树、CSV、JSON、可粘贴的点位）",
            "list the nodes of an OPC UA server (tree, CSV, JSON, tags to paste)",
        ),
    )
    if chosen == "browse":
        from edge.browse.command import add_arguments as add_browse_arguments

        add_browse_arguments(browse)
    if chosen == "trust":
        from edge.trust.command import add_arguments as add_trust_arguments

        add_trust_arguments(trust)

    init = _add(
        commands,
        "init",
        _init,
        Text(
            "写出带注释的站点样例、systemd 单元与 Grafana 看板",
            "write annotated samples: site files, systemd unit, dashboards",
        ),
    )
    init.add_argument(
        "folder", nargs="?", default=".", help=str(Text("目标目录，默认当前目录", "target folder, default here"))
    )

    _add(
        commands,
        "schema",
        _schema,
        Text("打印配置的 JSON Schema，供编辑器使用", "print the JSON Schema of site files, for editors"),
    )

    simulate = _add(
        commands,
        "simulate",
        _simulate,
        Text(
            "只启动模拟机台（真实 Modbus TCP / OPC UA 服务）",
            "serve simulated machines alone (real Modbus TCP and OPC UA)",
        ),
    )
    if chosen == "simulate":
        from edge.simulate.serve import add_arguments as add_simulate_arguments

        add_simulate_arguments(simulate)
    demo = _add(
        commands,
        "demo",
        _demo,
        Text(
            "一条命令看全貌：模拟机台 + 代理 + 页面，结束时对账",
            "everything at once: simulated machines, agent, page; checks the books at the end",
        ),
    )
    if chosen == "demo":
        from edge.simulate.demo_options import add_arguments as add_demo_arguments

        add_demo_arguments(demo)
    return parser


def _add(commands: argparse._SubParsersAction[Parser], name: str, command: Command, text: Text) -> Parser:
    parser = commands.add_parser(name, help=str(text), description=str(text))
    parser.add_argument("--lang", choices=("zh", "en"), help=argparse.SUPPRESS)
    parser.set_defaults(command=command)
    return parser


def _site_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        required=True,
        type=Path,
        help=str(Text("站点配置文件（YAML）", "site file (YAML)")),
    )


def _calendar_options(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--calendar", metavar="ID", help=str(Text("只看这个日历", "only this calendar")))
    which.add_argument(
        "--machine",
        metavar="ID",
        help=str(Text("这台机的日历，含它自己的例外", "the calendar of this machine, its own exceptions included")),
    )
    parser.add_argument(
        "--from",
        dest="first",
        metavar="DATE",
        type=_date,
        help=str(Text("从哪天起，默认今天", "first date, default today")),
    )
    parser.add_argument(
        "--days", metavar="N", type=_days, default=7, help=str(Text("几天，默认 7", "how many dates, default 7"))
    )
    parser.add_argument("--json", action="store_true", help=str(Text("以 JSON 输出", "print JSON")))


def _date(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = date.min
    if not 1970 <= day.year <= 2200:  # what instants of 64 bits can hold, with room around it
        said = Text(f"应为日期，例如 2026-03-01，实为 {text!r}", f"a date such as 2026-03-01 expected, got {text!r}")
        raise argparse.ArgumentTypeError(str(said))
    return day


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_DAYS:
        said = Text(f"应为 1–{MOST_DAYS} 天，实为 {text!r}", f"1 to {MOST_DAYS} days expected, got {text!r}")
        raise argparse.ArgumentTypeError(str(said))
    return int(text)


def _replay_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--readings",
        metavar="PATH",
        required=True,
        type=Path,
        help=str(
            Text("读数文件（CSV，可为 .gz）或其文件夹", "file of readings (CSV, may be .gz), or a folder of them")
        ),
    )
    parser.add_argument("--json", action="store_true", help=str(Text("以 JSON 输出", "print JSON")))
    parser.add_argument(
        "--figures",
        action="store_true",
        help=str(Text("表格之下列出全部指标及其分子分母", "below the table, every figure with its division")),
    )
    parser.add_argument(
        "--against",
        metavar="STORE",
        type=Path,
        help=str(Text("与代理的存储逐分钟比较，打印差异", "compare with an agent's store, print what differs")),
    )
    parser.add_argument(
        "--watermark",
        metavar="S",
        type=_seconds,
        help=str(
            Text("读数最多迟到几秒，默认 2 个读取周期加 5 秒", "how late readings may come, default 2 polls + 5 s")
        ),
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= MOST_WATERMARK_S:
        most = f"{MOST_WATERMARK_S:g}"
        raise argparse.ArgumentTypeError(
            str(Text(f"应为 0–{most} 秒，实为 {text!r}", f"0 to {most} seconds expected, got {text!r}"))
        )
    return seconds


def _run(options: argparse.Namespace) -> int:
    from edge.config.aside import compile_aside

    compilation = compile_aside(options.config, os.environ)  # a child works on it while this process imports the agent
    from edge.agent import run

    return run(options.config, compilation.plan(), log_format=options.log_format)


def _once(options: argparse.Namespace) -> int:
    from edge.once import run

    return run(options.config, device=options.device, as_json=options.json)


def _check(options: argparse.Namespace) -> int:
    from edge.clock import SystemClock
    from edge.config import load
    from edge.config.check import render

    plan = load(options.config, os.environ)
    if options.forget:
        from edge.learned import forget

        print(Text("已忘记：", "forgotten: "), ", ".join(forget(plan, options.forget)), sep="")
    elif options.learned:
        from edge import learned

        print(learned.listing(plan))
    elif options.diff is not None:
        from edge.reload.diff import diff
        from edge.reload.listing import listing

        old = load(options.diff, os.environ)
        print("\n".join(listing(diff(old, plan), old, plan)))
    else:
        print(render(plan, SystemClock().now_ns()))
    return 0


def _probe(options: argparse.Namespace) -> int:
    from edge.probe.command import run

    return run(options)


def _calendar(options: argparse.Namespace) -> int:
    from edge.clock import SystemClock
    from edge.config import load
    from edge.config.calendar_listing import choose, listing, listing_json, today

    calendars = choose(load(options.config, os.environ), options.calendar, options.machine)
    first = options.first or today(calendars, SystemClock().now_ns())
    show = listing_json if options.json else listing
    print(show(calendars, first, options.days).rstrip())
    return 0


def _replay(options: argparse.Namespace) -> int:
    from edge.replay.command import run

    return run(
        options.config,
        options.readings,
        against=options.against,
        watermark_s=options.watermark,
        as_json=options.json,
        figures=options.figures,
    )


def _init(options: argparse.Namespace) -> int:
    from edge.config.init import write_samples

    for path in write_samples(Path(options.folder)):
        print(path)
    return 0


def _schema(_options: argparse.Namespace) -> int:
    import json

    from edge.config.schema import json_schema

    print(json.dumps(json_schema(), ensure_ascii=False, indent=2))
    return 0


def _store(options: argparse.Namespace) -> int:
    from edge.store.command import run

    return run(options)


def _browse(options: argparse.Namespace) -> int:
    from edge.browse.command import run

    return run(options)


def _trust(options: argparse.Namespace) -> int:
    from edge.trust.command import run

    return run(options)


def _simulate(options: argparse.Namespace) -> int:
    from edge.simulate.serve import main as simulate

    return simulate(options)


def _demo(options: argparse.Namespace) -> int:
    from edge.simulate.demo import main as demo

    return demo(options)


if __name__ == "__main__":
    sys.exit(main())
