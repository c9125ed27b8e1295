"""From the images of devices to readings of one machine: of each signal what is new since it was last taken.

A reading is new when it was read again, or its value or quality changed. Only signals that can move the ledger are
taken (`edge.machines.signals`).
"""

from __future__ import annotations

from collections.abc import Sequence

from edge.machines.signals import used_signals
from edge.plan import Machine
from protocols.reading import TagImage


class Intake:
    """One machine's signals in the images of its devices."""

    def __init__(self, machine: Machine, images: Sequence[TagImage]) -> None:
        """`images`: by device index, as in the site plan."""
        self._tracks: dict[int, list[_Track]] = {}
        self.follow(machine, images)

    def follow(self, machine: Machine, images: Sequence[TagImage]) -> None:
        """The same signals, perhaps at other places and in other images. What was taken is not taken again, and what
        an image held before anybody followed it is not news: an old reading never gets a new time.
        """
        known = {(track.signal, id(track.image), track.tag): track for track in self._all}
        self._tracks = {}
        for index in sorted(used_signals(machine)):
            signal = machine.signals[index]
            image = images[signal.device]
            track = known.get((index, id(image), signal.tag)) or _Track(index, image, signal.tag)
            self._tracks.setdefault(signal.device, []).append(track)

    @property
    def _all(self) -> list[_Track]:
        return [track for tracks in self._tracks.values() for track in tracks]

    @property
    def devices(self) -> tuple[int, ...]:
        """The devices that feed the machine, by index."""
        return tuple(self._tracks)

    def news(self, device: int | None) -> tuple[int, ...]:
        """What is new in the image of a device, or of all: flat, three numbers each (signal, raw integer, Quality)."""
        found: list[int] = []
        for tracks in self._tracks.values() if device is None else (self._tracks.get(device, ()),):
            for track in tracks:
                image, tag = track.image, track.tag
                t_ns, quality, value = image.t_ns[tag], image.quality[tag], image.i64[tag]
                if t_ns != track.t_ns or quality != track.quality or value != track.value:
                    track.t_ns, track.quality, track.value = t_ns, quality, value
                    found += (track.signal, value, quality)
        return tuple(found)


class _Track:
    """One signal, and what was last taken of it."""

    __slots__ = ("image", "quality", "signal", "t_ns", "tag", "value")

    def __init__(self, signal: int, image: TagImage, tag: int) -> None:
        self.signal, self.image, self.tag = signal, image, tag
        self.t_ns, self.quality, self.value = image.t_ns[tag], image.quality[tag], image.i64[tag]
