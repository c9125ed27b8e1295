"""Promise: PackML (OPC 30050) and Machinery (OPC 40001-1) as the OPC Foundation's nodesets define them become machine
signals through the shipped templates, on a server nobody here wrote; three nested state machines are one sample."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

from peers.node_opcua import CompanionPeer
from peers.recorder import Recorder

from edge.clock import SystemClock
from edge.config import compile_site
from edge.machines.observer import Observer
from edge.plan import OpcuaDevice
from edge.poll.opcua import OpcuaPoller
from ext.buckets import Bucket
from protocols.reading import Frame, Quality, TagImage

SITE = """
site: {{id: s, enterprise: e, province: p, city: c}}
devices:
  - {{id: pack, template: generic-opcua, url: '{url}', security: {{policy: "None"}}, publishing_s: 0.2, sampling_s: 0.1,
      nodes: {{pattern: "/0:Objects/{{base}}/{{tag}}", separator: /, prefix: "nsu=http://opcfoundation.org/UA/PackML/;"}}}}
  - {{id: item, template: generic-opcua, url: '{url}', security: {{policy: "None"}}, publishing_s: 0.2, sampling_s: 0.1,
      nodes: {{pattern: "/0:Objects/{{base}}/{{tag}}", separator: /,
        prefix: "nsu=http://opcfoundation.org/UA/Machinery/;"}}}}
machines:
  - {{id: filler, template: packml-30050, device: pack, base: "nsu=urn:seamline:companion;Filler"}}
  - {{id: press, template: machinery, device: item, base: "nsu=urn:seamline:companion;Press"}}
"""
BASE = "Filler__BaseStateMachine__"
STATES = (
    f"{BASE}CurrentState__Number",
    f"{BASE}MachineState__CurrentState__Number",
    f"{BASE}MachineState__ExecuteState__CurrentState__Number",
)
BLOCKS = "Press__MachineryBuildingBlocks__"


async def test_companion_models_become_machine_signals(tmp_path: Path) -> None:
    """State and mode are read by browse names; each change of the three state machines arrives whole."""
    async with CompanionPeer(tmp_path) as peer:
        await peer.set(**{path: ("UInt32", number) for path, number in zip(STATES, (19, 18, 6), strict=True)})
        await peer.set(
            **{
                f"{BLOCKS}MachineryItemState__CurrentState__Number": ("UInt32", 3),
                f"{BLOCKS}MachineryOperationMode__CurrentState__Number": ("UInt32", 3),
                f"{BLOCKS}OperationCounters__OperationCycleCounter": ("UInt32", 7),
                f"{BLOCKS}OperationCounters__PowerOnDuration": ("Double", 60_000.0),
            }
        )
        plan = compile_site(SITE.format(url=peer.url), tmp_path / "site.yaml", {})
        images = [TagImage(len(device.tags)) for device in plan.devices]
        filler, press = (Observer(machine, images) for machine in plan.machines)
        pack = plan.devices[0]
        assert isinstance(pack, OpcuaDevice)
        three = [
            [tag.name for tag in pack.tags].index(f"filler.{name}_state") for name in ("base", "machine", "execute")
        ]
        seen: list[tuple[int, ...]] = []

        class Watch(Recorder):
            def on_frame(self, frame: Frame) -> None:
                if frame.device == 0 and not set(three).isdisjoint(frame.tags):
                    seen.append(tuple(images[0].i64[tag] for tag in three))
                super().on_frame(frame)

        heard, clock = Watch(), SystemClock()
        pollers = [
            OpcuaPoller(device, image, heard, clock, jitter=Random(1))
            for device, image in zip(plan.devices, images, strict=True)
            if isinstance(device, OpcuaDevice)
        ]
        tasks = [asyncio.create_task(poller.run()) for poller in pollers]
        try:
            await heard.until(lambda: bool(seen) and images[1].quality[:5].count(Quality.GOOD) == 5, 30)
            names = [tag.name for tag in plan.devices[1].tags]
            assert images[1].i64[names.index("press.total")] == 7
            assert images[1].f64[names.index("press.power_on")] == 60_000.0
            now_ns = clock.now_ns()
            assert (filler.sample(now_ns).bucket, filler.sample(now_ns).state) == (Bucket.RUN, "execute")
            assert press.sample(now_ns).state == "execute"
            await peer.set(**{path: ("UInt32", number) for path, number in zip(STATES, (19, 2, 0), strict=True)})
            await heard.until(lambda: seen[-1] == (19, 2, 0), 20)
            await peer.set(**{path: ("UInt32", number) for path, number in zip(STATES, (9, 0, 1), strict=True)})
            await heard.until(lambda: seen[-1] == (9, 0, 1), 20)
            assert set(seen) == {(19, 18, 6), (19, 2, 0), (9, 0, 1)}, "never a state that never was"
            assert filler.sample(clock.now_ns()).state == "aborted"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
