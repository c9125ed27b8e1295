"""Who a device says it is: read device identification, function code 43, MEI type 14. Pure.

Source: MODBUS Application Protocol Specification V1.1b3, §6.21. Objects 0 to 2 are basic and mandatory, 3 to 6 regular
and optional, from 128 on they are the vendor's own. What does not fit into one reply follows in others: "more follows".

Rules.
* Asked is what the device says it can: basic first, regular where its conformity level says so.
* A device that goes on without getting on (the next object is not behind this one) is not followed in circles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from protocols.modbus.pdu import ReplyError

BASIC, REGULAR = 1, 2  # access codes of a stream
_INDIVIDUAL = 0x80  # bit of the conformity level: single objects may be asked for, too
_HEAD = 5  # access code, conformity level, more follows, next object, number of objects
_MORE_FOLLOWS = 0xFF


@dataclass(frozen=True, slots=True)
class Identity:
    """What a device says of itself; empty where it says nothing."""

    vendor: str = ""
    product: str = ""  # product code
    revision: str = ""
    url: str = ""
    product_name: str = ""
    model: str = ""
    application: str = ""
    others: tuple[tuple[int, str], ...] = ()  # object id and text, beyond the seven above


@dataclass(frozen=True, slots=True)
class Part:
    """One reply of a stream."""

    conformity: int
    next_object: int | None  # where the stream goes on; None at its end
    objects: tuple[tuple[int, bytes], ...]


def parse_part(payload: bytes) -> Part:
    """The reply behind the MEI type. Raises ReplyError where it is not what it says."""
    if len(payload) < _HEAD:
        raise _cut_short(payload)
    _, conformity, more, next_object, count = payload[:_HEAD]
    objects, place = [], _HEAD
    for _ in range(count):
        if len(payload) < place + 2 or len(payload) < place + 2 + payload[place + 1]:
            raise _cut_short(payload)
        end = place + 2 + payload[place + 1]
        objects.append((payload[place], payload[place + 2 : end]))
        place = end
    return Part(conformity & ~_INDIVIDUAL, next_object if more == _MORE_FOLLOWS else None, tuple(objects))


def goes_on(part: Part, asked: int) -> int | None:
    """The object to ask for next; None at the end. Raises ReplyError where the device goes in circles."""
    if part.next_object is not None and part.next_object <= asked:
        raise ReplyError(
            f"设备识别在对象 {asked} 之后又回到 {part.next_object}",
            f"its identification goes back from object {asked} to {part.next_object}",
        )
    return part.next_object


def identity(objects: Mapping[int, bytes]) -> Identity:
    """The objects of all parts, as text."""
    texts = {number: _text(value) for number, value in sorted(objects.items())}
    vendor, product, revision, url, product_name, model, application = (texts.pop(number, "") for number in range(7))
    return Identity(vendor, product, revision, url, product_name, model, application, tuple(texts.items()))


def _text(value: bytes) -> str:
    """The specification says ASCII; what is not is shown and not guessed at."""
    return value.split(b"\0", 1)[0].decode("utf-8", "backslashreplace").strip()


def _cut_short(payload: bytes) -> ReplyError:
    return ReplyError(
        f"设备识别应答残缺（{len(payload)} 字节）", f"an identification of {len(payload)} bytes, cut short"
    )
