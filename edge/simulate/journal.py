"""What was done to the simulated plant, on disk before it is done: JSON lines, each followed by fsync.

Theory. The machines are deterministic, so their whole state is (header, commands with their times). A simulator
that was killed replays the journal and its machines stand where their PLC programs would stand, had only the
servers been away.

Rules. The first line is the header. A last line cut off by a kill was never acted upon, and is removed. A journal
of another seed, speed or format is refused, never mixed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from edge.errors import SeamlineError, Text

FORMAT = 1


class JournalError(SeamlineError):
    """The journal belongs to another run, or is damaged before its end."""


@dataclass(frozen=True, slots=True)
class Header:
    """What determines every machine, besides the commands."""

    t0_ns: int  # UTC of power-on
    seed: int
    speed: str  # as a fraction, "20" or "5/2"
    site: str  # the YAML of the site the machines belong to, at speed 1
    handover_s: float  # real seconds between shift changes; 0 = none
    source: str  # digest of the site file that was given, to know it again


@dataclass(frozen=True, slots=True)
class Entry:
    """One command: "go", "stop" or "inject" with its details."""

    event: str
    at_ns: int
    detail: Mapping[str, str | int]


class Journal:
    """Append-only file; also works without one (`path` None), for runs nobody wants to resume."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: int | None = None

    def open(self) -> tuple[Header | None, list[Entry]]:
        """What an earlier run left behind, and the file made ready for more. Raises `JournalError`, `OSError`."""
        if self._path is None:
            return None, []
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            os.ftruncate(self._file, len(whole))
        lines = whole.splitlines()
        if not lines:
            return None, []
        return self._header(lines[0]), [self._entry(number, line) for number, line in enumerate(lines[1:], start=2)]

    def begin(self, header: Header) -> None:
        """Write the header of a new run."""
        self._append({"format": FORMAT, **asdict(header)})

    def record(self, entry: Entry) -> None:
        """Make `entry` durable; only then act on it."""
        self._append({"event": entry.event, "at_ns": entry.at_ns, "detail": dict(entry.detail)})

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _append(self, document: Mapping[str, object]) -> None:
        if self._file is None:
            return
        os.write(self._file, json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        os.fsync(self._file)

    def _header(self, line: bytes) -> Header:
        try:
            document = json.loads(line)
            if document.pop("format") != FORMAT:
                raise ValueError("format")
            return Header(**document)
        except (ValueError, KeyError, TypeError) as error:
            raise self._damaged(1) from error

    def _entry(self, number: int, line: bytes) -> Entry:
        try:
            document = json.loads(line)
            return Entry(document["event"], document["at_ns"], document["detail"])
        except (ValueError, KeyError, TypeError) as error:
            raise self._damaged(number) from error

    def _damaged(self, number: int) -> JournalError:
        return JournalError(
            str(
                Text(
                    f"{self._path}:{number}：不是仿真日志，或已损坏；换一个文件名，或删除后重新开始",
                    f"{self._path}:{number}: not a simulation journal, or damaged; name another file, or start anew",
                )
            )
        )
