"""A real half-open connection: a network that swallows everything, without a RST, an ICMP message or a lost carrier.

Two network namespaces are joined by a pair of virtual cables; libmodbus serves in the far one, the poller runs in the
near one. A blackhole route in the far one then swallows every answer, as a power cut of the PLC or a firewall that
forgot the connection would; taking the route away heals it. A program, started by `unshare --net`:

    black_hole.py SERVER DEADLINE_S      prints one JSON line with what the poller said, and when (seconds)

Two devices are read beside one another: `busy` every 100 ms, whose requests are swallowed, and `idle` once a day, of
which only keep-alive can know; its times are shortened to 1 s + 2 × 1 s for the sake of the clock.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from edge.clock import SystemClock
from edge.plan import ModbusDevice
from edge.poll.factory import make_sources
from protocols.modbus import opening
from protocols.modbus.plan import plan_requests
from protocols.modbus.tags import DataType, Limits, ModbusTag, Table, TcpEndpoint
from protocols.reading import DeviceFact, Frame, Past, TagImage

NEAR, FAR = "10.99.0.1", "10.99.0.2"
HOLE_S = 3.0
LIMIT_S = 90.0
INTERVALS_NS = {"busy": 100_000_000, "idle": 86_400_000_000_000}  # so seldom that no poll of it falls in here


class Watcher:
    """Facts and values with the time they came, and waiting for them."""

    def __init__(self) -> None:
        self.facts: list[tuple[float, int, bool, str]] = []
        self.read_s: dict[int, list[float]] = {0: [], 1: []}
        self._news = asyncio.Event()
        self._now = asyncio.get_running_loop().time

    def on_frame(self, frame: Frame) -> None:
        self.read_s[frame.device].append(self._now())
        self._news.set()

    def on_fact(self, fact: DeviceFact) -> None:
        self.facts.append((self._now(), fact.device, fact.up, fact.reason))
        self._news.set()

    def on_past(self, past: Past) -> None:
        """Modbus devices remember nothing."""

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not condition():
                self._news.clear()
                await self._news.wait()

    def down(self, device: int) -> bool:
        return any(number == device and not up for _, number, up, _ in self.facts)


def shell(*commands: str) -> None:
    """Raises CalledProcessError."""
    for command in commands:
        subprocess.run(command.split(), check=True)


def device(index: int, name: str, port: int, deadline_s: float) -> ModbusDevice:
    tags = [ModbusTag("w1", Table.HOLDING_REGISTERS, 1, DataType.U16, interval_ns=INTERVALS_NS[name])]
    limits = Limits(pause_ns=0, requests_per_s=1000.0)
    planned = plan_requests(tags, limits, unit=1)
    endpoint = TcpEndpoint(FAR, port, deadline_ns=round(deadline_s * 1e9) + index)  # a connection of its own
    return ModbusDevice(index, name, "test", endpoint, limits, planned.tags, planned.requests)


async def watch(port: int, deadline_s: float, in_far: str) -> dict[str, object]:
    """Both devices read, struck, and back."""
    watcher, loop = Watcher(), asyncio.get_running_loop()
    devices = [device(index, name, port, deadline_s) for index, name in enumerate(INTERVALS_NS)]
    sources = make_sources(devices, [TagImage(1), TagImage(1)], watcher, SystemClock())
    tasks = [asyncio.create_task(connection.run()) for connection in sources.connections]
    await watcher.until(lambda: all(watcher.read_s.values()) and len(watcher.read_s[0]) >= 5)
    shell(f"{in_far} ip route add blackhole {NEAR}/32")
    struck_s = loop.time()
    await watcher.until(lambda: watcher.down(0) and watcher.down(1))
    await asyncio.sleep(max(0.0, struck_s + HOLE_S - loop.time()))
    shell(f"{in_far} ip route del blackhole {NEAR}/32")
    healed_s = loop.time()
    await watcher.until(lambda: all(times[-1] > healed_s for times in watcher.read_s.values()))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return {
        name: {
            "facts": [
                f"{'up' if up else 'down'} {reason}" for _, number, up, reason in watcher.facts if number == index
            ],
            "down_after_s": next(t for t, number, up, _ in watcher.facts if number == index and not up) - struck_s,
            "back_after_s": next(t for t in watcher.read_s[index] if t > healed_s) - healed_s,
            "false_values": sum(struck_s + 0.05 < t < healed_s for t in watcher.read_s[index]),
        }
        for index, name in enumerate(INTERVALS_NS)
    }


def main(server: str, deadline_s: float) -> None:
    opening._IDLE_S, opening._PROBE_S, opening._PROBES = 1, 1, 2
    opening._UNACKNOWLEDGED_MS = 3000  # the same time: in Linux it decides for keep-alive, too
    far = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE)  # holds the namespace
    assert far.stdin is not None
    in_far = f"nsenter --target {far.pid} --net"
    try:
        while Path(f"/proc/{far.pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink():
            time.sleep(0.01)
        shell(
            "ip link add near type veth peer name far",
            f"ip link set far netns {far.pid}",
            f"ip address add {NEAR}/24 dev near",
            "ip link set near up",
            f"{in_far} ip address add {FAR}/24 dev far",
            f"{in_far} ip link set far up",
        )
        command = [*in_far.split(), server]
        with subprocess.Popen(
            command, env={**os.environ, "LISTEN": FAR}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as serving:
            assert serving.stdin is not None
            assert serving.stdout is not None
            print(json.dumps(asyncio.run(watch(int(serving.stdout.readline()), deadline_s, in_far))))
            serving.stdin.close()
    finally:
        far.stdin.close()
        far.wait(10)


if __name__ == "__main__":
    main(str(Path(sys.argv[1])), float(sys.argv[2]))
