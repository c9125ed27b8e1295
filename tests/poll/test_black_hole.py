"""A PLC that vanishes behind a network that says nothing: known within its deadlines, or by keep-alive, and back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
DEADLINE_S = 0.3
UNSHARE = ("unshare", "--net") if os.geteuid() == 0 else ("unshare", "--map-root-user", "--net")


def _possible() -> bool:
    """Whether this machine lets us have networks of our own. A tool that is missing is an error, no reason to skip."""
    command = [*UNSHARE, "ip", "link", "add", "near", "type", "veth", "peer", "name", "far"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not _possible(), reason="needs network namespaces (root, or user namespaces)")
def test_a_black_hole(libmodbus_server: Path) -> None:
    """Established connections whose peer is gone without a RST: the polled one is down after two deadlines; the idle
    one by keep-alive, with its reason; both once; and both read again, by themselves, when the network is back.
    """
    command = [*UNSHARE, sys.executable, str(TESTS / "peers" / "black_hole.py"), str(libmodbus_server), str(DEADLINE_S)]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}  # what is installed, not the source tree
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=250, env=environment)
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    busy, idle = told["busy"], told["idle"]
    assert busy["facts"] == ["up connected", "down timeout", "up connected"]
    assert idle["facts"] == ["up connected", "down silent", "up connected"]
    assert busy["false_values"] == idle["false_values"] == 0
    assert 2 * DEADLINE_S - 0.15 <= busy["down_after_s"] <= 2 * DEADLINE_S + 2.0  # at best; and a busy machine's share
    assert idle["down_after_s"] <= 1 + 2 * 1 + 3.0
    for one in (busy, idle):
        assert one["back_after_s"] <= 8.0 + 2.0  # the pause after three seconds of failed attempts, and as above
