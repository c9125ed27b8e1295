"""The errors people see. Each says what happened, where, whose fault it is and what to do next, in Chinese or English.

Tree:

    SeamlineError
      ConfigError        one or many `Problem`s of a site file, reported together
      StoreError         the durable store on this gateway (disk full, damaged file)
      DeviceError        one PLC or OPC UA server
      SinkError          one database; never loses data, only says why it waits
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass


def language() -> str:
    """The language of people's texts: "en" where SEAMLINE_LANG or the locale asks for English, else "zh".

    The locales C and POSIX, which a gateway has when nobody chose one, ask for nothing.
    """
    chosen = os.environ.get("SEAMLINE_LANG") or os.environ.get("LC_ALL") or os.environ.get("LANG") or ""
    return "en" if chosen.lower().startswith("en") else "zh"


@dataclass(frozen=True, slots=True)
class Text:
    """One sentence in both languages."""

    zh: str
    en: str

    def __str__(self) -> str:
        """In the language of the person at the terminal."""
        return self.zh if language() == "zh" else self.en


class SeamlineError(Exception):
    """Root of the errors meant for people."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a configuration file."""

    file: str
    line: int  # 1-based; 0 = the file as a whole
    path: str  # key path, e.g. "machines[2].tags.total.address"; "." = the file as a whole
    what: Text  # what is wrong and what was expected
    hint: Text | None = None  # nearest valid name, or what to do

    def __str__(self) -> str:
        """`file:line: path: what` and the hint. The file as a whole has no path."""
        where = f"{self.file}:{self.line}" if self.line else self.file
        path = "" if self.path == "." else f"{self.path}: "
        return f"{where}: {path}{self.what}" + (f"\n    → {self.hint}" if self.hint else "")


class ConfigError(SeamlineError):
    """All problems of a configuration, in file order."""

    def __init__(self, problems: Sequence[Problem], files: Sequence[str] = ()) -> None:
        """`files`: what was read, or was to be; an edit of any of them may mend it."""
        self.problems = tuple(problems)
        self.files = tuple(files)
        super().__init__("\n".join(map(str, self.problems)))


class StoreError(SeamlineError):
    """The store on this gateway cannot do what was asked."""


class StoreDamagedError(StoreError):
    """What the disk gave back is not what was stored: the store has to be opened anew."""


class DeviceError(SeamlineError):
    """A device refused, vanished or answered nonsense."""


class SinkError(SeamlineError):
    """A database did not take the data; it stays in the store."""
