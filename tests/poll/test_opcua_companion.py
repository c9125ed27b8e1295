"""Promise: PackML (OPC 30050), Machinery (OPC 40001-1) and jobs (OPC 40001-3) as the OPC Foundation's nodesets define
them become machine signals through the shipped templates, on two servers nobody here wrote; three nested state machines
are one sample."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from peers.asyncua_companion import AsyncuaCompanion
from peers.node_opcua import CompanionPeer
from peers.recorder import Recorder

from edge.clock import SystemClock
from edge.config import compile_site
from edge.machines.observer import Observer
from edge.plan import OpcuaDevice, SitePlan
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
  - {{id: press, template: machinery-jobs, device: item, base: "nsu=urn:seamline:companion;Press",
      tags: {{product_id: {{codes: {{MASK-17: 1, MASK-18: 2}}}}}},
      products: [{{id: blue, code: 1, ideal_cycle_s: 1}}, {{id: white, code: 2, ideal_cycle_s: 1}}]}}
"""
BASE, BLOCKS = "Filler__BaseStateMachine__", "Press__MachineryBuildingBlocks__"
THREE = (
    f"{BASE}CurrentState__Number",
    f"{BASE}MachineState__CurrentState__Number",
    f"{BASE}MachineState__ExecuteState__CurrentState__Number",
)
JOBS = f"{BLOCKS}JobManagement__"
MODES, STATES = 4, 18  # of the state times; other servers have 32 of each


def states(base: int, machine: int, execute: int) -> dict[str, tuple[str, Any]]:
    return {path: ("UInt32", number) for path, number in zip(THREE, (base, machine, execute), strict=True)}


def count(acc: int) -> tuple[str, Any]:
    unit = {"NamespaceUri": "urn:u", "UnitId": 4408652}
    one = {"ID": 1, "Name": "good", "Unit": unit, "Count": acc % 1000, "AccCount": acc}
    return "PackMLCountDataType[]", [one, one | {"AccCount": 99}]


