"""Every protocol fault, as a named case: what the agent says, what is lost, how soon it is back, what it asks.

All cases run at the same time in one loop, and a healthy device beside them: see peers/fault_cases.py.
"""

import pytest
from peers.fault_cases import complaints, load, names, run_all
from peers.fault_page import PAGES, read, render

CASES = {name: load(name) for name in names()}


@pytest.fixture(scope="module")
def faults(request, tmp_path_factory):
    """The outcomes of the chosen cases."""
    chosen = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    some = {params["name"]: None for params in chosen if params.get("name") in CASES}
    return run_all([CASES[name] for name in some or CASES], tmp_path_factory.mktemp("faults"))


@pytest.mark.parametrize("name", CASES)
def test_fault(name, faults):
    """Facts in order, no wrong value, nothing lost of other tags, and bounds for all the rest."""
    assert complaints(CASES[name], faults.outcomes[name]) == []


def test_neighbour(faults):
    """The healthy device beside them all: every value, one connection, one fact, no poll skipped."""
    one = faults.neighbour
    assert one.facts == ("up connected",)
    assert (one.lost, one.others_lost, one.wrong, one.bad, one.connections) == (0, 0, 0, (), 1)


def test_cases_are_many():
    """At least thirty, each with both languages."""
    assert len(CASES) >= 30
    assert all(text.zh and text.en for case in CASES.values() for text in (case.title, case.does))


@pytest.mark.parametrize("language", PAGES)
def test_page_is_of_these_cases(language):
    """docs/faults.md and its Chinese twin are what `make faults` makes of the cases and of the last measured run."""
    assert PAGES[language].read_text("utf-8") == render(list(CASES.values()), read(), language)


def test_measured_run_kept_every_promise():
    """The numbers of the page are within the bounds of their cases, and no other tag lost a value."""
    rows = read()
    assert rows.keys() == CASES.keys()
    for name, case in CASES.items():
        expect, row = case.expect, rows[name]
        assert row.lost <= expect.lost, name
        assert row.others_lost <= (expect.lost if expect.others_down else 0), name
        assert row.recovered_ms <= (expect.recover_polls + 0.5) * case.device.interval_ms, name
