"""docs/faults_opcua.md, also in Chinese: what was injected, what the agent did, what was lost, how soon it was back.

    PYTHONPATH=tests python -m peers.opcua_fault_page    run all cases, write measured.json and both pages (make faults)
    PYTHONPATH=tests python -m peers.opcua_fault_page CASE …    only these; the other rows stay as they were measured

A test compares the pages with what this makes of the cases and of measured.json. Exit status 1 where a case failed;
nothing is written then.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from peers import opcua_certificate_page as certificates
from peers.opcua_certificates import CERTIFICATE_CASES, run_certificates
from peers.opcua_faults import CASES, Case, Outcome, run_all

ROOT = Path(__file__).parents[2]
MEASURED = ROOT / "tests" / "cases" / "opcua" / "measured.json"
PAGES = {"en": ROOT / "docs" / "faults_opcua.md", "zh": ROOT / "docs" / "faults_opcua.zh-CN.md"}

_HEADS = {
    "en": ("Injected", "What the agent does", "Said", "Lost", "Sent again", "Back after", "Sessions left"),
    "zh": ("注入", "采集端的处理", "报告", "丢失", "补发", "恢复", "剩余会话"),
}
_NOT_KEPT = {"en": "the server keeps none", "zh": "服务器不保留"}


@dataclass(frozen=True, slots=True)
class Measured:
    """One row of the table that only a run can tell."""

    told: tuple[str, ...]
    lost: int
    recovered: int
    recovery_ms: int
    sessions: int
    overflows: int


def complaints(outcome: Outcome) -> list[str]:
    """What a case promised and did not keep; times are not judged, the machine may be busy."""
    case, found = outcome.case, []
    if not outcome.flows:
        found.append("values do not flow")
    if not 1 <= outcome.sessions <= case.sessions_left:
        found.append(f"{outcome.sessions} sessions left")
    if case.lost_max is not None and outcome.lost > case.lost_max:
        found.append(f"{outcome.lost} changes lost")
    return found


def measured(outcome: Outcome) -> Measured:
    """What is kept of a run."""
    recovery_ms = round(1000 * max(0.0, outcome.recovery_s))
    return Measured(outcome.told, outcome.lost, outcome.recovered, recovery_ms, outcome.sessions, outcome.overflows)


def read() -> dict[str, Measured]:
    """The run the pages are made of."""
    rows = json.loads(MEASURED.read_text("utf-8"))
    return {name: Measured(**{**row, "told": tuple(row["told"])}) for name, row in rows.items()}


def render(cases: Sequence[Case], rows: dict[str, Measured], language: str) -> str:
    """A page, ending in a line feed."""
    heads = _HEADS[language]
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    lines += [_row(case, rows[case.name], language) for case in cases]
    words = Path(__file__).with_name(f"faults_opcua.{language}.md").read_text("utf-8")
    certain = certificates.table(CERTIFICATE_CASES, language)
    return words.format(cases=len(cases), table="\n".join(lines), wrong=len(CERTIFICATE_CASES), certificates=certain)


def _row(case: Case, row: Measured, language: str) -> str:
    said = " → ".join(_fact(fact) for fact in row.told)
    lost = f"{row.lost}" + (f" ({_NOT_KEPT[language]})" if case.lost_max is None and row.lost else "")
    title = case.zh if language == "zh" else case.en
    does = case.does_zh if language == "zh" else case.does_en
    back = f"{row.recovery_ms / 1000:.2f} s"
    return f"| {' | '.join((title, does, said, lost, str(row.recovered), back, str(row.sessions)))} |"


def _fact(fact: str) -> str:
    way, _, reason = fact.partition(" ")
    return f"{'↑' if way == 'up' else '↓'} {reason}"


def main() -> int:
    """Exit status."""
    chosen = [case for case in CASES if case.name in sys.argv[1:]] or CASES
    with tempfile.TemporaryDirectory() as folder:
        outcomes = asyncio.run(run_all(Path(folder), chosen))
        secured = asyncio.run(run_certificates(Path(folder) / "certificates")) if chosen is CASES else []
    failed = {outcome.case.name: found for outcome in outcomes if (found := complaints(outcome))}
    failed |= {outcome.case.name: found for outcome in secured if (found := certificates.complaints(outcome))}
    for name, found in failed.items():
        print(f"{name}: {'; '.join(found)}", file=sys.stderr)
    if failed:
        return 1
    known = {} if chosen is CASES else read()
    known |= {outcome.case.name: measured(outcome) for outcome in outcomes}
    rows = {case.name: known[case.name] for case in CASES}
    MEASURED.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({name: asdict(row) for name, row in rows.items()}, indent=1, ensure_ascii=False)
    MEASURED.write_text(text + "\n", "utf-8")
    if secured:
        certificates.write(secured)
    for language, page in PAGES.items():
        page.write_text(render(CASES, rows, language), "utf-8")
    print(f"{len(rows) + len(secured)} cases")
    return 0


if __name__ == "__main__":
    sys.exit(main())