def packml() -> dict[str, tuple[str, Any]]:
    """Everything of the PackML machine that the template reads."""
    admin, status = "Filler__Admin__", "Filler__Status__"
    return states(19, 18, 6) | {
        f"{admin}ProdProcessedCount": count(123_456),
        f"{admin}ProdDefectiveCount": count(321),
        f"{admin}ProdConsumedCount": count(124_000),
        f"{admin}StopReason": ("PackMLAlarmDataType", {"ID": 17, "Value": 1, "Message": "jam"}),
        f"{admin}AccTimeSinceReset": ("Int32", 86_400),
        f"{admin}MachDesignSpeed": ("Float", 120.0),
        f"{admin}StateCumulativeTime": (
            "Int32[,]",
            {
                "dimensions": [MODES, STATES],
                "values": [1000 * (at // STATES) + at % STATES for at in range(MODES * STATES)],
            },
        ),
        f"{admin}ModeCumulativeTime": ("Int32[]", [0, 100, 200, 300]),
        f"{status}UnitModeCurrent": ("Int32", 1),
        f"{status}StateChangeInProcess": ("Boolean", False),
        f"{status}EquipmentBlocked": ("Boolean", False),
        f"{status}EquipmentStarved": ("Boolean", False),
        f"{status}CurMachSpeed": ("Float", 99.5),
        f"{status}MachSpeed": ("Float", 100.0),
        f"{status}Product": ("PackMLProductDataType[]", [{"ProductID": 5, "ProcessVariables": [], "Ingredients": []}]),
    }


def job(order: str, state: int, material: str, planned: str) -> dict[str, Any]:
    produced = {"MaterialDefinitionID": material, "MaterialUse": "Material produced", "Quantity": planned}
    consumed = {"MaterialDefinitionID": "WIRE", "MaterialUse": "Material consumed", "Quantity": "9"}
    return {
        "JobOrder": {"JobOrderID": order, "Priority": 3, "MaterialRequirements": [consumed, produced]},
        "State": [{"StateNumber": state}],
    }


def response(order: str, state: int, made: float, good: float) -> dict[str, Any]:
    said = {"GoodQuantity": good, "ProducedQuantity": made}
    return {
        "JobResponseID": "r" + order,
        "JobOrderID": order,
        "JobState": [{"StateNumber": state}],
        "JobResponseData": [{"ID": key, "Value": {"dataType": "Double", "value": said[key]}} for key in said],
    }


def jobs(orders: list[dict[str, Any]], responses: list[dict[str, Any]]) -> dict[str, tuple[str, Any]]:
    return {
        f"{JOBS}JobOrderControl__JobOrderList": ("ISA95JobOrderAndStateDataType[]", orders),
        f"{JOBS}JobOrderResults__JobOrderResponseList": ("ISA95JobResponseDataType[]", responses),
    }


def machinery(state: int = 3, mode: int = 3) -> dict[str, tuple[str, Any]]:
    return {
        f"{BLOCKS}MachineryItemState__CurrentState__Number": ("UInt32", state),
        f"{BLOCKS}MachineryOperationMode__CurrentState__Number": ("UInt32", mode),
        f"{BLOCKS}OperationCounters__OperationCycleCounter": ("UInt32", 7),
        f"{BLOCKS}OperationCounters__PowerOnDuration": ("Double", 60_000.0),
    }


class Seen(Recorder):
    """Both devices, and every sample in which a state machine changed."""

    def __init__(self, plan: SitePlan) -> None:
        super().__init__()
        self.plan = plan
        self.images = [TagImage(len(device.tags)) for device in plan.devices]
        self.names = [{tag.name: at for at, tag in enumerate(device.tags)} for device in plan.devices]
        self.three = [self.names[0][f"filler.{name}_state"] for name in ("base", "machine", "execute")]
        self.samples: list[tuple[int, ...]] = []

    def on_frame(self, frame: Frame) -> None:
        if frame.device == 0 and not set(self.three).isdisjoint(frame.tags):
            self.samples.append(tuple(self.images[0].i64[tag] for tag in self.three))
        super().on_frame(frame)

    def value(self, name: str) -> int | float | str:
        """A tag's value: a text, a fraction, else an integer."""
        device = 0 if name.startswith("filler.") else 1
        at, image = self.names[device][name], self.images[device]
        return image.text[at] if at in image.text else image.i64[at]

    def bad(self, device: int) -> set[str]:
        return {name for name, at in self.names[device].items() if self.images[device].quality[at] != Quality.GOOD}


@asynccontextmanager
async def watched(url: str, folder: Path) -> AsyncIterator[Seen]:
    plan = compile_site(SITE.format(url=url), folder / "site.yaml", {})
    seen, clock = Seen(plan), SystemClock()
    tasks = [
        asyncio.create_task(OpcuaPoller(device, image, seen, clock, jitter=Random(1)).run())
        for device, image in zip(plan.devices, seen.images, strict=True)
        if isinstance(device, OpcuaDevice)
    ]
    try:
        yield seen
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("peer_of", [CompanionPeer, AsyncuaCompanion], ids=["node-opcua", "asyncua"])
async def test_companion_models_become_machine_signals(peer_of: Any, tmp_path: Path) -> None:
    """States, modes, counts, state times, jobs: every tag of both templates is good, and each change of the three state
    machines arrives whole."""
    async with peer_of(tmp_path) as peer:
        first = [job("4710", 2, "MASK-18", "500"), job("4711", 3, "MASK-17", "1200.0")]
        await peer.set(**packml())
        await peer.set(**machinery(), **jobs(first, [response("4711", 3, 250.0, 240.0)]))
        async with watched(peer.url, tmp_path) as seen:
            await seen.until(lambda: seen.samples and not seen.bad(0) and not seen.bad(1))
            _packml_says(seen)
            await _jobs_say(peer, seen)
            await _states_are_whole(peer, seen)


def _packml_says(seen: Seen) -> None:
    counts = {
        name: seen.value(f"filler.{name}") for name in ("total", "reject", "consumed", "fault_code", "product_id")
    }
    assert counts == {"total": 123_456, "reject": 321, "consumed": 124_000, "fault_code": 17, "product_id": 5}
    assert (seen.value("filler.mode"), seen.value("filler.acc_time"), seen.value("filler.speed")) == (1, 86_400, 100)
    times = [seen.value(f"filler.{name}_s") for name in ("clearing", "execute", "complete", "maintenance", "manual")]
    assert times == [1001, 1006, 1017, 200, 300]
    filler = Observer(seen.plan.machines[0], seen.images)
    sample = filler.sample(SystemClock().now_ns())
    assert (sample.bucket, sample.state) == (Bucket.RUN, "execute")


async def _jobs_say(peer: Any, seen: Seen) -> None:
    clock, press = SystemClock(), Observer(seen.plan.machines[1], seen.images)
    names = ("order", "product_id", "planned", "total", "good", "cycles")
    assert [seen.value(f"press.{name}") for name in names] == ["4711", "MASK-17", 1200, 250, 240, 7]
    sample = press.sample(clock.now_ns())
    assert (sample.state, seen.plan.machines[1].products[press.product].id) == ("execute", "blue")
    orders = [job("4711", 5, "MASK-17", "1200"), job("4710", 4, "MASK-18", "500")]
    await peer.set(**jobs(orders, [response("4711", 5, 1200.0, 1150.0), response("4710", 4, 3.0, 3.0)]))
    await seen.until(lambda: seen.value("press.order") == "4710" and seen.value("press.good") == 3)
    assert press.sample(clock.now_ns()).state == "execute"
    assert seen.plan.machines[1].products[press.product].id == "white"
    await peer.set(**machinery(2), **jobs([job("4711", 5, "MASK-17", "1200")], []))
    absent = {"press.planned", "press.total", "press.good"}
    await seen.until(lambda: seen.value("press.order") == "" and seen.bad(1) == absent)
    await seen.until(lambda: press.sample(clock.now_ns()).state == "no-order")


async def _states_are_whole(peer: Any, seen: Seen) -> None:
    for three in ((19, 2, 0), (9, 0, 1)):
        await peer.set(**states(*three))
        await seen.until(lambda three=three: seen.samples[-1] == three)
    assert set(seen.samples) == {(19, 18, 6), (19, 2, 0), (9, 0, 1)}, "never a state that never was"
    filler = Observer(seen.plan.machines[0], seen.images)
    assert filler.sample(SystemClock().now_ns()).state == "aborted"
