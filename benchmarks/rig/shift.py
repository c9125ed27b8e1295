"""A shift of one mask machine as the ledger gets it: a sample a second, narrow counters, some hundred stops."""

from __future__ import annotations

import random
from array import array

from ext.buckets import Bucket, Counter, Schedule
from ext.ledger import SAMPLE_FIELDS

NS = 1_000_000_000
SAMPLES = 8 * 3600
HOLD_NS = 5 * NS
MODULUS = 1 << 16
RATE_PER_S = 4.0
COUNTERS = tuple((int(counter), MODULUS, RATE_PER_S, 1) for counter in Counter)
PRODUCTS = ((550_000_000, 660_000_000, 2 * NS, 10 * NS),)
CALENDAR = tuple(array("q", [value]) for value in (0, 1 << 62, int(Schedule.SCHEDULED), 0))
_START_NS = 1_767_600_000 * NS
_ALL = (1 << len(Counter)) - 1
_STOPS = (Bucket.INTERNAL_MINOR, Bucket.BREAKDOWN, Bucket.SETUP)


def samples(count: int = SAMPLES, seed: int = 7) -> list[tuple[int, ...]]:
    """Rows as `ext.ledger.SAMPLE_FIELDS`. The same seed gives the same shift."""
    chance = random.Random(seed)
    rows: list[tuple[int, ...]] = []
    total, reject, due, stopped_s, bucket = 60_000, 900, 0.0, 0, Bucket.RUN
    for second in range(count):
        if stopped_s:
            stopped_s -= 1
        elif chance.random() < 1 / 90:
            stopped_s, bucket = chance.randint(3, 120), chance.choice(_STOPS)
        else:
            bucket, due = Bucket.RUN, due + 1 / 0.57
            made, due = int(due), due % 1
            total, reject = total + made, reject + (chance.random() < 0.02)
        counts = (total % MODULUS, (total - reject) % MODULUS, reject % MODULUS)
        rows.append((_START_NS + second * NS, NS if second else 0, int(bucket), 0, 0, _ALL, *counts))
    return rows


def as_batch(rows: list[tuple[int, ...]]) -> memoryview:
    """The rows as the kernel takes them at once: int64, one row per sample."""
    flat = array("q", [number for row in rows for number in row])
    return memoryview(flat).cast("B").cast("q", (len(rows), len(SAMPLE_FIELDS)))
