"""The companion models of `opcua/companion.js`, from the same XML files, on asyncua's server in the test's own loop."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Self, get_args, get_type_hints

from asyncua import Server, ua
from asyncua.common.node import Node
from fixtures.ports import free_port
from peers.node_opcua import FOLDER

_NODESETS = FOLDER / "node_modules" / "node-opcua-nodesets" / "nodesets"
_FILES = (
    *(
        "Opc.Ua.Di.NodeSet2.xml",
        "Opc.Ua.IA.NodeSet2.xml",
        "Opc.Ua.PackML.NodeSet2.xml",
        "Opc.Ua.Machinery.NodeSet2.xml",
    ),
    *("opc.ua.isa95-jobcontrol.nodeset2.xml", "Opc.Ua.Machinery.Jobs.Nodeset2.xml"),
)
_PACKML, _DI = "http://opcfoundation.org/UA/PackML/", "http://opcfoundation.org/UA/DI/"
_MACHINERY, _JOBS = "http://opcfoundation.org/UA/Machinery/", "http://opcfoundation.org/UA/Machinery/Jobs/"
_ISA95 = "http://opcfoundation.org/UA/ISA95-JOBCONTROL_V2/"
_NAMES = {"Filler": "", "Press": "", "MachineryBuildingBlocks": _MACHINERY, "OperationCounters": _DI}
_NAMES |= dict.fromkeys(("JobManagement", "JobOrderControl", "JobOrderResults"), _JOBS)
_NAMES |= dict.fromkeys(("JobOrderList", "JobOrderResponseList"), _ISA95)
_NAMES |= dict.fromkeys(("OperationCycleCounter", "PowerOnDuration"), _DI)
_NAMES |= dict.fromkeys(("MachineryItemState", "MachineryOperationMode"), _MACHINERY)
_STANDARD = ("CurrentState", "Number")  # of the state machines of namespace 0


class AsyncuaCompanion:
    """Objects and variables by browse name, made as they are first set."""

    def __init__(self, _: Path) -> None:
        self._server = Server()
        self.url = f"opc.tcp://127.0.0.1:{free_port()}"

    async def __aenter__(self) -> Self:
        server = self._server
        await server.init()
        server.set_endpoint(self.url)
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        for file in _FILES:
            await server.import_xml(_NODESETS / file, strict_mode=False)
        await server.load_data_type_definitions()
        self._own = await server.register_namespace("urn:seamline:companion")
        await server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop()

    async def set(self, **values: tuple[str, Any]) -> None:
        """As `CompanionPeer.set`: by path from Objects, all in one turn of the server once the nodes are there."""
        ready = [
            (await self._node(path.split("__"), kind), _variant(kind, value)) for path, (kind, value) in values.items()
        ]
        for node, variant in ready:
            await self._server.write_attribute_value(node.nodeid, ua.DataValue(variant))

    async def _node(self, names: list[str], kind: str) -> Node:
        node = self._server.nodes.objects
        for depth, name in enumerate(names):
            uri = _NAMES.get(name, _PACKML)
            namespace = self._own if not uri else await self._server.get_namespace_index(uri)
            namespace = 0 if name in _STANDARD else namespace
            where = ua.NodeId("/".join(names[: depth + 1]), self._own)
            found = self._server.get_node(where)
            if await self._known(where):
                node = found
            elif depth + 1 < len(names) and names[depth + 1] != "Number":
                node = await node.add_object(where, ua.QualifiedName(name, namespace))
            else:
                last = depth + 1 == len(names)
                variant = _variant(kind, None) if last else ua.Variant("", ua.VariantType.String)
                of = _data_type(kind) if last else None
                node = await node.add_variable(where, ua.QualifiedName(name, namespace), variant, datatype=of)
        return node

    async def _known(self, node: ua.NodeId) -> bool:
        return node in self._server.iserver.aspace._nodes


def _data_type(kind: str) -> ua.NodeId | None:
    made = getattr(ua, kind.removesuffix("[]"), None)
    return made.data_type if dataclasses.is_dataclass(made) else None


def _variant(kind: str, value: Any) -> ua.Variant:
    """[type, value] as `companion.js` has it."""
    if kind.endswith("[,]"):
        shape = {"dimensions": [1, 1], "values": [0]} if value is None else value
        made = ua.Variant(shape["values"], ua.VariantType[kind[:-3]], is_array=True)
        made.Dimensions = shape["dimensions"]
        return made
    plain, many = kind.removesuffix("[]"), kind.endswith("[]")
    if plain in ua.VariantType.__members__:
        return ua.Variant((value or []) if many else (value or 0), ua.VariantType[plain])
    structure = getattr(ua, plain)
    if many:
        return ua.Variant(
            [_structure(structure, one) for one in value or []], ua.VariantType.ExtensionObject, is_array=True
        )
    return ua.Variant(_structure(structure, value or {}), ua.VariantType.ExtensionObject)


def _structure(kind: Any, fields: dict[str, Any]) -> Any:
    """An object of asyncua's class, nested ones made by their type hints."""
    hints = get_type_hints(kind, {"ua": ua})
    return kind(**{name: _field(hints[name], value) for name, value in fields.items()})


def _field(hint: Any, value: Any) -> Any:
    if isinstance(value, dict) and "dataType" in value:
        return ua.Variant(value["value"], ua.VariantType[value["dataType"]])
    inner = next((one for one in (hint, *get_args(hint)) if dataclasses.is_dataclass(one)), None)
    if isinstance(value, list):
        inner = inner or next((_of(one) for one in get_args(hint) if _of(one)), None) or _of(hint)
        return [_structure(inner, one) if isinstance(one, dict) else one for one in value]
    return _structure(inner, value) if isinstance(value, dict) else value


def _of(hint: Any) -> Any:
    return next((one for one in get_args(hint) if dataclasses.is_dataclass(one)), None)
