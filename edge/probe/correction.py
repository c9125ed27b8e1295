"""What has to be written into the site file so that it reads what the person saw, and the proof that it is right.

Theory. A correction is a set of edits, found by trial: the most general ones first, then the file is compiled with them
and every probed tag must come out exactly as it was found. What a general edit does not set right gets an override of
its own. So nothing has to be known here about how templates, bases and overrides work together: the compiler is asked.

    several tags of a device have another order      word_order of the device
    several tags of a machine lie further on         base of the machine
    the rest                                         address, type, word_order, bit, scale of the tag

Rules.
* A tag that was found as configured must stay so: it takes part in the trial like the others.
* A general edit needs two tags that ask for it and none that speaks against it.
* Nothing is written unless the new text compiles, every probed tag comes out as found, and reads what was shown.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edge.config import compile_site
from edge.config.document import Data, read
from edge.config.edit import Edit, Scalar, edited
from edge.config.problems import Problems
from edge.errors import SeamlineError, Text
from edge.plan import ModbusDevice, SitePlan
from edge.probe.layouts import Layout, order_that_shows, place_name
from protocols.modbus.address import AddressError, AddressMap
from protocols.modbus.tags import DataType, ModbusTag, WordOrder

_FOUR = (WordOrder.ABCD, WordOrder.CDAB, WordOrder.BADC, WordOrder.DCBA)


class CorrectionError(SeamlineError):
    """No edit of the site file says what was found."""


@dataclass(frozen=True, slots=True)
class Found:
    """A probed tag that has one answer."""

    tag: ModbusTag  # as configured
    layout: Layout  # as it is


@dataclass(frozen=True, slots=True)
class Correction:
    """The edits, and the site with them."""

    edits: tuple[Edit, ...]
    text: str  # of the whole file
    plan: SitePlan
    order: WordOrder | None = None  # of the whole device, where the edits say so
    base: tuple[tuple[str, str], ...] = ()  # machine and its new base
    overrides: tuple[str, ...] = ()  # tags with an override of their own

    def tag(self, device: str, name: str) -> ModbusTag:
        """A tag of the corrected site."""
        return _tags(self.plan, device)[name]


@dataclass(frozen=True, slots=True)
class SiteText:
    """A site file: its text, where it lies, what the environment says."""

    text: str
    path: Path
    environ: Mapping[str, str]

    def with_edits(self, edits: Sequence[Edit]) -> tuple[str, SitePlan]:
        """Raises EditError, ConfigError."""
        text = edited(self.text, edits, str(self.path))
        return text, compile_site(text, self.path, self.environ)


def correct(site: SiteText, device: ModbusDevice, found: Sequence[Found]) -> Correction | None:
    """The edits that make the device's tags what they were found to be; None where they are that already.

    Raises EditError where the file cannot be edited in place, CorrectionError where no edit gives what was found,
    ConfigError where the result would not compile.
    """
    if all(same_reading(one.layout.tag, one.tag) for one in found):
        return None
    document = read(site.text, str(site.path), Problems())
    data = None if document is None else document.data
    edits: list[Edit] = []
    order = common_order(device, found)
    if order is not None:
        edits.append(Edit(("devices", _place(data, "devices", device.id), "word_order"), order.value))
    bases = _bases(data, device, found)
    edits += [Edit(("machines", _place(data, "machines", machine), "base"), base) for machine, base in bases]
    overrides: list[str] = []
    text, plan = site.with_edits(edits)
    for thorough in (False, True):  # first what differs, then all there is to say
        wrong = [f for f in found if not same_reading(_tags(plan, device.id)[f.tag.name], f.layout.tag)]
        if not wrong:
            break
        for one in wrong:
            machine, _, name = one.tag.name.partition(".")
            path = ("machines", _place(data, "machines", machine), "tags", name)
            overrides = [*dict.fromkeys((*overrides, one.tag.name))]
            present = _tags(plan, device.id)[one.tag.name]
            fields = _fields(present, one.layout, device.addresses, thorough=thorough)
            kept = {edit.path: edit for edit in edits}
            kept |= {(*path, key): Edit((*path, key), value) for key, value in fields}
            edits = list(kept.values())
        text, plan = site.with_edits(edits)
    _prove(plan, device, found)
    return Correction(tuple(edits), text, plan, order, tuple(bases), tuple(overrides))


def same_reading(one: ModbusTag, other: ModbusTag) -> bool:
    """Whether both read the same value from the same registers."""
    if one.type is not other.type or (one.scale, one.offset) != (other.scale, other.offset):
        return False
    return (one.table, one.address, one.registers, one.bit, one.bits, one.string_low_byte_first) == (
        (other.table, other.address, other.registers, other.bit, other.bits, other.string_low_byte_first)
    ) and order_that_shows(one) == order_that_shows(other)


def common_order(device: ModbusDevice, found: Sequence[Found]) -> WordOrder | None:
    """The order of the whole device, where two or more tags ask for another one than theirs and all can have it."""
    if sum(_asks_for_order(f.tag, f.layout.tag) for f in found) < 2:
        return None
    asking = [f for f in found if not f.tag.table.is_bits and f.tag.type is not DataType.STRING]
    fitting = [
        order
        for order in (*_FOUR, *(o for o in WordOrder if o not in _FOUR))
        if all(order_that_shows(_in(f.layout.tag, order)) == order_that_shows(f.layout.tag) for f in asking)
    ]
    return fitting[0] if fitting else None


def _asks_for_order(tag: ModbusTag, wanted: ModbusTag) -> bool:
    """Whether `wanted` has another order than it would have by the configuration of `tag`."""
    return order_that_shows(wanted) != order_that_shows(_in(wanted, tag.word_order))


def _in(tag: ModbusTag, order: WordOrder) -> ModbusTag:
    return replace(tag, word_order=order)


def _bases(data: Data, device: ModbusDevice, found: Sequence[Found]) -> list[tuple[str, str]]:
    """Machines all of whose probed tags lie equally far from where their base puts them, and the base that is right."""
    bases: list[tuple[str, str]] = []
    for machine in dict.fromkeys(f.tag.name.partition(".")[0] for f in found):
        own = [f for f in found if f.tag.name.startswith(f"{machine}.")]
        moved = {(f.layout.tag.table is f.tag.table, f.layout.tag.address - f.tag.address) for f in own}
        base = _at(data, ("machines", _place(data, "machines", machine), "base"))
        tags = _at(data, ("machines", _place(data, "machines", machine), "tags"))
        named = tags if isinstance(tags, dict) else {}
        if len(own) < 2 or len(moved) != 1 or not isinstance(base, str) or any(_placed(named, f) for f in own):
            continue
        (same_table, by) = next(iter(moved))
        if same_table and by:
            try:
                first = device.addresses.resolve(base)
            except AddressError:
                continue
            bases.append((machine, device.addresses.render(first.table, first.address + by)))
    return bases


def _placed(tags: dict[str, Data], found: Found) -> bool:
    """Whether the site file gives the tag an address of its own."""
    own = tags.get(found.tag.name.partition(".")[2])
    return isinstance(own, dict) and "address" in own


def _fields(tag: ModbusTag, layout: Layout, addresses: AddressMap, *, thorough: bool) -> list[tuple[str, Scalar]]:
    """The keys of an override that turn `tag` into the layout."""
    wanted = layout.tag
    fields: list[tuple[str, Scalar]] = []
    place = (wanted.table, wanted.address, wanted.bit)
    if thorough or place != (tag.table, tag.address, tag.bit):
        fields.append(("address", place_name(wanted, addresses)))
        if wanted.bits is not None and wanted.bit:
            fields.append(("bit", wanted.bit))
        if wanted.bits is not None:
            fields.append(("bits", wanted.bits))
    if thorough or wanted.type is not tag.type:
        fields.append(("type", wanted.type.value))
    if wanted.type is DataType.STRING:
        if wanted.string_low_byte_first != tag.string_low_byte_first:
            fields.append(("low_byte_first", wanted.string_low_byte_first))
    elif _asks_for_order(tag, wanted) or (thorough and wanted.registers > 1):
        fields.append(("word_order", order_that_shows(wanted).value))
    if wanted.scale != tag.scale:
        fields.append(("scale", wanted.scale))
    return fields


def _prove(plan: SitePlan, device: ModbusDevice, found: Sequence[Found]) -> None:
    tags = _tags(plan, device.id)
    wrong = [f.tag.name for f in found if not same_reading(tags[f.tag.name], f.layout.tag)]
    if wrong:
        names = ", ".join(wrong)
        raise CorrectionError(
            Text(
                f"{names}：找到的布局无法用站点文件表达，请手工调整模板或 areas",
                f"{names}: what was found cannot be said in the site file; change the template or its areas by hand",
            )
        )


def _tags(plan: SitePlan, device: str) -> dict[str, ModbusTag]:
    one = next(d for d in plan.devices if d.id == device)
    assert isinstance(one, ModbusDevice)
    return {tag.name: tag for tag in one.tags}


def _place(data: Data, section: str, identity: str) -> int:
    """Where a device or a machine stands in its list."""
    listed = _at(data, (section,))
    assert isinstance(listed, list)
    return next(i for i, item in enumerate(listed) if isinstance(item, dict) and item.get("id") == identity)


def _at(data: Data, path: tuple[str | int, ...]) -> Data:
    for key in path:
        if isinstance(data, dict):
            data = data.get(str(key))
        elif isinstance(data, list) and isinstance(key, int):
            data = data[key]
        else:
            return None
    return data


def override_of(found: Found, addresses: AddressMap) -> tuple[str, tuple[tuple[str, Scalar], ...]]:
    """Machine tag and the keys of its override, for a file that has to be changed by hand."""
    return found.tag.name, tuple(_fields(found.tag, found.layout, addresses, thorough=False))


def write(path: Path, text: str) -> None:
    """Replace a file at once, with the rights it has. Raises OSError."""
    target = path.resolve()
    with tempfile.NamedTemporaryFile("wb", dir=target.parent, prefix=f".{target.name}.", delete=False) as new:
        try:
            new.write(text.encode("utf-8"))
            new.flush()
            os.fsync(new.fileno())
            if target.exists():
                Path(new.name).chmod(target.stat().st_mode & 0o7777)
            Path(new.name).replace(target)
        except OSError:
            Path(new.name).unlink(missing_ok=True)
            raise
