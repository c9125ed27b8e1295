"""`seamline once`: every tag, one time."""

from __future__ import annotations

import argparse

from edge.arguments import as_json, site_file
from edge.errors import Text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The site file, one device of it, the form."""
    site_file(parser)
    parser.add_argument("--device", metavar="ID", help=str(Text("只读这一台设备", "only this device")))
    as_json(parser)


def run(options: argparse.Namespace) -> int:
    """Exit status 1 where a tag could not be read."""
    from edge.once import run as read_once

    return read_once(options.config, device=options.device, as_json=options.json)
