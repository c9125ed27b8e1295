"""Which store a command is about, and what the site file says of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from edge.errors import StoreError, Text


@dataclass(frozen=True, slots=True)
class Where:
    """A store, with the databases that are configured now; None where only the file was named."""

    path: Path
    sinks: tuple[str, ...] | None = None
    max_bytes: int | None = None


def where(config: Path | None, store: Path | None, *, may_be_new: bool = False) -> Where:
    """The store of a site file, or the file itself. Raises ConfigError, and StoreError where there is no store."""
    if store is None:
        from edge.config import load

        assert config is not None  # the parser wants one of the two
        plan = load(config, os.environ)
        found = Where(Path(plan.agent.store_path), tuple(s.id for s in plan.sinks), plan.agent.store_max_bytes)
    else:
        found = Where(store)
    if found.path.is_dir():
        raise StoreError(Text(f"{found.path} 是目录，不是存储文件", f"{found.path} is a directory, not a store's file"))
    if not may_be_new and not found.path.exists():
        raise StoreError(
            Text(
                f"没有存储文件 {found.path}；请检查路径，或代理尚未运行过",
                f"there is no store {found.path}; check the path, or the agent never ran here",
            )
        )
    return found
