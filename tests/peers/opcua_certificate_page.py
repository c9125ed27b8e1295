"""The table of certificates in docs/faults_opcua.md: rows of `opcua_certificates.py`, figures of a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from peers.opcua_certificates import CertificateCase, CertificateOutcome

MEASURED = Path(__file__).parents[1] / "cases" / "opcua" / "measured_certificates.json"
_HEADS = {
    "en": (
        *("What is wrong", "What the agent does", "Cured by", "Said"),
        *("Lost", "Back after the cure", "Sessions meanwhile", "Sessions left"),
    ),
    "zh": ("哪里不对", "采集端的处理", "如何恢复", "报告", "丢失", "恢复后多久有值", "期间会话", "剩余会话"),
}
_NOT_KEPT = {"en": "the server keeps none", "zh": "服务器不保留"}


@dataclass(frozen=True, slots=True)
class MeasuredCertificate:
    """One row of the table that only a run can tell."""

    told: tuple[str, ...]
    lost: int
    recovery_ms: int
    sessions_meanwhile: int
    sessions: int
    security: str


def complaints(outcome: CertificateOutcome) -> list[str]:
    """What a case promised and did not keep; times are not judged, the machine may be busy."""
    case, found = outcome.case, []
    if not outcome.flows:
        found.append("values do not flow")
    if outcome.security != "Aes256_Sha256_RsaPss/SignAndEncrypt":
        found.append(f"secured by {outcome.security or 'nothing'}")
    if outcome.sessions != 1:
        found.append(f"{outcome.sessions} sessions left")
    if outcome.sessions_meanwhile != case.sessions_meanwhile:
        found.append(f"{outcome.sessions_meanwhile} sessions before the cure")
    if case.lost_max is not None and outcome.lost > case.lost_max:
        found.append(f"{outcome.lost} changes lost")
    return found


def write(outcomes: Sequence[CertificateOutcome]) -> None:
    """Keep a run."""
    rows = {
        one.case.name: asdict(
            MeasuredCertificate(
                one.told, one.lost, round(1000 * one.recovery_s), one.sessions_meanwhile, one.sessions, one.security
            )
        )
        for one in outcomes
    }
    MEASURED.parent.mkdir(parents=True, exist_ok=True)
    MEASURED.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", "utf-8")


def read() -> dict[str, MeasuredCertificate]:
    """The run the table is made of."""
    rows = json.loads(MEASURED.read_text("utf-8"))
    return {name: MeasuredCertificate(**{**row, "told": tuple(row["told"])}) for name, row in rows.items()}


def table(cases: Sequence[CertificateCase], language: str) -> str:
    """The table, without a line feed at its end."""
    rows, heads = read(), _HEADS[language]
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    lines += [_row(case, rows[case.name], language) for case in cases]
    return "\n".join(lines)


def _row(case: CertificateCase, row: MeasuredCertificate, language: str) -> str:
    zh = language == "zh"
    lost = f"{row.lost}" + (f" ({_NOT_KEPT[language]})" if row.lost else "")
    cells = (
        case.zh if zh else case.en,
        case.does_zh if zh else case.does_en,
        case.cure_zh if zh else case.cure_en,
        " → ".join(f"{'↑' if fact.startswith('up') else '↓'} {fact.partition(' ')[2]}" for fact in row.told),
        lost,
        f"{row.recovery_ms / 1000:.2f} s",
        str(row.sessions_meanwhile),
        str(row.sessions),
    )
    return f"| {' | '.join(cells)} |"
