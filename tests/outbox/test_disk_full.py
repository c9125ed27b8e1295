"""A disk without room: the commit says so, nothing is half-written, the very same batch goes in once there is room."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.records import batch, outbox_at, record

from edge.errors import StoreError
from edge.outbox.batch import merge

pytestmark = pytest.mark.usefixtures("no_blocking")

DISK_BYTES = 1 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of one megabyte."""
    if os.geteuid() != 0:
        pytest.fail("this promise needs a small real disk: run the tests as root", pytrace=False)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.fail(f"no small disk can be mounted here: {mounted.stderr.decode().strip()}", pytrace=False)
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


async def test_a_full_disk_loses_nothing(small_disk: Path) -> None:
    ballast = small_disk / "somebody-elses-log"
    await asyncio.to_thread(ballast.write_bytes, bytes(DISK_BYTES // 2))
    outbox = outbox_at(small_disk / "s.db", "a")
    await outbox.open()
    kept, committed = [], 0
    for n in range(400):
        wanted = batch(n, record(n, pad=2000), checkpoints=(("n", b"%d" % n),))
        try:
            await outbox.commit(merge([*kept, wanted]))
        except StoreError:
            kept = [merge([*kept, wanted])]
            if n - committed > 20:
                break
        else:
            kept, committed = [], n
    assert kept, "the disk never filled"
    assert re.search(r"full|已满", (await outbox.stats()).error)
    assert await outbox.load_checkpoints() == {"n": b"%d" % committed}, "a failed commit left something behind"

    await asyncio.to_thread(ballast.unlink)
    await outbox.commit(merge(kept))
    assert await outbox.load_checkpoints() == {"n": b"%d" % n}
    assert (await outbox.stats()).error == ""
    points = b"\n".join(r.lines for r in await outbox.read("a", 1 << 30)).split(b"\n")
    assert [int(point.split(b"n=")[1].split(b"i")[0]) for point in points] == list(range(n + 1))
    await outbox.close()


async def test_a_store_that_cannot_even_begin_says_why(small_disk: Path) -> None:
    await asyncio.to_thread((small_disk / "ballast").write_bytes, bytes(DISK_BYTES - 8192))
    outbox = outbox_at(small_disk / "s.db")
    with pytest.raises(StoreError, match=r"s\.db"):
        await outbox.open()
    await outbox.close()
