"""`seamline run`: the daemon."""

from __future__ import annotations

import argparse
import os

from edge.arguments import site_file
from edge.errors import Text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The site file, and what may differ from it."""
    site_file(parser)
    parser.add_argument(
        "--log-format", choices=("json", "text"), help=str(Text("覆盖配置里的日志格式", "overrides the site file"))
    )


def run(options: argparse.Namespace) -> int:
    """Until SIGTERM. Exit status 0."""
    from edge.config.aside import compile_aside

    compilation = compile_aside(options.config, os.environ)  # a child works on it while this process imports the agent
    from edge.agent import run as run_agent

    return run_agent(options.config, compilation.plan(), log_format=options.log_format)
