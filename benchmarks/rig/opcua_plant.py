"""Servers for the benchmarks, each a process of its own: COUNT doubles that change every PERIOD_MS, to the same number.

`serving` is node-opcua, a foreign stack (its packages come with `make peers`); `beating` is faster than any client
(`opcua_beat.py`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PEER = Path(__file__).parents[2] / "tests" / "peers" / "opcua"
NODE = "nsu=urn:seamline:peer;s=V{}"


@contextmanager
def serving(count: int, period_ms: int, *, secure: bool = False) -> Iterator[str]:
    """The server while it runs; its address."""
    node = shutil.which("node")
    if node is None or not (PEER / "node_modules" / "node-opcua").is_dir():
        raise RuntimeError("node-opcua is missing: install nodejs and npm, then run `make peers`")
    with tempfile.TemporaryDirectory(prefix="seamline-bench-") as folder:
        limits = {"perRead": 1000, "perMonitor": 1000, "perTranslate": 1000}
        options = {"items": count, "period": period_ms, "secure": secure, "folder": folder, "sessions": 50, **limits}
        with _running([node, str(PEER / "server.js"), json.dumps(options)]) as url:
            yield url


@contextmanager
def beating(count: int, period_ms: int) -> Iterator[str]:
    """The fast server while it runs; its address."""
    script = Path(__file__).with_name("opcua_beat.py")
    with _running([sys.executable, str(script), str(count), str(period_ms)]) as url:
        yield url


@contextmanager
def _running(command: list[str]) -> Iterator[str]:
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        port = next(json.loads(line)["port"] for line in process.stdout if line.startswith(b"{"))
        yield f"opc.tcp://127.0.0.1:{port}"
        process.stdin.close()
        process.wait(20)


@dataclass(frozen=True, slots=True)
class Listened:
    """What one client cost; see `opcua_listen.py`."""

    values: int
    cpu_s: float
    seconds: float
    rss_mib: float
    lost: int
    p50_ms: float | None
    p99_ms: float | None


def listened(which: str, url: str, count: int, period_ms: int, seconds: float) -> Listened:
    """Run one client ("ours" or "iterator") to its end."""
    script = Path(__file__).with_name("opcua_listen.py")
    command = [sys.executable, str(script), which, url, str(count), str(period_ms), str(seconds)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, check=True)
    return Listened(**json.loads(done.stdout))
