"""The benchmarks' frame: JSON lines with the promised keys, nothing else on stdout, unknown names refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KEYS = ["name", "value", "unit", "reference", "ratio", "min", "max", "runs"]
# The repository comes last on the path: the installed product is what is measured, not the source tree.
START = f"import sys; sys.path.append({str(ROOT)!r}); from benchmarks.__main__ import main; "


def bench(*names: str, setup: str = "") -> subprocess.CompletedProcess[str]:
    code = f"{START}{setup}\nsys.exit(main(sys.argv[1:]))"
    return subprocess.run([sys.executable, "-Ic", code, *names], capture_output=True, text=True)


@pytest.mark.parametrize("name", ["agent_lazy", "agent_idle.profibus", "result", "rig", "__main__"])
def test_what_is_not_known_is_refused_before_anything_runs(name: str) -> None:
    done = bench("agent_idle", name)
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"no benchmark {name};" in done.stderr
    assert "agent_idle.modbus" in done.stderr


def test_a_result_is_one_line_of_json_with_the_promised_keys() -> None:
    done = bench(
        "agent_idle",
        setup="import benchmarks.agent_idle as b; from benchmarks.result import summarise\n"
        "b.run = lambda case: [summarise('agent_idle.x', 's', [3.0, 1.0, 2.0], [1.0, 1.0, 4.0]), "
        "summarise('agent_idle.y', 's', [1.0, 2.0]), summarise('agent_idle.z', 's', [1.0, 2.0], [0.0, 0.0])]",
    )
    assert done.returncode == 0, done.stderr
    paired, alone, idle = [json.loads(line) for line in done.stdout.splitlines()]
    assert list(paired) == list(alone) == KEYS
    assert paired == dict(zip(KEYS, ("agent_idle.x", 2.0, "s", 1.0, 1.0, 1.0, 3.0, 3), strict=True))
    assert (alone["reference"], alone["ratio"]) == (None, None)
    assert (idle["reference"], idle["ratio"]) == (0.0, None), "a reference that did nothing is no measure"


def test_the_real_agent_is_measured_beside_its_references() -> None:
    """The window holds two rounds of the one-second poll: in a shorter one the bare poller may do nothing at all."""
    done = bench(
        "agent_idle.modbus",
        setup="import benchmarks.agent_idle as b; b.RUNS = 1; b.MACHINES = 2; b.SETTLE_S = 0; b.WINDOW_S = 2.5",
    )
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [r["name"].removeprefix("agent_idle.modbus") for r in results] == ["", "_pss", "_cpu", "_start"]
    for result in results:
        assert list(result) == KEYS
        assert result["value"] > 0
        assert result["reference"] > 0
        assert result["ratio"] > 0


@pytest.mark.parametrize("case", ["by_hand", "oee"])
def test_the_ledger_is_measured_beside_what_does_the_same_work(case: str) -> None:
    """The C loop must book the same cells and stops, to the nanosecond, or the benchmark refuses to compare."""
    done = bench(f"ledger_batch.{case}", setup="import benchmarks.ledger_batch as b; b.RUNS = 1")
    assert done.returncode == 0, done.stderr
    (result,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert list(result) == KEYS
    assert result["reference"] > 0


def test_a_program_that_dies_is_named_with_its_last_words() -> None:
    setup = (
        "import benchmarks.agent_idle as b; from benchmarks.rig.process import Program\n"
        "b.agent_on = lambda lines: Program([sys.executable, '-c', 'raise SystemExit(\"no power\")'])"
    )
    done = bench("agent_idle.modbus", setup=setup)
    assert done.returncode != 0
    assert "no power" in done.stderr
