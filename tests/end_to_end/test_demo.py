"""The main job, end to end, while everything that can be killed is killed: the books must agree to the piece."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest
from fixtures.grafana import View, find_query, run_dashboard, run_query
from fixtures.ports import free_port

pytestmark = pytest.mark.timeout(600)

AGENT, MACHINES = "run", "simulate"


class DemoRun:
    """`seamline demo` as a process, and its children by role."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        port = free_port()
        self.page = f"http://127.0.0.1:{port}"
        self.stderr = (folder.parent / f"{folder.name}.stderr").open("w+")
        demo = ("demo", "--json", "--keep", str(folder), "--page-port", str(port))
        self.process = subprocess.Popen(
            [sys.executable, "-Im", "edge.cli", "--lang", "en", *demo, *arguments],
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
        deadline = time.monotonic() + 240
        while not (journal.exists() and '"go"' in journal.read_text()):
            assert self.process.poll() is None, self.words()
            assert time.monotonic() < deadline, self.words()
            time.sleep(0.1)

    def wait_for_agent(self) -> None:
        """It reads every device: what is killed is an agent at work, and what it cannot see is short, on a slow machine
        as well.
        """
        while self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.page}/api/snapshot", timeout=10) as answer:
                    devices = json.load(answer)["devices"]
            except OSError:
                devices = []
            if devices and all(device["up"] for device in devices):
                return
            time.sleep(0.05)

    def finish(self) -> dict:
        out, _ = self.process.communicate(timeout=400)
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


CHANCES = {AGENT: 5, MACHINES: 1, "influxd": 1}


@pytest.fixture(scope="module")
def killed(tmp_path_factory, influx_server):
    """A run in which the agent is killed five times, the PLCs' server and InfluxDB once each; with its database."""
    seed = 100  # the suite does the same every time: every kill falls into the production
    chance = random.Random(seed)
    database = f"demo{seed}"
    run = DemoRun(
        tmp_path_factory.mktemp("demo") / "run",
        "--for", "34s", "--machines", "12", "--seed", str(seed),
        "--influx", influx_server.url, "--influx-database", database,
    )  # fmt: skip
    try:
        run.wait_for_go()
        victims = [victim for victim, times in CHANCES.items() for _ in range(times)]
        chance.shuffle(victims)
        for victim in victims:
            time.sleep(chance.uniform(2.0, 4.5))
            if victim == "influxd":
                influx_server.kill()
                time.sleep(chance.uniform(0.5, 3.0))
                influx_server.start()
            else:
                if victim == AGENT:
                    run.wait_for_agent()
                run.kill(victim)
        yield run, run.finish(), database
    finally:
        run.close()


def test_kills_change_nothing_in_the_books(killed):
    """Wraps and resets, kills of everything: made = counted = stored = delivered, and OEE is the truth's."""
    run, document, _ = killed
    assert disagreements(document) == [], run.words()
    assert document["ok"], run.words()
    assert document["status"] == 0
    assert len(document["machines"]) == 12
    assert {m["protocol"] for m in document["machines"]} == {"modbus", "opcua"}
    assert all(m["delivered"] is not None for m in document["machines"])
    assert sum(m["made"] for m in document["machines"]) > 1000


async def test_the_dashboard_tells_the_truth(killed, influx_server):
    """Every query of the dashboard runs on what the agent delivered; output and OEE are the simulator's own."""
    run, document, database = killed
    truth = json.loads((run.folder / "truth.json").read_text())["machines"]
    snapshot = json.loads((run.folder / "snapshot.json").read_text())
    now_ns = time.time_ns()
    lines = sorted({m["line"] for m in snapshot["machines"]})
    view = View(
        now_ns - 600 * 1_000_000_000,
        now_ns + 60 * 1_000_000_000,
        {"site": [snapshot["site"]], "line": lines, "machine": sorted(truth)},
    )
    answers = await run_dashboard(influx_server, database, view)
    assert all(isinstance(rows, list) for rows in answers.values())

    (total,) = await run_query(influx_server, database, find_query("总产量"), view)
    assert total["Total"] == sum(m["made"]["total"] for m in truth.values())
    counts = {row["machine"]: row for row in await run_query(influx_server, database, find_query("机台汇总"), view)}
    ratios = {
        row["machine"]: row for row in await run_query(influx_server, database, find_query("机台汇总", "B"), view)
    }
    for machine in document["machines"]:
        made = truth[machine["id"]]["made"]
        assert (counts[machine["id"]]["good"], counts[machine["id"]]["reject"]) == (made["good"], made["reject"])
        assert ratios[machine["id"]]["oee"] == pytest.approx(machine["oee_truth"], abs=1e-6)


def test_unknown_arguments_and_a_used_folder_are_refused(tmp_path):
    """A user's slip ends with one clear sentence and no traceback."""
    (tmp_path / "something").write_text("mine")
    command = [sys.executable, "-Im", "edge.cli", "--lang", "en", "demo", "--keep", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1
    assert "not empty" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert (tmp_path / "something").read_text() == "mine"
    ended = subprocess.run([*command[:-2], "--for", "soon"], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 2
    assert "a positive number is expected" in ended.stderr
