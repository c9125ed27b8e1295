"""`seamline simulate` as a process: the truth over HTTP, and a kill -9 that costs the machines nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fixtures.ports import free_port

from edge.simulate.inject import Fault, InjectionError, injection_of, order_of
from edge.simulate.journal import Entry, Header, Journal, JournalError
from edge.simulate.site import plan_of

COMMAND = """
import argparse, sys
from edge.simulate.serve import add_arguments, run
parser = argparse.ArgumentParser()
add_arguments(parser)
sys.exit(run(parser.parse_args()))
"""


class Simulator:
    """The command in a process of its own, and its web interface."""

    def __init__(self, *arguments: str) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, "--http", f"127.0.0.1:{self.port}", "--quiet", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "SEAMLINE_LANG": "en"},
        )

    def ask(self, path: str, order: object = None, *, post: bool = False) -> Any:
        data = json.dumps(order).encode() if order is not None else b"" if post else None
        url = f"http://127.0.0.1:{self.port}{path}"
        with urllib.request.urlopen(urllib.request.Request(url, data), timeout=60) as reply:
            body = reply.read().decode()
        return json.loads(body) if reply.headers.get_content_type() == "application/json" else body

    def wait_until_up(self) -> None:
        deadline = time.monotonic() + 90
        while True:
            try:
                self.ask("/healthz")
                return
            except urllib.error.URLError:
                assert self.process.poll() is None, self.process.stdout and self.process.stdout.read()
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(60)
        if self.process.stdout:
            self.process.stdout.close()
        return status


@contextmanager
def simulator(*arguments: str) -> Iterator[Simulator]:
    running = Simulator(*arguments)
    try:
        running.wait_until_up()
        yield running
    finally:
        running.end(signal.SIGKILL)


def test_truth_control_and_a_clean_end(tmp_path: Path) -> None:
    site = tmp_path / "agent" / "site.yaml"
    arguments = ("--machines", "3", "--modbus-only", "--speed", "100", "--write-site", str(site), "--wait-go")
    with simulator(*arguments) as running:
        agent = plan_of(running.ask("/site.yaml"))
        assert site.read_text("utf-8") == running.ask("/site.yaml")
        assert "mask-1.total" in running.ask("/tags")
        idle = running.ask("/truth")
        assert (idle["go_ns"], idle["speed"], idle["seed"]) == (None, 100.0, 1)
        assert all(machine["made"]["total"] == 0 for machine in idle["machines"].values())
        went = running.ask("/go", post=True)["go_ns"]
        time.sleep(2.5)
        stopped = running.ask("/stop", post=True)["stop_ns"]
        truth = running.ask("/truth")
        time.sleep(0.3)
        again = running.ask("/truth")
        assert (truth["go_ns"], truth["stop_ns"]) == (went, stopped)
        for machine in agent.machines:
            entry = truth["machines"][machine.id]
            assert entry["ideal_cycle_ns"] == machine.products[0].ideal_cycle_ns
            assert entry["made"]["good"] + entry["made"]["reject"] == entry["made"]["total"]
            assert sum(entry["bucket_ns"].values()) == entry["all_ns"]
            assert again["machines"][machine.id]["made"] == entry["made"]
        assert truth["machines"]["mask-1"]["made"]["total"] > 10
        half = (went + stopped) // 2
        first = running.ask(f"/truth?from_ns={idle['t0_ns']}&to_ns={half}")["machines"]["mask-1"]
        second = running.ask(f"/truth?from_ns={half}")["machines"]["mask-1"]
        assert first["made"]["total"] + second["made"]["total"] == truth["machines"]["mask-1"]["made"]["total"]
        assert running.end() == 0


def test_orders_over_http_are_carried_out_or_refused_with_a_reason() -> None:
    with simulator("--machines", "2", "--modbus-only", "--speed", "100") as running:
        time.sleep(1.5)
        running.ask("/inject", {"kind": "reset", "target": "mask-1"})
        truth = running.ask("/truth")["machines"]["mask-1"]
        assert truth["resets"] == 1
        assert truth["counters"]["total"] < 500
        for order, word in (
            ({"kind": "explode", "target": "mask-1"}, "explode"),
            ({"kind": "reset", "target": "mask-9"}, "mask-9"),
            ({"kind": "delay", "target": "plc-1", "delay_ms": -5}, "delay_ms"),
            ({"kind": "freeze", "target": "plc-1", "when": 5}, "when"),
            (["reset"], "object"),
        ):
            with pytest.raises(urllib.error.HTTPError) as refusal:
                running.ask("/inject", order)
            assert refusal.value.code == 400
            assert word in refusal.value.read().decode()


def test_a_killed_simulator_comes_back_with_the_counters_of_one_that_never_died(tmp_path: Path) -> None:
    """Same journal, same life: what the restarted process says about any past interval is what the first one said."""
    journal = tmp_path / "journal.jsonl"
    arguments = ("--machines", "4", "--modbus-only", "--speed", "60", "--journal", str(journal))
    with simulator(*arguments, "--inject", "breakdown:mask-1:for=1@1") as running:
        time.sleep(2.0)
        running.ask("/inject", {"kind": "reset", "target": "mask-2"})
        before = running.ask("/truth")
        health = running.ask("/healthz")
        running.end(signal.SIGKILL)
    with journal.open("ab") as file:
        file.write(b'{"event":"stop","at_ns":17')  # cut off by the kill: never acted upon
    with simulator(*arguments) as running:
        assert running.ask("/healthz")["devices"] == health["devices"]
        same = running.ask(f"/truth?to_ns={before['to_ns']}")
        now = running.ask("/truth")
    assert same["t0_ns"] == before["t0_ns"]
    for name, machine in before["machines"].items():
        for key in ("made", "bucket_ns", "all_ns"):
            assert same["machines"][name][key] == machine[key], (name, key)
        assert now["machines"][name]["made"]["total"] >= machine["made"]["total"]
        assert now["machines"][name]["resets"] >= machine["resets"]
    assert now["machines"]["mask-1"]["made"]["total"] > before["machines"]["mask-1"]["made"]["total"]
    refused = Simulator("--machines", "4", "--seed", "2", "--journal", str(journal))
    output, _ = refused.process.communicate(timeout=60)
    assert refused.process.returncode == 2
    assert "belongs to another simulation" in output


# --- journal and orders ---------------------------------------------------------------------------------------------


def test_a_damaged_journal_is_refused_by_line(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal = Journal(path)
    assert journal.open() == (None, [])
    header = Header(5, 1, "20", "site: {}", 60.0, "")
    entry = Entry("inject", 7, {"kind": "reset"})
    journal.begin(header)
    journal.record(entry)
    journal.close()
    again = Journal(path)
    assert again.open() == (header, [entry])
    again.close()
    path.write_bytes(path.read_bytes().replace(b'"event"', b'"evenly"'))
    with pytest.raises(JournalError, match=":2"):
        Journal(path).open()


def test_orders_as_strings() -> None:
    assert order_of("server-down:plc-3:for=5@20") == {
        "kind": "server-down",
        "target": "plc-3",
        "for_s": "5",
        "after_s": "20",
    }
    injection = injection_of(order_of("exception:plc-1:code=6,for=0.5@2"), 1_000, lambda *_: None)
    assert (injection.kind, injection.code) == (Fault.EXCEPTION, 6)
    assert (injection.at_ns, injection.for_ns) == (2_000_001_000, 500_000_000)
    assert not injection.active(1_000)
    for text in ("nonsense:plc-1", "delay:plc-1:ms", "delay:plc-1:delay_ms=much", ""):
        with pytest.raises(InjectionError):
            injection_of(order_of(text), 0, lambda *_: None)
