"""Small words for people, shared by what is printed: one language of two, names, durations."""

from __future__ import annotations

from edge.errors import Text, language
from edge.plan import Name
from ext.buckets import Bucket

NS_PER_S = 1_000_000_000


def say(zh: str, en: str) -> str:
    """One of both."""
    return str(Text(zh, en))


def counted(number: int, zh: str, en: str) -> str:
    """So many of them; `en` in the singular."""
    return f"{number} " + say(zh, en if number == 1 else en + "s")


def called(name: Name) -> str:
    """A name in the language asked for."""
    return name.zh if language() == "zh" else name.en


def lasting(ns: float) -> str:
    """A duration in the unit people would use."""
    seconds = ns / NS_PER_S
    for size, unit in ((86_400 * 365, say("年", "y")), (86_400, say("天", "d")), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.4g} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"


def bucket_name(bucket: Bucket) -> str:
    """As a site file writes it."""
    return bucket.name.lower().replace("_", "-")
