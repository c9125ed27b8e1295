"""Parquet files, through pyarrow: an optional extra, imported for this export only."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from pyarrow.parquet import ParquetWriter

from edge.points import Kind, Measurement
from edge.store.rows import Cells, columns

ROWS_AT_ONCE = 20_000  # a row group: what is held in memory

_TYPES = {
    Kind.INTEGER: pa.int64(),
    Kind.FLOAT: pa.float64(),
    Kind.STRING: pa.string(),
    Kind.BOOLEAN: pa.bool_(),
}


class ParquetTable:
    """One file; times are UTC with nanoseconds, an absent field is null."""

    def __init__(self, folder: Path, measurement: Measurement) -> None:
        kinds = [
            pa.timestamp("ns", tz="UTC"),
            *(pa.string() for _ in measurement.tags),
            *(_TYPES[field.kind] for field in measurement.fields),
            pa.string(),
        ]
        self._schema = pa.schema(list(zip(["time", *columns(measurement)[1:]], kinds, strict=True)))
        self._writer = ParquetWriter(folder / f"{measurement.name}.parquet", self._schema, compression="zstd")
        self._rows: list[Cells] = []

    def add(self, row: Cells) -> None:
        """One row; a full group goes to the file."""
        self._rows.append(row)
        if len(self._rows) >= ROWS_AT_ONCE:
            self._flush()

    def close(self) -> None:
        """Write what is left, and the footer."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            arrays = [
                pa.array(column, type=field.type)
                for column, field in zip(zip(*self._rows, strict=True), self._schema, strict=True)
            ]
            self._writer.write_table(pa.table(arrays, schema=self._schema))
            self._rows.clear()
