"""How long a reading may be on its way: the one figure that live runs and replays share."""

from __future__ import annotations

from edge.plan import Machine

WATERMARK_MIN_NS = 5_000_000_000


def watermark_ns(machine: Machine) -> int:
    """Two polls and five seconds: until a machine's newest reading is this much ahead, an older one is in time."""
    return 2 * machine.poll_ns + WATERMARK_MIN_NS
