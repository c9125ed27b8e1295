"""Durable points per second of the store: commits of 5,000 points, as an agent of 50 machines makes one a second.

    outbox_append            beside a row per point in raw SQLite, same file settings (WAL, FULL), same commits
    outbox_append.fsync      beside one append and one fdatasync per point
    outbox_append.commit     ms of one commit, waiting for the disk included
    outbox_append.wear       bytes handed to the disk for each byte of line protocol; the reference is raw SQLite's

Points are line protocol inside records: packed, with checksums, checkpoints of 50 machines in the same transaction.
What encodes them is not in the time. The disk is the one of the temporary folder: TMPDIR chooses it.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.result import Result, summarise
from benchmarks.rig.site_points import as_batch, encoder, second
from edge.outbox import schema
from edge.outbox.batch import Record
from edge.outbox.facts import StoreSettings
from edge.outbox.flow import ThreadWrites
from edge.outbox.writer import Writer

CASES: tuple[str, ...] = ("rows", "fsync", "commit", "wear")
RUNS = 5
COMMITS = 40
SYNCED_POINTS = 400


@dataclass(frozen=True, slots=True)
class Run:
    """What one way of storing came to."""

    points_per_s: float
    commit_ms: float
    written_per_byte: float  # handed to the disk for each byte of line protocol


def run(case: str | None) -> Iterable[Result]:
    """One line a case; `rows` is the one without a name."""
    encode = encoder()
    seconds = [second(encode, number) for number in range(COMMITS)]
    runs = [
        (_store(seconds), _rows(seconds), _synced(seconds[0].lines.split(b"\n")[:SYNCED_POINTS])) for _ in range(RUNS)
    ]
    ours = [store for store, _, _ in runs]
    rate = [store.points_per_s for store in ours]
    found = {
        "rows": summarise("outbox_append", "points/s", rate, [rows.points_per_s for _, rows, _ in runs]),
        "fsync": summarise("outbox_append.fsync", "points/s", rate, [synced for _, _, synced in runs]),
        "commit": summarise(
            "outbox_append.commit", "ms", [store.commit_ms for store in ours], [rows.commit_ms for _, rows, _ in runs]
        ),
        "wear": summarise(
            "outbox_append.wear",
            "bytes/byte",
            [store.written_per_byte for store in ours],
            [rows.written_per_byte for _, rows, _ in runs],
        ),
    }
    for name in CASES if case is None else (case,):
        yield found[name]


def _store(seconds: list[Record]) -> Run:
    batches = [as_batch(number, record) for number, record in enumerate(seconds)]
    with tempfile.TemporaryDirectory(prefix="seamline-bench-") as folder:
        writer = Writer(StoreSettings(Path(folder) / "s.db", 2 << 30), encoder().gap_record)
        writer.open(0)
        began = time.perf_counter()
        for batch in batches:
            writer.commit(batch, {})
        took_s = time.perf_counter() - began
        flow = writer.flow
        writer.close()
    return _figures(seconds, took_s, flow.written_bytes)


def _figures(seconds: list[Record], took_s: float, written_bytes: int) -> Run:
    points, size = sum(record.points for record in seconds), sum(len(record.lines) for record in seconds)
    return Run(points / took_s, took_s / len(seconds) * 1e3, written_bytes / size)


def _rows(seconds: list[Record]) -> Run:
    """What one writes first: a table of lines."""
    writes = ThreadWrites()
    with tempfile.TemporaryDirectory(prefix="seamline-bench-") as folder:
        connection = schema.connect(Path(folder) / "raw.db")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE point (id INTEGER PRIMARY KEY, line BLOB NOT NULL)")
        commits = [record.lines.split(b"\n") for record in seconds]
        before, began = writes.read(), time.perf_counter()
        for lines in commits:
            _insert(connection, lines)
        took_s = time.perf_counter() - began
        written = writes.read() - before
        connection.close()
    writes.close()
    return _figures(seconds, took_s, written)


def _insert(connection: sqlite3.Connection, lines: list[bytes]) -> None:
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO point (line) VALUES (?)", ((line,) for line in lines))
    connection.execute("COMMIT")


def _synced(lines: list[bytes]) -> float:
    """Points per second, one flush each."""
    with tempfile.TemporaryDirectory(prefix="seamline-bench-") as folder, (Path(folder) / "log").open("wb", 0) as file:
        began = time.perf_counter()
        for line in lines:
            file.write(line + b"\n")
            os.fdatasync(file.fileno())
        return len(lines) / (time.perf_counter() - began)
