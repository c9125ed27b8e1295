"""Arguments of `seamline store`. Light: the parser is built before anything is done."""

from __future__ import annotations

import argparse
from datetime import datetime
from pathlib import Path

from edge.arguments import Parser
from edge.errors import Text

CLASSES = ("tag", "live", "ledger", "event", "evidence")
FORMATS = ("line", "csv", "parquet")


def add_arguments(parser: Parser) -> None:
    """Every action, each with `-c` or `--store`."""
    actions: argparse._SubParsersAction[Parser] = parser.add_subparsers(
        dest="action", required=True, title=str(Text("操作", "actions")), metavar=str(Text("操作", "ACTION"))
    )
    stats = _add(actions, "stats", Text("占用、积压、可断网时长、闪存磨损", "size, backlog, autonomy, flash wear"))
    _json(stats)
    gaps = _add(actions, "gaps", Text("没有可信数据的时段及其原因", "stretches without trustworthy data, and why"))
    _period(gaps)
    gaps.add_argument("--open", action="store_true", help=str(Text("只看仍在持续的", "only those that last")))
    gaps.add_argument("--machine", metavar="ID", help=str(Text("只看这台机", "only this machine")))
    gaps.add_argument(
        "--limit", metavar="N", type=_count, default=100, help=str(Text("最多几条，默认 100", "at most, default 100"))
    )
    _json(gaps)

    fsck = _add(actions, "fsck", Text("逐条核对校验和与总数，不改动", "every checksum and sum; changes nothing"))
    fsck.add_argument(
        "--repair-into",
        metavar="NEW",
        type=Path,
        help=str(Text("把完好的内容写入新文件（须先停止代理）", "copy what is whole into a new file (stop the agent)")),
    )
    _export_options(_add(actions, "export", Text("导出数据点", "points as line protocol, CSV or Parquet")))
    imported = _add(actions, "import", Text("导入行协议文件（须先停止代理）", "line protocol back in (stop the agent)"))
    imported.add_argument(
        "file", metavar="FILE", type=Path, help=str(Text("行协议文件，- 为标准输入", "line protocol; - is stdin"))
    )
    quarantine = _add(actions, "quarantine", Text("数据库拒收的数据点", "points a database refused for good"))
    quarantine.add_argument(
        "what",
        choices=("list", "retry", "drop"),
        help=str(Text("列出、重发、删除", "list them, send them again, let them go")),
    )
    quarantine.add_argument(
        "--id",
        dest="ids",
        action="append",
        default=[],
        metavar="ID",
        help=str(Text("只要这个编号，可重复；不写即全部", "only this point; may be repeated; none = all of them")),
    )
    quarantine.add_argument("--all", action="store_true", help=str(Text("删除全部", "drop all of them")))
    quarantine.add_argument("--sink", metavar="ID", help=str(Text("只看这个数据库", "only of this database")))


def _export_options(parser: Parser) -> None:
    parser.add_argument(
        "--format", choices=FORMATS, default="line", help=str(Text("默认 line（行协议）", "default line (protocol)"))
    )
    parser.add_argument(
        "--out",
        metavar="PATH",
        type=Path,
        help=str(
            Text(
                "行协议：文件，默认标准输出；csv、parquet：文件夹",
                "line: a file, default stdout; csv, parquet: a folder",
            )
        ),
    )
    parser.add_argument(
        "--class",
        dest="classes",
        action="append",
        choices=CLASSES,
        help=str(Text("只要这一类，可重复", "only this class; may be repeated")),
    )
    parser.add_argument("--machine", metavar="ID", help=str(Text("只要这台机", "only this machine")))
    _period(parser)


def _add(actions: argparse._SubParsersAction[Parser], name: str, text: Text) -> Parser:
    parser = actions.add_parser(name, help=str(text), description=str(text))
    parser.add_argument("--lang", choices=("zh", "en"), help=argparse.SUPPRESS)
    _where(parser)
    return parser


def _where(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "-c", "--config", metavar="FILE", type=Path, help=str(Text("站点配置文件（YAML）", "site file (YAML)"))
    )
    which.add_argument("--store", metavar="PATH", type=Path, help=str(Text("存储文件本身", "the store's file itself")))


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help=str(Text("以 JSON 输出", "print JSON")))


def _period(parser: argparse.ArgumentParser) -> None:
    said = Text("如 2026-03-01 或 2026-03-01T08:00，本机时间", "such as 2026-03-01 or 2026-03-01T08:00, local time")
    parser.add_argument("--from", dest="from_ns", metavar="TIME", type=_time, default=0, help=str(said))
    parser.add_argument("--until", dest="until_ns", metavar="TIME", type=_time, default=(1 << 63) - 1, help=str(said))


def _time(text: str) -> int:
    """UTC ns of a date or a time; local to this machine where it names no offset."""
    try:
        return round(datetime.fromisoformat(text).astimezone().timestamp()) * 1_000_000_000
    except (ValueError, OverflowError, OSError):
        said = Text(
            f"应为时间，例如 2026-03-01T08:00，实为 {text!r}", f"a time such as 2026-03-01T08:00 expected, got {text!r}"
        )
        raise argparse.ArgumentTypeError(str(said)) from None


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(
            str(Text(f"应为正整数，实为 {text!r}", f"a number above 0 expected, got {text!r}"))
        )
    return int(text)
