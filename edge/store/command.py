"""Each action of `seamline store`: what it was asked, and its exit status."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from edge.store.where import Where, where


def run(options: argparse.Namespace) -> int:
    """Do it. Exit status 0, or 1 where something was found wrong. Raises StoreError or ConfigError."""
    return _ACTIONS[options.action](where(options.config, options.store), options)


def _gaps(store: Where, options: argparse.Namespace) -> int:
    from edge.store.gaps import gaps

    print(
        gaps(
            store,
            from_ns=options.from_ns,
            until_ns=options.until_ns,
            limit=options.limit,
            machine=options.machine,
            only_open=options.open,
            as_json=options.json,
        )
    )
    return 0


_ACTIONS: dict[str, Callable[[Where, argparse.Namespace], int]] = {"gaps": _gaps}
