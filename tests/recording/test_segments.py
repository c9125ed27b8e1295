"""A recording on the disk: never beyond its bound, never torn, and cut to what the ledger remembers."""

from __future__ import annotations

import errno
import gzip
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.recording import segments as module
from edge.recording.lines import HEADER_LINE, files_of
from edge.recording.segments import Position, Segments

HEADER = HEADER_LINE.encode()
T = 1_780_000_000_000_000_000
MAX_BYTES = 64_000


def lines(number: int, count: int = 1) -> bytes:
    return b"".join(b"%d,m1,total,%d,good,0,0\n" % (T + number + n, number + n) for n in range(count))


def opened(folder: Path, position: Position | None = None, max_bytes: int = MAX_BYTES) -> Segments:
    segments = Segments(folder, max_bytes)
    segments.open(position)
    return segments


def content(folder: Path) -> bytes:
    """All lines in order, without headers."""
    parts = []
    for path in files_of(folder):
        text = gzip.decompress(path.read_bytes()) if path.name.endswith(".gz") else path.read_bytes()
        assert text.startswith(HEADER)
        parts.append(text.removeprefix(HEADER))
    return b"".join(parts)


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_what_is_appended_is_there_in_order_and_full_segments_are_packed(tmp_path: Path) -> None:
    segments = opened(tmp_path)
    for number in range(0, 1000, 10):
        segments.append(lines(number, 10))
    assert content(tmp_path) == lines(0, 1000)
    *packed, last = files_of(tmp_path)
    assert len(packed) >= 5
    assert all(path.name.endswith(".csv.gz") for path in packed)
    assert last.suffix == ".csv"
    assert files_of(tmp_path)[0].name == "00000001-20260528T202640Z.csv.gz"
    assert segments.size_bytes == size_of(tmp_path)


@settings(max_examples=12)
@given(st.lists(st.integers(1, 150), min_size=20, max_size=60), st.randoms(use_true_random=False))
def test_the_bound_holds_at_every_moment(sizes: list[int], dice: object) -> None:
    """With restarts in between; what is left is the newest, without a hole."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as name:
        folder, made = Path(name), 0
        segments = opened(folder, max_bytes=12_000)
        for size in sizes:
            segments.append(lines(made, size))
            made += size
            assert segments.size_bytes == size_of(folder) <= 12_000
            if dice.random() < 0.2:  # type: ignore[attr-defined]
                segments = opened(folder, segments.position, 12_000)
        kept = content(folder)
        assert kept
        assert lines(0, made).endswith(kept)


def test_a_bound_that_became_smaller_holds_from_the_next_start(tmp_path: Path) -> None:
    segments = opened(tmp_path)
    segments.append(lines(0, 1000))
    segments.append(lines(1000, 100))
    assert opened(tmp_path, segments.position, 8_000).size_bytes == size_of(tmp_path) <= 8_000
    assert content(tmp_path) == lines(1000, 100)


# ---- starts ----


def test_a_start_cuts_what_no_commit_explains(tmp_path: Path) -> None:
    """Also where the segment was packed since; numbers are not used twice."""
    segments = opened(tmp_path)
    segments.append(lines(0, 20))
    position = segments.position
    for number in range(20, 420, 10):
        segments.append(lines(number, 10))
    assert position.number < segments.position.number
    again = opened(tmp_path, position)
    assert content(tmp_path) == lines(0, 20)
    assert again.position == position
    for number in range(20, 420, 10):
        again.append(lines(number, 10))
    assert content(tmp_path) == lines(0, 420)
    assert again.position.number > segments.position.number


def test_nothing_committed_is_cut(tmp_path: Path) -> None:
    segments = opened(tmp_path)
    for number in range(0, 500, 10):
        segments.append(lines(number, 10))
        segments = opened(tmp_path, Position.parse(str(segments.position)))
    assert content(tmp_path) == lines(0, 500)


def test_without_a_position_all_is_kept(tmp_path: Path) -> None:
    """The store is new, its predecessor was damaged or taken away: what was read was read."""
    opened(tmp_path).append(lines(0, 5))
    assert opened(tmp_path).position.size > 0
    assert content(tmp_path) == lines(0, 5)
    assert Position.parse("") is Position.parse("5") is Position.parse("a+b") is None


@pytest.mark.parametrize("tail", [b"178000", b"1780000000000000000,m1,total,4", b"\0" * 300, b"x" * 10 + b"\0" * 9])
def test_a_torn_line_and_what_a_power_cut_leaves_go_at_the_next_start(tmp_path: Path, tail: bytes) -> None:
    opened(tmp_path).append(lines(0, 5))
    (path,) = files_of(tmp_path)
    path.write_bytes(path.read_bytes() + tail)
    segments = opened(tmp_path, Position(1, 100_000))
    segments.append(lines(5, 5))
    assert content(tmp_path) == lines(0, 10)


def test_a_kill_at_any_step_of_packing_leaves_every_line_once(tmp_path: Path) -> None:
    opened(tmp_path).append(lines(0, 100))
    (plain,) = files_of(tmp_path)
    (tmp_path / f"{plain.name}.gz.part").write_bytes(b"half")
    opened(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [plain.name]
    (tmp_path / f"{plain.name}.gz").write_bytes(gzip.compress(plain.read_bytes()))
    assert content(tmp_path) == lines(0, 100), "a replay beside it"
    opened(tmp_path).append(lines(100, 5))
    assert not plain.exists()
    assert content(tmp_path) == lines(0, 105)


def test_a_segment_of_another_build_is_left_as_it_is(tmp_path: Path) -> None:
    other = tmp_path / "00000007-20260101T000000Z.csv"
    other.write_bytes(b"time_ns,machine,signal,value,quality\n1,m1,total,1,good\n")
    segments = opened(tmp_path)
    segments.append(lines(0))
    assert other.read_bytes().endswith(b"1,m1,total,1,good\n")
    assert files_of(tmp_path)[-1].name.startswith("00000008-")


# ---- disks ----


def test_a_write_that_fails_half_way_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segments = opened(tmp_path)
    segments.append(lines(0, 5))
    write = os.write
    monkeypatch.setattr(module.os, "write", lambda file, data: write(file, data[:30]))
    with pytest.raises(OSError, match="No space left"):
        segments.append(lines(5, 5))
    monkeypatch.undo()
    segments.append(lines(10, 5))
    assert content(tmp_path) == lines(0, 5) + lines(10, 5)


def test_the_last_of_a_disk_is_left_to_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segments = opened(tmp_path)
    disk = os.statvfs(tmp_path)
    free = disk.f_bavail * disk.f_frsize
    monkeypatch.setattr(module, "RESERVE_PART", 1)
    monkeypatch.setattr(module, "RESERVE_BYTES", disk.f_blocks * disk.f_frsize + free)
    with pytest.raises(OSError, match="MiB free") as caught:
        segments.append(lines(0))
    assert caught.value.errno == errno.ENOSPC
    assert files_of(tmp_path) == []
