"""`seamline replay`: the ledger, made again from readings."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge.arguments import as_json, site_file
from edge.errors import Text

MOST_WATERMARK_S = 86_400.0  # a replay keeps that much of every machine in memory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Readings, the site file that explains them, what to show."""
    site_file(parser)
    parser.add_argument(
        "--readings",
        metavar="PATH",
        required=True,
        type=Path,
        help=str(
            Text("读数文件（CSV，可为 .gz）或其文件夹", "file of readings (CSV, may be .gz), or a folder of them")
        ),
    )
    as_json(parser)
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


def run(options: argparse.Namespace) -> int:
    """Exit status 1 where the store differs. Raises ConfigError, StoreError."""
    from edge.replay.command import run as replay

    return replay(
        options.config,
        options.readings,
        against=options.against,
        watermark_s=options.watermark,
        as_json=options.json,
        figures=options.figures,
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
