"""The value that travels upward from every protocol: value + quality + time.

Theory. A device's tags live side by side in one `TagImage`: parallel arrays of integers, floats, qualities and times,
indexed by the tag's position in the device plan. A protocol writes a block or a notification into the image in place
(the compiled decode kernel writes the arrays directly) and then hands a `Frame` upward: which tags were refreshed,
when, and how long the device took. Readers run in the same event-loop step, so no copy and no lock is needed.

Rules.
* An old value is never re-stamped: `t_ns[i]` changes only when tag `i` was really read, or when the protocol guarantees
  it is unchanged (an OPC UA subscription that is alive; such a frame says `confirms=True`).
* Integers are exact: `i64` holds the raw integer, `f64` the scaled engineering value. Counters are read from `i64`
  only.
* This module holds no clock; times are passed in, UTC nanoseconds.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple, Protocol


class Quality(IntEnum):
    """Trust in one value (OPC 10000-8 §6.3.3 severities, plus what a gateway knows itself).

    Codes are shared with `ext.decode`.
    """

    GOOD = 0
    UNCERTAIN = 1
    BAD = 2  # the device said so, or the value is outside its declared range, or a sentinel
    STALE = 3
    COMM_LOST = 4
    NOT_CONFIGURED = 5  # never read yet


class TagImage:
    """The latest reading of every tag of one device, as parallel arrays of length `size`.

    A text counts as the integer 1, an empty one as 0: what a state rule asks of an order number.
    """

    __slots__ = ("f64", "i64", "quality", "size", "source_ns", "t_ns", "text")

    def __init__(self, size: int) -> None:
        self.size = size
        self.i64 = array("q", bytes(8 * size))  # raw integer value; for floats the value rounded to nearest
        self.f64 = array("d", bytes(8 * size))  # value in engineering units, after scale and offset
        self.quality = array("B", [Quality.NOT_CONFIGURED]) * size
        self.t_ns = array("q", bytes(8 * size))  # UTC ns when the block was read; 0 = never
        self.source_ns = array("q", bytes(8 * size))  # device's own time stamp (OPC UA SourceTimestamp); 0 = none
        self.text: dict[int, str] = {}  # string tags only, by tag index


class Frame(NamedTuple):
    """Tags of one device refreshed by one reply or one publish: a consistent sample. A tuple, because thousands are
    made a second, and a frozen dataclass takes three times as long.
    """

    device: int  # index of the device in the site plan
    t_ns: int  # UTC ns of the reply
    tags: Sequence[int]  # indices into the image, ascending; usually a range
    latency_ns: int  # request sent to reply read; 0 where the protocol pushes
    confirms: bool = False  # True: values not listed in `tags` are known to be unchanged at t_ns
    among: frozenset[int] | None = None  # of a frame that confirms: the tags it speaks of; None = all


@dataclass(frozen=True, slots=True)
class DeviceFact:
    """A device came up, went down or answered with an exception: a published fact, not a hole in a chart."""

    device: int
    t_ns: int
    up: bool
    reason: str = ""  # short machine-readable cause: "connected", "timeout", "refused", "exception-2", "closed", …
    detail: str = ""  # for people: what, where, whose fault, what to do
    tags: Sequence[int] = field(default=())  # tags whose quality changed because of it


@dataclass(frozen=True, slots=True, order=True)
class Remembered:
    """A reading of the past, from a device's own memory."""

    t_ns: int  # UTC, by our clock
    tag: int  # index into the image
    i64: int  # raw integer
    quality: Quality
    f64: float = 0.0  # in engineering units


@dataclass(frozen=True, slots=True)
class Past:
    """What a device remembers of a time in which nobody heard it. It is history: it never enters the image."""

    device: int
    from_ns: int
    to_ns: int
    readings: tuple[Remembered, ...]  # changes, by time
    standing: tuple[Remembered, ...] = ()  # what stood when it began, at `from_ns`
    steady: frozenset[int] = frozenset()  # tags whose last value stood until `to_ns`
    began_ns: int = 0  # when the device was last started; nothing stands across it. 0 = not known


class Receiver(Protocol):
    """What a source hands readings to. Called on the event loop, must not block; exceptions are bugs."""

    def on_frame(self, frame: Frame) -> None:
        """One consistent sample is in the image."""

    def on_fact(self, fact: DeviceFact) -> None:
        """The device changed between up and down, or refused something."""

    def on_past(self, past: Past) -> None:
        """A device told what it remembers of a gap."""
