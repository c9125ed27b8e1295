"""Collecting mistakes: each with its place, all of them reported together, in file order and once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edge.errors import ConfigError, Problem, Text

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A key path and the line it stands on."""

    file: str
    line: int  # 1-based; 0 = the file as a whole
    path: KeyPath


class Problems:
    """Every mistake found so far, one per key: what follows from it at the same key is an echo and is not told.

    (A variable that is not set leaves an empty host; a base beyond its area takes thirty tags with it; a template used
    by five machines is wrong once.)
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, KeyPath], Problem] = {}
        self.files: list[str] = []  # what the configuration rests on, there or not

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, place: Place, what: Text, hint: Text | None = None) -> None:
        """Note one mistake."""
        problem = Problem(place.file, place.line, show(place.path), what, hint)
        self._found.setdefault((place.file, place.path), problem)

    def raise_if_any(self) -> None:
        """Raise ConfigError with everything noted, file by file, line by line."""
        if self._found:
            files = list(dict.fromkeys(problem.file for problem in self._found.values()))
            ordered = sorted(self._found.values(), key=lambda p: (files.index(p.file), p.line, p.path))
            raise ConfigError(ordered, self.files)


def show(path: KeyPath) -> str:
    """`machines[2].tags.total.address`."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".") or "."


def nearest(given: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like `given`, None where none does."""
    import difflib  # only once something is wrong

    lower = {name.casefold(): name for name in known}
    match = difflib.get_close_matches(given.casefold(), lower, n=1, cutoff=0.6)
    return lower[match[0]] if match else None


def suggest(given: str, known: Iterable[str]) -> Text:
    """Hint for an unknown name: the nearest known one, and all of them where they are few."""
    names = sorted(known)
    best = nearest(given, names)
    if best is not None:
        return Text(f"是否想写 {best}？", f"did you mean {best}?")
    listed = ", ".join(names[:20]) + (" …" if len(names) > 20 else "")
    return Text(f"可用：{listed or '（无）'}", f"known: {listed or '(none)'}")
