"""`seamline init`: annotated samples."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge.errors import Text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to."""
    parser.add_argument(
        "folder", nargs="?", default=".", help=str(Text("目标目录，默认当前目录", "target folder, default here"))
    )


def run(options: argparse.Namespace) -> int:
    """Write them, and name each."""
    from edge.config.init import write_samples

    for path in write_samples(Path(options.folder)):
        print(path)
    return 0
