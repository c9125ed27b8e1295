"""Promise: compiling in a child process gives the same plan and the same mistakes, and leaves the parent small."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.config import load
from edge.config.aside import compile_aside, load_aside
from edge.config.templates import config_folder
from edge.errors import ConfigError

SAMPLE = config_folder() / "site.yaml"


def test_the_plan_is_the_same() -> None:
    environ = dict(os.environ) | {"INFLUX_PASSWORD": "hush"}
    aside = load_aside(SAMPLE, environ)
    assert aside == load(SAMPLE, environ)
    assert aside.sinks[0].password == "hush"


def test_the_mistakes_are_the_same(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(SAMPLE.read_text().replace("template: delta-dvp", "template: delta").replace("D1000", "Z1"))
    with pytest.raises(ConfigError) as aside:
        load_aside(site, os.environ)
    with pytest.raises(ConfigError) as here:
        load(site, os.environ)
    assert aside.value.problems == here.value.problems
    assert len(here.value.problems) == 2


def test_a_child_that_dies_is_an_error_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ConfigError, match="failed"):
        load_aside(SAMPLE, os.environ)


def test_the_parent_never_imports_yaml_or_pydantic() -> None:
    code = (
        "import os, sys; from pathlib import Path; from edge.config.aside import load_aside; "
        f"load_aside(Path({str(SAMPLE)!r}), os.environ); "
        "print([name for name in ('yaml', 'pydantic', 'edge.config.models') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_the_parent_goes_on_meanwhile() -> None:
    compilation = compile_aside(SAMPLE, os.environ)
    assert compilation.child.poll() is None
    assert compilation.plan() == load(SAMPLE, os.environ)


def test_a_folder_named_like_a_package_where_it_is_started_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "edge").mkdir()
    (tmp_path / "edge" / "__init__.py").write_text("raise SystemExit('the wrong edge')")
    monkeypatch.chdir(tmp_path)
    assert load_aside(SAMPLE, os.environ) == load(SAMPLE, os.environ)
