"""JSON objects on the disk, one a line: a ledger of years is printed without ever being in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from tempfile import TemporaryFile
from typing import Any

Document = Mapping[str, Any]


def to_json(document: Document | int | None) -> str:
    """One line; keys in their order, texts as they are."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False)


class Spool:
    """Append, then read any number of times."""

    def __init__(self) -> None:
        self._file = TemporaryFile("w+", encoding="utf-8", newline="\n")  # noqa: SIM115 - closed by `close`

    def add(self, line: str) -> None:
        """One line without its end."""
        self._file.write(line)
        self._file.write("\n")

    def __iter__(self) -> Iterator[str]:
        """The lines. One reader at a time."""
        self._file.seek(0)
        for line in self._file:
            yield line[:-1]

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
