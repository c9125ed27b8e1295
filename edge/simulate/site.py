"""Site files of simulated lines: a demo site of any size, a site moved to this machine, the same site for an agent.

Theory. A simulated machine runs X times faster than a real one, but the agent that watches it lives in real time. So
there are two readings of one site: at speed 1 for the machines (cycles as on the rating plate), and for the agent with
every cycle-like figure divided by X and every rate multiplied by it. Everything that belongs to the wire or to people
(polling, holding, commits) stays.

Rules.
* Ports are taken from below the range from which the system gives out local ports: a client that keeps calling a dead
  server on such a port can be given that very port for its own end, and then talks to itself while the server cannot
  come back.
* A port is chosen some time before somebody listens on it. So each process has a block of them that no other one is
  given, and goes round in it: two demos that start together, and two devices of one of them, never meet.
* Texts in, texts out; files are written by whoever asked.
"""

from __future__ import annotations

import functools
import itertools
import os
import random
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from edge.config import compile_site
from edge.config.document import read
from edge.config.problems import Problems
from edge.plan import InfluxSink, Machine, SitePlan
from edge.simulate.history import Scale

Yaml = dict[str, Any]  # a site file as plain data; never leaves this module
_PORTS = range(20_000, 32_000)
_BLOCK = 1_000  # ports of one process
_CYCLES = ("ideal_cycle_s", "slow_s", "small_stop_s", "stop_s")


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One machine of the demo site."""

    kind: str
    brand: str
    base: str
    extra: tuple[tuple[str, object], ...] = ()


def _narrow(modulus: int = 1 << 16) -> tuple[tuple[str, object], ...]:
    each = {"width": 16} if modulus == 1 << 16 else {"width": 16, "modulus": modulus}
    return (("counters", {name: dict(each) for name in ("total", "good", "reject")}),)


# A real load of the steriliser takes most of a day. This one is a small quick chamber, so that a demo of a minute sees
# it finish some and its OEE is not one lucky batch over a short time.
_BATCH = (
    ("counters", {name: {"multiplier": 20} for name in ("total", "good", "reject")}),
    ("ideal_cycle_s", 9.0),
)

# Odd places (1, 3, 5 …, counted from 0) with wide counters and a fast beat are cleared at shift change, see `plant`.
_PATTERNS = (
    _Pattern("flat-mask-1+2", "inovance-h5u", "D1000", _narrow()),
    _Pattern("flat-mask-1+1", "xinje-xd", "D1000"),
    _Pattern("packml", "generic-opcua", "Mask{n}", (("ideal_cycle_s", 0.6),)),
    _Pattern("kn95", "mitsubishi-fx5u", "D1000"),
    _Pattern("tape-sealer", "delta-dvp", "D4080"),
    _Pattern("flat-mask-1+2", "siemens-s7-modbus", "DBW0"),
    _Pattern("suit-station", "siemens-s7-opcua", "Station{n}"),
    _Pattern("kn95", "inovance-h3u", "D2000", _narrow(10_000)),
    _Pattern("eo-steriliser", "siemens-s7-modbus", "DBW0", _BATCH),
    _Pattern("tape-sealer", "xinje-xc", "D1000", _narrow()),
    _Pattern("flat-mask-1+1", "siemens-s7-opcua", "Mask{n}", _narrow(32_768)),
    _Pattern("flat-mask-1+2", "delta-as", "D1000"),
)


def demo_site(
    machines: int,
    *,
    speed: Fraction | float = 1,
    ports: Sequence[int] | None = None,
    protocols: Sequence[str] = ("modbus", "opcua"),
    sinks: Sequence[InfluxSink] = (),
    store: str = "demo/seamline.db",
    page: tuple[str, int] = ("127.0.0.1", 8080),
    language: str = "zh",
    site_id: str = "demo",
) -> str:
    """A site of `machines` machines over all kinds, several PLC brands and the given protocols, as YAML.

    At `speed` 1 it is the site the simulator takes; at any other speed the one an agent takes (`for_agent`). Every
    Modbus machine has a PLC and a port of its own; OPC UA machines share one PackML-shaped server and one plain one.
    `ports` are used in the order of the devices (see `demo_devices`); without them, free ports are looked for on the
    loopback interface.
    """
    patterns = _chosen(machines, protocols)
    given = iter(ports) if ports is not None else free_ports()
    devices: dict[str, Yaml] = {}
    listed: list[Yaml] = []
    for number, pattern in enumerate(patterns, start=1):
        device = _device_id(pattern, number)
        if device not in devices:
            devices[device] = _device(device, pattern, next(given))
        listed.append(
            {
                "id": f"{_short(pattern.kind)}-{number}",
                "template": pattern.kind,
                "device": device,
                "base": pattern.base.format(n=number),
                "line": f"line-{(number - 1) // 4 + 1}",
                **dict(pattern.extra),
            }
        )
    document: Yaml = {
        "site": {
            "id": site_id,
            "enterprise": "示范防护用品有限公司",
            "province": "河南",
            "city": "新乡",
            "name": {"zh": "仿真示范产线", "en": "Simulated lines"},
        },
        "devices": list(devices.values()),
        "machines": listed,
        "sinks": [_sink(sink) for sink in sinks],
        "agent": {
            "store": {"path": store},
            "page": {"host": page[0], "port": page[1]},
            "live_s": 1.0,
            "language": language,
        },
    }
    text = _dump(document)
    return text if speed == 1 else for_agent(text, speed)


def demo_devices(machines: int, protocols: Sequence[str] = ("modbus", "opcua")) -> int:
    """How many devices, and so how many ports, `demo_site` needs."""
    patterns = _chosen(machines, protocols)
    return len({_device_id(pattern, number) for number, pattern in enumerate(patterns, start=1)})


def for_agent(text: str, speed: Fraction | float, folder: Path | None = None) -> str:
    """The site as an agent must see it when its machines run `speed` times faster than the file says.

    `folder` is where the file stands, for templates of its own. Raises `ConfigError`.
    """
    scale = Scale(Fraction(speed).limit_denominator(1_000_000))
    document = _data(text)
    plan = plan_of(text, folder)
    for product in document.get("products") or ():
        _hasten(product, scale)
    for machine in document["machines"]:
        _hasten_machine(machine, next(known for known in plan.machines if known.id == machine["id"]), scale)
    return _dump(document)


def moved_here(text: str, folder: Path) -> str:
    """A site file with its devices moved to this machine: loopback, high ports, OPC UA without security.

    Devices that are on this machine already stay where they are. Paths become absolute, because the file moves.
    """
    document = _data(text)
    ports = free_ports()
    if templates := document.get("templates"):
        document["templates"] = str((folder / templates).resolve())
    for device in document.get("devices") or ():
        if url := device.get("url"):
            device["security"] = {"policy": "None", "mode": "None"}
            address = urlsplit(url)
            if not _is_here(address.hostname, address.port):
                device["url"] = f"opc.tcp://127.0.0.1:{next(ports)}{address.path}"
        elif not _is_here(device.get("host"), device.get("port")):
            device["host"], device["port"] = "127.0.0.1", next(ports)
    return _dump(document)


def plan_of(text: str, folder: Path | None = None) -> SitePlan:
    """The compiled plan of a site text, without its sinks: their secrets are none of the simulator's business.

    `folder` is where the file stands. Raises `ConfigError`.
    """
    document = _data(text)
    document.pop("sinks", None)
    return compile_site(_dump(document), (folder or Path.cwd()) / "site.yaml", os.environ)


def free_ports() -> Iterator[int]:
    """Ports nobody listens on now, each once. No other process on this machine that asks here is given the same."""
    return (port for port in itertools.islice(_round(), _BLOCK) if not _is_taken(port))


@functools.cache
def _round() -> Iterator[int]:
    """The block of this process, round and round; one for all callers."""
    blocks = [_PORTS[first : first + _BLOCK] for first in range(0, len(_PORTS), _BLOCK)]
    random.SystemRandom().shuffle(blocks)
    return itertools.cycle(next((block for block in blocks if _hold(block)), blocks[0]))


def _hold(block: range) -> bool:
    """Whether this block is ours: until the process ends, however it ends."""
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        holder.bind(f"\0seamline-ports-{block.start}")  # abstract: as narrow as ports are, one network namespace
    except OSError:
        holder.close()
        return False
    holder.detach()
    return True


def _is_taken(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _is_here(host: str | None, port: int | None) -> bool:
    try:
        local = host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        local = False
    return local and (port or 0) >= 1024


def _chosen(machines: int, protocols: Sequence[str]) -> list[_Pattern]:
    fitting = [pattern for pattern in _PATTERNS if ("opcua" if "opcua" in pattern.brand else "modbus") in protocols]
    if machines < 1 or not fitting:
        raise ValueError(f"{machines} machines over {list(protocols)}")
    return [fitting[number % len(fitting)] for number in range(machines)]


def _device_id(pattern: _Pattern, number: int) -> str:
    if "opcua" in pattern.brand:
        return "opcua-packml" if pattern.kind == "packml" else "opcua-plain"
    return f"plc-{number}"


def _device(device: str, pattern: _Pattern, port: int) -> Yaml:
    if device.startswith("opcua"):
        security = {"policy": "None", "mode": "None"}
        return {
            "id": device,
            "template": pattern.brand,
            "url": f"opc.tcp://127.0.0.1:{port}",
            "security": security,
            "publishing_s": 0.5,
        }
    return {"id": device, "template": pattern.brand, "host": "127.0.0.1", "port": port}


def _short(kind: str) -> str:
    family = {"flat-mask-1+1": "mask", "flat-mask-1+2": "mask", "suit-station": "suit", "eo-steriliser": "eo"}
    return family.get(kind, kind.split("-")[0])


def _sink(sink: InfluxSink) -> Yaml:
    own = ("database", "retention_policy", "user", "password") if sink.version == 1 else ("org", "bucket", "token")
    fields = {name: getattr(sink, name) for name in own if getattr(sink, name)}
    return {"id": sink.id, "type": f"influxdb{sink.version}", "url": sink.url, **fields}


def _hasten_machine(machine: Yaml, plan: Machine, scale: Scale) -> None:
    product = machine.get("product")
    for own in ([product] if isinstance(product, dict) else []) + [
        item for item in machine.get("products") or () if isinstance(item, dict)
    ]:
        _hasten(own, scale)
    cycles = {item.ideal_cycle_ns for item in plan.products}
    if len(cycles) == 1:
        machine["ideal_cycle_s"] = _faster(cycles.pop() / 1e9, scale)
    else:  # from a template, perhaps: say each one's cycle here
        machine["products"] = [
            {
                **_named(machine.get("products") or (), item.id),
                "id": item.id,
                "ideal_cycle_s": _faster(item.ideal_cycle_ns / 1e9, scale),
            }
            for item in plan.products
        ]
    counters = machine.setdefault("counters", {})
    for rule in plan.counters:
        name = rule.counter.name.lower()
        own = dict(counters.get(name) or {})
        counters[name] = {**own, "max_rate_per_s": float(rule.max_rate_per_s * scale.speed)}


def _named(products: Sequence[Any], product: str) -> Yaml:
    return next((item for item in products if isinstance(item, dict) and item.get("id") == product), {})


def _hasten(product: Yaml, scale: Scale) -> None:
    for name in _CYCLES:
        if product.get(name) is not None:
            product[name] = _faster(product[name], scale)


def _faster(seconds: float, scale: Scale) -> float:
    return float(round(Fraction(seconds).limit_denominator(10**12) / scale.speed, 12))


def _data(text: str) -> Yaml:
    problems = Problems()
    document = read(text, "site.yaml", problems)
    problems.raise_if_any()
    assert document
    assert isinstance(document.data, dict)
    return document.data


def _dump(document: Yaml) -> str:
    return yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=120)
