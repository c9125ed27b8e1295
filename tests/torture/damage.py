"""What a power cut and a dying card do to the store's files, done to them while nobody has them open.

A torn tail is what a power cut leaves of the transaction that was under way: half of a frame behind the last commit of
the write-ahead log. A cut tail is worse, and what a card does that says "written" too early: the last transaction that
had been promised is gone as well, as long as it was not folded into the file. Flipped bytes are bytes anywhere.

The format of the log is that of "WAL-mode File Format" (sqlite.org/walformat.html): a header of 32 bytes, then frames
of 24 bytes and a page; the second word of a frame is not 0 where it ends a transaction.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from random import Random

_HEADER = 32
_FRAME = 24


def wal_of(store: Path) -> Path:
    """The write-ahead log."""
    return store.with_name(store.name + "-wal")


def tear(store: Path, random: Random) -> str:
    """Half a frame of rubbish behind the last commit, or the last transaction cut; what was done, "" where nothing
    could be.
    """
    log = wal_of(store)
    if not log.exists() or log.stat().st_size <= _HEADER:
        return ""
    content = log.read_bytes()
    page = struct.unpack_from(">I", content, 8)[0]
    size = _FRAME + page
    salt, frames = content[16:24], []
    for at in range(_HEADER, len(content) - size + 1, size):
        if content[at + 8 : at + 16] != salt:
            break  # left over from an earlier round of the log
        frames.append((at, struct.unpack_from(">I", content, at + 4)[0] != 0))
    ends = [at + size for at, commits in frames if commits]
    if not ends:
        return ""
    if len(ends) > 1 and random.random() < 0.5 and not _folded(store, len(frames)):
        cut = random.randint(ends[-2], ends[-1] - 1)
        os.truncate(log, cut)
        return f"tail cut at {cut} of {len(content)}"
    rubbish = salt.join((random.randbytes(8), random.randbytes(random.randrange(16, size))))
    with log.open("r+b") as file:
        file.seek(ends[-1])
        file.write(rubbish)
        file.truncate()
    return f"{len(rubbish)} bytes of half a frame behind {ends[-1]}"


def _folded(store: Path, frames: int) -> bool:
    """The file has taken in frames of the log up to its end: nBackfill of the index says how many (offset 96)."""
    index = store.with_name(store.name + "-shm")
    if not index.exists():
        return True
    with index.open("rb") as file:
        taken = struct.unpack("=I", file.read(100)[96:100])[0]
    return int(taken) >= frames


def flip(store: Path, random: Random) -> str:
    """One to eight bytes, anywhere in the file or its log."""
    sizes = {file: file.stat().st_size for file in (store, wal_of(store)) if file.exists()}
    places = []
    for _ in range(random.randint(1, 8)):
        file = random.choices(list(sizes), weights=list(sizes.values()))[0]
        at = random.randrange(sizes[file])
        with file.open("r+b") as opened:
            opened.seek(at)
            before = opened.read(1)[0]
            opened.seek(at)
            opened.write(bytes([before ^ random.randint(1, 255)]))
        places.append(f"{file.name}@{at}")
    return "flipped " + " ".join(places)
