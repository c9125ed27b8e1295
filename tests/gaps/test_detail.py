"""What a gap says is stored and sent as a code with values, and worded in the language of who reads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.records import NS, T0_NS, batch, gap_record, outbox_at, record

from edge.errors import Text
from edge.gaps import detail as module
from edge.gaps.detail import coded, filled, worded
from edge.outbox.facts import ClassBound, OpenReport
from edge.outbox.saved import Saved
from edge.points import RecordClass
from protocols.modbus.errors import CONNECTION_WORDS


@pytest.mark.parametrize("code", sorted(module._WORDS))
def test_every_code_has_words_in_both_languages(code: str) -> None:
    """With values and without: a release before or after this one may store others."""
    values = {"points": 120, "databases": "a,b", "seconds": 3600.5, "file": "s.db.damaged 1", "missing": 0}
    for given in ({}, values):
        text = worded(coded(code, **given))
        assert text.zh != text.en
        assert code not in (text.zh, text.en)
        assert "{" not in text.zh + text.en
    assert ("?" in worded(coded(code)).en) == ("{" in module._WORDS[code].en)


def test_values_come_back_whatever_is_in_them() -> None:
    stored = coded("set-aside", file="a b='c\"\u00e9.db", missing=3, outdated="m1,m2", anew="")
    assert "\n" not in stored
    text = worded(stored)
    assert "a b='c\"\u00e9.db" in text.en
    assert "3 records" in text.en
    assert "m1,m2" in text.zh
    assert "baseline" not in text.en


@pytest.mark.parametrize("told", ["", "plc-1: no answer (network)", "it's gone", "BadUserAccessDenied", "silent: x"])
def test_what_no_code_is_known_of_is_shown_as_it_stands(told: str) -> None:
    assert worded(told) == Text(told, told)


@pytest.mark.parametrize("reason", [*CONNECTION_WORDS, "garbage", "certificate-untrusted", "security-none-only"])
def test_reasons_of_devices_are_told_as_such(reason: str) -> None:
    text = worded(coded(reason))
    assert text.zh != text.en
    assert "quarantine" not in text.en


def test_a_damaged_store_is_a_code() -> None:
    saved = Saved({}, 4, 1, 2, ("machine:m1", "machine:m2"), 7)
    report = OpenReport(created=True, set_aside=Path("/x/store.db.damaged-1"), saved=saved)
    assert report.code(["m3"]) == "set-aside file=store.db.damaged-1 missing=4 outdated=m1,m2 anew=m3"
    assert replace(report, saved=None).code(()) == "set-aside-empty file=store.db.damaged-1"


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_what_is_stored_and_sent_is_the_same_in_every_language(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    monkeypatch.setenv("SEAMLINE_LANG", language)
    outbox = outbox_at(tmp_path / "s.db", "a", classes=(ClassBound(RecordClass.TAG, 2_000),))
    await outbox.open()
    for n in range(10):
        await outbox.commit(batch(n, record(n, of=RecordClass.TAG, pad=600)))
    (gap,) = (await outbox.stats()).gaps
    await outbox.quarantine("a", [(b"m,a=b v=1i %d" % (T0_NS + 99 * NS), "no")])
    details = {gap.detail for gap in (await outbox.stats()).gaps}
    assert details == {gap.detail, "points-refused"}
    assert gap.detail.startswith("store-full points=")
    assert gap.detail.endswith(" databases=a")
    assert gap_record(gap).points == 1
    await outbox.close()


def test_a_gap_says_once_by_whom_it_was_filled() -> None:
    """Beside whatever it said before, and for reasons that have no words."""
    once = filled(coded("timeout"), "press")
    assert filled(once, "press") == once
    assert filled(once, "lathe 2") == "timeout filled='press,lathe 2'"
    assert "press,lathe 2" in worded(filled(once, "lathe 2")).zh
    assert worded(filled("", "press")).en == "not heard at the time; filled from the history of press"
    assert worded(filled("BadTimeout", "press")).en == "BadTimeout; filled from the history of press"
