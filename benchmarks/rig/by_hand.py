"""`by_hand.c`, compiled for this run and called through ctypes: the reference a hand-written C loop gives."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path

from benchmarks.rig.shift import CALENDAR, HOLD_NS, MODULUS, PRODUCTS, RATE_PER_S
from ext.buckets import N_BUCKETS
from ext.ledger import SAMPLE_FIELDS

_SOURCE = Path(__file__).with_name("by_hand.c")
_FLAGS = ("-O3", "-fno-math-errno", "-ffp-contract=off")  # as the kernels are built
_AFTER_BUCKETS = (
    *("ppt_ns", "rt_ns", "nrt_ns", "fpt_ns", "tc", "gc", "sc"),
    *("unscheduled_tc", "unscheduled_gc", "unscheduled_sc", "unscheduled_run_ns", "unscheduled_fpt_ns"),
    *("slow_ns", "small_ns", "conflict_ns", "resets", "rollovers", "glitches", "lost_max", "flags"),
)
_I64 = ctypes.c_int64


class _Cell(ctypes.Structure):
    _fields_ = (
        ("minute_ns", _I64),
        ("shift_id", _I64),
        ("product", _I64),
        ("bucket", _I64 * N_BUCKETS),
        *((name, _I64) for name in _AFTER_BUCKETS),
    )


class _Rule(ctypes.Structure):
    _fields_ = (
        ("modulus", _I64),
        ("rate_per_s", ctypes.c_double),
        ("ideal_ns", _I64),
        ("t1_ns", _I64),
        ("t2_ns", _I64),
        ("t3_ns", _I64),
        ("hold_ns", _I64),
    )


class ByHand:
    """The C loop over a batch of samples, with room for its output."""

    FIELDS = frozenset(("minute_ns", "shift_id", "product", *_AFTER_BUCKETS))

    def __init__(self, batch: memoryview) -> None:
        """`batch`: rows as `ext.ledger.SAMPLE_FIELDS`, all of them good, one product."""
        self._n = len(batch)
        self._samples = (_I64 * (self._n * len(SAMPLE_FIELDS))).from_buffer_copy(batch.cast("B"))
        self._cells = (_Cell * (self._n + 1))()
        self._stops = ((_I64 * 4) * self._n)()
        self._n_cells, self._n_stops = 0, _I64()
        self._calendar = (_I64 * 4)(*(column[0] for column in CALENDAR))
        self._rule = _Rule(MODULUS, RATE_PER_S, *PRODUCTS[0], HOLD_NS)
        self._loop = _compiled()

    def run(self) -> None:
        """The whole batch, once, from nothing."""
        self._n_cells = self._loop(
            self._samples,
            _I64(self._n),
            self._calendar,
            ctypes.byref(self._rule),
            self._cells,
            self._stops,
            ctypes.byref(self._n_stops),
        )

    def cells(self) -> list[dict[str, int]]:
        """Its cells, the open one last; fields by their names in `ext.ledger.CELL_FIELDS`, buckets in a row."""
        return [
            {name: getattr(cell, name) for name in self.FIELDS}
            | {f"bucket_{i}": ns for i, ns in enumerate(cell.bucket)}
            for cell in self._cells[: self._n_cells]
        ]

    def stops(self) -> list[tuple[int, ...]]:
        """Its ended stops."""
        return [tuple(stop) for stop in self._stops[: self._n_stops.value]]


def _compiled() -> "ctypes._CFuncPtr":  # noqa: UP037 - the name exists for type checkers only
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise RuntimeError("no C compiler (cc or gcc): the reference of this benchmark is compiled when it runs")
    with tempfile.TemporaryDirectory(prefix="seamline-bench-") as folder:
        library = Path(folder) / "by_hand.so"
        subprocess.run([compiler, *_FLAGS, "-shared", "-fPIC", "-o", str(library), str(_SOURCE)], check=True)
        loop = ctypes.CDLL(str(library)).ledger_by_hand
    loop.restype = _I64
    return loop
