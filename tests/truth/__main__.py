"""`make truth`: simulated machine-days with faults, counted against true. Writes tests/truth/result.json and the pages.

    PYTHONPATH=tests python -m truth [--days 1000] [--seed 1] [--jobs 2] [--only KIND …] [--dry | --render]

Exit status 1 where a promise of the table was not kept, or where the code changed during the run: then nothing is
written.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from pathlib import Path

from truth import kinds, page, result
from truth.bench import agrees, day_of

from ext import ledger

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RESULT = HERE / "result.json"
_TOPS = ("edge", "protocols", "ext", "config", "tests/truth")
_MOVES = (".py", ".pyx", ".pxd", ".yaml", ".toml")


def main(arguments: Sequence[str]) -> int:
    """Exit status."""
    options = _options(arguments)
    if options.render:
        _publish(*result.read(RESULT))
        return 0
    chosen = [kind for kind in kinds.ALL if not options.only or kind.key in options.only]
    began_s, version, binary, state = time.monotonic(), _version(), _binary(), _state()
    tasks = [(kind.key, number, options.seed, 24.0) for kind in chosen for number in range(_setups(kind, options.days))]
    with ProcessPoolExecutor(options.jobs) as pool:
        judged = list(pool.map(day_of, *zip(*tasks, strict=True), chunksize=4))
        alike = [kind.key for kind in chosen if kind.comparable]
        said = list(pool.map(agrees, alike, [options.seed] * len(alike)))
    disagreed = tuple(f"{key}: {text}" for key, texts in zip(alike, said, strict=True) for text in texts)
    rows = [result.row_of(kind, [day for day in judged if day.kind == kind.key]) for kind in chosen]
    about = result.About(
        command=f"make truth DAYS={options.days} SEED={options.seed}",
        seed=options.seed,
        version=version,
        binary=binary,
        python=platform.python_version(),
        machine_days=sum(row.machine_days for row in rows),
        samples=sum(day.samples for day in judged),
        seconds=round(time.monotonic() - began_s, 1),
        jobs=options.jobs,
        agreed=len(alike) - len({text.partition(":")[0] for text in disagreed}),
        disagreed=disagreed,
    )
    if _state() != state:
        print("the code changed during the run: what ran is not one version; nothing was written", file=sys.stderr)
        return 1
    if options.dry:
        sys.stdout.write(page.render(about, rows, "en"))
    else:
        result.write(RESULT, about, rows)
        _publish(about, rows)
    wrong = [*result.broken(rows), *disagreed]
    for text in wrong:
        print(text, file=sys.stderr)
    return 1 if wrong else 0


def _publish(about: result.About, rows: Sequence[result.Row]) -> None:
    for language, name in page.PAGES.items():
        (ROOT / "docs" / name).write_text(page.render(about, rows, language), "utf-8")


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m truth", description="counted against true, per kind of fault")
    parser.add_argument("--days", type=int, default=1_000, help="simulated machine-days, about")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--only", nargs="*", choices=[kind.key for kind in kinds.ALL], default=[])
    parser.add_argument("--render", action="store_true", help="write the pages anew from result.json")
    parser.add_argument("--dry", action="store_true", help="print the page, write nothing")
    return parser.parse_args(arguments)


def _setups(kind: kinds.Kind, days: int) -> int:
    return max(1, round(kind.share * days / 1_000 / kind.days))


def _version() -> str:
    """The commit, "-dirty" where something that moves a figure differs from it: the run's own output does not."""
    moves = [*_TOPS, ":!tests/truth/result.json"]
    commit = _git("rev-parse", "--short", "HEAD")
    return commit + ("-dirty" if _git("status", "--porcelain", "--", *moves) else "") if commit else "unknown"


def _git(*arguments: str) -> str:
    asked = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    return asked.stdout.strip()


def _binary() -> str:
    """Of the kernel that is loaded, which need not be the one its sources would give."""
    return sha256(Path(ledger.__file__).read_bytes()).hexdigest()[:12]


def _state() -> str:
    """Everything that can move a figure, as it lies on the disk: workers read parts of it late."""
    digest = sha256(Path(ledger.__file__).read_bytes())
    for top in _TOPS:
        for file in sorted((ROOT / top).rglob("*")):
            if file.suffix in _MOVES:
                digest.update(file.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
