"""Sequences of many small frozen records, kept as columns: a site of 100,000 tags must not be a million Python objects.

Theory. A tag as an object with its own numbers and texts takes some 350 bytes, and most of it says what its neighbours
say. `Packed` keeps one column per field in the cheapest of these ways, and makes a record when one is asked for:

    Same       all records say this
    Coded      few different values: a table of them, and one or two bytes a record
    Whole      integers, as narrow as they fit
    Real       floats
    Texts      one string of all, and where each ends
    Nested     records in records: columns again
    Objects    anything else, as it is

Rules. What comes out equals what went in, to the type and to the bit of every float. A packed sequence never changes,
equals any sequence of equal records, and is printed as the tuple it stands for. Making a record takes some
microseconds: packed sequences are for plans, which are read at start, and not for the way of a value.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from itertools import accumulate
from operator import attrgetter
from typing import Any, Generic, Protocol, TypeVar, overload

T = TypeVar("T")

WORTH = 32  # fewer records are no burden
_CODES = ("B", "H")
_WHOLE = ("b", "B", "h", "H", "i", "I", "q")


class _Column(Protocol):
    """One field of all records."""

    def __getitem__(self, index: int, /) -> Any:
        """Of one record."""


def packed(items: Sequence[T]) -> Sequence[T]:
    """`items` in little memory where there are many of them; they are dataclasses of one type."""
    return Packed(items) if len(items) >= WORTH else tuple(items)


def column(items: Sequence[Any], name: str) -> Sequence[Any]:
    """One field of all records, packed or not: for whoever needs that alone."""
    if isinstance(items, Packed):
        return items.field(name)
    return [getattr(item, name) for item in items]


class Packed(Sequence[T], Generic[T]):
    """Records of one frozen dataclass."""

    __slots__ = ("_columns", "_record", "_size")

    def __init__(self, items: Sequence[T]) -> None:
        """Raises ValueError for none, TypeError for records of several types or of no dataclass."""
        if not items:
            raise ValueError("nothing to pack")
        self._record: Callable[..., T] = type(items[0])
        if not is_dataclass(self._record) or any(type(item) is not self._record for item in items):
            raise TypeError("records of one dataclass are packed, nothing else")
        self._size = len(items)
        names = [field.name for field in fields(self._record)]
        self._columns: tuple[_Column, ...] = tuple(_column([*map(attrgetter(name), items)]) for name in names)

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        if isinstance(index, slice):
            return tuple(map(self._at, range(*index.indices(self._size))))
        if not -self._size <= index < self._size:
            raise IndexError(index)
        return self._at(index % self._size)

    def _at(self, index: int) -> T:
        return self._record(*[column[index] for column in self._columns])

    def field(self, name: str) -> Sequence[Any]:
        """One field of all records."""
        at = [field.name for field in fields(self._record)].index(name)  # type: ignore[arg-type]
        return _View(self._columns[at], self._size)

    def __iter__(self) -> Iterator[T]:
        return map(self._at, range(self._size))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(other) != self._size:
            return False
        return all(mine == its for mine, its in zip(self, other, strict=True))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        """As the tuple."""
        return repr(tuple(self))


class _View(Sequence[Any]):
    """A column as the sequence it stands for."""

    __slots__ = ("_column", "_size")

    def __init__(self, column: _Column, size: int) -> None:
        self._column, self._size = column, size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int) -> Any:  # type: ignore[override]
        if not 0 <= index < self._size:
            raise IndexError(index)
        return self._column[index]


class _Same:
    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def __getitem__(self, index: int, /) -> Any:
        return self._value


class _Coded:
    __slots__ = ("_codes", "_table")

    def __init__(self, table: Sequence[Any], codes: array[int]) -> None:
        self._table, self._codes = tuple(table), codes

    def __getitem__(self, index: int, /) -> Any:
        return self._table[self._codes[index]]


class _Texts:
    __slots__ = ("_ends", "_start", "_text")

    def __init__(self, texts: Sequence[str]) -> None:
        first, last = min(texts), max(texts)
        self._start = first[: next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), 0)]
        rests = [text[len(self._start) :] for text in texts]
        self._text = "".join(rests)
        self._ends = _narrow([0, *accumulate(map(len, rests))])

    def __getitem__(self, index: int, /) -> str:
        return self._start + self._text[self._ends[index] : self._ends[index + 1]]


def _column(values: Sequence[Any]) -> _Column:
    """The cheapest column that gives exactly these values."""
    kinds = {type(value) for value in values}
    kind = kinds.pop() if len(kinds) == 1 else None
    keys = [_key(value) for value in values]
    table = dict(zip(keys, values, strict=True))
    if len(table) == 1:
        return _Same(values[0])
    code = next((code for size, code in zip((1 << 8, 1 << 16), _CODES, strict=True) if len(table) <= size), None)
    if code is not None and len(table) * 4 <= len(values):
        numbers = {key: number for number, key in enumerate(table)}
        return _Coded([*table.values()], array(code, [numbers[key] for key in keys]))
    if kind is int and min(values) >= -(1 << 63) and max(values) < 1 << 63:
        return _narrow(values)
    if kind is float:
        return array("d", values)
    if kind is str:
        return _Texts(values)
    if is_dataclass(kind):
        return Packed(values)
    return tuple(values)


def _key(value: Any) -> tuple[type, Any]:
    """What tells values apart: 1, 1.0 and True are three, and so are 0.0 and -0.0, alone or within others."""
    return type(value), value if isinstance(value, str | int) else repr(value)


def _narrow(numbers: Sequence[int]) -> array[int]:
    """Integers of at most 64 bits, as narrow as they fit."""
    low, high = min(numbers), max(numbers)
    for code in _WHOLE:
        bits = 8 * array(code).itemsize
        least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if code.islower() else (0, (1 << bits) - 1)
        if least <= low and high <= most:
            return array(code, numbers)
    raise OverflowError(f"{low} … {high} are beyond 64 bits")
