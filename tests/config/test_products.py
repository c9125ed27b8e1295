"""Promises: thresholds by rule, in order, whatever the cycle; a product's data change on their date and not before."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machines.shown import Shown

from edge.config import compile_site
from edge.config.products import STOP_MAX_S, STOP_MIN_S
from edge.errors import ConfigError
from edge.plan import Machine, Product, SitePlan

S = 1_000_000_000
HEAD = """\
site: {id: s, enterprise: e, province: p, city: c, timezone: Asia/Shanghai}
devices: [{id: plc, template: inovance-h5u, host: h}]
"""


def plan_of(machine: str = "", products: str = "", template: str = "generic") -> SitePlan:
    line = f"machines: [{{id: m, template: {template}, device: plc, base: D0{machine and ', ' + machine}}}]\n"
    return compile_site(HEAD + line + products, Path("/x/site.yaml"), {})


def products_of(machine: str = "", products: str = "", template: str = "generic") -> tuple[Product, ...]:
    return plan_of(machine, products, template).machines[0].products


def seconds(product: Product) -> tuple[float, ...]:
    return tuple(ns / S for ns in (product.ideal_cycle_ns, product.slow_ns, product.small_stop_ns, product.stop_ns))


def local_ns(*when: int) -> int:
    return round(datetime(*when, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp()) * S  # type: ignore[misc,arg-type]


# ---- thresholds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cycle_s", "poll_s", "t1", "t2", "t3"),
    [
        (0.5, 1, 0.525, 2, 60),  # 2 x poll; the floor of 60 s
        (1.0, 0.2, 1.05, 1.7, 60),
        (2.0, 1, 2.1, 3.4, 60),
        (10, 1, 10.5, 17, 60),
        (20, 1, 21, 34, 120),  # 6 x cycle
        (50, 1, 52.5, 85, 300),  # the ceiling
        (100, 1, 105, 170, 300),
        (176, 1, 184.8, 299.2, 300),
        (180, 1, 189, 306, 306),  # 1.7 x cycle is beyond the ceiling: t3 is never below t2
        (360, 1, 378, 612, 612),
        (0.5, 400, 0.525, 800, 800),  # read every 400 s
    ],
)
def test_thresholds_by_rule(cycle_s: float, poll_s: float, t1: float, t2: float, t3: float) -> None:
    tags = ", ".join(f"{name}: {{interval_s: {poll_s}}}" for name in ("run", "fault", "total"))
    (product,) = products_of(f"ideal_cycle_s: {cycle_s}, tags: {{{tags}}}")
    assert seconds(product) == pytest.approx((cycle_s, t1, t2, t3))


@settings(max_examples=30)
@given(st.floats(0.01, 40_000), st.floats(0.05, 3_000))
def test_they_are_in_order_for_every_cycle_and_poll(cycle_s: float, poll_s: float) -> None:
    """And each is what the rule says wherever the order leaves it alone."""
    tags = ", ".join(f"{name}: {{interval_s: {poll_s:f}}}" for name in ("run", "fault"))
    total = f"total: {{interval_s: {poll_s:f}, type: u64}}"
    (product,) = products_of(f"ideal_cycle_s: {cycle_s:f}, tags: {{{tags}, {total}}}")
    cycle, t1, t2, t3 = seconds(product)
    assert cycle <= t1 <= t2 <= t3
    assert t2 == pytest.approx(max(1.7 * cycle, 2 * poll_s), rel=1e-5)
    assert t3 == pytest.approx(max(min(max(6 * cycle, STOP_MIN_S), STOP_MAX_S), t2), rel=1e-5)


def test_a_gap_lies_between_two_counts() -> None:
    """A batch of 400 is one count in ten hours: nine hours without one are no stop."""
    (batch,) = products_of("ideal_cycle_s: 90, counters: {total: {multiplier: 400}}")
    (mould,) = products_of("products: [{id: piece, ideal_cycle_s: 2, pieces_per_count: {total: 4, reject: 1}}]")
    assert seconds(batch) == pytest.approx((90, 94.5, 1.7 * 36_000, 1.7 * 36_000))
    assert seconds(mould) == pytest.approx((2, 2.1, 13.6, 60))
    assert mould.pieces_per_count == (4, 0, 0), "no reject counter, no number for it"


def test_hold_is_three_polls_and_at_least_five_seconds() -> None:
    for poll_s, hold_s in ((0.2, 5), (1, 5), (2, 6), (10, 30)):
        tags = ", ".join(f"{name}: {{interval_s: {poll_s}}}" for name in ("run", "fault", "total"))
        machine = plan_of(f"tags: {{{tags}}}").machines[0]
        assert (machine.poll_ns, machine.hold_ns) == (round(poll_s * S), hold_s * S)


# ---- versions in time ------------------------------------------------------------------------------------------------

DATED = """\
products:
  - {id: a, ideal_cycle_s: 2, code: 1, slow_s: 2.5}
  - {id: a, since: 2026-03-01, ideal_cycle_s: 1.5}
  - {id: a, since: 2026-03-09 06:00, per_min: 60, slow_s: 1.2}
  - {id: b, ideal_cycle_s: 9, code: 2}
