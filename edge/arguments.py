"""Command line arguments in the reader's language: argparse's own few words are English whatever the locale."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from edge.errors import Text

EXIT_USAGE = 2  # bad arguments or a bad site file: nothing was started


class Parser(argparse.ArgumentParser):
    """An argument parser that speaks zh or en; so do the parsers of its commands."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, add_help=False, formatter_class=_HelpFormatter)
        self._positionals.title = str(Text("参数", "arguments"))
        self._optionals.title = str(Text("选项", "options"))
        self.add_argument("-h", "--help", action="help", help=str(Text("显示本说明", "show this help")))

    def error(self, message: str) -> NoReturn:
        """One sentence and where to read on, instead of the whole usage."""
        hint = Text(f"用法见 {self.prog} --help", f"see {self.prog} --help")
        self.exit(EXIT_USAGE, f"{self.prog}: {_translated(message)}\n    → {hint}\n")


def site_file(parser: argparse.ArgumentParser) -> None:
    """`-c FILE`, as every command that needs one takes it."""
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        required=True,
        type=Path,
        help=str(Text("站点配置文件（YAML）", "site file (YAML)")),
    )


def as_json(parser: argparse.ArgumentParser) -> None:
    """`--json`."""
    parser.add_argument("--json", action="store_true", help=str(Text("以 JSON 输出", "print JSON")))


class _HelpFormatter(argparse.HelpFormatter):
    """Narrow columns for the short option names, room for the texts."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32, width=min(100, shutil.get_terminal_size().columns - 2))

    def add_usage(
        self,
        usage: str | None,
        actions: Iterable[argparse.Action],
        groups: Iterable[argparse._MutuallyExclusiveGroup],
        prefix: str | None = None,
    ) -> None:
        """The word before it; commands ask for none."""
        super().add_usage(usage, actions, groups, str(Text("用法：", "usage: ")) if prefix is None else prefix)


_WORDS = (  # of argparse, in the order they are replaced
    ("the following arguments are required:", "缺少"),
    ("unrecognized arguments:", "不认识"),
    ("expected one argument", "后面要有一个值"),
    ("not allowed with argument", "不可并用："),
    ("invalid choice:", "没有这个选择："),
    ("choose from", "可选"),
    ("argument ", ""),
)


def _translated(message: str) -> str:
    if str(Text("zh", "en")) == "zh":
        for english, chinese in _WORDS:
            message = message.replace(english, chinese)
    return message
