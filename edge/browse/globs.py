"""Which nodes are wanted, by their paths. Pure.

A pattern without a slash is for the last name: `*Count*`. One with slashes is for the whole path below the start, `*`
within one name, `**` any number of them: `Machine*/**/Total`. Letter case makes no difference: nobody remembers it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache


class Globs:
    """Several patterns; none means everything."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._names = [_regex(one) for one in patterns if "/" not in one]
        self._paths = [tuple(one.strip("/").split("/")) for one in patterns if "/" in one]

    def wants(self, path: str, name: str) -> bool:
        """Whether a node is wanted. `path`: names below the start joined with /."""
        if not self._names and not self._paths:
            return True
        if any(pattern.fullmatch(name) for pattern in self._names):
            return True
        return bool(self._paths) and any(_fits(pattern, tuple(path.split("/"))) for pattern in self._paths)

    def leads_to(self, path: str) -> bool:
        """Whether something below `path` can be wanted."""
        if self._names or not self._paths or not path:
            return True
        names = tuple(path.split("/"))
        return any(_begins(pattern, names) for pattern in self._paths)


@lru_cache(maxsize=256)
def _regex(glob: str) -> re.Pattern[str]:
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(one) or re.escape(one) for one in glob), re.IGNORECASE | re.DOTALL)


def _fits(pattern: Sequence[str], names: Sequence[str]) -> bool:
    if not pattern:
        return not names
    if pattern[0] == "**":
        return any(_fits(pattern[1:], names[at:]) for at in range(len(names) + 1))
    return bool(names) and _regex(pattern[0]).fullmatch(names[0]) is not None and _fits(pattern[1:], names[1:])


def _begins(pattern: Sequence[str], names: Sequence[str]) -> bool:
    """Whether a path that begins with `names`, and goes on, can fit."""
    for at, name in enumerate(names):
        if at >= len(pattern):
            return False
        if pattern[at] == "**":
            return True
        if _regex(pattern[at]).fullmatch(name) is None:
            return False
    return len(pattern) > len(names)
