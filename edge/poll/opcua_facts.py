"""What people are told of an OPC UA server: connected or not, and which nodes are not to be had. Each fact once."""

from __future__ import annotations

from edge.clock import Clock
from edge.errors import Text
from edge.plan import OpcuaDevice
from protocols.opcua.client import OpcuaClient
from protocols.opcua.items import Problem
from protocols.reading import DeviceFact, Receiver

_NODES_SHOWN = 5  # in a text for people


class Teller:
    """Facts of one server."""

    def __init__(self, device: OpcuaDevice, receiver: Receiver, clock: Clock) -> None:
        self._device = device
        self._receiver = receiver
        self._clock = clock
        self._told: tuple[bool, str] | None = None  # up and reason of the last fact
        self._problems: tuple[Problem, ...] = ()  # as last told
        self._instead = 0  # nodes read instead, as last told
        self.note = Text("", "")  # what a person should see to while the server is heard
        self._noted = self.note  # as last told

    def lost(self, reason: str, text: Text, tags: list[int]) -> None:
        """The server is not heard any more; `tags` changed by that. The same reason is told once."""
        self._problems = ()
        self._tell(up=False, reason=reason, text=text, tags=tags)

    def connected(self, client: OpcuaClient) -> None:
        """The server is heard; with the nodes that are not to be had, where there are any."""
        problems, instead, plain = client.problems, client.read_instead, client.unfiltered
        noted, self._noted = self._noted is self.note or self._noted == self.note, self.note
        if problems == self._problems and instead == self._instead and noted and self._told and self._told[0]:
            return
        if not noted:
            self._told = None
        self._problems, self._instead = problems, instead
        read = Text(
            (f"；服务器监视项不足，{instead} 个节点改为读取" if instead else "")
            + (f"；{plain} 个节点的死区或触发条件服务器不支持，每次变化都传" if plain else "")
            + self.note.zh,
            (f"; the server has no room to monitor {instead} nodes, they are read instead" if instead else "")
            + (
                f"; it cannot apply the deadband or trigger of {plain} nodes, every change of theirs comes"
                if plain
                else ""
            )
            + self.note.en,
        )
        if not problems:
            text = Text(f"已连接，安全：{client.security}{read.zh}", f"connected, security {client.security}{read.en}")
            self._tell(up=True, reason="connected", text=text, tags=[])
            return
        shown = "; ".join(f"{self._device.tags[one.tag].node}: {one.words}" for one in problems[:_NODES_SHOWN])
        rest = len(problems) - _NODES_SHOWN
        more = Text(f"；另有 {rest} 个" if rest > 0 else "", f"; and {rest} more" if rest > 0 else "")
        text = Text(
            f"已连接，{len(problems)} 个变量不可用，请核对站点文件与 PLC 程序（{shown}{more.zh}）{read.zh}",
            f"connected; {len(problems)} tags cannot be had, compare the site file with the PLC program "
            f"({shown}{more.en}){read.en}",
        )
        self._told = None  # other nodes with the same reason are news
        self._tell(up=True, reason="nodes-refused", text=text, tags=[one.tag for one in problems])

    def _tell(self, *, up: bool, reason: str, text: Text, tags: list[int]) -> None:
        if self._told == (up, reason) and not tags:
            return
        self._told = (up, reason)
        self._receiver.on_fact(DeviceFact(self._device.index, self._clock.now_ns(), up, reason, str(text), tags))
