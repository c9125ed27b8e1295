"""Templates: machine kinds and PLC brands as data. Finding them, reading them, laying one over another.

Search order: the site's own folder (`templates:` in the site file), then the templates that came with Seamline. A
template may extend another by name; its keys are laid over the other's, mapping by mapping; lists are replaced, and
`null` switches a tag off.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

import edge
from edge.config.document import Document, overlay, read
from edge.config.models import MachineTemplate, PlcTemplate
from edge.config.problems import Problems
from edge.config.validate import Placed, one
from edge.errors import Text

MACHINES, PLCS = "machines", "plc"
T = TypeVar("T", bound=BaseModel)


def config_folder() -> Path:
    """The folder of samples and templates: beside the packages in a checkout, inside `edge` in a wheel."""
    package = Path(edge.__file__).parent
    checkout = package.parent / "config"
    return checkout if (checkout / "templates").is_dir() else package / "data" / "config"


class Templates:
    """All templates a site can name. Each is read once, when first asked for."""

    def __init__(self, folders: tuple[Path, ...], problems: Problems) -> None:
        self._folders = folders
        self._problems = problems
        self._machines: dict[str, Placed[MachineTemplate] | None] = {}
        self._plcs: dict[str, Placed[PlcTemplate] | None] = {}

    def names(self, kind: str) -> list[str]:
        """What can be named: every template file of that kind."""
        return sorted({file.stem for folder in self._folders for file in (folder / kind).glob("*.yaml")})

    def machine(self, name: str) -> Placed[MachineTemplate] | None:
        """A machine kind; None where it does not exist or is broken (then its problems are noted)."""
        if name not in self._machines:
            self._machines[name] = self._typed(MachineTemplate, MACHINES, name)
        return self._machines[name]

    def plc(self, name: str) -> Placed[PlcTemplate] | None:
        """A PLC brand; None where it does not exist or is broken (then its problems are noted)."""
        if name not in self._plcs:
            self._plcs[name] = self._typed(PlcTemplate, PLCS, name)
        return self._plcs[name]

    def _typed(self, model: type[T], kind: str, name: str) -> Placed[T] | None:
        document = self._document(kind, name, ())
        return None if document is None else one(model, document, (), self._problems)

    def _document(self, kind: str, name: str, above: tuple[str, ...]) -> Document | None:
        file = self._find(kind, name)
        if file is None:
            return None
        document = read(file.read_text(encoding="utf-8"), str(file), self._problems)
        base = document.at(("extends",)) if document is not None else None
        if document is None or not isinstance(base, str):
            return document
        if base in (*above, name):
            what = Text(f"模板循环继承：{base}", f"templates extend each other in a circle: {base}")
            self._problems.add(document.place(("extends",)), what)
            return document
        below = self._document(kind, base, (*above, name))
        if below is None:
            what = Text(f"没有模板 {base}", f"there is no template {base}")
            self._problems.add(document.place(("extends",)), what)
            return document
        return overlay(below, document)

    def _find(self, kind: str, name: str) -> Path | None:
        if "/" in name or "\\" in name:
            return None
        candidates = (folder / kind / f"{name}.yaml" for folder in self._folders)
        return next((file for file in candidates if file.is_file()), None)
