"""Promises: the tier says what the signals can tell, with every subset of them; the table has no other rule than its
own; `check` names what the next tier lacks.
"""

from __future__ import annotations

from itertools import chain, combinations
from pathlib import Path

import pytest

from edge.config import compile_site
from edge.config.tiers import TIERS, missing, tier_of
from edge.plan import Capability, Machine
from ext.buckets import Bucket

C = Capability
HEAD = """\
site: {id: s, enterprise: e, province: p, city: c}
devices:
  - {id: plc, template: inovance-h5u, host: h}
  - {id: ua, template: generic-opcua, url: "opc.tcp://h:4840"}
machines:
"""
# What a machine of each kind can tell with all its signals.
WHOLE = {
    "reference-block": 3, "tape-sealer": 3, "flat-mask-1+1": 3, "flat-mask-1+2": 3, "kn95": 3, "suit-station": 3,
    "eo-steriliser": 3, "mask-line": 3, "generic": 1, "packml": 4, "packml-30050": 4, "packml-tmc": 1, "machinery": 1,
    "machinery-jobs": 2,
}  # fmt: skip


def machines_of(*lines: str) -> tuple[Machine, ...]:
    return compile_site(HEAD + "\n".join(lines), Path("/x/site.yaml"), {}).machines


def off(names: tuple[str, ...]) -> str:
    return ", ".join(f"{name}: null" for name in names)


@pytest.mark.parametrize(
    ("told", "tier"),
    [
        ((), 0),
        ((C.COUNT,), 0),
        (
            (C.COUNT, C.QUALITY, C.FAULT, C.EXTERNAL, C.PRODUCT, C.SETUP, C.ACCUMULATORS),
            0,
        ),  # nobody knows whether it runs
        ((C.STATE,), 1),
        ((C.STATE, C.FAULT), 1),
        ((C.STATE, C.QUALITY), 1),
        ((C.STATE, C.QUALITY, C.FAULT), 2),
        ((C.STATE, C.QUALITY, C.FAULT, C.EXTERNAL, C.PRODUCT), 2),
        ((C.STATE, C.QUALITY, C.FAULT, C.EXTERNAL, C.SETUP), 2),
        ((C.STATE, C.QUALITY, C.FAULT, C.EXTERNAL, C.PRODUCT, C.SETUP), 3),
        ((C.STATE, C.QUALITY, C.FAULT, C.EXTERNAL, C.PRODUCT, C.MAINTENANCE), 3),
        ((C.STATE, C.QUALITY, C.FAULT, C.EXTERNAL, C.PRODUCT, C.SETUP, C.ORDER), 4),
        ((C.STATE, C.QUALITY, C.FAULT, C.EXTERNAL, C.PRODUCT, C.SETUP, C.ACCUMULATORS), 4),
        (tuple(C), 4),
    ],
)
def test_the_table(told: tuple[Capability, ...], tier: int) -> None:
    assert tier_of(told) == tier


def test_what_is_missing_is_what_would_lift_the_tier() -> None:
    """Giving one of each missing group lifts the tier, giving all but one group does not; at every set there is."""
    for size in range(len(C) + 1):
        for told in combinations(C, size):
            tier, groups = tier_of(told), missing(told)
            assert bool(groups) == (tier < len(TIERS))
            if groups:
                assert tier_of({*told, *(group[0] for group in groups)}) > tier
                assert tier_of({*told, *(group[0] for group in groups[1:])}) == tier


def test_every_template_with_all_its_signals() -> None:
    lines = [f"  - {{id: {kind}, template: {kind}, device: ua, base: F}}" for kind in WHOLE]
    assert {machine.id: machine.tier for machine in machines_of(*lines)} == WHOLE


