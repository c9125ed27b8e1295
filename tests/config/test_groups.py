"""Promises: tag groups of an OPC UA device become what the client follows; what would hide a count is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import compile_site
from edge.config.check import render
from edge.config.models import NodesModel
from edge.config.nodes import node_of
from edge.errors import ConfigError
from edge.plan import OpcuaDevice, SitePlan
from protocols.opcua.tags import Deadband, Mode, ServerLimits, Trigger

S = 1_000_000_000


def plan_of(device: str) -> SitePlan:
    """A PackML machine on one OPC UA server with these lines more."""
    return compile_site(
        "site: {id: s, enterprise: e, province: p, city: c}\n"
        f"devices:\n  - {{id: mask, template: siemens-s7-1200-opcua, url: 'opc.tcp://h:4840', {device}}}\n"
        "machines:\n  - {id: m1, template: packml, device: mask, base: M1}\n",
        Path("/etc/x/site.yaml"),
        {},
    )


def opcua(plan: SitePlan) -> OpcuaDevice:
    """The only device."""
    (device,) = plan.devices
    assert isinstance(device, OpcuaDevice)
    return device


def test_without_groups_everything_is_one_subscription() -> None:
    """The default group carries the intervals of the device, and the make's limits are known."""
    device = opcua(plan_of("publishing_s: 0.2"))
    (group,) = device.endpoint.tag_groups
    assert (group.name, group.mode, group.publishing_ns) == ("default", Mode.SUBSCRIBE, S // 5)
    assert {tag.group for tag in device.tags} == {0}
    assert device.endpoint.limits == ServerLimits(100, 1000, 0)


def test_every_option_arrives() -> None:
    """Patterns choose tags, the first that fits; each option is in the plan and in the listing of `check`."""
    groups = (
        "groups: {slow: {tags: ['*_s'], mode: poll, interval_s: 10},"
        " speed: {tags: ['m1.speed', 'm1.stopped_s'], publishing_s: 2, sampling_s: 0.1, queue: 7, discard: newest,"
        " trigger: status-value-timestamp, deadband_percent: 1.5}, default: {queue: 3}}"
    )
    plan = plan_of(groups)
    device = opcua(plan)
    names = [group.name for group in device.endpoint.tag_groups]
    assert names == ["default", "slow", "speed"]
    default, slow, speed = device.endpoint.tag_groups
    assert default.queue_size == 3
    assert (slow.mode, slow.publishing_ns) == (Mode.POLL, 10 * S)
    assert (speed.publishing_ns, speed.queue_size, speed.discard_oldest) == (2 * S, 7, False)
    assert speed.trigger is Trigger.STATUS_VALUE_TIMESTAMP
    assert (speed.deadband, speed.deadband_value) == (Deadband.PERCENT, 1.5)
    by_name = {tag.name: tag for tag in device.tags}
    assert by_name["m1.stopped_s"].group == 1
    assert (by_name["m1.speed"].group, by_name["m1.speed"].sampling_ns) == (2, S // 10)
    assert by_name["m1.total"].group == 0
    text = render(plan, 1_800_000_000 * S)
    for words in ("slow", "speed", "1.5 %", "status-value-timestamp", "100"):
        assert words in text


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ("{x: {tags: ['m1.total'], deadband: 5}}", "hides changes"),
        ("{x: {tags: ['m1.state'], trigger: status}}", "hides changes"),
        ("{x: {tags: ['m2.*']}}", "no tag fits"),
        ("{x: {}}", "which tags"),
        ("{default: {tags: ['*']}}", "no patterns"),
        ("{x: {tags: ['*_s'], mode: poll, deadband: 1}}", "a polled group"),
        ("{x: {tags: ['*_s'], interval_s: 1}}", "mode: poll"),
        ("{x: {tags: ['m1.speed'], deadband: 1, deadband_percent: 1}}", "one kind"),
    ],
)
def test_what_does_not_fit_is_a_mistake(groups: str, words: str) -> None:
    """A group that would hide a count, a pattern of nothing, options of the other mode: said, with the place."""
    with pytest.raises(ConfigError) as raised:
        plan_of(f"groups: {groups}")
    assert any(words in problem.what.en for problem in raised.value.problems)


def test_three_state_machines_stay_in_one_group() -> None:
    """Signals that are one fact may not come in two publishes."""
    site = (
        "site: {id: s, enterprise: e, province: p, city: c}\n"
        "devices:\n  - {id: mask, template: generic-opcua, url: 'opc.tcp://h:4840',"
        " groups: {x: {tags: ['m1.machine_state']}}}\n"
        "machines:\n  - {id: m1, template: packml-30050, device: mask, base: M1}\n"
    )
    with pytest.raises(ConfigError) as raised:
        compile_site(site, Path("/etc/x/site.yaml"), {})
    assert "one request" in raised.value.problems[0].what.en


def test_steps_of_a_path_may_name_their_namespace() -> None:
    """A base of the maker's namespace, parts of a companion specification's, and one of OPC UA's own."""
    nodes = NodesModel(pattern="/0:Objects/{base}/{tag}", separator="/", prefix="nsu=http://x/PackML/;")
    assert (
        node_of("Status/0:Number", "nsu=urn:maker;Tape1", nodes)
        == "/0:Objects/nsu=urn:maker;Tape1/nsu=http://x/PackML/;Status/0:Number"
    )
    assert node_of("nsu=urn:maker;s=T", None, nodes) == "nsu=urn:maker;s=T"


def test_nested_states_are_one_fact() -> None:
    """Signals of `together` are marked for whoever reads them, so that no round of reads tears them apart; the version
    of the configuration is that of before."""
    plan = compile_site(
        "site: {id: s, enterprise: e, province: p, city: c}\n"
        "devices:\n  - {id: mask, template: generic-opcua, url: 'opc.tcp://h:4840'}\n"
        "machines:\n  - {id: m1, template: packml-30050, device: mask, base: /0:Objects/2:M1}\n"
        "  - {id: m2, template: packml-30050, device: mask, base: /0:Objects/2:M2}\n",
        Path("/etc/x/site.yaml"),
        {},
    )
    device = opcua(plan)
    for number, machine in enumerate(plan.machines, 1):
        own = {machine.signals[index].tag for index in machine.together}
        assert len(own) == 3
        assert {at for at, tag in enumerate(device.tags) if tag.fact == number} == own
