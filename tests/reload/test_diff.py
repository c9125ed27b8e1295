"""What a reload would do: the difference of two plans, by id, whatever the places; and the same in words."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config import compile_site
from edge.plan import SitePlan
from edge.reload.diff import Change, diff
from edge.reload.listing import listing, summary
from edge.simulate.site import demo_site

SITE = demo_site(7, ports=range(21_000, 21_020))


def document() -> Any:
    return yaml.safe_load(SITE)


def plan_of(site: Any) -> SitePlan:
    return compile_site(yaml.safe_dump(site, allow_unicode=True), Path("/etc/x/site.yaml"), {})


OLD = plan_of(document())


def after(edit: Any) -> Change:
    site = document()
    edit(site)
    return diff(OLD, plan_of(site))


def test_the_same_file_is_no_change() -> None:
    change = diff(OLD, plan_of(document()))
    assert change.is_empty
    assert len(change.connections) == len({d.id for d in OLD.devices})
    assert not change.succeeded


@settings(max_examples=20)
@given(st.randoms(use_true_random=False))
def test_the_order_of_the_file_means_nothing(chance: random.Random) -> None:
    """Every connection and every machine stays, found by its id at its new place."""

    def shuffle(site: Any) -> None:
        chance.shuffle(site["devices"])
        chance.shuffle(site["machines"])

    site = document()
    shuffle(site)
    new = plan_of(site)
    change = diff(OLD, new)
    assert change.is_empty
    for before, now in change.connections:
        assert [OLD.devices[place].id for place in before] == [new.devices[place].id for place in now]
    assert sorted(place for _, now in change.connections for place in now) == list(range(len(new.devices)))


def test_a_device_that_moves_is_connected_anew_and_its_machine_goes_on() -> None:
    change = after(lambda site: site["devices"][0].update(port=21_100))
    assert [(one.id, one.fields) for one in change.devices.changed] == [("plc-1", ("endpoint",))]
    assert len(change.connections) == len(OLD.devices) - 1
    assert not change.succeeded
    assert not change.machines.changed


def test_one_changed_unit_is_a_new_wire_for_all_on_it() -> None:
    def share(site: Any) -> None:
        for number in (0, 1):
            site["devices"][number].update(port=21_100, unit=number + 1)

    site = document()
    share(site)
    old = plan_of(site)
    site["devices"][1]["unit"] = 9
    change = diff(old, plan_of(site))
    assert change.devices.changed_ids == {site["devices"][1]["id"]}
    assert change.rejoined == (site["devices"][0]["id"],)


def test_a_rule_is_a_succession_and_a_label_is_not() -> None:
    change = after(lambda site: site["machines"][0].update(ideal_cycle_s=1.7))
    name = OLD.machines[0].id
    assert change.succeeded == {name}
    assert "products" in change.machines.changed[0].fields
    change = after(lambda site: site["machines"][0].update(name={"zh": "一号", "en": "One"}, oee_target=0.7))
    assert not change.succeeded
    assert change.machines.changed_ids == {name}
    assert not change.renamed


def test_an_edit_of_one_machine_leaves_the_versions_of_the_others() -> None:
    site = document()
    site["machines"][0]["ideal_cycle_s"] = 1.7
    new = plan_of(site)
    assert new.config_version != OLD.config_version
    same = [a.version == b.version for a, b in zip(OLD.machines, new.machines, strict=True)]
    assert same == [False] + [True] * (len(same) - 1)


def test_another_line_or_site_renames_series() -> None:
    change = after(lambda site: site["machines"][2].update(line="line-9"))
    assert change.renamed == {OLD.machines[2].id}
    assert not change.succeeded
    change = after(lambda site: site["site"].update(enterprise="Another"))
    assert change.renamed == {machine.id for machine in OLD.machines}


def test_a_calendar_is_a_succession_of_its_machines() -> None:
    shifts = [{"name": "day", "start": "08:00", "end": "20:00"}]
    change = after(lambda site: site.update(calendar={"id": "two", "shifts": shifts}))
    assert change.succeeded == {machine.id for machine in OLD.machines}
    assert (change.calendars.added, change.calendars.removed) == (("two",), ("around-the-clock",))


def test_what_comes_and_goes() -> None:
    def edit(site: Any) -> None:
        del site["machines"][0], site["devices"][0]

    change = after(edit)
    assert change.devices.removed == (OLD.devices[0].id,)
    assert change.machines.removed == (OLD.machines[0].id,)
    back = diff(plan_of(_without_first()), OLD)
    assert back.machines.added == (OLD.machines[0].id,)
    assert summary(back) == f"devices +{OLD.devices[0].id}, machines +{OLD.machines[0].id}"


def _without_first() -> Any:
    site = document()
    del site["machines"][0], site["devices"][0]
    return site


def test_only_another_store_begins_anew() -> None:
    assert after(lambda site: site["agent"]["store"].update(path="elsewhere.db")).begins_anew
    assert not after(lambda site: site["agent"]["store"].update(max_bytes="64 MB")).begins_anew


@pytest.mark.parametrize("language", ["zh", "en"])
def test_words_name_every_change_and_no_secret(monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    monkeypatch.setenv("SEAMLINE_LANG", language)
    sink = {"id": "up", "type": "influxdb2", "url": "http://a:1", "org": "o", "bucket": "b", "token": "geheim"}
    site = document()
    site["sinks"] = [sink]
    old = plan_of(site)
    site["sinks"] = [{**sink, "token": "streng-geheim"}]
    site["devices"][0]["port"] = 21_100
    site["machines"][1]["ideal_cycle_s"] = 1.7
    site["machines"][2]["line"] = "line-9"
    del site["machines"][3]
    new = plan_of(site)
    text = "\n".join(listing(diff(old, new), old, new))
    for name in ("up", "token", "plc-1", *(machine.id for machine in old.machines[1:4]), "CONFIG_CHANGED"):
        assert name in text
    assert "geheim" not in text
