"""`seamline check`: what a site file means, what an edit would do, what devices taught. No network."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from edge.arguments import site_file
from edge.errors import Text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The site file; one question at a time."""
    site_file(parser)
    parser.add_argument(
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
    parser.add_argument(
        "--learned",
        action="store_true",
        help=str(Text("从存储中列出已学到的设备限制", "what was learned of the devices, from the store")),
    )
    parser.add_argument(
        "--forget",
        action="append",
        metavar="DEVICE",
        help=str(Text("忘记这台设备学到的（all：全部）", "forget what was learned of this device (all: of every one)")),
    )


def run(options: argparse.Namespace) -> int:
    """Print the answer. Raises ConfigError with every mistake at once."""
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
