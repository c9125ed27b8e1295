"""How a store is opened to be looked at, wherever it lies: beside an agent, after it, on a disk nobody can write to.

Theory. To read a file with a write-ahead log SQLite keeps an index of the log beside it (`-shm`), which it must be able
to make ("Read-Only Databases", sqlite.org/wal.html). On read-only media, a copy that is to prove something, or the card
of a dead gateway, it can not: a file without a log is opened as one that never changes, and one whose agent was killed
is read from a copy that is thrown away, because all of its last minutes may be in the log.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Readable:
    """Where to read."""

    path: Path
    is_still: bool = False  # nobody can change it

    @property
    def uri(self) -> str:
        """For sqlite3.connect."""
        return f"file:{quote(str(self.path.absolute()))}?mode=ro{'&immutable=1' if self.is_still else ''}"


@contextmanager
def readable(path: Path) -> Iterator[Readable]:
    """As long as it is read. Raises OSError where a copy is needed and there is no room for it."""
    log, index = (path.with_name(path.name + end) for end in ("-wal", "-shm"))
    if os.access(path.parent, os.W_OK) or index.exists() or not path.exists():
        yield Readable(path)
    elif not log.exists() or not log.stat().st_size:
        yield Readable(path, is_still=True)
    else:
        with TemporaryDirectory(prefix="seamline-") as folder:
            for file in (path, log):
                shutil.copyfile(file, Path(folder) / file.name)
            yield Readable(Path(folder) / path.name)