"""


def test_an_entry_says_what_changes_on_its_date() -> None:
    first, second, third, other = products_of("products: [a, b]", DATED)
    assert [p.id for p in (first, second, third, other)] == ["a", "a", "a", "b"]
    assert [p.from_ns for p in (first, second, third)] == [0, local_ns(2026, 3, 1), local_ns(2026, 3, 9, 6)]
    assert [(p.ideal_cycle_ns / S, p.slow_ns / S) for p in (first, second, third)] == [(2, 2.5), (1.5, 2.5), (1, 1.2)]
    assert {p.code for p in (first, second, third)} == {1}, "what it does not name stays"


def test_a_machine_dates_its_own_word_and_it_goes_before_the_sites() -> None:
    own = "products: [{id: a, slow_s: 3}, {id: a, since: 2026-03-05, ideal_cycle_s: 1.8}]"
    versions = products_of(own, DATED)
    assert [p.from_ns for p in versions] == [
        0, local_ns(2026, 3, 1), local_ns(2026, 3, 5), local_ns(2026, 3, 9, 6),
    ]  # fmt: skip
    assert [p.ideal_cycle_ns / S for p in versions] == [2, 1.5, 1.8, 1.8], (
        "the site's 60 a minute is not this machine's"
    )
    assert {p.slow_ns / S for p in versions} == {3}


def test_the_observer_takes_the_version_of_the_moment() -> None:
    machine: Machine = plan_of(
        "products: [a, b], product_signal: product_id, tags: {product_id: {address: D90}}", DATED
    ).machines[0]
    shown = Shown(machine)
    seen = []
    for when, code in (
        ((2026, 1, 1), 1),
        ((2026, 2, 28, 23, 59, 59), 1),
        ((2026, 3, 1), 1),
        ((2026, 3, 2), 2),
        ((2026, 3, 9, 6), None),
        ((2026, 3, 10), 1),
        ((2026, 2, 1), 1),
    ):
        shown.now_ns = local_ns(*when) - S
        seen.append(shown.sample(product_id=code).product)
    assert seen == [0, 0, 1, 3, 3, 2, 0]


def test_a_date_changes_the_configuration_version() -> None:
    assert (
        plan_of("product: a", DATED).config_version
        != plan_of("product: a", DATED.replace("03-01", "03-02")).config_version
    )


@pytest.mark.parametrize(
    ("machine", "products", "path", "words"),
    [
        ("product: a", DATED + "  - {id: a, since: 2026-03-01, slow_s: 9}\n", "products[4].id", "since: the date"),
        ("product: a", DATED.replace("2026-03-01", "March"), "products[1].since", "2026-03-01 06:00"),
        (
            "product: a",
            DATED.replace("per_min: 60", "per_min: 60, ideal_cycle_s: 1"),
            "products[2].per_min",
            "not both",
        ),
        ("product: {id: z, ideal_cycle_s: 1, per_min: 60}", "", "machines[0].product.per_min", "not both"),
        ("products: [a, a]", DATED, "machines[0].products[1]", "listed twice"),
        ("products: [c]", DATED, "machines[0].products[0]", "known: a, b, piece"),
        ("product: a", DATED.replace("slow_s: 1.2", "slow_s: 0.2"), "machines[0].product", "out of order"),
        (
            "product: many",
            "products:\n" + "".join(f"  - {{id: many, since: 20{n:02}-01-01, ideal_cycle_s: 1}}\n" for n in range(33)),
            "machines[0].products",
            "32 at most",
        ),
    ],
)
def test_mistakes(machine: str, products: str, path: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_of(machine, products)
    (problem,) = caught.value.problems
    assert problem.path == path
    assert words in problem.what.en + (problem.hint.en if problem.hint else "")
    assert problem.what.zh != problem.what.en
