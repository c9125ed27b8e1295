"""Promise: whatever stands in a site file, the answer is a plan or a report of mistakes, never a crash."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config import compile_site
from edge.config.document import read
from edge.config.problems import Problems
from edge.config.templates import config_folder
from edge.errors import ConfigError, Problem
from edge.plan import SitePlan

FOLDER = config_folder()
WORDS = [
    "D1000",
    "M7",
    "plc-1",
    "total",
    "08:00",
    "mon-fri",
    "${X}",
    "${",
    "ns=2;i=1",
    "http://h",
    "u16",
    "run",
    "",
    "\u0000",
    "中",
]
JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=4,
)


def sample() -> Any:
    document = read((FOLDER / "site.yaml").read_text(), "site.yaml", Problems())
    assert document is not None
    return document.data


def paths(data: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [at, *(path for key, value in inner for path in paths(value, (*at, key)))]


PATHS = paths(sample())


def plan_or_problems(text: str) -> SitePlan | tuple[Problem, ...]:
    try:
        return compile_site(text, FOLDER / "site.yaml", {})
    except ConfigError as error:
        return error.problems


def answers(text: str) -> None:
    outcome = plan_or_problems(text)
    assert isinstance(outcome, SitePlan) or all(p.what.zh and p.what.en and p.path for p in outcome)
    assert outcome


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(PATHS), JUNK), min_size=1, max_size=3))
def test_junk_anywhere_gives_a_plan_or_a_report(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    data = sample()
    for path, junk in changes:
        try:
            below = data
            for key in path[:-1]:
                below = below[key]
            if path:
                below[path[-1]] = junk
            else:
                data = junk
        except (TypeError, KeyError, IndexError):
            continue  # an earlier change took this place away
    answers(yaml.safe_dump(data, allow_unicode=True))


@settings(max_examples=30)
@given(st.integers(0, 4000), st.integers(0, 40), st.text(alphabet="{}[]:-,\"'\t &*!|>%@`#\n", max_size=4))
def test_a_damaged_file_gives_a_plan_or_a_report(start: int, length: int, noise: str) -> None:
    text = (FOLDER / "site.yaml").read_text()
    answers(text[:start] + noise + text[start + length :])
