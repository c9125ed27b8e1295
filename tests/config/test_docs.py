"""Promise: docs/configuration names every key and template in both languages, and its example loads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from edge.config import calendar_models, compile_site, models
from edge.config.fields import BUCKETS
from edge.config.templates import config_folder

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [DOCS / "configuration.md", DOCS / "configuration.zh-CN.md"]
OF_TEMPLATES = (models.MachineTemplate, models.PlcTemplate, models.LimitsTemplate)


def keys() -> set[str]:
    found: set[str] = set()
    for model in (vars(models) | vars(calendar_models)).values():
        if isinstance(model, type) and issubclass(model, BaseModel) and model not in OF_TEMPLATES:
            found |= set(model.model_fields)
    return found - {"zh", "en", "range", "table", "base", "radix", "registers", "bytewise", "when", "bucket", "state"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_page_names_every_key_and_template(page: Path) -> None:
    text = page.read_text()
    templates = {file.stem for file in (config_folder() / "templates").glob("*/*.yaml")} - {"mask-line"}
    missing = {name for name in keys() | templates if not re.search(rf"[`{{ ]{re.escape(name)}[`:,}}]", text)}
    assert not missing
    for bucket in BUCKETS:
        assert f"`{bucket}`" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_example_loads(page: Path) -> None:
    match = re.search(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)
    assert match is not None
    plan = compile_site(match[1], Path("site.yaml"), {})
    assert [machine.id for machine in plan.machines] == ["tape-01"]


@pytest.mark.parametrize("page", ["calendar.md", "calendar.zh-CN.md"])
def test_every_calendar_on_its_page_loads(page: str) -> None:
    examples = re.findall(r"```yaml\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    site = re.search(r"```yaml\n(.*?)```", PAGES[0].read_text(), re.DOTALL)
    assert site is not None
    assert len(examples) == 6
    for example in examples:
        assert compile_site(site[1] + example, Path("site.yaml"), {}).calendars[0].id == "default"
