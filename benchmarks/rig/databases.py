"""Real databases under measurement: each a process of its own, in a folder and on a port of its own."""

from __future__ import annotations

import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.rig.process import Program

DATABASE = "bench"
DEDUP = "100ms"
_READY_LIMIT_S = 30.0
_INFLUX = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{home}/meta"
[data]
  dir = "{home}/data"
  wal-dir = "{home}/wal"
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
"""


@contextmanager
def influx1(home: Path) -> Iterator[str]:
    """The url of an InfluxDB 1.x with an empty database `DATABASE`."""
    home.mkdir(parents=True)
    port = free_port()
    config = home / "influxdb.conf"
    config.write_text(_INFLUX.format(home=home, port=port, rpc=free_port()))
    url = f"http://127.0.0.1:{port}"
    with Program(["influxd", "-config", str(config)]) as server:
        _until_ready(f"{url}/ping", server)
        form = urllib.parse.urlencode({"q": f'CREATE DATABASE "{DATABASE}"'}).encode()
        urllib.request.urlopen(f"{url}/query", data=form, timeout=10).close()
        yield url


@contextmanager
def victoria(home: Path) -> Iterator[str]:
    """The url of a VictoriaMetrics with the flags our points need."""
    port = free_port()
    flags = [f"-storageDataPath={home}", f"-httpListenAddr=127.0.0.1:{port}", f"-dedup.minScrapeInterval={DEDUP}"]
    with Program(["victoria-metrics", *flags, "-loggerLevel=ERROR", "-retentionPeriod=100y"]) as server:
        _until_ready(f"http://127.0.0.1:{port}/ping", server)
        yield f"http://127.0.0.1:{port}"


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _until_ready(url: str, server: Program) -> None:
    end_s = time.monotonic() + _READY_LIMIT_S
    while True:
        server.alive()
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            if time.monotonic() > end_s:
                raise
            time.sleep(0.02)
