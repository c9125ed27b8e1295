"""Stores in memory: what a flush costs is not tested here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.memory import memory_folder


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """Where there is such a file system."""
    with memory_folder(tmp_path) as folder:
        yield folder
