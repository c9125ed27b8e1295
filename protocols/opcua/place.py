"""Where in a node's value a tag is: elements of arrays and fields of structures, down to one scalar. Pure.

Theory. A site file says it in two keys. `index` picks an element of the value itself: a number, or a list of numbers,
one a dimension, for a matrix (PackML's StateCumulativeTime[mode][state]). `field` goes on from there:

    AccCount                                   a field
    Unit.UnitId                                a field of a field
    JobState[0].StateNumber                    an element of a field that is an array
    JobResponseData[ID=GoodQuantity].Value     the element whose field ID is that text
    [State[0].StateNumber=3|4].JobOrder        the value is an array: the element with a 3, where there is none with a 4

Rules. An element that is sought by what it says may not be there: no job is running. `Absent` says so, apart from what
is wrong with the tag (no such field, no array).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from protocols.opcua.structures import Registry
from protocols.opcua.wire import Extension, Matrix, Value


@dataclass(frozen=True, slots=True)
class Where:
    """The element of an array whose `path` reads as one of `texts`; an earlier text goes first."""

    path: Path
    texts: tuple[str, ...]

    def __str__(self) -> str:
        """As the site file writes it, without its brackets."""
        return f"{written(self.path)}={'|'.join(self.texts)}"


Step = str | int | Where
Path = tuple[Step, ...]
Index = int | tuple[int, ...]


class Absent(LookupError):  # noqa: N818 - nothing is wrong
    """No element says what was sought."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.inside = False  # inside an element that was sought and found: a key that nobody uses, rather than no job


def parse_field(text: str | None) -> Path:
    """What `field` means. ValueError says what was expected, for people."""
    return _Text(text).path("") if text else ()


def within(index: Index | None, field: str | None) -> str:
    """What of a node's value a tag is, for people: [1, 6], [0].AccCount; "" where it is all of it."""
    place = "" if index is None else f"[{index}]" if isinstance(index, int) else str(list(index))
    return place + ("" if field is None else field if field.startswith("[") else f".{field}")


def written(path: Path) -> str:
    """A path as the site file writes it."""
    made = ""
    for step in path:
        made += (("." if made else "") + step) if isinstance(step, str) else f"[{step}]"
    return made


class _Text:
    """The text of a path, read from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def path(self, ends: str) -> Path:
        """Steps up to one of the characters `ends`, or to the end of the text."""
        steps: list[Step] = []
        while self._next and self._next not in ends:
            if self._next == "[":
                steps.append(self._brackets())
                continue
            if steps:
                self._expect(".")
            steps.append(self._word(".[]=|"))
        if not steps:
            raise self._wrong("a field's name")
        return tuple(steps)

    def _brackets(self) -> Step:
        self._expect("[")
        path = self.path("]=")
        if self._next == "]":
            self._at += 1
            (word,) = path if len(path) == 1 else ("",)
            if not (isinstance(word, str) and word.isascii() and word.isdigit()):
                raise self._wrong("a number, or field=text, in brackets")
            return int(word)
        self._expect("=")
        texts = [self._word("|]")]
        while self._next == "|":
            self._at += 1
            texts.append(self._word("|]"))
        self._expect("]")
        return Where(path, tuple(texts))

    @property
    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _word(self, ends: str) -> str:
        start = self._at
        while self._next and self._next not in ends:
            self._at += 1
        if start == self._at:
            raise self._wrong("a name")
        return self._text[start : self._at]

    def _expect(self, character: str) -> None:
        if self._next != character:
            raise self._wrong(f"'{character}'")
        self._at += 1

    def _wrong(self, wanted: str) -> ValueError:
        return ValueError(f"{self._text!r}: expected {wanted} at character {self._at + 1}")


# ── in a value
# ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def pick(value: Value, index: Index | None, path: Path, registry: Registry) -> Any:
    """Element `index` of an array and, below it, what is at `path`.

    Errors: Absent where no element fits, LookupError where it cannot be there, WireError where
    the bytes cannot be read.
    """
    if index is not None:
        value = _element(value, index)
    found = False
    for step in path:
        if isinstance(step, str):
            value = _field(value, step, registry)
        elif isinstance(step, int):
            value = _element(value, step)
        else:
            try:
                value = _sought(value, step, registry)
            except Absent as absent:
                absent.inside = found
                raise
            found = True
    return value


def _element(value: Value, index: Index) -> Value:
    if not isinstance(value, list):
        raise LookupError("the value is no array")  # noqa: TRY004 - about data
    at = index if isinstance(index, int) else _flat(value, index)
    if at >= len(value):
        raise LookupError(f"the array has {len(value)} elements")
    return value[at]


def _flat(value: list[Value], index: tuple[int, ...]) -> int:
    """The position of a matrix's element, row by row."""
    dimensions: Sequence[int] = value.dimensions if isinstance(value, Matrix) else (len(value),)
    if len(dimensions) != len(index) or any(at >= size for at, size in zip(index, dimensions, strict=True)):
        raise LookupError(f"the array has {' x '.join(map(str, dimensions))} elements")
    at = 0
    for one, size in zip(index, dimensions, strict=True):
        at = at * size + one
    return at


def _field(value: Value, name: str, registry: Registry) -> Value:
    if isinstance(value, Extension):
        value = registry.read(value)
    if not isinstance(value, dict) or name not in value:
        raise LookupError(f"no field {name!r}; there are: {', '.join(value) if isinstance(value, dict) else 'none'}")
    return value[name]


def _sought(value: Value, where: Where, registry: Registry) -> Value:
    if not isinstance(value, list):
        raise LookupError("the value is no array")  # noqa: TRY004 - about data
    said = [_said(element, where.path, registry) for element in value]
    for text in where.texts:
        if text in said:
            return value[said.index(text)]
    raise Absent(f"no element with {where}; there are: {', '.join(one for one in said if one) or 'none'}")


def _said(element: Value, path: Path, registry: Registry) -> str:
    """What an element says at `path`, as text; "" where it is silent (optional fields, an empty array)."""
    try:
        found = pick(element, None, path, registry)
    except LookupError:
        return ""
    return str(found) if isinstance(found, str | int) else ""
