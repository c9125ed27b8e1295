"""Batches that could not be committed merge into one with the same effect, and stay bounded in memory."""

from __future__ import annotations

import pytest
from fixtures.records import batch, record, row

from edge.outbox.batch import Batch, Record, merge, shed
from edge.points import RecordClass


def test_merging_keeps_records_in_order_and_the_newest_of_everything_else() -> None:
    first = batch(1, record(1, 2), rows=(row("a", 0, 1), row("b", 0, 5)), checkpoints=(("k", b"1"), ("x", b"x")))
    second = batch(2, record(3), rows=(row("a", 0, 2),), checkpoints=(("k", b"2"),), meta=(("m", "2"),))
    merged = merge([first, second])
    assert merged.t_ns == second.t_ns
    assert merged.records == (record(1, 2, 3),)
    assert {(r.key.machine, r.sums.tc) for r in merged.rows} == {("a", 2), ("b", 5)}
    assert dict(merged.checkpoints) == {"k": b"2", "x": b"x"}
    assert dict(merged.meta) == {"m": "2"}


def test_merging_is_associative() -> None:
    parts = [batch(n, record(n), record(n, of=RecordClass.TAG), checkpoints=(("k", b"%d" % n),)) for n in range(4)]
    left = merge([merge([merge(parts[:2]), parts[2]]), parts[3]])
    assert left == merge(parts)


def test_nothing_to_merge_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing"):
        merge([])


def test_of_a_ledger_point_only_the_newest_is_kept() -> None:
    """A minute's row is written again as it grows; hours without disk must not pile up its drafts."""
    drafts = [
        Batch(n, (Record(RecordClass.LEDGER, b"ledger,product=a\\ b,machine=m tc=%di 60" % n, 1),)) for n in range(1, 9)
    ]
    other = Batch(9, (Record(RecordClass.LEDGER, b"ledger,product=a\\ c,machine=m tc=1i 60", 1),))
    merged = merge([*drafts, other])
    assert merged.records == (
        Record(
            RecordClass.LEDGER,
            b"ledger,product=a\\ b,machine=m tc=8i 60\nledger,product=a\\ c,machine=m tc=1i 60",
            2,
        ),
    )


def test_merged_records_stay_small_enough_to_read_back() -> None:
    merged = merge([batch(n, record(n, pad=100_000)) for n in range(8)])
    assert [r.points for r in merged.records] == [2, 2, 2, 2]


def test_memory_is_bounded_raw_tags_first_then_live_oldest_first_and_nothing_else() -> None:
    classes = (RecordClass.EVIDENCE, RecordClass.EVENT, RecordClass.LEDGER, RecordClass.LIVE, RecordClass.TAG)
    full = batch(0, *(record(n, of=c, pad=1000) for n in range(3) for c in classes), rows=(row("a", 0),))
    size = sum(len(r.lines) for r in full.records)

    kept, dropped = shed(full, size - 1)
    assert [(d.record_class, d.records, d.points) for d in dropped] == [(RecordClass.TAG, 1, 1)]
    assert record(0, of=RecordClass.TAG, pad=1000) not in kept.records

    kept, dropped = shed(full, 0)
    assert [(d.record_class, d.records) for d in dropped] == [(RecordClass.TAG, 3), (RecordClass.LIVE, 3)]
    assert {r.record_class for r in kept.records} == {RecordClass.EVIDENCE, RecordClass.EVENT, RecordClass.LEDGER}
    assert kept.rows == full.rows

    assert shed(full, size) == (full, ())
