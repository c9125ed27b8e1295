"""The Modbus benchmarks work: devices in C, sites of many tags, other clients beside ours. No figure is judged here."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KEYS = ["name", "value", "unit", "reference", "ratio", "min", "max", "runs"]
START = f"import sys; sys.path.append({str(ROOT)!r}); from benchmarks.__main__ import main; "


def bench(name: str, setup: str) -> dict[str, dict[str, object]]:
    """The results of one benchmark, by name."""
    code = f"{START}import benchmarks.{name.partition('.')[0]} as b; {setup}\nsys.exit(main(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-Ic", code, name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(list(result) == KEYS for result in results)
    return {result["name"]: result for result in results}


def test_a_read_is_measured_beside_other_clients() -> None:
    results = bench("modbus_request_cpu", "b.ROUNDS = 1; b.READS = 80; b.CASES = ('client', 'agent', 'libmodbus')")
    assert list(results) == [f"modbus_request_cpu.{name}" for name in ("client", "agent", "libmodbus")]
    assert all(result["value"] > 0 and result["ratio"] > 0 for result in results.values())


def test_the_whole_agent_on_a_site_of_many_tags() -> None:
    """Every cycle the fewest requests there can be, as the devices counted them."""
    results = bench(
        "modbus_10k_100ms.holed", "b.RUNS = 1; b.DEVICES = 2; b.TAGS = 120; b.SETTLE_S = 0.0; b.WINDOW_S = 2.0"
    )
    name = "modbus_10k_100ms.holed"
    assert list(results) == [
        f"{name}{suffix}" for suffix in ("_cpu", "", "_late_p50", "_late_p99", "_requests", "_start")
    ]
    assert results[f"{name}_requests"]["reference"] == 2 * 3
    assert 0 < results[f"{name}_requests"]["value"] < 2 * 6, "a machine that is very busy skips cycles"


def test_dead_and_slow_devices_beside_healthy_ones() -> None:
    results = bench(
        "modbus_lateness",
        "from benchmarks.rig.big_site import Plant; b.PLANT = Plant(4, 20); b.BAD = {1: 'mute', 2: 'gone', 3: 300}; "
        "b.RUNS = 1; b.SETTLE_S = 0; b.WINDOW_S = 2",
    )
    assert list(results) == [f"modbus_lateness{suffix}" for suffix in ("", "_p50", "_max", "_connections")]
    assert results["modbus_lateness"]["value"] > 0


def test_a_peer_that_does_not_install_is_named_with_its_reason() -> None:
    results = bench(
        "modbus_peers.node_red",
        "b.RUNS = 1\ndef no(name): raise b.NotInstalledError('no registry')\n"
        "b._peer = no; b._agent = lambda: b.Cost(40.0, 1.0, 20.0)",
    )
    memory = results["modbus_peers.node_red"]
    assert memory["unit"] == "MiB (node_red did not install: no registry)"
    assert (memory["value"], memory["reference"], memory["ratio"]) == (40.0, None, None)


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def ask(port: int, address: int, quantity: int) -> tuple[int, ...]:
    """Holding registers of a device."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, address, quantity))
        reply = connection.recv(300)
    return struct.unpack(f">{quantity}H", reply[9:])


@pytest.mark.usefixtures("rig")
def test_devices_answer_as_their_kind_says_and_count_what_they_see(tmp_path: Path) -> None:
    from benchmarks.rig.modbus_devices import MUTE, ModbusDevices

    with ModbusDevices(tmp_path, [0, 200, MUTE], registers=40) as devices:
        now, late, mute = devices.ports
        assert ask(now, 0, 1) == (2,), "it runs"
        assert set(ask(now, 16, 24)) <= {*range(1000, 1802)}
        assert ask(late, 0, 1) == (2,)
        with socket.create_connection(("127.0.0.1", mute), timeout=30) as silent:
            silent.sendall(struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, 0, 1))
            silent.settimeout(0.3)
            with pytest.raises(TimeoutError):
                silent.recv(1)
        seen = devices.seen()
        assert (seen.requests, seen.connections) == (3, 4)
        assert 0 < seen.late_p50_ms <= seen.late_p99_ms <= 1000, "lateness within the interval"
        assert devices.seen().requests == 0, "since the last call"


@pytest.mark.usefixtures("rig")
@pytest.mark.parametrize(("map_", "tags", "requests"), [("contiguous", 1000, 9), ("holed", 300, 6)])
def test_the_fewest_requests_are_what_the_planner_needs(map_: str, tags: int, requests: int, tmp_path: Path) -> None:
    from benchmarks.rig.big_site import Plant, write_site
    from edge.config import load

    plant = Plant(devices=1, tags=tags, map=map_)
    plan = load(write_site(tmp_path, plant, [502], 8080), {})
    (device,), (machine,) = plan.devices, plan.machines
    assert len(device.tags) == tags
    assert len(machine.process_values) == tags - 3
    assert len(device.requests) == plant.requests == requests
