"""`seamline store fsck`: is everything what was stored? Says what is not; changes nothing."""

from __future__ import annotations

from pathlib import Path

from edge.errors import Text
from edge.outbox.check import Finding, check, repair
from edge.store.where import Where

SHOWN = 50


def fsck(store: Where, repair_into: Path | None) -> tuple[str, bool]:
    """The report, and whether everything is whole. Raises StoreError."""
    found = list(check(store.path))
    lines = [_said(finding) for finding in found[:SHOWN]]
    if len(found) > SHOWN:
        lines.append(str(Text(f"…另有 {len(found) - SHOWN} 处", f"… and {len(found) - SHOWN} more")))
    lines.append(str(_verdict(store.path, len(found))))
    if repair_into is not None:
        rows = repair(store.path, repair_into).told
        lines.append(
            str(
                Text(
                    f"完好的内容已写入 {repair_into}（{rows}）；原文件未改动",
                    f"what is whole was copied to {repair_into} ({rows}); the old file is as it was",
                )
            )
        )
    return "\n".join(lines), not found


def _said(finding: Finding) -> str:
    return f"{finding.where}: {finding.what}"


def _verdict(path: Path, found: int) -> Text:
    if not found:
        return Text(f"{path}：全部完好", f"{path}: everything is as it was stored")
    return Text(
        f"{path}：{found} 处不符。停止代理后可用 seamline store fsck --repair-into 新文件 取出完好的内容",
        f"{path}: {found} finding{'s' if found != 1 else ''}. Stop the agent, then copy what is whole with "
        "seamline store fsck --repair-into NEW",
    )
