"""An OPC UA server in the test's own loop, which counts the services it is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from asyncua import Server, ua
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.object_ids import ObjectIdNames

URI = "urn:seamline:test"


@dataclass
class Plant:
    """A running server and what was asked of it."""

    server: Server
    url: str
    ns: int
    services: Counter[str] = field(default_factory=Counter)

    async def cleared(self) -> Plant:
        """The same server for the next test: a namespace and a Machine of its own, nothing counted. Building an address
        space takes two seconds of processor time, this none."""
        ns = await self.server.register_namespace(f"{URI}:{self.ns}")
        await self.server.nodes.objects.add_object(ua.NodeId("Machine", ns), ua.QualifiedName("Machine", ns))
        self.ns = ns
        self.services.clear()
        return self

    async def add(self, name: str, value: Any, kind: ua.VariantType | None = None) -> Any:
        """A variable `ns=<ns>;s=<name>` under Objects/Machine."""
        machine = await self.server.nodes.objects.get_child(f"{self.ns}:Machine")
        return await machine.add_variable(
            ua.NodeId(name, self.ns), ua.QualifiedName(name, self.ns), ua.Variant(value, kind)
        )


@asynccontextmanager
async def plant(monkeypatch: pytest.MonkeyPatch, port: int) -> AsyncIterator[Plant]:
    """The server, started; every service request is counted by name at the place where it enters the server."""
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    ns = await server.register_namespace(URI)
    await server.nodes.objects.add_object(ua.NodeId("Machine", ns), ua.QualifiedName("Machine", ns))
    made = Plant(server, f"opc.tcp://127.0.0.1:{port}", ns)
    entered = UaProcessor._process_message

    async def counting(self: UaProcessor, typeid: ua.NodeId, *rest: Any) -> Any:
        made.services[ObjectIdNames[typeid.Identifier].split("_")[0]] += 1
        return await entered(self, typeid, *rest)

    monkeypatch.setattr(UaProcessor, "_process_message", counting)
    async with server:
        yield made
