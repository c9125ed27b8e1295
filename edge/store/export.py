"""`seamline store export`: points out of the store, as line protocol, CSV or Parquet, in bounded memory.

Line protocol goes to one file or to stdout, with one comment line before each record (class, commit time), so that
`seamline store import` makes the same records again, byte for byte; databases skip comments. CSV and Parquet go into a
folder, one file a measurement, with the tags and fields of the dictionary (`edge.points`) as columns; what the
dictionary does not know stands in the column `more`, as line protocol, and is not lost.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self

from edge.errors import StoreError, Text
from edge.outbox.facts import StoredRecord
from edge.points import MEASUREMENTS, Measurement
from edge.store.line import FieldValue, Point, parse
from edge.store.rows import Cells, cells, columns

HEADER = b"# seamline record class=%s t_ns=%d points=%d\n"
_NS_PER_S = 1_000_000_000
_BY_NAME = {measurement.name: measurement for measurement in MEASUREMENTS}


class Table(Protocol):
    """One file of rows: `time_ns`, tags, fields, `more`."""

    def add(self, row: Cells) -> None:
        """Append."""

    def close(self) -> None:
        """Finish the file."""


def to_lines(records: Iterable[StoredRecord], out: IO[bytes]) -> int:
    """Line protocol; returns how many points."""
    points = 0
    for record in records:
        out.write(HEADER % (record.record_class.name.lower().encode(), record.t_ns, record.points))
        out.write(record.lines + b"\n")
        points += record.points
    return points


def to_csv(records: Iterable[StoredRecord], folder: Path) -> int:
    """One .csv a measurement; returns how many points."""
    return _to_tables(records, folder, CsvTable)


def to_parquet(records: Iterable[StoredRecord], folder: Path) -> int:
    """One .parquet a measurement; returns how many points. Raises StoreError where pyarrow is not installed."""
    try:
        from edge.store.parquet import ParquetTable
    except ImportError:
        raise StoreError(
            Text(
                "Parquet 导出需要 pyarrow：pip install 'seamline[parquet]'；或用 --format csv",
                "Parquet needs pyarrow: pip install 'seamline[parquet]'; or use --format csv",
            )
        ) from None
    return _to_tables(records, folder, ParquetTable)


class TableOf(Protocol):
    """Opens the file of a measurement."""

    def __call__(self, folder: Path, measurement: Measurement) -> Table: ...


def _to_tables(records: Iterable[StoredRecord], folder: Path, table_of: TableOf) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    points = 0
    with Tables(folder, table_of) as tables:
        for point in _points(records):
            tables.add(point)
            points += 1
    return points


def _points(records: Iterable[StoredRecord]) -> Iterator[Point]:
    for record in records:
        for text in record.lines.split(b"\n"):
            yield parse(text)


class Tables:
    """The files of one export, each opened when its first point comes."""

    def __init__(self, folder: Path, table_of: TableOf) -> None:
        self._folder = folder
        self._table_of = table_of
        self._tables: dict[str, Table] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def add(self, point: Point) -> None:
        """To the file of its measurement."""
        measurement = _BY_NAME.get(point.measurement) or Measurement(
            point.measurement.replace("/", "_"), MEASUREMENTS[0].record_class, (), (), ""
        )
        table = self._tables.get(measurement.name)
        if table is None:
            table = self._tables[measurement.name] = self._table_of(self._folder, measurement)
            self._stack.callback(table.close)
        table.add(cells(point, measurement))


class CsvTable:
    """RFC 4180, UTF-8 with line feeds. `time` is for people, `time_ns` for programs; an absent field is empty."""

    def __init__(self, folder: Path, measurement: Measurement) -> None:
        self._file = (folder / f"{measurement.name}.csv").open("w", encoding="utf-8", newline="")
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow(["time", *columns(measurement)])

    def add(self, row: Cells) -> None:
        """One line."""
        assert isinstance(row[0], int)
        self._rows.writerow([_iso(row[0]), *(_said(value) for value in row)])

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _said(value: FieldValue | None) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else value


def _iso(t_ns: int) -> str:
    seconds, rest = divmod(t_ns, _NS_PER_S)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
