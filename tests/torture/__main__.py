"""`make torture`: simulated machines, the real agent, a real InfluxDB, and everything killed, filled, torn and cut.

    PYTHONPATH=tests python -m torture [--kills 200] [--seed 1] [--jobs 2] [--only THEME …] [--dry | --render]

Writes tests/torture/result.json, docs/reliability.md and docs/reliability.zh-CN.md. Exit status 1 where the books of a
round are wrong; its folder is kept and named.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from torture import page
from torture.hands import BY_KEY, THEMES, Theme
from torture.rounds import Round, play

HERE = Path(__file__).parent
RESULT = HERE / "result.json"


def main(arguments: Sequence[str]) -> int:
    """Exit status."""
    options = _options(arguments)
    if options.render:
        page.publish(json.loads(RESULT.read_text("utf-8")))
        return 0
    themes = [BY_KEY[key] for key in options.only] or list(THEMES)
    folder = Path(tempfile.mkdtemp(prefix="seamline-torture-"))
    each, more = divmod(options.kills, len(themes))
    rounds = [
        Round(theme, options.seed, each + (n < more), options.machines, meets=_meets(theme, each))
        for n, theme in enumerate(themes)
    ]
    print(f"seed {options.seed}, {options.kills} kills, {len(rounds)} rounds, in {folder}", flush=True)
    began_s, version = time.monotonic(), _version()
    outcomes = asyncio.run(_play_all(rounds, folder, options.jobs))
    document = {
        "command": f"make torture KILLS={options.kills} SEED={options.seed} JOBS={options.jobs}",
        "version": version,
        "python": platform.python_version(),
        "seconds": round(time.monotonic() - began_s),
        "jobs": options.jobs,
        "rounds": [outcome.as_json() for outcome in outcomes],
    }
    wrong = [f"{outcome.theme}: {text}" for outcome in outcomes for text in outcome.wrong]
    for text in wrong:
        print(text, file=sys.stderr)
    if not options.dry and len(outcomes) == len(rounds):
        RESULT.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", "utf-8")
        page.publish(document)
    if not wrong:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if wrong else 0


def _meets(theme: Theme, kills: int) -> int:
    """How often each fault of the database must be met; ten times and more where the run is long."""
    return max(1, kills * (2 if theme.key == "database" else 1) // 5)


async def _play_all(rounds: Sequence[Round], folder: Path, jobs: int) -> list:
    free = asyncio.Semaphore(jobs)

    async def one(this: Round):
        async with free:
            outcome = await play(this, folder / this.theme.key)
            good = "books right" if not outcome.wrong else f"WRONG: {'; '.join(outcome.wrong)}"
            print(
                f"{this.theme.key:<9} made {outcome.true:>7} stored {outcome.stored:>7} "
                f"gaps {outcome.told}/{outcome.damaged} {outcome.injected}: {good}",
                flush=True,
            )
            return outcome

    return list(await asyncio.gather(*(one(this) for this in rounds)))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m torture", description="nothing lost, nothing twice")
    parser.add_argument("--kills", type=int, default=200, help="processes killed with SIGKILL, over all rounds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="rounds side by side")
    parser.add_argument("--machines", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=sorted(BY_KEY), default=[])
    parser.add_argument("--render", action="store_true", help="write the pages anew from result.json")
    parser.add_argument("--dry", action="store_true", help="write nothing")
    return parser.parse_args(arguments)


def _version() -> str:
    """Of the agent and of this harness, which are one repository; "+" = with changes that are in no commit."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(HERE), *words], capture_output=True, text=True, check=False
        ).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if changed else "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
