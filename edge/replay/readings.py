"""Files of readings: long-form CSV, plain or packed, checked line by line, one line at a time in memory.

    time_ns,machine,signal,value,quality
    1760000000000000000,tape-01,run,1,good

Rules. A value is what the PLC shows: the raw integer, before scale and multiplier. `true` and `false` are 1 and 0, a
number with a fraction is rounded to the nearest integer (as a float tag is when it is read live), and a bad reading
needs no value. Every signal of the machine's template is known; one that the ledger does not use is checked and left
out, and so are process values. `product` is another word for the signal that selects the product. Two more columns may
follow: `late_max_ns`, how late the reading may have come (without it times are exact), and `waits`, 1 where the ledger
took no sample at this time, so that the reading waits for the machine's next one.

A folder is all its files, one after the other by name. The last line of a file that an agent recorded may be torn, by a
kill or because the agent is writing it now: without its end it says nothing.

Mistakes are told together, each with its line, the same unknown name once; after `MOST` of them nobody reads on.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol, Self

from edge.config.problems import suggest
from edge.errors import ConfigError, Problem, Text
from edge.machines.signals import used_signals
from edge.plan import Machine
from edge.recording.lines import HEADER, LATE_MAX, OPTIONAL, PACKED, WAITS, files_of, is_segment
from protocols.reading import Quality

MOST = 20  # mistakes told
LAST_NS = 9_000_000_000_000_000_000  # in the year 2255: leaves the calendar room within 64 bits
LATEST_NS = 86_400_000_000_000  # a reading that may be off by more than a day says nothing
UNUSED = -1
NOTHING = -2  # a sample in which nothing new was read: only a recording has it

# Index into Machine.signals, value, Quality, and how late it may have come (ns; a reading that waits: ~ns). A tuple of
# numbers, because there are millions.
Reading = tuple[int, int, int, int]
Line = tuple[int, str, Reading]  # time, machine, reading

_QUALITY = {"good": int(Quality.GOOD), "uncertain": int(Quality.UNCERTAIN), "bad": int(Quality.BAD)}
_WAITS = {"0": False, "1": True, "": False}
_WORDS = {"true": 1, "false": 0}
_INT64 = 1 << 63
_IN_NS = Text("应为 1970 年以来的 UTC 纳秒", "UTC nanoseconds since 1970 are expected")
_EMPTY = Text("只有 bad 的读数可以没有数值", "only a bad reading may go without a value")
_ENOUGH = Text(f"已有 {MOST} 处错误，其余未读", f"{MOST} mistakes: the rest of the file was not read")


def signal_slots(machine: Machine) -> dict[str, int]:
    """Every name a reading may carry, with the index of its signal, or UNUSED."""
    used = used_signals(machine)
    slots = {value.name: UNUSED for value in machine.process_values}
    slots |= {signal.name: index if index in used else UNUSED for index, signal in enumerate(machine.signals)}
    if machine.product_signal is not None:
        slots.setdefault("product", machine.product_signal)
    slots[""] = NOTHING
    return slots


class ReadingsFile:
    """Recorded readings of machines: one file, or a folder of them. `lines` may be read as often as needed."""

    def __init__(self, path: Path, machines: Mapping[str, Machine]) -> None:
        self._path = path
        self._slots = {name: signal_slots(machine) for name, machine in machines.items()}
        self.recorded = False  # once read: an agent recorded them, so that what they never give was never read

    def lines(self) -> Iterator[Line]:
        """Readings the ledger uses, in the order of the files.

        Raises ConfigError with the mistakes found, at the end or after `MOST`. After the first mistake no more readings
        come: they would be of no use.
        """
        mistakes = _Mistakes(str(self._path))
        paths = files_of(self._path)
        if not paths:
            what = Text("文件夹中没有 .csv 或 .csv.gz 文件", "there is no .csv or .csv.gz file in this folder")
            mistakes.add(0, ".", what)
        for path in paths:
            mistakes.file = str(path)
            if not mistakes.full:
                yield from self._file(path, mistakes)
        mistakes.raise_if_any()

    def _file(self, path: Path, mistakes: _Mistakes) -> Iterator[Line]:
        try:
            with _opened(path) as file:
                rows = csv.reader(_whole_lines(file) if is_segment(path) else file, skipinitialspace=True)
                if width := _columns(rows, mistakes, empty_is_fine=is_segment(path)):
                    self.recorded |= width > len(HEADER) + 1
                    yield from self._read(rows, width, mistakes)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            what = Text(f"压缩文件已损坏：{error}", f"this packed file is damaged: {error}")
            mistakes.add(0, ".", what)
        except OSError as error:
            what = Text(f"读不了文件：{error.strerror}", f"cannot read the file: {error.strerror}")
            mistakes.add(0, ".", what)
        except UnicodeDecodeError:
            mistakes.add(0, ".", Text("不是 UTF-8 文本，请另存为 UTF-8", "not UTF-8 text; save the file as UTF-8"))

    def _read(self, rows: _Rows, width: int, mistakes: _Mistakes) -> Iterator[Line]:
        """The hot loop: what is well formed passes here, everything else is looked at closely."""
        slots, quality_of, exact = self._slots, _QUALITY, width == len(HEADER)
        for row in _rows(rows, mistakes):
            try:
                if exact:
                    time, machine, signal, value, quality = row
                    late_ns = 0
                else:
                    time, machine, signal, value, quality, late, *waits = row
                    late_ns = int(late)
                    if late_ns < 0 or len(row) != width:
                        raise ValueError
                    if waits and _WAITS[waits[0]]:
                        late_ns = ~late_ns
                t_ns, reading = int(time), (slots[machine][signal], int(value), quality_of[quality], late_ns)
            except (ValueError, KeyError):
                line = self._look_closer(row, width, rows.line_num, mistakes)
                if line is None:
                    continue
                t_ns, machine, reading = line
            if not 0 < t_ns < LAST_NS:
                what = Text(f"时间 {t_ns} 不在 1970–2255 年之内", f"time {t_ns} is not within 1970-2255")
                mistakes.add(rows.line_num, "time_ns", what, _IN_NS)
            elif not -_INT64 <= reading[1] < _INT64:
                what = Text("数值超出 64 位整数", "the value does not fit 64 bits")
                mistakes.add(rows.line_num, "value", what)
            elif not ~LATEST_NS <= reading[3] <= LATEST_NS:
                what = Text("应在 0 与一天的纳秒数之间", "a number of ns between 0 and a day is expected")
                mistakes.add(rows.line_num, LATE_MAX, what)
            elif exact and reading[0] == NOTHING:
                self._unknown(machine, signal, rows.line_num, mistakes)
            elif reading[0] != UNUSED and not mistakes:
                yield t_ns, machine, reading

    def _look_closer(self, row: list[str], width: int, line: int, mistakes: _Mistakes) -> Line | None:
        """A row in a less common spelling, or None: then everything wrong with it was noted."""
        if not any(row):
            return None
        row = [text.strip() for text in row]
        if len(row) != width:
            what = Text(f"应为 {width} 列，实为 {len(row)} 列", f"{width} columns wanted, {len(row)} found")
            mistakes.add(line, ".", what)
            return None
        time, machine, signal, value, quality, *late = row
        slot = self._slot(machine, signal, line, mistakes)
        code = _QUALITY.get(quality.lower())
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
        late_ns = _integer(late[0]) if late and late[0] else 0
        if late_ns is None or late_ns < 0:
            what = Text(f"{late[0]!r} 不是纳秒数", f"{late[0]!r} is not a number of ns")
            mistakes.add(line, LATE_MAX, what)
        waits = _waits(late[1:])
        if waits is None:
            mistakes.add(line, WAITS, Text(f"{late[1]!r} 应为 0 或 1", f"{late[1]!r}: 0 or 1 is expected"))
        if slot is None or code is None or number is None or t_ns is None or late_ns is None or waits is None:
            return None
        return t_ns, machine, (slot, number, code, ~late_ns if waits else late_ns)

    def _slot(self, machine: str, signal: str, line: int, mistakes: _Mistakes) -> int | None:
        slots = self._slots.get(machine)
        if slots is None:
            what = Text(f"站点文件中没有机器 {machine!r}", f"the site file has no machine {machine!r}")
            mistakes.add(line, "machine", what, suggest(machine, self._slots), same=machine)
            return None
        if signal not in slots:
            self._unknown(machine, signal, line, mistakes)
            return None
        return slots[signal]

    def _unknown(self, machine: str, signal: str, line: int, mistakes: _Mistakes) -> None:
        what = Text(f"机器 {machine} 没有信号 {signal!r}", f"machine {machine} has no signal {signal!r}")
        known = [name for name in self._slots[machine] if name]
        mistakes.add(line, "signal", what, suggest(signal, known), same=f"{machine}.{signal}")


class _Rows(Protocol):
    """A CSV reader."""

    line_num: int

    def __next__(self) -> list[str]: ...

    def __iter__(self) -> Self: ...


def _opened(path: Path) -> IO[str]:
    if path.name.endswith(PACKED):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _whole_lines(file: Iterable[str]) -> Iterator[str]:
    """The lines up to the first that has no end, or is what a power cut leaves of a file: zeros."""
    for line in file:
        if not line.endswith("\n") or "\0" in line:
            return
        yield line


def _columns(rows: _Rows, mistakes: _Mistakes, *, empty_is_fine: bool) -> int:
    """How many columns the first line names; 0 where it names none that are right."""
    try:
        header = next(rows, None)
    except csv.Error:
        header = None
    if header is None and empty_is_fine:
        return 0
    named = tuple(name.strip().lower() for name in header or ())
    if named not in (HEADER, (*HEADER, LATE_MAX), (*HEADER, *OPTIONAL)):
        wanted = ",".join(HEADER)
        mistakes.add(1, ".", Text(f"第一行应为 {wanted}", f"the first line must be {wanted}"))
        return 0
    return len(named)


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


def _waits(column: Sequence[str]) -> bool | None:
    """What the last column says; None for nonsense."""
    return False if not column else _WAITS.get(column[0])


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
        self.file = file  # the one that is being read
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
        self._problems.append(Problem(self.file, line, column, what, _ENOUGH if self.full else hint))

    def raise_if_any(self) -> None:
        """Raise ConfigError with everything noted."""
        if self._problems:
            raise ConfigError(self._problems)
