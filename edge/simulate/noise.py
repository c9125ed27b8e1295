"""Smooth noise that needs no memory: a pure function of (channel, time), so replays and split reads agree."""

from __future__ import annotations

from zlib import crc32

_MASK = (1 << 64) - 1


def noise(channel: str, at_ns: int, step_ns: int = 5_000_000_000) -> float:
    """A value in [-1, 1] that wanders: random at every step, straight lines between."""
    step, inside = divmod(at_ns, step_ns)
    salt = crc32(channel.encode())
    left, right = _level(salt, step), _level(salt, step + 1)
    return left + (right - left) * inside / step_ns


def _level(salt: int, step: int) -> float:
    """The splitmix64 finaliser as a hash of (channel, step)."""
    z = (salt * 0x9E3779B97F4A7C15 + step * 0xD1342543DE82EF95) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return (z ^ (z >> 31)) / (1 << 63) - 1.0
