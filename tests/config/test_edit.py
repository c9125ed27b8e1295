"""Promise: a key is set in a site file, and every other byte stays, comments and quotes included."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from edge.config.edit import Edit, EditError, edited, lines_of

FILE = """\
# head
site: {id: s}   # flow
machines:
  - id: a   # the first
    template: kn95

    # a comment that stays
    tags:
      total: { address: D1 }  # braces
      good:
        address: D2   # block
        type: u16
      reject: null # off
      other:
  -   id: b
      template: x
  - {id: c, template: y}
  - id: d
"""


@pytest.mark.parametrize(
    ("path", "value", "gone", "come"),
    [
        (("machines", 0, "tags", "total", "address"), "D7", "{ address: D1 }", "{ address: D7 }"),
        (
            ("machines", 0, "tags", "total", "word_order"),
            "ABCD",
            "{ address: D1 }",
            "{ address: D1, word_order: ABCD }",
        ),
        (("machines", 0, "tags", "good", "address"), "D9", "address: D2 ", "address: D9 "),
        (
            ("machines", 0, "tags", "good", "word_order"),
            "ABCD",
            "        address: D2",
            "        word_order: ABCD\n        address: D2",
        ),
        (("machines", 0, "tags", "reject", "address"), "D3", "null", "{ address: D3 }"),
        (("machines", 0, "tags", "other", "address"), "holding:5", "other:", "other: { address: holding:5 }"),
        (
            ("machines", 0, "tags", "new", "address"),
            "X17",
            "      total: {",
            "      new: { address: X17 }\n      total: {",
        ),
        (
            ("machines", 1, "tags", "total", "address"),
            "40001",
            "      template: x",
            '      tags:\n        total: { address: "40001" }\n      template: x',
        ),
        (("machines", 2, "tags", "t", "bit"), 3, "template: y}", "template: y, tags: { t: { bit: 3 } }}"),
        (("machines", 3, "base"), "D5", "  - id: d\n", "  - id: d\n    base: D5\n"),
        (("site", "name"), "x", "{id: s}", "{id: s, name: x}"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_only_that_place_changes(path, value, gone, come, newline) -> None:
    """The new text is the old one with one piece replaced."""
    text = FILE.replace("\n", newline)
    wanted = text.replace(gone.replace("\n", newline), come.replace("\n", newline), 1)
    assert edited(text, [Edit(path, value)], "f") == wanted


def test_several_edits_and_no_line_feed_at_the_end() -> None:
    text = "a:\n  - id: x"
    edits = [Edit(("a", 0, "tags", "t", "address"), "D1"), Edit(("a", 0, "tags", "t", "type"), "u32")]
    assert yaml.safe_load(edited(text, edits, "f")) == {
        "a": [{"id": "x", "tags": {"t": {"address": "D1", "type": "u32"}}}]
    }


@pytest.mark.parametrize(
    "text",
    [
        "x: &t {a: 1}\nm:\n  - id: q\n    tags: *t\n",
        "x: &t\n  a: {address: D1}\nm:\n  - id: q\n    tags:\n      <<: *t\n",
        "m:\n  - id: q\n    tags: &t\n      t: {address: D2}\n  - id: r\n    tags: *t\n",
    ],
)
def test_what_others_share_is_not_touched(text) -> None:
    """An alias, a merge, an anchor: editing it would change another machine, so it is refused or stays apart."""
    try:
        after = edited(text, [Edit(("m", 0, "tags", "t", "address"), "D9")], "f")
    except EditError:
        return
    assert yaml.safe_load(after)["m"][1:] == yaml.safe_load(text)["m"][1:]
    assert yaml.safe_load(after)["m"][0]["tags"]["t"] == {"address": "D9"}


def test_lines_for_people() -> None:
    """What is to be written in, as YAML that can be pasted."""
    edits = [Edit(("tags", "total", "address"), "D9"), Edit(("tags", "total", "word_order"), "ABCD")]
    lines = lines_of(edits)
    assert lines == ["tags:", "  total: { address: D9, word_order: ABCD }"]


NAMES = st.sampled_from(["total", "good", "reject", "address", "type", "x1", "tags"])
VALUES = st.sampled_from(["D1", "40001", "holding:7", "true", "%MW5", "a b", 3, 0.1, True, "O'Brien", 'say "x"'])
TREES = st.recursive(
    st.none() | VALUES, lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=4), max_leaves=12
)


@given(
    tree=st.dictionaries(NAMES, TREES, min_size=1, max_size=4),
    path=st.lists(NAMES, min_size=1, max_size=4),
    value=VALUES,
    flow=st.sampled_from([None, True, False]),
)
def test_any_tree(tree, path, value, flow) -> None:
    """Whatever file, path and value: the data differ in that key and nowhere else, and no line is lost, or it is
    refused.
    """
    text = yaml.safe_dump(tree, default_flow_style=flow, sort_keys=False, allow_unicode=True)
    try:
        after = edited(text, [Edit(tuple(path), value)], "f")
    except EditError:
        return
    expected = tree
    for key in path[:-1]:
        if not isinstance(expected.get(key), dict):
            expected[key] = {}
        expected = expected[key]
    expected[path[-1]] = value
    assert yaml.safe_load(after) == tree
