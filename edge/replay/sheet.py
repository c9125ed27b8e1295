"""Every figure of a machine's record, for people: its name, its division, its value or why there is none.

What `docs/kpi.md` explains, with the machine's own numbers, so that a figure can be checked with a pencil.
"""

from __future__ import annotations

from collections.abc import Iterator

from edge.errors import Text
from edge.kpi.catalogue import CATALOGUE, Definition, Group
from edge.kpi.evidence import Evidence
from edge.kpi.figure import Figure
from edge.kpi.say import division_text, value_text


def sheet(known: Evidence) -> Iterator[tuple[str, list[list[str]]]]:
    """Section by section: its title, and a row of cells per figure."""
    for group in Group:
        rows = [_row(each, each.of(known)) for each in CATALOGUE if each.group is group]
        yield str(Text(group.zh, group.en)), rows


def _row(each: Definition, found: Figure) -> list[str]:
    name = str(Text(each.zh, each.en))
    if found.why_null is not None:
        return [name, each.key, "–", str(Text(found.why_null.zh, found.why_null.en))]
    return [name, each.key, value_text(found, each.unit), division_text(found)]
