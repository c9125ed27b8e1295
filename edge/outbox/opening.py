"""What opening a store is at: told by the writer's thread, looked at from anywhere while a start takes long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge.errors import Text


@dataclass(frozen=True, slots=True)
class Opening:
    """One moment of it."""

    what: Text
    done: int = 0
    total: int = 0  # 0 = nobody knows

    def __str__(self) -> str:
        """For the log and for systemctl status."""
        part = f" {100 * self.done // self.total} %" if self.total else ""
        return f"{self.what}{part}"


Tell = Callable[[Opening], None]

CHECKING = Text("正在检查存储文件", "checking the store")
SAVING = Text("存储文件已损坏，正在取出完好的内容", "the store is damaged, saving what is whole of it")


def tell_nobody(_: Opening) -> None:
    """Where nobody waits."""