# By capability: the signals of the reference block that give it, any of one set is enough.
GIVES = {
    C.STATE: ({"run"}, {"state"}),
    C.FAULT: ({"fault"}, {"state"}, {"fault_code"}),
    C.QUALITY: ({"total", "good"}, {"total", "reject"}, {"good", "reject"}),
    C.EXTERNAL: ({"starved", "blocked"}, {"state"}, {"blocked", "fault_code"}),  # X01 … are codes of starving
    C.PRODUCT: ({"product_id"},),
    C.SETUP: ({"mode"}, {"changeover"}),
    C.MAINTENANCE: ({"mode"}, {"fault_code"}),
    C.IDLE: ({"state"}, {"fault_code"}),
    C.FAULT_CODE: ({"fault_code"},),
}
SWITCHED = (
    "run",
    "state",
    "fault",
    "fault_code",
    "good",
    "reject",
    "starved",
    "blocked",
    "product_id",
    "mode",
    "changeover",
)


def test_every_subset_of_the_reference_block() -> None:
    """All with up to two signals switched off or left on, and every ninth of the 2,048 there are."""
    subsets = list(chain.from_iterable(combinations(SWITCHED, n) for n in range(len(SWITCHED) + 1)))
    chosen = [s for n, s in enumerate(subsets) if n % 9 == 0 or not 2 < len(s) < len(SWITCHED) - 2]
    lines = [
        f"  - {{id: m{n}, template: reference-block, device: ua, base: F, tags: {{{off(names)}}}}}"
        for n, names in enumerate(chosen)
    ]
    for names, machine in zip(chosen, machines_of(*lines), strict=True):
        left = {"total", *SWITCHED} - set(names)
        expected = {c for c, ways in GIVES.items() if any(way <= left for way in ways)}
        assert machine.capabilities - {C.COUNT, C.SPEED} == expected, names
        assert machine.tier == tier_of(expected)
        says_run = any(rule.bucket is Bucket.RUN for rule in machine.states)
        assert says_run or machine.state_default.state == "counting", "nothing says RUN, so counts do"


GENERIC = ("run", "fault", "starved", "blocked", "setup", "order", "reject")


def test_every_subset_of_a_generic_machine() -> None:
    """All 128, from a counter alone to everything."""
    subsets = list(chain.from_iterable(combinations(GENERIC, n) for n in range(len(GENERIC) + 1)))
    lines = []
    for n, names in enumerate(subsets):
        tags = [f"{name}: {{address: M{at}}}" for at, name in enumerate(GENERIC) if name in names and name != "reject"]
        tags += ["reject: {address: D50, type: u32}"] * ("reject" in names)
        tags += [f"{name}: null" for name in ("run", "fault") if name not in names]
        lines.append(f"  - {{id: m{n}, template: generic, device: plc, base: D0, tags: {{{', '.join(tags)}}}}}")
    for names, machine in zip(subsets, machines_of(*lines), strict=True):
        has = set(names)
        told = {
            C.COUNT: True,
            C.STATE: "run" in has,
            C.FAULT: "fault" in has,
            C.QUALITY: "reject" in has,
            C.EXTERNAL: {"starved", "blocked"} <= has,
            C.SETUP: "setup" in has,
            C.ORDER: "order" in has,
            C.IDLE: "order" in has,
        }
        assert machine.capabilities == {c for c, is_so in told.items() if is_so}, names
        assert machine.tier == (2 if {"run", "reject", "fault"} <= has else 1 if "run" in has else 0), "no product"


def test_a_machine_that_always_makes_the_same_knows_its_product() -> None:
    with_signal, always, unknown = machines_of(
        "  - {id: a, template: reference-block, device: plc, base: D0}",
        "  - {id: b, template: reference-block, device: plc, base: D0, product: piece}",
        "  - {id: c, template: reference-block, device: plc, base: D0, tags: {product_id: null}}",
    )
    assert [C.PRODUCT in m.capabilities for m in (with_signal, always, unknown)] == [True, True, False]
    assert [m.tier for m in (with_signal, always, unknown)] == [3, 3, 2]


def test_hours_counters_of_run_and_fault_alone_repair_no_gap() -> None:
    whole, none = machines_of(
        "  - {id: a, template: packml, device: ua, base: F}",
        "  - {id: b, template: packml, device: ua, base: F, state_times: []}",
    )
    assert (whole.tier, none.tier) == (4, 3)
    assert len(whole.state_times) == 19
    assert not any(signal.name.endswith("_s") for signal in none.signals), "they are not read for nothing"
