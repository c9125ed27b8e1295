"""What a server said, written into the image of its device.

Rules.
* Only a good or uncertain value replaces the old one. A bad, stale or lost one sets the quality and keeps value and
  time; so does a number that is none (null, NaN, infinite) or does not fit int64.
* A publish that is complete proves that what its group does not list has not changed: those times move with it. A group
  that is read proves nothing but what was read.
  So does what is read because the server has no room to monitor it, whatever its group publishes.
* While there is no connection, tags are COMM_LOST. Where the same session goes on afterwards, what it pushed before
  stands again: the server keeps what changed in between and says it now.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from edge.plan import OpcuaDevice
from protocols.opcua.items import Batch
from protocols.opcua.status import quality
from protocols.opcua.tags import Mode
from protocols.reading import Quality, TagImage


class ImageWriter:
    """Puts batches into the image of one device."""

    __slots__ = ("_among", "_before", "_believed", "_group_of", "_image", "_pushed", "_scales", "_tags")

    def __init__(self, device: OpcuaDevice, image: TagImage) -> None:
        self._image = image
        self._scales = [(tag.scale, tag.offset) for tag in device.tags]
        self._tags = device.tags
        self._group_of = [tag.group for tag in device.tags]
        groups = device.endpoint.tag_groups
        # By group: tags whose value was heard in this session and stands. A publish of the group confirms them.
        self._believed: list[set[int]] = [set() for _ in groups]
        self._among = [frozenset(i for i, of in enumerate(self._group_of) if of == n) for n in range(len(groups))]

        self._pushed = [group.mode is Mode.SUBSCRIBE for group in groups]
        self._before: tuple[array[int], list[set[int]]] | None = (
            None  # qualities and beliefs before the connection broke
        )

    def lose(self) -> list[int]:
        """The connection is gone: every tag that was ever heard is COMM_LOST. Returns the tags that changed."""
        qualities = self._image.quality
        if self._before is None:
            self._before = qualities[:], [set(believed) for believed in self._believed]
        changed = [tag for tag, now in enumerate(qualities) if now not in (Quality.COMM_LOST, Quality.NOT_CONFIGURED)]
        for tag in changed:
            qualities[tag] = Quality.COMM_LOST
        for believed in self._believed:
            believed.clear()
        return changed

    def recall(self) -> None:
        """The same session goes on: what it says no more has not changed since, so all that was pushed stands again."""
        if self._before is None:
            return
        qualities, before = self._before
        for believed, stood, pushed in zip(self._believed, before, self._pushed, strict=True):
            if pushed:
                believed |= stood
        for tag, group in enumerate(self._group_of):
            if self._pushed[group]:
                self._image.quality[tag] = qualities[tag]
        self._before = None

    def begin_anew(self) -> bytes:
        """Another session: it will say everything itself. Returns the qualities before the last one was lost; none
        where there was none.
        """
        before, self._before = self._before, None
        return bytes(before[0]) if before is not None else b""

    def refuse(self, tags: Iterable[int]) -> None:
        """The server does not give these nodes."""
        for tag in tags:
            self._distrust(tag, Quality.BAD)

    def write(self, batch: Batch, t_ns: int) -> None:
        """Values, qualities and times of one sample; `t_ns` is its arrival, UTC."""
        if batch.complete:
            self._confirm(batch.group, t_ns)
        image, scales, believed, group_of = self._image, self._scales, self._believed, self._group_of
        i64, f64, qualities, times, sources = image.i64, image.f64, image.quality, image.t_ns, image.source_ns
        columns = zip(batch.tags, batch.values, batch.statuses, batch.source_ns, strict=True)
        for tag, value, status, source_ns in columns:
            trust = quality(status) if status else Quality.GOOD
            if trust > Quality.UNCERTAIN:
                self._distrust(tag, trust)
                continue
            if isinstance(value, str):
                image.text[tag], i64[tag] = value, self._tags[tag].number_of(value)
            else:
                try:
                    i64[tag] = round(value)  # type: ignore[arg-type]  # null raises
                except (TypeError, ValueError, OverflowError):
                    self._distrust(tag, Quality.BAD)
                    continue
                scale, offset = scales[tag]
                f64[tag] = value * scale + offset  # type: ignore[operator]  # round() has seen it
            qualities[tag] = trust
            times[tag] = t_ns
            sources[tag] = source_ns
            if batch.stands:
                believed[group_of[tag]].add(tag)

    def among(self, group: int) -> frozenset[int] | None:
        """The tags a confirmation of this group speaks of; None = of all."""
        return None if len(self._among) == 1 else self._among[group]

    def _confirm(self, group: int, t_ns: int) -> None:
        """What the group said and does not list now is unchanged at `t_ns`."""
        image, believed = self._image, self._believed[group]
        if len(believed) == image.size:
            image.t_ns[:] = array("q", (t_ns,)) * image.size
            return
        for tag in believed:
            image.t_ns[tag] = t_ns

    def _distrust(self, tag: int, trust: Quality) -> None:
        self._image.quality[tag] = trust
        self._believed[self._group_of[tag]].discard(tag)
