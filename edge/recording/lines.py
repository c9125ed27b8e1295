"""The lines of a recording: CSV as `docs/replay.md` has it, and the names of the files they lie in.

    time_ns,machine,signal,value,quality,late_max_ns,waits
    1760000000000000000,tape-01,total,40812,good,1000000000,0

A file of readings from elsewhere has no use for the last two columns: its times are exact, and each is a sample.
"""

from __future__ import annotations

import re
from pathlib import Path

HEADER = ("time_ns", "machine", "signal", "value", "quality")
LATE_MAX = "late_max_ns"  # the value may have been read this much earlier or later than `time_ns` says
WAITS = "waits"  # 1: the ledger took no sample then, the reading waited for the next one
OPTIONAL = (LATE_MAX, WAITS)
HEADER_LINE = ",".join((*HEADER, *OPTIONAL)) + "\n"

PACKED = ".csv.gz"
SUFFIXES = (".csv", PACKED)
_SEGMENT = re.compile(r"[0-9]{8}-[0-9]{8}T[0-9]{6}Z\.csv(\.gz)?")


def folder_of(store: Path) -> Path:
    """Where the recordings of the agent with this store lie, a folder for each machine."""
    return store.with_suffix(".recording")


def is_segment(path: Path) -> bool:
    """A file that an agent recorded: its last line may be torn, and then says nothing."""
    return _SEGMENT.fullmatch(path.name) is not None


def files_of(path: Path) -> list[Path]:
    """The files of readings at `path`, in order: itself, or of a folder all in it and below, by name.

    Of a segment that is there plain and packed (an agent was killed between packing and removing it) the packed one.
    """
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.rglob("*.csv*") if file.name.endswith(SUFFIXES) and file.is_file())
    packed = {file for file in found if file.name.endswith(PACKED)}
    return [file for file in found if file.with_name(file.name + ".gz") not in packed]
