"""docs/faults.md and docs/faults.zh-CN.md: what was injected, what the agent did, what was lost, how soon it was back.

    PYTHONPATH=tests python -m peers.fault_page    run all cases, write measured.json and both pages (make faults)

A test compares the pages with what this makes of the cases and of measured.json. Exit status 1 where a case failed;
nothing is written then.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from peers.fault_cases import FOLDER, Case, Outcome, Run, complaints, load, names, run_all

ROOT = Path(__file__).parents[2]
MEASURED = FOLDER / "measured.json"
PAGES = {"en": ROOT / "docs" / "faults.md", "zh": ROOT / "docs" / "faults.zh-CN.md"}


@dataclass(frozen=True, slots=True)
class Measured:
    """One row of the table that only a run can tell."""

    lost: int
    others_lost: int
    recovered_ms: int
    connections: int


HEADS = {
    "en": ("Injected", "What the agent does", "Said", "Lost", "Back after"),
    "zh": ("注入", "采集端的处理", "报告", "丢失", "恢复"),
}


def measured(run: Run) -> dict[str, Measured]:
    """What is kept of a run."""
    return {name: _measured(outcome) for name, outcome in sorted(run.outcomes.items())}


def _measured(outcome: Outcome) -> Measured:
    recovered_ms = round(1000 * max(0.0, outcome.recovered_s or 0.0))
    return Measured(outcome.lost, outcome.others_lost, recovered_ms, outcome.connections)


def read() -> dict[str, Measured]:
    """The run the pages are made of."""
    return {name: Measured(**row) for name, row in json.loads(MEASURED.read_text("utf-8")).items()}


def render(cases: Sequence[Case], rows: dict[str, Measured], language: str) -> str:
    """A page, ending in a line feed."""
    heads = HEADS[language]
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    lines += [_row(case, rows[case.name], language) for case in cases]
    words = Path(__file__).with_name(f"faults.{language}.md").read_text("utf-8")
    return words.format(cases=len(cases), table="\n".join(lines))


def _row(case: Case, row: Measured, language: str) -> str:
    said = " → ".join(_fact(fact) for fact in case.expect.facts)
    lost = f"{row.lost}" if case.expect.others_down else f"{row.lost} ({row.others_lost})"
    back = f"{row.recovered_ms / 1000:.2f} s (≤ {case.expect.recover_polls})"
    told = [getattr(text, language).replace("|", "\\|") for text in (case.title, case.does)]
    return f"| {' | '.join((*told, said, lost, back))} |"


def _fact(fact: str) -> str:
    way, _, reason = fact.partition(" ")
    return f"{'↑' if way == 'up' else '↓'} {reason}"


def main() -> int:
    """Exit status."""
    cases = [load(name) for name in names()]
    with tempfile.TemporaryDirectory() as folder:
        run = run_all(cases, Path(folder))
    told = {case.name: complaints(case, run.outcomes[case.name]) for case in cases}
    for name, texts in told.items():
        for text in texts:
            print(f"{name}: {text}", file=sys.stderr)
    print(f"{len(cases)} cases in {run.seconds:.1f} s; longest stall {1000 * run.stall_s:.0f} ms")
    if any(told.values()):
        return 1
    rows = measured(run)
    MEASURED.write_text(json.dumps({name: asdict(row) for name, row in rows.items()}, indent=1) + "\n", "utf-8")
    for language, page in PAGES.items():
        page.write_text(render(cases, rows, language), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
