"""From a tag's name to an OPC UA node id, by the brand's pattern. Pure.

`a/b[0]/c` under base `M` becomes `ns=2;s=M.a.b[0].c`, or `ns=3;s="M"."a"."b"[0]."c"`, or the browse path
`/0:Objects/2:M/2:a/…`. A part with a namespace of its own (`0:CurrentState`, `nsu=urn:maker;Tape1`) keeps it in a
browse path and loses it in a node id. A name that is already a node id (`ns=…`, `i=…`) or a browse path (`/…`) is taken
as it is; so is a base: `ns=4;s=Line1` gives `ns=4;s=Line1.a.b[0].c`.
"""

from __future__ import annotations

import re

from edge.config.models import NodesModel
from protocols.opcua.address import split_path

_ABSOLUTE = re.compile(r"(ns=|nsu=|svr=|[isgb]=|/)")
_PART = re.compile(r"(.*?)((?:\[\d+\])*)")
_NAMESPACE = re.compile(r"\d+:|nsu=[^;]+;")
_NODE_ID = re.compile(r"nsu=[^;]+;[isgb]=")


class NodeError(ValueError):
    """A name that gives no node id, in both languages."""

    def __init__(self, zh: str, en: str) -> None:
        self.zh = zh
        self.en = en
        super().__init__(en)


def needs_base(name: str, nodes: NodesModel | None) -> bool:
    """True where `node_of` cannot do without a base."""
    return nodes is not None and "{base}" in nodes.pattern and not _is_absolute(name)


def node_of(name: str, base: str | None, nodes: NodesModel | None) -> str:
    """The node id or browse path of a tag. Raises NodeError where base or pattern is missing."""
    if _is_absolute(name):
        return name
    if nodes is None:
        raise NodeError(
            "此品牌没有 nodes 模式：请写完整节点号", "this brand has no node pattern: give the full node id"
        )
    tag = nodes.separator.join(_part(part, nodes) for part in split_path(name))
    if base is None:
        if needs_base(name, nodes):
            raise NodeError(
                "缺少 base：设备节点前缀，例如 Tape1", "base is required: the machine's node prefix, e.g. Tape1"
            )
        return nodes.pattern.replace("{tag}", tag)
    if _is_absolute(base):
        return f"{base}{nodes.separator}{tag}"
    prefix = nodes.separator.join(_part(part, nodes) for part in split_path(base))
    return nodes.pattern.replace("{base}", prefix).replace("{tag}", tag)


def _is_absolute(name: str) -> bool:
    """A whole node id or browse path. `nsu=…;` alone is the namespace of a step."""
    return bool(_NODE_ID.match(name) if name.startswith("nsu=") else _ABSOLUTE.match(name))


def _part(part: str, nodes: NodesModel) -> str:
    """One part of a name, quoted and prefixed; an array index stays outside the quotes."""
    own = _NAMESPACE.match(part)
    if own is not None and nodes.pattern.startswith("/"):
        return part
    part = part[own.end() :] if own is not None else part
    match = _PART.fullmatch(part)
    stem, index = (match[1], match[2]) if match else (part, "")
    if nodes.quote and stem.startswith(nodes.quote):
        return part
    return f"{nodes.prefix}{nodes.quote}{stem}{nodes.quote}{index}"
