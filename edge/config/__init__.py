"""The site file: read, checked and compiled to the plan the agent follows.

Importing this package costs nothing: yaml and pydantic are imported by the first `load`. A process that runs for months
and reads its site file once in a while uses `edge.config.aside.load_aside`, which leaves them to a child process.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.plan import SitePlan


def load(path: Path, environ: Mapping[str, str]) -> SitePlan:
    """Compile the site file at `path`; `environ` gives the secrets. Raises ConfigError with every mistake in it."""
    from edge.config.compile import load as compile_file

    return compile_file(path, environ)


def compile_site(text: str, path: Path, environ: Mapping[str, str]) -> SitePlan:
    """Compile the text of a site file that lies, or would lie, at `path`. Raises ConfigError with every mistake."""
    from edge.config.compile import compile_site as compile_text

    return compile_text(text, path, environ)
