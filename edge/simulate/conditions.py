"""What a simulated machine can be doing, and how it shows: time bucket, PackML state number, bits of the status
word.

The bucket is the truth the agent is judged by; it is written down here independently of the agent's own inference
rules. State numbers are those of ISA-TR88.00.02 as enumerated by OPC 30050. The status bits follow the reference
tag block of the templates.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from ext.buckets import Bucket


class Condition(IntEnum):
    """Condition of a machine; recorded in the history as a number."""

    HEATING = 0
    IDLE = 1
    RUN = 2
    MINOR = 3
    BREAKDOWN = 4
    SETUP = 5
    STARVED = 6
    BLOCKED = 7
    HANDOVER = 8  # the shift leaves, the next one comes: machine stopped, counter read and perhaps cleared


class StatusBit(IntEnum):
    """Bits of the STATUS word of the reference block."""

    READY = 0
    RUN = 1
    STARVED = 2
    BLOCKED = 3
    FAULT = 4
    EMERGENCY_STOP = 5
    GUARD_OPEN = 6
    MANUAL = 7
    AUTO = 8
    HEATING = 9
    CHANGEOVER = 10
    MATERIAL_LOW = 11
    MATERIAL_OUT = 12
    AIR_LOW = 13
    CYCLE = 14
    HEARTBEAT = 15


@dataclass(frozen=True, slots=True)
class Face:
    """How one condition looks from outside."""

    bucket: Bucket
    state: int  # PackML state number
    word: str
    bits: frozenset[StatusBit]


def _face(bucket: Bucket, state: int, word: str, *bits: StatusBit) -> Face:
    return Face(bucket, state, word, frozenset((StatusBit.READY, StatusBit.AUTO, *bits)))


FACES: dict[Condition, Face] = {
    Condition.HEATING: _face(Bucket.STARTUP, 3, "starting", StatusBit.HEATING),
    Condition.IDLE: _face(Bucket.NO_ORDER, 4, "idle"),
    Condition.RUN: _face(Bucket.RUN, 6, "execute", StatusBit.RUN, StatusBit.CYCLE),
    Condition.MINOR: _face(Bucket.INTERNAL_MINOR, 11, "held", StatusBit.FAULT),
    Condition.BREAKDOWN: _face(Bucket.BREAKDOWN, 9, "aborted", StatusBit.FAULT),
    Condition.SETUP: _face(Bucket.SETUP, 11, "held", StatusBit.CHANGEOVER, StatusBit.MATERIAL_OUT),
    Condition.STARVED: _face(Bucket.EXTERNAL_STARVED, 5, "suspended", StatusBit.STARVED),
    Condition.BLOCKED: _face(Bucket.EXTERNAL_BLOCKED, 5, "suspended", StatusBit.BLOCKED),
    Condition.HANDOVER: _face(Bucket.NO_ORDER, 4, "idle"),
}
