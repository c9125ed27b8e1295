"""`make browse`: `seamline browse` against a foreign server of NODES variables; prints its time and memory."""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

from peers.node_opcua import NodePeer

_PER_FOLDER = 500


async def measure(nodes: int) -> dict[str, float]:
    """Browse as CSV, in a process of its own; wall and processor seconds, peak MiB, lines written."""
    with tempfile.TemporaryDirectory() as folder:
        async with NodePeer(Path(folder), folders=nodes // _PER_FOLDER, each=_PER_FOLDER, period=1000) as peer:
            began = time.monotonic()
            out = Path(folder) / "nodes.csv"
            with out.open("wb") as file:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "edge.cli", "browse", peer.url, "--policy", "None", "--format", "csv"),
                    stdout=file,
                )
                if await process.wait():
                    raise SystemExit("browsing failed")
            wall_s = time.monotonic() - began
            used = resource.getrusage(resource.RUSAGE_CHILDREN)  # the server is still running: the command alone
            with out.open() as written:
                lines = sum(1 for _ in written) - 1
    return {
        "variables": lines,
        "wall_s": round(wall_s, 1),
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "peak_mib": round(used.ru_maxrss / 1024, 1),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=100_000)
    print(json.dumps(asyncio.run(measure(parser.parse_args().nodes))))
