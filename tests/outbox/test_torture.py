"""kill -9 at any instant: every promised batch is there, whole; nothing half-written; points and checkpoint agree."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

from edge.outbox.check import check as fsck
from edge.outbox.reader import Reader

KILLS = 12
WRITER = Path(__file__).with_name("writer_process.py")


def test_a_killed_writer_leaves_a_prefix_and_loses_nothing_it_promised(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    chance = random.Random(7)
    env = os.environ | {"PYTHONPATH": str(WRITER.parents[1])}
    promised = 0
    for _ in range(KILLS):
        process = subprocess.Popen([sys.executable, str(WRITER), str(path)], stdout=subprocess.PIPE, text=True, env=env)
        assert process.stdout is not None
        opened = process.stdout.readline().split()
        assert opened[0] == "open"
        time.sleep(chance.uniform(0.0, 0.05))
        process.kill()
        said = process.stdout.read().split()
        process.wait()
        process.stdout.close()

        resumed = int(opened[1])
        assert resumed >= promised, "a promised batch is missing"
        promised = max([resumed, *map(int, said)])
        last = check(path)
        assert last >= promised, "a promised batch is missing"
        assert last <= promised + 1, "more than the batch under way appeared"
    assert promised > KILLS


def check(path: Path) -> int:
    """The store is one moment of the writer's life; returns which."""
    with Reader(path) as reader:
        checkpoint = int(reader.checkpoints()["n"])
        assert reader.total_counts()["m1"].total == checkpoint + 2  # its row has two unscheduled pieces
        records, damaged = reader.stretch(0, 1 << 62, 1 << 30)
        tallies = reader.tallies()
        (gap,) = [gap for gap in reader.open_gaps() if gap.subject == "plc-1"]
        assert gap.end_ns == checkpoint, "the gap that lasts is of another moment"
    assert list(fsck(path)) == []
    numbers = [int(line.split(b"n=")[1].split(b"i")[0]) for r in records if (line := r.lines).startswith(b"live")]
    assert damaged == ()
    assert numbers == list(range(checkpoint - len(numbers) + 1, checkpoint + 1)), "a hole or a half"
    assert sum(tally.records for tally in tallies.values()) == len(records)
    return checkpoint
