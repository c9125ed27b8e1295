"""Promise: whatever is wrong with a certificate, the gateway says so, holds no session it should not, and flows again
by itself once it is put right; the rows of docs/faults_opcua.md, some of them run here (`make faults` runs all).
"""

from __future__ import annotations

from pathlib import Path

from peers.opcua_certificate_page import complaints, read
from peers.opcua_certificates import CERTIFICATE_CASES, run_certificates

SOME = ("wrong-uri", "own-untrusted", "download", "own-renewed")


async def test_each_is_told_and_cured(tmp_path: Path) -> None:
    """A certificate of another application, a server that does not know us, one with a new certificate, our own renewed
    while values flow: the reason is told before the cure, one session after it.
    """
    cases = [case for case in CERTIFICATE_CASES if case.name in SOME]
    assert len(cases) == len(SOME)
    for outcome in await run_certificates(tmp_path, cases):
        assert complaints(outcome) == [], outcome
        assert f"down {outcome.case.reason}" in outcome.told, outcome
        assert outcome.told[-1] == "up connected", outcome


def test_every_case_was_measured() -> None:
    """The table's cases are those of the last run, each with words in both languages."""
    rows = read()
    assert set(rows) == {case.name for case in CERTIFICATE_CASES}
    assert len(rows) == len(CERTIFICATE_CASES)
    assert all(row.sessions == 1 for row in rows.values())
    for case in CERTIFICATE_CASES:
        assert all((case.zh, case.en, case.does_zh, case.does_en, case.cure_zh, case.cure_en)), case.name
