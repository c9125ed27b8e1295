"""Which frame samples which machine; what is known of a device."""

from __future__ import annotations

import logging

import pytest
from agent.rig import Rig
from fixtures.records import NS
from machines.bench import TOTAL, write

from edge.hub import FACTS_KEPT
from protocols.reading import Frame


def sampled_at(rig: Rig) -> int:
    return rig.lives[0]._sampled_ns


def frame(rig: Rig, device: int, tags: range, *, confirms: bool = False) -> None:
    rig.clock.advance(NS)
    write(rig.images[device], rig.clock.now_ns(), {})
    rig.hub.on_frame(Frame(device, rig.clock.now_ns(), tags, 0, confirms))


async def test_the_block_of_the_trigger_samples_the_machine(rig: Rig) -> None:
    """Other blocks refresh the image and wait for it."""
    frame(rig, 0, range(TOTAL))
    assert sampled_at(rig) == 0
    frame(rig, 0, range(TOTAL, TOTAL + 1))
    assert sampled_at(rig) == rig.clock.now_ns()


async def test_a_subscription_that_says_nothing_changed_samples_too(rig: Rig) -> None:
    frame(rig, 0, range(0), confirms=True)
    assert sampled_at(rig) == rig.clock.now_ns()


async def test_another_device_samples_nothing(rig: Rig) -> None:
    frame(rig, 1, range(1), confirms=True)
    assert sampled_at(rig) == 0


async def test_since_when_a_device_is_up_or_down(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """A new reason for being down does not make the outage younger."""
    caplog.set_level(logging.INFO)
    state = rig.hub.states[0]
    assert (state.up, state.reason) == (False, "starting")
    rig.clock.advance(NS)
    rig.fact(up=False, reason="refused")
    down = rig.clock.now_ns()
    rig.clock.advance(NS)
    rig.fact(up=False, reason="timeout")
    assert (state.since_ns, state.reason, state.detail) == (down, "timeout", "detail of timeout")
    rig.clock.advance(NS)
    rig.fact(up=True, reason="connected")
    assert (state.up, state.since_ns) == (True, rig.clock.now_ns())
    assert [(r.levelname, r.message) for r in caplog.records] == [
        ("WARNING", "device down"), ("WARNING", "device down"), ("INFO", "device up"),
    ]  # fmt: skip


async def test_facts_nobody_takes_are_bounded(rig: Rig) -> None:
    for n in range(FACTS_KEPT + 50):
        rig.fact(up=bool(n % 2), reason=str(n))
    assert len(rig.hub.news) == FACTS_KEPT
    assert rig.hub.news[-1].reason == str(FACTS_KEPT + 49)
