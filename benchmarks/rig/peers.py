"""Other gateways as whole processes, polling the same PLCs: what a plant would run instead.

Each is installed by its own package manager into `build/peers`, once, and never beside the product. Neither has a
database here: node-red's flow ends behind the reading, thingsboard-gateway publishes to a broker that says yes to
everything (`mqtt_sink.py`), so the figures are polling and conversion.

Notes. node-red-contrib-modbus depends on a package of a host that may be out of reach; modbus-serial, of which that is
a copy, stands in for it. thingsboard-gateway installs pymodbus by itself when it starts, so that is done before. By
default it asks for 16 registers at a time; `maxRegistersPerRequest` lets it ask for all.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.rig.process import Program

CACHE = Path(__file__).parents[2] / "build" / "peers"
_NODE_RED = {
    "private": True,
    "dependencies": {"node-red": "4.1.15", "node-red-contrib-modbus": "5.45.2"},
    "overrides": {"@openp4nr/modbus-serial": "npm:modbus-serial@8.0.25"},
}
_THINGSBOARD = ("thingsboard-gateway==3.8.5", "pymodbus==3.9.2", "pyserial", "pyserial-asyncio")
_INSTALL_LIMIT_S = 600
_DONE = "installed"  # empty file beside a complete installation


class NotInstalledError(Exception):
    """Why a peer cannot be measured here."""


def node_red(folder: Path, ports: Sequence[int], registers: int) -> Program:
    """A flow of one reading node for each PLC, every second. Raises NotInstalledError."""
    home = CACHE / "node-red"
    npm = shutil.which("npm")
    if npm is None:
        raise NotInstalledError("npm is missing")
    home.mkdir(parents=True, exist_ok=True)
    (home / "package.json").write_text(json.dumps(_NODE_RED))
    _installed(home, [[npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(home)]])
    flow: list[dict[str, object]] = [{"id": "tab", "type": "tab", "label": "bench"}]
    for number, port in enumerate(ports):
        server = {"tcpHost": "127.0.0.1", "tcpPort": port, "tcpType": "DEFAULT", "unit_id": 1, "clientTimeout": 1000}
        timing = {"reconnectTimeout": 2000, "reconnectOnTimeout": True, "commandDelay": 1, "bufferCommands": True}
        flow.append({"id": f"c{number}", "type": "modbus-client", "clienttype": "tcp", **server, **timing})
        what = {"dataType": "HoldingRegister", "adr": 0, "quantity": registers, "rate": 1, "rateUnit": "s", "unitid": 1}
        flow.append(
            {"id": f"r{number}", "type": "modbus-read", "z": "tab", "server": f"c{number}", "wires": [[], []], **what}
        )
    (folder / "flows.json").write_text(json.dumps(flow))
    (folder / "settings.js").write_text(
        f"module.exports = {{flowFile: 'flows.json', uiPort: 0, uiHost: '127.0.0.1', httpAdminRoot: false, "
        f"httpNodeRoot: false, nodesDir: {json.dumps(str(home / 'node_modules'))}}};"
    )
    (folder / "node_modules").symlink_to(home / "node_modules")
    (folder / "package.json").write_text(json.dumps(_NODE_RED))
    return Program(["node", str(home / "node_modules" / "node-red" / "red.js"), "--userDir", str(folder)])


def thingsboard(folder: Path, ports: Sequence[int], registers: int, broker_port: int) -> Program:
    """The gateway with one Modbus connector, each PLC polled every second as one range. Raises NotInstalledError."""
    home = CACHE / "thingsboard"
    python = home / "bin" / "python"
    steps = [] if python.exists() else [[sys.executable, "-m", "venv", str(home)]]
    _installed(home, [*steps, [str(python), "-m", "pip", "install", "-q", *_THINGSBOARD]])
    shipped = next((home / "lib").glob("python*/site-packages/thingsboard_gateway/config"))
    settings = json.loads((shipped / "tb_gateway.json").read_text())
    settings["thingsboard"] |= {
        "host": "127.0.0.1",
        "port": broker_port,
        "remoteConfiguration": False,
        "statistics": {"enable": False, "statsSendPeriodInSeconds": 3600},
        "security": {"type": "accessToken", "accessToken": "bench"},
    }
    settings["connectors"] = [{"name": "modbus", "type": "modbus", "configuration": "modbus.json"}]
    every = {
        "tag": "all",
        "type": "16uint",
        "functionCode": 3,
        "address": f"0-{registers - 1}",
        "objectsCount": 1,
        "maxRegistersPerRequest": 125,
    }
    slaves = [
        {
            "host": "127.0.0.1",
            "port": port,
            "type": "tcp",
            "method": "socket",
            "unitId": 1,
            "timeout": 1,
            "deviceName": f"plc-{port}",
            "deviceType": "default",
            "pollPeriod": 1000,
            "byteOrder": "BIG",
            "wordOrder": "BIG",
            "retries": 0,
            "retryOnEmpty": False,
            "retryOnInvalid": False,
            "connectAttemptTimeMs": 5000,
            "connectAttemptCount": 5,
            "waitAfterFailedAttemptsMs": 5000,
            "attributes": [],
            "attributeUpdates": [],
            "rpc": [],
            "timeseries": [every],
        }
        for port in ports
    ]
    logs = json.loads((shipped / "logs.json").read_text())
    for name, content in (("tb_gateway", settings), ("modbus", {"master": {"slaves": slaves}}), ("logs", logs)):
        (folder / f"{name}.json").write_text(json.dumps(content))
    start = f"import os; os.chdir({str(folder)!r}); from thingsboard_gateway.tb_gateway import main; main()"
    return Program([str(python), "-c", start], env={"TB_GW_CONFIG_DIR": str(folder), "PATH": "/usr/bin:/bin"})


def _installed(home: Path, steps: Sequence[Sequence[str]]) -> None:
    if (home / _DONE).exists():
        return
    for step in steps:
        try:
            done = subprocess.run(step, capture_output=True, text=True, check=False, timeout=_INSTALL_LIMIT_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotInstalledError(str(error)) from error
        if done.returncode:
            raise NotInstalledError(" ".join(done.stderr.split())[-200:])
    (home / _DONE).touch()
