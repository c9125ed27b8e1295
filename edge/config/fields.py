"""The words a site file is written in: times, weekdays, sizes, buckets, ids, secrets; and the base of all models.

A validator that refuses says what is expected, in both languages, and never repeats the value.
"""

from __future__ import annotations

import re
from datetime import time
from enum import Enum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from ext.buckets import Bucket
from protocols.modbus.tags import DataType, Encoding, WordOrder
from protocols.opcua import fingerprint

ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$"


class Strict(BaseModel):
    """Base of everything: extra keys are mistakes, nothing changes after reading, values never appear in messages."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)


class Identified(Strict):
    """Something the site file lists by id."""

    id: Annotated[str, Field(pattern=ID_PATTERN, max_length=64)]


def wrong(zh: str, en: str) -> PydanticCustomError:
    """A mistake with a sentence in both languages (read back by `edge.config.validate`)."""
    return PydanticCustomError("seamline", "{en}", {"zh": zh, "en": en})


def _name(value: Any) -> Any:
    """A plain text serves as the name in both languages."""
    return {"zh": value, "en": value} if isinstance(value, str) else value


def clock_of(value: Any) -> Any:
    match = re.fullmatch(r"([01]?[0-9]|2[0-4]):([0-5][0-9])", value) if isinstance(value, str) else None
    if match is None or (match[1] == "24" and match[2] != "00"):
        raise wrong("应为 24 小时制时间，例如 08:00", "a time of day such as 08:00 is expected (24-hour clock)")
    return time(int(match[1]) % 24, int(match[2]))


_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAYS_ZH = ("周一", "周二", "周三", "周四", "周五", "周六", "周日")
_DAY_NUMBER = {name: n for names in (_DAYS, _DAYS_ZH) for n, name in enumerate(names)} | {"周天": 6}


def weekdays_of(value: Any) -> Any:
    """`daily`, `mon-fri`, `sat`, or a list of such."""
    words = value if isinstance(value, list) else [value]
    chosen: set[int] = set()
    for word in words:
        ends = str(word).strip().lower().split("-")
        if ends in (["daily"], ["每天"]):
            chosen.update(range(7))
        elif len(ends) <= 2 and all(end in _DAY_NUMBER for end in ends):
            first, last = _DAY_NUMBER[ends[0]], _DAY_NUMBER[ends[-1]]
            chosen.update((first + n) % 7 for n in range((last - first) % 7 + 1))
        else:
            zh = "应为 daily、mon-fri 或 [mon, sat]（也可写 每天、周一-周五）"
            raise wrong(zh, "daily, mon-fri or a list such as [mon, sat] is expected")
    if not chosen:
        raise wrong("至少一天", "at least one day is expected")
    return frozenset(chosen)


def _bytes(value: Any) -> Any:
    """A number of bytes, or text such as `2 GiB`."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(B|KiB|MiB|GiB|TiB|kB|MB|GB|TB)?\s*", value)
    if match is None:
        raise wrong("应为字节数，例如 2 GiB", "a size such as 2 GiB is expected")
    unit = match[2] or "B"
    power = "BKMGT".index(unit[0].upper())
    return int(float(match[1]) * (1024 if "i" in unit else 1000) ** power)


def _kebab(enum: type[Enum]) -> dict[str, Enum]:
    return {member.name.lower().replace("_", "-"): member for member in enum}


BUCKETS = {
    name: bucket
    for name, bucket in _kebab(Bucket).items()
    if bucket not in (Bucket.UNKNOWN, Bucket.NOT_SCHEDULED)  # never a machine's own state
}


def _bucket(value: Any) -> Any:
    bucket = BUCKETS.get(value) if isinstance(value, str) else value if isinstance(value, Bucket) else None
    if bucket is None:
        listed = ", ".join(BUCKETS)
        raise wrong(f"应为其中之一：{listed}", f"one of these is expected: {listed}")
    return bucket


_SAME_ORDER = {"ABCDEFGH": "ABCD", "GHEFCDAB": "CDAB", "BADCFEHG": "BADC", "HGFEDCBA": "DCBA"}


def _fingerprint(value: Any) -> Any:
    """A SHA-256 fingerprint however people write it, as upper-case digits."""
    try:
        digits = fingerprint.normal(value) if isinstance(value, str) else ""
    except ValueError:
        digits = ""
    if len(digits) != fingerprint.SHA256:
        raise wrong(
            "应为 SHA-256 指纹：64 个十六进制数字（seamline trust list 会显示）",
            "a SHA-256 fingerprint is expected: 64 hexadecimal digits (seamline trust list shows them)",
        )
    return digits


def _choice(value: Any) -> Any:
    """PLC spellings in any case, `cdab`; the eight letters of a 64-bit value also where four say the same."""
    return _SAME_ORDER.get(value.upper(), value.upper()) if isinstance(value, str) else value


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


_TEXT = {"type": "string"}
_SECRET_SCHEMA = {
    "anyOf": [
        _TEXT,
        {"type": "object", "properties": {"file": _TEXT}, "required": ["file"], "additionalProperties": False},
    ]
}

Id = Annotated[str, Field(pattern=ID_PATTERN, max_length=64)]
Word = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\r\n]+$")]
Line = Annotated[str, Field(min_length=1, max_length=600, pattern=r"^[^\r\n]+$")]  # e.g. a browse path with URIs
Clock = Annotated[time, BeforeValidator(clock_of), WithJsonSchema(_TEXT | {"examples": ["08:00", "24:00"]})]
Weekdays = Annotated[
    frozenset[int],
    BeforeValidator(weekdays_of),
    WithJsonSchema({"anyOf": [_TEXT, {"type": "array", "items": _TEXT}], "examples": ["daily", "mon-fri"]}),
]
Size = Annotated[int, BeforeValidator(_bytes), WithJsonSchema({"anyOf": [{"type": "integer"}, _TEXT]})]
BucketName = Annotated[Bucket, BeforeValidator(_bucket), WithJsonSchema({"enum": sorted(BUCKETS)})]
Order = Annotated[WordOrder, BeforeValidator(_choice)]
Type = Annotated[DataType, BeforeValidator(_lower)]
Characters = Annotated[Encoding, BeforeValidator(_lower)]
Secret = Annotated[str, WithJsonSchema(_SECRET_SCHEMA)]  # fields of it say repr=False
Fingerprint = Annotated[str, BeforeValidator(_fingerprint), WithJsonSchema(_TEXT)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Label(Strict):
    """A name in both languages."""

    zh: Word
    en: Word


Named = Annotated[Label, BeforeValidator(_name, json_schema_input_type=str | Label)]
