"""Kernel and plain-Python twin keep the same readings; what begins together does not stay together."""

from array import array
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twins.values import Values

from ext.values import Backlog, ValueTable
from protocols.reading import Quality, TagImage

T = 1_700_000_000_000_000_000
S = 10**9


def table(tags, deadband=1.0, interval_ns=10 * S, first=0):
    n = len(tags)
    return ValueTable(first, tags=tags, deadbands=[deadband] * n, intervals_ns=[interval_ns] * n)


def read(image, t_ns, numbers, quality=Quality.GOOD):
    for tag, number in numbers.items():
        image.f64[tag], image.quality[tag], image.t_ns[tag] = number, quality, t_ns


def keep(values, image, backlog, tag=0, end=None):
    end = image.size if end is None else end
    return values.keep(tag, end, image.f64, image.quality, image.t_ns, backlog)


def taken(backlog, most=1000):
    return list(zip(*backlog.take(most), strict=True))


numbers = st.sampled_from([0.0, 0.5, 1.0, 1.5, -3.0, 1e300, nan])
reading = st.tuples(
    st.integers(0, 5), st.integers(0, 6), st.integers(-2, 25), numbers, st.sampled_from([0, 1, 2, 4])
)  # first tag, tags, seconds since the one before, number, quality


@given(
    tags=st.sets(st.integers(0, 5), min_size=1).map(sorted),
    rules=st.lists(st.tuples(st.sampled_from([0.0, 0.5, 2.0]), st.sampled_from([S, 10 * S])), min_size=6, max_size=6),
    readings=st.lists(reading, max_size=40),
    limit=st.integers(1, 30),
)
def test_kernel_and_twin_keep_the_same(tags, rules, readings, limit):
    deadbands, intervals_ns = ([rule[at] for rule in rules[: len(tags)]] for at in (0, 1))
    kernel = ValueTable(7, tags=tags, deadbands=deadbands, intervals_ns=intervals_ns)
    twin, image, backlog, kept, t_ns, refused = (
        Values(7, tags, deadbands, intervals_ns),
        TagImage(6),
        Backlog(limit),
        [],
        T,
        0,
    )
    for first, count, seconds, number, quality in readings:
        t_ns += seconds * S
        end = min(6, first + count)
        read(image, t_ns, dict.fromkeys(range(first, end), number), quality)
        before = len(kept)
        refused += twin.keep(first, end, image, kept, limit)
        assert keep(kernel, image, backlog, first, end) == len(kept) - before
    assert (len(backlog), backlog.refused) == (len(kept), refused)
    assert [(v, t, repr(x), q) for v, t, x, q in taken(backlog)] == [(v, t, repr(x), q) for v, t, x, q in kept]


def test_what_begins_together_is_spread_over_the_interval():
    """A hundred steady values, read each second: after the first second no second has more than a few of them."""
    values, image, backlog = table(range(100), interval_ns=60 * S), TagImage(100), Backlog(10_000)
    kept = []
    for second in range(180):
        read(image, T + second * S, dict.fromkeys(range(100), 20.0))
        kept.append(keep(values, image, backlog))
    assert kept[0] == 100
    assert max(kept[1:]) <= 3
    assert sum(kept[60:120]) == sum(kept[120:180]) == 100, "once an interval each"


def test_what_found_no_room_is_told_later():
    values, image, backlog = table([0]), TagImage(1), Backlog(1)
    for second, number in enumerate([20.0, 25.0, 25.0]):
        read(image, T + second * S, {0: number})
        keep(values, image, backlog)
    assert [number for _, _, number, _ in taken(backlog)] == [20.0]
    assert backlog.refused == 2
    read(image, T + 3 * S, {0: 25.0})
    keep(values, image, backlog)
    assert [(t_ns - T, number) for _, t_ns, number, _ in taken(backlog)] == [(3 * S, 25.0)]


def test_the_oldest_are_taken_first_and_once():
    values, image, backlog = table(range(5), first=100), TagImage(5), Backlog(200)
    for round_ in range(30):
        read(image, T + round_ * S, dict.fromkeys(range(5), 10.0 * round_))
        keep(values, image, backlog)
    first, rest = taken(backlog, 7), taken(backlog)
    assert [value for value, *_ in first] == [100, 101, 102, 103, 104, 100, 101]
    assert [number for _, _, number, _ in rest] == [10.0] * 3 + [10.0 * n for n in range(2, 30) for _ in range(5)]
    assert len(backlog) == 0
    assert taken(backlog) == []


@pytest.mark.parametrize(
    "columns",
    [
        {"tags": [1, 0], "deadbands": [0.0, 0.0], "intervals_ns": [1, 1]},
        {"tags": [0], "deadbands": [], "intervals_ns": [1]},
        {"tags": [0], "deadbands": [0.0], "intervals_ns": []},
    ],
)
def test_columns_that_do_not_fit_are_refused(columns):
    with pytest.raises(ValueError, match="value table"):
        ValueTable(0, **columns)


def test_images_that_do_not_fit_are_refused():
    values, image = table([0, 3]), TagImage(3)
    with pytest.raises(ValueError, match="no tag 3"):
        keep(values, image, Backlog(1), 0, 4)
    with pytest.raises(ValueError, match="type codes"):
        values.keep(0, 1, image.i64, image.quality, image.t_ns, Backlog(1))
    assert values.keep(0, 1, array("d", [1.0]), array("B", [0]), array("q", [T]), Backlog(1)) == 1
    with pytest.raises(ValueError, match="backlog"):
        Backlog(0)
