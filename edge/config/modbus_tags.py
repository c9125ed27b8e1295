"""One tag of a machine becomes one tag of a Modbus device: what lies at its address, and how it is to be understood.

Rules.
* Without a type, a bit is a bool, a single byte u8h or u8l, an element of two registers u32, anything else u16.
* `bits` makes a number of so many bits out of an integer type, from `bit` on (or from the bit of the address).
* A `range` stands in place of `scale` and `add`.
* What a tag cannot use is a mistake: a length of a number, a sentinel that its type never holds, words for a text.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge.config.models import RangeModel, TagModel
from edge.config.problems import Problems
from edge.config.tags import MergedTag
from edge.errors import Text
from protocols.modbus.address import Resolved
from protocols.modbus.plan import width
from protocols.modbus.tags import DataType, Encoding, ModbusTag, RangeMap, Word, WordOrder

_INTEGERS = (DataType.U16, DataType.I16, DataType.U32, DataType.I32, DataType.U64, DataType.I64)
_OF_NUMBERS = ("scale", "add", "range", "min", "max", "sentinels")
_FLOATS = (DataType.F16, DataType.F32, DataType.F64)
_SIGNED = (DataType.I8H, DataType.I8L, DataType.I16, DataType.I32, DataType.I64)
_BCD = (DataType.BCD16, DataType.BCD32, DataType.BCD64)
_SIGN_AND_MAGNITUDE = (DataType.SM16, DataType.SM32)
_OF_TEXTS = ("length", "encoding", "low_byte_first")
_BYTES = (DataType.U8H, DataType.U8L, DataType.I8H, DataType.I8L)


@dataclass(frozen=True, slots=True)
class DeviceOrders:
    """How a device orders bytes, where a tag does not say so."""

    word_order: WordOrder
    string_low_byte_first: bool


def modbus_tag(
    name: str, tag: MergedTag, place: Resolved, orders: DeviceOrders, problems: Problems
) -> ModbusTag | None:
    """The tag at `place`; None where its fields contradict each other or the place (then a problem is noted)."""
    spec = tag.spec
    shape = _shape(tag, place, problems)
    if shape is None:
        return None
    data_type, registers = shape
    low_first = orders.string_low_byte_first if spec.low_byte_first is None else spec.low_byte_first
    return ModbusTag(
        name=name,
        table=place.table,
        address=place.address,
        type=data_type,
        bit=_bit(spec, place),
        registers=registers,
        word_order=spec.word_order or orders.word_order,
        string_low_byte_first=low_first,
        scale=1.0 if spec.scale is None else spec.scale,
        offset=spec.add or 0.0,
        minimum=spec.min,
        maximum=spec.max,
        sentinels=spec.sentinels or (),
        interval_ns=tag.interval_ns,
        bits=spec.bits,
        encoding=spec.encoding or Encoding.AUTO,
        range_map=_range_map(spec.range),
        words=tuple(Word(value, label.zh, label.en) for value, label in sorted((spec.words or {}).items())),
    )


def with_bit(place: Resolved, spec: TagModel) -> Resolved:
    """The place with the bit the tag names, where that is one bit of a register and no field of several."""
    if spec.bit is None or spec.bits is not None or place.table.is_bits:
        return place
    return replace(place, bit=spec.bit)


def _bit(spec: TagModel, place: Resolved) -> int | None:
    """A bit of a register, or the lowest of a bit field."""
    return spec.bit if spec.bits is not None and spec.bit is not None else place.bit


def _range_map(model: RangeModel | None) -> RangeMap | None:
    return None if model is None else RangeMap(*model.raw, *model.value)


def _natural(place: Resolved, spec: TagModel) -> DataType:
    if spec.bits is None and (place.table.is_bits or place.bit is not None):
        return DataType.BOOL
    if place.high is not None:
        return DataType.U8H if place.high else DataType.U8L
    return DataType.U32 if place.registers == 2 else DataType.U16


def _shape(tag: MergedTag, place: Resolved, problems: Problems) -> tuple[DataType, int] | None:
    """The data type and its width in registers, checked against where the tag lies."""
    spec = tag.spec
    data_type = spec.type or _natural(place, spec)
    if spec.range is not None and (spec.scale is not None or spec.add is not None):
        what = Text("range 与 scale、add 只能用其一", "range stands in place of scale and add: give one of them")
        tag.add(problems, "range", what)
        return None
    if spec.min is not None and spec.max is not None and spec.min > spec.max:
        what = Text(f"min {spec.min:g} 大于 max {spec.max:g}", f"min {spec.min:g} is above max {spec.max:g}")
        tag.add(problems, "min", what)
        return None
    useless = next((key for key in _OF_NUMBERS if getattr(spec, key) is not None), None)
    if useless is not None and data_type in (DataType.STRING, DataType.BOOL):
        zh, en = f"{useless} 只用于数值，这里是 {data_type}", f"{useless} is for numbers, and this is a {data_type}"
        tag.add(problems, useless, Text(zh, en))
        return None
    if not _is_used(tag, data_type, problems):
        return None
    if spec.bits is not None:
        return _field_shape(tag, place, data_type, spec.bits, problems)
    is_bit = place.table.is_bits or place.bit is not None
    if is_bit and data_type is not DataType.BOOL:
        zh = f"这里是一个位，类型应为 bool，而不是 {data_type}"
        en = f"one bit lies here: the type is bool, not {data_type}"
        tag.add(problems, "type", Text(zh, en), Text("若取几个位，写 bits", "for a field of several bits say bits"))
        return None
    if not is_bit and data_type is DataType.BOOL:
        zh, en = "寄存器中的 bool 需要位号，例如 D1000.3", "a bool in a register needs a bit, e.g. D1000.3"
        tag.add(problems, "bit", Text(zh, en))
        return None
    if is_bit and (place.bit or 0) > 15:
        tag.add(problems, "bit", Text("寄存器只有位 0…15", "a register has bits 0 … 15"))
        return None
    if place.high is not None and data_type not in _BYTES:
        zh = f"这里是一个字节，类型应为 u8h、u8l、i8h、i8l，而不是 {data_type}"
        tag.add(problems, "type", Text(zh, f"one byte lies here: the type is u8h, u8l, i8h or i8l, not {data_type}"))
        return None
    if data_type is not DataType.STRING:
        return data_type, width(data_type) or 1
    if spec.length is None:
        tag.add(problems, "type", Text("文字型需要 length（寄存器数）", "a string needs its length (registers)"))
        return None
    return data_type, spec.length


def _is_used(tag: MergedTag, data_type: DataType, problems: Problems) -> bool:
    """Whether everything that was written for this tag has a meaning; else a problem is noted."""
    spec = tag.spec
    if spec.scale == 0:
        tag.add(problems, "scale", Text("scale 为 0 时读数总是 0", "with a scale of 0 every value is 0"))
        return False
    is_text = data_type is DataType.STRING
    of_texts = next((key for key in _OF_TEXTS if key in tag.overridden and getattr(spec, key) is not None), None)
    if of_texts is not None and not is_text:
        zh, en = (
            f"{of_texts} 只用于文字（string），这里是 {data_type}",
            f"{of_texts} is for a string, not for a {data_type}",
        )
        tag.add(problems, of_texts, Text(zh, en))
        return False
    if is_text and spec.words is not None:
        what = Text("words 给数值起名，这里是 string", "words are names of numbers, and this is a string")
        tag.add(problems, "words", what)
        return False
    held = _held(data_type, spec.bits)
    # A sentinel may be written either way: -1 of a u16 is 65535. A word is looked up by the value itself.
    for key, values, wraps in (("sentinels", spec.sentinels or (), True), ("words", spec.words or (), False)):
        # A template's own, beside another type that the site chose, may well be out of reach.
        if held is None or not (key in tag.overridden or "type" not in tag.overridden):
            continue
        low, high = held.start, held.stop
        if wraps and data_type in _SIGNED:
            high *= 2
        elif wraps and data_type not in _BCD:
            low = min(low, -(high >> 1))
        odd = next((value for value in values if value != int(value) or not low <= value < high), None)
        if odd is not None:
            zh, en = f"{data_type} 的原始值不可能是 {odd:g}", f"the raw value of a {data_type} is never {odd:g}"
            tag.add(problems, key, Text(zh, en))
            return False
    return True


def _held(data_type: DataType, bits: int | None) -> range | None:
    """The raw values of a type; None for floats and texts."""
    if data_type in _FLOATS or data_type is DataType.STRING:
        return None
    wide = bits or {DataType.BOOL: 1, **dict.fromkeys(_BYTES, 8)}.get(data_type, 16 * (width(data_type) or 1))
    if data_type in _BCD:
        return range(10 ** (wide // 4))
    if data_type in _SIGN_AND_MAGNITUDE:
        return range(1 - (1 << wide - 1), 1 << wide - 1)
    return range(-(1 << wide - 1), 1 << wide - 1) if data_type in _SIGNED else range(1 << wide)


def _field_shape(
    tag: MergedTag, place: Resolved, data_type: DataType, bits: int, problems: Problems
) -> tuple[DataType, int] | None:
    """The same for a field of several bits."""
    registers, first = width(data_type) or 0, _bit(tag.spec, place) or 0
    if place.table.is_bits or data_type not in _INTEGERS:
        zh = f"bits 只用于寄存器中的整数（u16、i32 …），而不是 {data_type}"
        en = f"bits are cut out of an integer in registers (u16, i32, ...), not of {data_type}"
        tag.add(problems, "bits", Text(zh, en))
        return None
    if first + bits > 16 * registers:
        zh = f"{data_type} 只有 {16 * registers} 位，没有从位 {first} 起的 {bits} 位"
        en = f"a {data_type} has {16 * registers} bits, not {bits} from bit {first} on"
        tag.add(problems, "bits", Text(zh, en))
        return None
    return data_type, registers
