"""An OPC UA server faster than any client: asyncua's, whose data changes are not sampled but written out once a beat.

    opcua_beat.py COUNT PERIOD_MS      prints one JSON object with its port; ends when stdin closes

COUNT doubles `V0`, `V1`, … of namespace urn:seamline:peer change every PERIOD_MS, all to the number of the beat.
Channel, session, services and subscriptions are asyncua's own. What is ours is the body of a DataChangeNotification
(OPC 10000-4 §7.25.2): all items of a beat have one value and one time, so that it is their handles joined by the same
26 bytes, and 10,000 notifications cost less than a millisecond. node-opcua, on a whole core, makes some 6,000 a second.

A subscription without a Publish request keeps `KEPT` beats and then drops the oldest: the client sees that as a loss.
"""

from __future__ import annotations

import asyncio
import json
import logging
import struct
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from asyncua import Server, ua
from asyncua.server.internal_subscription import InternalSubscription

KEPT = 50
_URI = "urn:seamline:peer"
_EPOCH_TICKS = 116_444_736_000_000_000  # 1601-01-01 → 1970-01-01, 100 ns
_VALUE = struct.Struct("<BBdqq")  # mask: value, source and server time; Double; value; times
_HANDLE = struct.Struct("<I")
_DATA_CHANGE = ua.FourByteNodeId(ua.ObjectIds.DataChangeNotification_Encoding_DefaultBinary)


class Beating(InternalSubscription):
    """A subscription whose items of our namespace are written out by `beat`; all others are asyncua's as ever."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._beats: deque[ua.ExtensionObject] = deque(maxlen=KEPT)
        self._handles: list[bytes] = []
        self._known = 0  # items, also of other namespaces, when the handles were looked up

    def beat(self, namespace: int, value: float, ticks: int) -> None:
        """One value for every item."""
        items = self.monitored_item_srv._monitored_items  # noqa: SLF001 - asyncua has no other way to them
        if self._known != len(items):
            self._known = len(items)
            ours = [one for one in items.values() if one.read_value_id.NodeId.NamespaceIndex == namespace]
            self._handles = [_HANDLE.pack(one.client_handle) for one in ours]
            self._beats.clear()  # of a client that is still making its items
        if self._handles:
            tail = _VALUE.pack(0x0D, 11, value, ticks, ticks)
            body = _HANDLE.pack(len(self._handles)) + tail.join(self._handles) + tail + b"\0\0\0\0"  # no diagnostics
            self._beats.append(ua.ExtensionObject(_DATA_CHANGE, body))

    def has_published_results(self) -> bool:
        """Also where a beat waits."""
        return bool(self._beats) or super().has_published_results()

    def _pop_triggered_datachanges(self, result: ua.PublishResult) -> None:
        super()._pop_triggered_datachanges(result)
        result.NotificationMessage.NotificationData.extend(self._beats)
        self._beats.clear()


async def main(count: int, period_ms: int) -> None:
    """Serve until stdin closes."""
    server = Server()
    await server.init()
    server.set_endpoint("opc.tcp://127.0.0.1:0")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    namespace = await server.register_namespace(_URI)
    for i in range(count):
        if i % 100 == 0:  # each new child is compared with all its siblings
            folder = await server.nodes.objects.add_folder(namespace, f"Machine{i}")
        await folder.add_variable(ua.NodeId(f"V{i}", namespace), f"V{i}", 0.0)
    async with server:
        port = server.bserver._server.sockets[0].getsockname()[1]  # noqa: SLF001 - a free port, told nowhere else
        print(json.dumps({"port": port}), flush=True)
        beating = asyncio.create_task(_beat(server, namespace, period_ms / 1000))
        await asyncio.to_thread(sys.stdin.read)
        beating.cancel()


async def _beat(server: Server, namespace: int, period_s: float) -> None:
    loop, number = asyncio.get_running_loop(), 0
    due_s = loop.time()
    while True:
        number += 1
        ticks = time.time_ns() // 100 + _EPOCH_TICKS
        for subscription in server.iserver.subscription_service.subscriptions.values():
            subscription.beat(namespace, float(number), ticks)
        due_s += period_s
        await asyncio.sleep(max(0.0, due_s - loop.time()))


def _install(make: Callable[..., InternalSubscription]) -> None:
    """asyncua's subscription service makes its subscriptions by this name of its module."""
    from asyncua.server import subscription_service

    subscription_service.InternalSubscription = make


if __name__ == "__main__":
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)
    _install(Beating)
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
