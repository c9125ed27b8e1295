"""What a device turned out to accept, remembered across restarts: which tags it refuses, how long a request may be,
how many it takes at a time, and since when that is known.

Theory. Finding one bad register among five hundred takes a dozen requests, and some PLCs answer each refusal with a
line in their diagnostics. So what was found is kept, as a short text per device, by whoever has a store; a poller knows
a `Notebook` and no store. The text names the map it was learned on (endpoint, unit, limits, tags): an edited map
begins with nothing, because a tag that was moved may well be readable now. What was recalled is probed again like
anything learned (module `block`), so a changed PLC program is found out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from edge.plan import ModbusDevice
from edge.poll.cap import Cap
from edge.poll.heard import Heard

_VERSION = 2
_KEY = "learned:"  # + device id, in whatever store the notes are kept in


@dataclass(frozen=True, slots=True)
class Notes:
    """About one device. Times are UTC ns."""

    refused: tuple[tuple[str, int], ...] = ()  # names of tags, and since when each is refused
    splits: tuple[tuple[int, int], ...] = ()  # table and address: not in one request with what lies before
    registers: Cap | None = None  # per request
    bits: Cap | None = None
    depth: int | None = None  # requests at a time, where it is less than configured
    depth_since_ns: int = 0


class Notebook:
    """Notes of all devices of a site, between the pollers and a store of texts by key."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._changed: set[str] = set()
        self.heard = Heard()

    def fill(self, texts: Mapping[str, str]) -> None:
        """What the store has; keys of others are ignored."""
        self._texts |= {key: text for key, text in texts.items() if key.startswith(_KEY)}
        self.heard.fill(texts)

    def take(self) -> list[tuple[str, str]]:
        """Keys and texts that are new since the last call, to be stored."""
        changed = [(key, self._texts[key]) for key in sorted(self._changed)]
        self._changed.clear()
        return [*changed, *self.heard.take()]

    def recall(self, device: ModbusDevice) -> Notes:
        """What was learned of this device with this map; nothing where the map is another one."""
        text = self._texts.get(key_of(device.id))
        return read_notes(text, fingerprint(device)) if text else Notes()

    def write(self, device: ModbusDevice, notes: Notes) -> None:
        """Keep this instead of what was known."""
        key = key_of(device.id)
        text = json.dumps(
            {
                "version": _VERSION,
                "map": fingerprint(device),
                "refused": notes.refused,
                "splits": notes.splits,
                "registers": _cap_fields(notes.registers),
                "bits": _cap_fields(notes.bits),
                "depth": notes.depth,
                "depth_since_ns": notes.depth_since_ns,
            },
            ensure_ascii=False,
        )
        if text != self._texts.get(key) and (notes != Notes() or key in self._texts):
            self._texts[key] = text
            self._changed.add(key)


def key_of(device: str) -> str:
    """Under which the notes of a device are stored."""
    return _KEY + device


def fingerprint(device: ModbusDevice) -> str:
    """16 hex digits of everything that what was learned rests on."""
    known = repr((device.endpoint, device.unit, device.limits, device.tags))
    return hashlib.sha256(known.encode()).hexdigest()[:16]


def read_notes(text: str, wanted: str) -> Notes:
    """What a text says; nothing where it is about another map, of another version, or no notes at all."""
    try:
        said = json.loads(text)
        if said.get("version") != _VERSION or said.get("map") != wanted:
            return Notes()
        return Notes(
            tuple((str(name), int(since_ns)) for name, since_ns in said["refused"]),
            tuple((int(table), int(address)) for table, address in said["splits"]),
            _cap(said["registers"]),
            _cap(said["bits"]),
            None if said["depth"] is None else int(said["depth"]),
            int(said["depth_since_ns"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError):  # somebody edited the store: learn again
        return Notes()


def _cap_fields(cap: Cap | None) -> tuple[int, int, int] | None:
    return None if cap is None else (cap.good, cap.bad, cap.since_ns)


def _cap(fields: list[int] | None) -> Cap | None:
    if fields is None:
        return None
    good, bad, since_ns = (int(field) for field in fields)
    if good < 1 or bad < 0:
        raise ValueError(fields)
    return Cap(good, bad, since_ns)
