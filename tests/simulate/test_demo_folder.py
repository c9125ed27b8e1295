"""`seamline demo --keep`: everything is where the person said, whatever folder they stand in."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.cli import main
from edge.simulate.demo import Demo


def test_a_relative_folder_is_the_one_in_front_of_the_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The site file lies in it and names its store by path: the folder must not be in that path twice."""
    stores: list[str] = []

    async def run(demo: Demo) -> int:
        stores.append(demo._plan.agent.store_path)
        return 0

    monkeypatch.setattr(Demo, "run", run)
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--keep", "kept/here", "--for", "1s"]) == 0
    assert stores == [str(tmp_path / "kept" / "here" / "seamline.db")]
