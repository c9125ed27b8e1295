"""The main job, end to end, while everything that can be killed is killed: the books must agree to the piece."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.timeout(240)

AGENT, MACHINES = "run", "simulate"


class DemoRun:
    """`seamline demo` as a process, and its children by role."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.stderr = (folder.parent / f"{folder.name}.stderr").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-Im", "edge.cli", "--lang", "en", "demo", "--json", "--keep", str(folder), *arguments],
            stdout=subprocess.PIPE,
            stderr=self.stderr,
            text=True,
        )

    def pid_of(self, role: str) -> int | None:
        for child in psutil.Process(self.process.pid).children():
            if role in child.cmdline():
                return child.pid
        return None

    def kill(self, role: str) -> None:
        pid = self.pid_of(role)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)

    def wait_for_go(self) -> None:
        """Production has begun: the journal of the machines says so."""
        journal = self.folder / "journal.jsonl"
        deadline = time.monotonic() + 60
        while not (journal.exists() and '"go"' in journal.read_text()):
            assert self.process.poll() is None, self.words()
            assert time.monotonic() < deadline, self.words()
            time.sleep(0.1)

    def finish(self) -> dict:
        out, _ = self.process.communicate(timeout=150)
        assert out.strip(), self.words()
        document = json.loads(out)
        document["status"] = self.process.returncode
        return document

    def words(self) -> str:
        self.stderr.flush()
        logs = [f"== {log.name}\n{log.read_text()[-3000:]}" for log in sorted(self.folder.glob("*.log"))]
        return Path(self.stderr.name).read_text()[-5000:] + "\n".join(logs)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.stderr.close()


@pytest.fixture
def demo(tmp_path, request):
    runs = []

    def start(*arguments: str) -> DemoRun:
        runs.append(DemoRun(tmp_path / f"demo{len(runs)}", *arguments))
        return runs[-1]

    yield start
    for run in runs:
        run.close()


def disagreements(document):
    """Machines whose four counts or OEE differ; the keys are the promised ones."""
    keys = ["id", "kind", "protocol", "made", "counted", "stored", "delivered", "oee_truth", "oee"]
    assert all(list(machine) == keys for machine in document["machines"])
    return [
        m
        for m in document["machines"]
        if len({m["made"], m["counted"], m["stored"]} | ({m["delivered"]} - {None})) != 1
        or abs((m["oee"] or 0) - (m["oee_truth"] or 0)) > 1e-6
    ]


def test_kills_change_nothing_in_the_books(demo, influx):
    """Agent killed five times, the PLCs' server and InfluxDB once each, wraps and resets meanwhile:

    made = counted = stored = delivered.
    """
    server, database = influx
    seed = random.SystemRandom().randrange(1_000_000)
    print("seed", seed)
    chance = random.Random(seed)
    run = demo(
        "--for", "45s", "--machines", "12", "--seed", str(seed),
        "--influx", server.url, "--influx-database", database, "--page-port", "0",
    )  # fmt: skip
    run.wait_for_go()
    victims = [AGENT] * 5 + [MACHINES, "influxd"]
    chance.shuffle(victims)
    for victim in victims:
        time.sleep(chance.uniform(2.0, 6.0))
        if victim == "influxd":
            server.kill()
            time.sleep(chance.uniform(0.5, 3.0))
            server.start()
        else:
            run.kill(victim)
    document = run.finish()
    assert disagreements(document) == [], f"seed {seed}\n{run.words()}"
    assert document["ok"], f"seed {seed}\n{run.words()}"
    assert document["status"] == 0
    assert len(document["machines"]) == 12
    assert {m["protocol"] for m in document["machines"]} == {"modbus", "opcua"}
    assert all(m["made"] > 0 for m in document["machines"]), "every machine produced"
    assert all(m["delivered"] is not None for m in document["machines"])
