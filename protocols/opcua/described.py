"""What a variable holds, read for many at once; and node ids as a site file writes them.

Theory. A data type is a node; the built-in ones have well-known ids in namespace 0 and need no question, a maker's own
is asked for its name once. `ValueRank` says whether there are many (OPC 10000-3 §5.6.2): −1 one value, 0 and above an
array, −2 and −3 either.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIdNames

from protocols.opcua.reading import Reads
from protocols.opcua.services import node_id
from protocols.opcua.wire import NodeKey

SCALAR = -1


@dataclass(frozen=True, slots=True)
class Described:
    """Type and shape of a variable's value; `type` is "" where the server does not say."""

    type: str
    rank: int = SCALAR

    @property
    def array(self) -> bool:
        """Whether it certainly is an array."""
        return self.rank >= 0


class Types:
    """Data types of one session."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._names: dict[NodeKey, str] = {}

    async def describe(self, variables: Sequence[NodeKey]) -> list[Described]:
        """Each variable's, in order. Errors: OpcuaError."""
        nodes = [node_id(key[1], key[0]) for key in variables]
        types, ranks = await asyncio.gather(
            self._reads.read(nodes, AttributeIds.DataType), self._reads.read(nodes, AttributeIds.ValueRank)
        )
        keys = [one if isinstance(one, tuple) else None for one in types.values]
        await self._learn({key for key in keys if key is not None})
        return [
            Described("" if key is None else self._names[key], rank if type(rank) is int else SCALAR)
            for key, rank in zip(keys, ranks.values, strict=True)
        ]

    async def _learn(self, keys: set[NodeKey]) -> None:
        unknown = []
        for key in keys - self._names.keys():
            known = ObjectIdNames.get(key[1]) if key[0] == 0 and isinstance(key[1], int) else None
            if known is None:
                unknown.append(key)
            else:
                self._names[key] = known
        if unknown:
            nodes = [node_id(key[1], key[0]) for key in unknown]
            names = (await self._reads.read(nodes, AttributeIds.DisplayName)).values
            self._names |= {
                key: name if isinstance(name, str) else "" for key, name in zip(unknown, names, strict=True)
            }


def node_text(key: NodeKey, namespaces: Sequence[str]) -> str:
    """A node id for a site file, its namespace by URI: it survives what moves the index (OPC 10000-6 §5.1.12)."""
    index, identifier = key
    if index == 0:
        where = ""
    elif index < len(namespaces) and namespaces[index]:
        where = "nsu=" + namespaces[index].replace("%", "%25").replace(";", "%3B") + ";"
    else:
        where = f"ns={index};"
    if isinstance(identifier, int):
        return f"{where}i={identifier}"
    if isinstance(identifier, str):
        return f"{where}s={identifier}"
    if isinstance(identifier, UUID):
        return f"{where}g={identifier}"
    return f"{where}b={base64.b64encode(identifier).decode()}"
