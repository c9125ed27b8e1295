"""The command `seamline`: a table of commands, each with the room it lives in.

Only the room of the command that was called is imported: the agent must not carry what it does not use.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from edge import __version__
from edge.arguments import EXIT_USAGE, Parser
from edge.errors import ConfigError, SeamlineError, Text

EXIT_DISAGREES = 1  # the command ran and found something wrong
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells say it


class Room(Protocol):
    """What the module of a command offers."""

    def add_arguments(self, parser: Parser) -> None:
        """Its options."""

    def run(self, options: argparse.Namespace) -> int:
        """Do it; returns the exit status: 0 done, 1 found wrong, 2 not started."""


@dataclass(frozen=True, slots=True)
class Command:
    """A line of the help, and where the rest is."""

    name: str
    module: str
    zh: str
    en: str

    def room(self) -> Room:
        """Imported now."""
        return cast("Room", import_module(self.module))


COMMANDS = (
    Command(
        "run",
        "edge.commands.run",
        "运行采集代理（守护进程）",
        "run the agent (daemon)",
    ),
    Command(
        "once",
        "edge.commands.once",
        "所有点位读一次并打印，不存不发",
        "read every tag once and print it; stores and sends nothing",
    ),
    Command(
        "check",
        "edge.commands.check",
        "检查配置并打印编译后的计划，不碰网络",
        "check a site file and print the compiled plan; no network",
    ),
    Command(
        "probe",
        "edge.probe.command",
        "调试时核对点表：用触摸屏上的数值找出字序、偏移、类型，并改正配置",
        "commissioning: values read off the HMI against the registers; finds and corrects order, offset, type",
    ),
    Command(
        "calendar",
        "edge.commands.calendar",
        "打印一段日子的每个班次（本地时间、UTC、计划分钟），核对轮班用",
        "print every shift of some dates (local time, UTC, planned minutes), to check a rotation by",
    ),
    Command(
        "replay",
        "edge.commands.replay",
        "用记录的读数重算账本，不碰网络",
        "make the ledger again from recorded readings; no network",
    ),
    Command(
        "store",
        "edge.store.command",
        "查看、检查、导出、导入本机存储，处理隔离的数据点",
        "look at the store: figures, gaps, check, export, import, quarantine",
    ),
    Command(
        "trust",
        "edge.trust.command",
        "OPC UA 服务器证书：列出、信任、拒绝、查看",
        "certificates of OPC UA servers: list, accept, reject, show",
    ),
    Command(
        "browse",
        "edge.browse.command",
        "列出 OPC UA 服务器的节点（树、CSV、JSON、可粘贴的点位）",
        "list the nodes of an OPC UA server (tree, CSV, JSON, tags to paste)",
    ),
    Command(
        "init",
        "edge.commands.init",
        "写出带注释的站点样例、systemd 单元与 Grafana 看板",
        "write annotated samples: site files, systemd unit, dashboards",
    ),
    Command(
        "schema",
        "edge.commands.schema",
        "打印配置的 JSON Schema，供编辑器使用",
        "print the JSON Schema of site files, for editors",
    ),
    Command(
        "simulate",
        "edge.simulate.serve",
        "只启动模拟机台（真实 Modbus TCP / OPC UA 服务）",
        "serve simulated machines alone (real Modbus TCP and OPC UA)",
    ),
    Command(
        "demo",
        "edge.simulate.demo",
        "一条命令看全貌：模拟机台 + 代理 + 页面，结束时对账",
        "everything at once: simulated machines, agent, page; checks the books at the end",
    ),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 found wrong, 2 not started."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    _choose_language(arguments)
    chosen = next((command for argument in arguments for command in COMMANDS if command.name == argument), None)
    parser = build_parser(chosen)
    options = parser.parse_args(arguments)
    if chosen is None:
        parser.print_help()
        return EXIT_USAGE
    try:
        status = chosen.room().run(options)
        sys.stdout.flush()
        return status
    except ConfigError as error:
        _complain(error)
        return EXIT_USAGE
    except SeamlineError as error:
        print(error, file=sys.stderr)
        return EXIT_DISAGREES
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
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


def build_parser(chosen: Command | None = None) -> Parser:
    """Every command with its help, in the reader's language; the options of `chosen` only."""
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
    for command in COMMANDS:
        text = str(Text(command.zh, command.en))
        one = commands.add_parser(command.name, help=text, description=text)
        one.add_argument("--lang", choices=("zh", "en"), help=argparse.SUPPRESS)
        if command is chosen:
            command.room().add_arguments(one)
    return parser


if __name__ == "__main__":
    sys.exit(main())
