"""The JSON of a snapshot: exact where it must be, null where nothing is known."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from fixtures.plant import NOW_NS, snapshot

from edge.plan import Name
from edge.web.document import encode_snapshot
from ext.buckets import Bucket, Flag

LARGEST_EXACT = 2**53  # RFC 8259 §6: integers beyond are not interoperable


def document() -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(encode_snapshot(snapshot()))
    return decoded


def numbers(value: Any) -> list[int | float]:
    if isinstance(value, dict):
        return [n for item in value.values() for n in numbers(item)]
    if isinstance(value, list):
        return [n for item in value for n in numbers(item)]
    return [value] if isinstance(value, (int, float)) and not isinstance(value, bool) else []


def test_every_number_survives_a_javascript_reader() -> None:
    """Instants are milliseconds, durations nanoseconds: nothing passes 2^53."""
    assert max(abs(n) for n in numbers(document())) < LARGEST_EXACT
    assert document()["now_ms"] == NOW_NS // 1_000_000


def test_durations_are_exact_to_the_nanosecond_and_close() -> None:
    """The buckets of the document add up to its calendar time, as they do in the ledger."""
    for view, machine in zip(snapshot().machines, document()["machines"], strict=True):
        if view.shift is None:
            assert machine["shift"] is None
            continue
        assert machine["shift"]["fpt_ns"] == view.shift.fpt_ns
        assert sum(machine["shift"]["bucket_ns"].values()) == machine["shift"]["all_ns"] == view.shift.all_ns


def test_undefined_is_null_and_measured_zero_is_zero() -> None:
    machines = {machine["id"]: machine for machine in document()["machines"]}
    assert machines["K03"]["shift"]["oee"] == 0
    assert machines["K03"]["shift"]["performance"] is None
    assert machines["M03"]["rate_per_min"] is None
    assert machines["T02"]["rate_per_min"] == 0
    assert machines["E01"]["age_ms"] is None


def test_buckets_and_flags_are_words() -> None:
    machines = {machine["id"]: machine for machine in document()["machines"]}
    assert machines["M02"]["bucket"] == "breakdown"
    assert machines["M03"]["shift"]["flags"] == ["coverage_low", "recovered"]
    assert list(machines["M01"]["shift"]["bucket_ns"]) == [bucket.name.lower() for bucket in Bucket]
    assert {row[2] for row in machines["M01"]["timeline"]} <= {bucket.name.lower() for bucket in Bucket}


def test_every_flag_has_its_word() -> None:
    whole = snapshot()
    machine = whole.machines[0]
    assert machine.shift is not None
    every = replace(machine.shift, flags=~Flag.NONE)
    shown = json.loads(encode_snapshot(replace(whole, machines=(replace(machine, shift=every),))))
    assert shown["machines"][0]["shift"]["flags"] == [flag.name.lower() for flag in Flag if flag.name]


def test_an_event_is_one_line_whatever_the_names_hold() -> None:
    """A line feed inside would cut a server-sent event in two."""
    odd = replace(snapshot(), site_name=Name("一\n厂\r\n", "plant\n\ndata: x"))
    encoded = encode_snapshot(odd)
    assert b"\n" not in encoded
    assert b"\r" not in encoded
    assert json.loads(encoded)["site_name"]["en"] == "plant\n\ndata: x"


def test_nan_is_refused() -> None:
    """NaN is not JSON; a figure that cannot be computed must arrive as None."""
    whole = snapshot()
    broken = replace(whole, machines=(replace(whole.machines[0], rate_per_min=float("nan")),))
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode_snapshot(broken)
