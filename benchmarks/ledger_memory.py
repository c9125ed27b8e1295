"""What the ledger kernel of one machine occupies: bytes of resident memory, over thousands of them.

Every machine has lived through ten minutes, its rows drained once a minute. A process of its own, so that nothing else
grows or shrinks meanwhile. Reference: the plain-Python twin after the same minutes.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from benchmarks.result import Result, summarise

CASES: tuple[str, ...] = ()
RUNS = 3
_RIG = Path(__file__).with_name("rig") / "many_ledgers.py"


def run(case: str | None) -> Iterable[Result]:
    """One line."""
    values, references = [], []
    for _ in range(RUNS):
        values.append(_bytes_each("kernel", 4_000))
        references.append(_bytes_each("twin", 400))
    yield summarise("ledger_memory", "B/machine", values, references)


def _bytes_each(kind: str, machines: int) -> float:
    paths = [str(Path(__file__).parents[1]), *sys.path]
    code = f"import sys, runpy; sys.path[:] = {paths!r}; sys.argv = ['', {kind!r}, {str(machines)!r}]; "
    code += f"runpy.run_path({str(_RIG)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-Ic", code], capture_output=True, text=True, check=True)
    return float(done.stdout)
