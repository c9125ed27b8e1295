"""What a device turned out to accept, remembered across restarts: which tags it refuses, how long a request may be.

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

_VERSION = 1
_KEY = "learned:"  # + device id, in whatever store the notes are kept in


@dataclass(frozen=True, slots=True)
class Notes:
    """About one device."""

    refused: tuple[str, ...] = ()  # names of tags
    splits: tuple[tuple[int, int], ...] = ()  # table and address: not in one request with what lies before
    max_registers: int | None = None
    max_bits: int | None = None


class Notebook:
    """Notes of all devices of a site, between the pollers and a store of texts by key."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._changed: set[str] = set()

    def fill(self, texts: Mapping[str, str]) -> None:
        """What the store has; keys of others are ignored."""
        self._texts |= {key: text for key, text in texts.items() if key.startswith(_KEY)}

    def take(self) -> list[tuple[str, str]]:
        """Keys and texts that are new since the last call, to be stored."""
        changed = [(key, self._texts[key]) for key in sorted(self._changed)]
        self._changed.clear()
        return changed

    def recall(self, device: ModbusDevice) -> Notes:
        """What was learned of this device with this map; nothing where the map is another one."""
        text = self._texts.get(_KEY + device.id)
        return _read(text, fingerprint(device)) if text else Notes()

    def write(self, device: ModbusDevice, notes: Notes) -> None:
        """Keep this instead of what was known."""
        key = _KEY + device.id
        text = json.dumps(
            {
                "version": _VERSION,
                "map": fingerprint(device),
                "refused": notes.refused,
                "splits": notes.splits,
                "max_registers": notes.max_registers,
                "max_bits": notes.max_bits,
            },
            ensure_ascii=False,
        )
        if text != self._texts.get(key) and (notes != Notes() or key in self._texts):
            self._texts[key] = text
            self._changed.add(key)


def fingerprint(device: ModbusDevice) -> str:
    """16 hex digits of everything that what was learned rests on."""
    known = repr((device.endpoint, device.unit, device.limits, device.tags))
    return hashlib.sha256(known.encode()).hexdigest()[:16]


def _read(text: str, wanted: str) -> Notes:
    """What a text says; nothing where it is about another map, of another version, or no notes at all."""
    try:
        said = json.loads(text)
        if said.get("version") != _VERSION or said.get("map") != wanted:
            return Notes()
        return Notes(
            tuple(str(name) for name in said["refused"]),
            tuple((int(table), int(address)) for table, address in said["splits"]),
            said["max_registers"],
            said["max_bits"],
        )
    except (ValueError, KeyError, TypeError, AttributeError):  # somebody edited the store: learn again
        return Notes()
