"""The file of readings: long-form CSV, checked line by line, one line at a time in memory.

    time_ns,machine,signal,value,quality
    1760000000000000000,tape-01,run,1,good

Rules. A value is what the PLC shows: the raw integer, before scale and multiplier. `true` and `false` are 1 and 0, a
number with a fraction is rounded to the nearest integer (as a float tag is when it is read live), and a bad reading
needs no value. Every signal of the machine's template is known; one that the ledger does not use is checked and left
out, and so are process values. `product` is another word for the signal that selects the product.

Mistakes are told together, each with its line, the same unknown name once; after `MOST` of them nobody reads on.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol, Self

from edge.config.problems import suggest
from edge.errors import ConfigError, Problem, Text
from edge.plan import Machine
from protocols.reading import Quality

HEADER = ("time_ns", "machine", "signal", "value", "quality")
MOST = 20  # mistakes told
LAST_NS = 9_000_000_000_000_000_000  # in the year 2255: leaves the calendar room within 64 bits
UNUSED = -1

Reading = tuple[int, int, int]  # index into Machine.signals, value, Quality; a tuple, because there are millions
Line = tuple[int, str, Reading]  # time, machine, reading

_QUALITY = {"good": int(Quality.GOOD), "uncertain": int(Quality.UNCERTAIN), "bad": int(Quality.BAD)}
_WORDS = {"true": 1, "false": 0}
_INT64 = 1 << 63
_IN_NS = Text("应为 1970 年以来的 UTC 纳秒", "UTC nanoseconds since 1970 are expected")
_EMPTY = Text("只有 bad 的读数可以没有数值", "only a bad reading may go without a value")
_ENOUGH = Text(f"已有 {MOST} 处错误，其余未读", f"{MOST} mistakes: the rest of the file was not read")


def used_signals(machine: Machine) -> frozenset[int]:
    """Indices of the signals that can move the ledger: states, counters, product, fault code."""
    named = {condition.signal for rule in machine.states for condition in rule.when}
    named |= {rule.signal for rule in machine.counters}
    return frozenset(named | {i for i in (machine.product_signal, machine.fault_code_signal) if i is not None})


def signal_slots(machine: Machine) -> dict[str, int]:
    """Every name a reading may carry, with the index of its signal, or UNUSED."""
    used = used_signals(machine)
    slots = {value.name: UNUSED for value in machine.process_values}
    slots |= {signal.name: index if index in used else UNUSED for index, signal in enumerate(machine.signals)}
    if machine.product_signal is not None:
        slots.setdefault("product", machine.product_signal)
    return slots


class ReadingsFile:
    """Recorded readings of machines. `lines` may be read as often as needed."""

    def __init__(self, path: Path, machines: Mapping[str, Machine]) -> None:
        self._path = path
        self._slots = {name: signal_slots(machine) for name, machine in machines.items()}

    def lines(self) -> Iterator[Line]:
        """Readings the ledger uses, in the order of the file.

        Raises ConfigError with the mistakes found, at the end of the file or after `MOST`. After the first mistake no
        more readings come: they would be of no use.
        """
        mistakes = _Mistakes(str(self._path))
        try:
            with self._path.open(encoding="utf-8-sig", newline="") as file:
                rows = csv.reader(file, skipinitialspace=True)
                self._read_header(rows, mistakes)
                yield from self._read(rows, mistakes)
        except OSError as error:
            what = Text(f"读不了文件：{error.strerror}", f"cannot read the file: {error.strerror}")
            mistakes.add(0, ".", what)
        except UnicodeDecodeError:
            mistakes.add(0, ".", Text("不是 UTF-8 文本，请另存为 UTF-8", "not UTF-8 text; save the file as UTF-8"))
        mistakes.raise_if_any()

    def _read_header(self, rows: _Rows, mistakes: _Mistakes) -> None:
        header = next(rows, None)
        if header is None or tuple(header) != HEADER:
            wanted = ",".join(HEADER)
            mistakes.add(1, ".", Text(f"第一行应为 {wanted}", f"the first line must be {wanted}"))
            mistakes.raise_if_any()

    def _read(self, rows: _Rows, mistakes: _Mistakes) -> Iterator[Line]:
        """The hot loop: what is well formed passes here, everything else is looked at closely."""
        slots, quality_of = self._slots, _QUALITY
        for row in _rows(rows, mistakes):
            try:
                time, machine, signal, value, quality = row
                t_ns, reading = int(time), (slots[machine][signal], int(value), quality_of[quality])
            except (ValueError, KeyError):
                line = self._look_closer(row, rows.line_num, mistakes)
                if line is None:
                    continue
                t_ns, machine, reading = line
            if not 0 < t_ns < LAST_NS:
                what = Text(f"时间 {t_ns} 不在 1970–2255 年之内", f"time {t_ns} is not within 1970-2255")
                mistakes.add(rows.line_num, "time_ns", what, _IN_NS)
            elif not -_INT64 <= reading[1] < _INT64:
                what = Text("数值超出 64 位整数", "the value does not fit 64 bits")
                mistakes.add(rows.line_num, "value", what)
            elif reading[0] != UNUSED and not mistakes:
                yield t_ns, machine, reading

    def _look_closer(self, row: list[str], line: int, mistakes: _Mistakes) -> Line | None:
        """A row in a less common spelling, or None: then everything wrong with it was noted."""
        if not row:
            return None
        if len(row) != len(HEADER):
            what = Text(f"应为 {len(HEADER)} 列，实为 {len(row)} 列", f"{len(HEADER)} columns wanted, {len(row)} found")
            mistakes.add(line, ".", what)
            return None
        time, machine, signal, value, quality = row
        slot = self._slot(machine, signal, line, mistakes)
        code = _QUALITY.get(quality)
        if code is None:
            what = Text(f"没有质量 {quality!r}", f"there is no quality {quality!r}")
            mistakes.add(line, "quality", what, suggest(quality, _QUALITY))
        number = 0 if code == Quality.BAD and not value else _number(value)
        if number is None:
            what = Text(f"{value!r} 不是数值", f"{value!r} is not a number")
            mistakes.add(line, "value", what, _EMPTY if not value else None)
        t_ns = _integer(time)
        if t_ns is None:
            mistakes.add(line, "time_ns", Text(f"{time!r} 不是整数", f"{time!r} is not an integer"), _IN_NS)
        if slot is None or code is None or number is None or t_ns is None:
            return None
        return t_ns, machine, (slot, number, code)

    def _slot(self, machine: str, signal: str, line: int, mistakes: _Mistakes) -> int | None:
        slots = self._slots.get(machine)
        if slots is None:
            what = Text(f"站点文件中没有机器 {machine!r}", f"the site file has no machine {machine!r}")
            mistakes.add(line, "machine", what, suggest(machine, self._slots), same=machine)
            return None
        if signal not in slots:
            what = Text(f"机器 {machine} 没有信号 {signal!r}", f"machine {machine} has no signal {signal!r}")
            mistakes.add(line, "signal", what, suggest(signal, slots), same=f"{machine}.{signal}")
            return None
        return slots[signal]


class _Rows(Protocol):
    """A CSV reader."""

    line_num: int

    def __next__(self) -> list[str]: ...

    def __iter__(self) -> Self: ...


def _rows(rows: _Rows, mistakes: _Mistakes) -> Iterator[list[str]]:
    """Every row, until there are enough mistakes. One that is no CSV is a mistake and the next is read."""
    while not mistakes.full:
        try:
            for row in rows:
                yield row
                if mistakes.full:
                    break
            else:
                return
        except csv.Error as error:
            mistakes.add(rows.line_num, ".", Text(f"不是 CSV：{error}", f"not CSV: {error}"))


def _integer(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _number(text: str) -> int | None:
    """An integer, a finite number rounded to the nearest (ties to even), or true and false."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return round(float(text))
    except (ValueError, OverflowError):
        return _WORDS.get(text.lower())


class _Mistakes:
    """Collected mistakes, the first `MOST` of them."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._problems: list[Problem] = []
        self._told: set[str] = set()
        self.full = False

    def __bool__(self) -> bool:
        return bool(self._problems)

    def add(self, line: int, column: str, what: Text, hint: Text | None = None, same: str = "") -> None:
        """Note one. `same`: what it is about; the same again is an echo."""
        if same in self._told or self.full:
            return
        if same:
            self._told.add(same)
        self.full = len(self._problems) == MOST - 1
        self._problems.append(Problem(self._file, line, column, what, _ENOUGH if self.full else hint))

    def raise_if_any(self) -> None:
        """Raise ConfigError with everything noted."""
        if self._problems:
            raise ConfigError(self._problems)
