"""What the probe found, in the words of people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from edge.config.columns import columns
from edge.config.connection_listing import transport
from edge.config.edit import Edit, lines_of
from edge.config.words import say
from edge.errors import Text
from edge.plan import ModbusDevice, SitePlan
from edge.probe.correction import Correction
from edge.probe.judge import Fit, Round, Value, Verdict
from edge.probe.layouts import Layout, order_that_shows, place_name, protocol_name
from edge.probe.look import Span
from edge.probe.session import Advice, Proof, Session, Subject
from protocols.modbus.address import TABLE_NAMES
from protocols.modbus.identification import Identity
from protocols.modbus.tags import DataType, ModbusTag

SHOWN = 8  # fits on the screen; JSON has all

ADVICE = {
    Advice.LARGER: Text(
        "小数值的高位都是零，放在哪里都像；等它大于 65535 再读一次，或同时再读一两个别的变量",
        "small numbers have zero words that fit anywhere: read it again above 65535, or read one or two other tags too",
    ),
    Advice.AGAIN: Text("再读一个不同的值", "read another value now"),
    Advice.SWITCH: Text("让它变到另一状态，再读一次", "switch it to its other state and read it again"),
    Advice.NOTHING_READ: Text(
        "周围的地址设备全部拒绝：检查站号、PLC 型号（template）、功能码所属的表，以及 PLC 程序是否开放了该区",
        "the device refuses every address around: check unit id, PLC model (template), table, and whether the PLC "
        "program opens this area",
    ),
    Advice.ALL_ZERO: Text(
        "周围的寄存器全为零：站号或数据区不对，或 PLC 程序没有把数据写到这里",
        "all registers around are zero: another unit or area, or the PLC program does not write here",
    ),
    Advice.NOT_HERE: Text(
        "附近没有这个值：确认触摸屏显示的是同一变量、同一台机；数值在变的写上误差（398~3）；再用 --window 50 扩大范围",
        "this value is not near: is the HMI showing the same variable of the same machine? A value that wavers needs a "
        "tolerance (398~3); then look further with --window 50",
    ),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything a run of the probe has to tell."""

    session: Session
    identity: Identity | None
    correction: Correction | None
    by_hand: tuple[Edit, ...]  # where the file cannot be edited in place: what to write, below each tag
    proofs: tuple[Proof, ...]
    trouble: str = ""  # why there is no correction although one is needed
    written: str = ""  # file

    @property
    def good(self) -> bool:
        """Every tag of which something was said has one answer, and reads it."""
        said = [one for one in self.session.subjects if one.judgement is not None]
        return bool(
            said
            and not self.trouble
            and all(one.judgement is not None and one.judgement.verdict is Verdict.ONE for one in said)
            and all(proof.holds for proof in self.proofs)
        )


# ---- for people ----


def heading(device: ModbusDevice, identity: Identity | None) -> str:
    """Which device, where, and who it says it is."""
    line = f"{device.id}  {device.brand}  {transport(device.endpoint)} {device.endpoint.peer}  " + say(
        f"站号 {device.unit}", f"unit {device.unit}"
    )
    if identity is not None:
        words = " ".join(filter(None, (identity.vendor, identity.product_name or identity.product, identity.revision)))
        line += "\n  " + say(f"自报：{words}", f"says it is: {words}")
    return line


def cost_line(session: Session) -> str:
    """What the probe asked of the device, and what it refused."""
    asked = session.surroundings.asked
    line = say(
        f"  读取 {asked.requests} 次、共 {asked.addresses} 个地址",
        f"  {asked.requests} reads of {asked.addresses} addresses in all",
    )
    if session.refused:
        spans = ", ".join(_span(session.device, span) for span in session.refused)
        line += say(f"；设备拒绝：{spans}", f"; refused by the device: {spans}")
    return line


def subject_lines(subject: Subject, device: ModbusDevice) -> list[str]:
    """What came of one tag."""
    judgement = subject.judgement
    assert judgement is not None
    shown = ", ".join(one.shown.typed for one in subject.rounds)
    title = subject.title + say(f"  触摸屏：{shown}", f"  HMI: {shown}")
    configured = _where(subject.tag, device)
    if judgement.verdict is Verdict.NONE:
        lines = [title, "  ✗ " + say(f"没有吻合的；现配置 {configured}", f"none fits; configured {configured}")]
    elif judgement.verdict is Verdict.SEVERAL:
        count = len(judgement.fits)
        lines = [title, "  ? " + say(f"{count} 种都吻合；现配置 {configured}", f"{count} fit; configured {configured}")]
    else:
        answer = judgement.fits[0]
        joint = say("（与其他变量一并判定）", " (settled together with the other tags)") if judgement.together else ""
        if answer.layout.cost == 0:
            lines = [title, "  ✓ " + say(f"与配置一致：{configured}{joint}", f"as configured: {configured}{joint}")]
        else:
            is_ = _where(answer.layout.tag, device)
            if answer.layout.decade != 1.0:
                is_ += f" x{answer.layout.tag.scale:g}"
                configured += f" x{subject.tag.scale:g}"
            zh, en = (
                f"唯一答案：{is_}；现配置 {configured}{joint}",
                f"one answer: {is_}; configured {configured}{joint}",
            )
            lines = [title, "  ✓ " + say(zh, en)]
    lines += columns([_fit_row(fit, subject, device) for fit in judgement.fits[:SHOWN]], indent=6)
    if len(judgement.fits) > SHOWN:
        more = len(judgement.fits) - SHOWN
        lines.append("      " + say(f"… 另有 {more} 种（--json 列出全部）", f"... and {more} more (--json lists all)"))
    if judgement.open:
        others = ", ".join(_where(fit.layout.tag, device) for fit in judgement.open[:3])
        others += say(" 等", ", ...") if len(judgement.open) > 3 else ""
        zh, en = (
            f"这个值还不能排除：{others}（多出的寄存器为零）",
            f"not excluded by this value: {others} (zero registers)",
        )
        lines.append("      " + say(zh, en))
    advice = subject.advice()
    if advice is not None:
        lines.append(f"    → {ADVICE[advice]}")
    return lines


def _fit_row(fit: Fit, subject: Subject, device: ModbusDevice) -> list[str]:
    tag, last = fit.layout.tag, subject.rounds[-1]
    also = say("；亦合 ", "; also ") + ", ".join(fit.also) if fit.also else ""
    return [
        place_name(tag, device.addresses),
        protocol_name(tag),
        format_name(tag),
        _values(last, fit.place),
        hexadecimal(last.after.raws[fit.place]),
        changes(subject.tag, fit.layout) + also,
    ]


def candidate_row(layout: Layout, value: Value, raw: bytes, device: ModbusDevice) -> list[str]:
    """A layout while the person reads."""
    return [place_name(layout.tag, device.addresses), format_name(layout.tag), show(value), hexadecimal(raw)]


def correction_lines(correction: Correction, plan: SitePlan, device: ModbusDevice) -> list[str]:
    """The lines to be written, each under what it belongs to."""
    title = say(f"改正 {correction.plan.source}：", f"correction of {correction.plan.source}:")
    lines = [title, *_edit_lines(correction.edits, correction.plan)]
    if correction.order is not None:
        alike = [d.id for d in plan.devices if d.brand == device.brand and d.id != device.id]
        if alike:
            names = ", ".join(alike)
            zh = f"同品牌（{device.brand}）的 {names} 多半也是这样：逐台核对，或自建模板写 word_order"
            en = f"{names} of the same brand ({device.brand}) may well be alike: probe them, or say it in a template"
            lines.append("    → " + say(zh, en))
    return lines


def by_hand_lines(edits: Sequence[Edit]) -> list[str]:
    """The overrides, for a file that is edited by hand: each under its machine."""
    lines = []
    for machine, group in groupby(edits, lambda edit: edit.path[0]):
        lines.append(say(f"  机台 {machine}：", f"  machine {machine}:"))
        lines += ["    " + line for line in lines_of([Edit(edit.path[1:], edit.value) for edit in group])]
    return lines


def _edit_lines(edits: Sequence[Edit], plan: SitePlan) -> list[str]:
    lines = []
    for (section, place), group in groupby(sorted(edits, key=lambda e: str(e.path[:2])), lambda e: e.path[:2]):
        assert isinstance(place, int)
        if section == "devices":
            lines.append(say("  设备 ", "  device ") + f"{plan.devices[place].id}:")
        else:
            lines.append(say("  机台 ", "  machine ") + f"{plan.machines[place].id}:")
        lines += ["    " + line for line in lines_of([Edit(edit.path[2:], edit.value) for edit in group])]
    return lines


def proof_lines(proofs: Sequence[Proof], correction: Correction | None) -> list[str]:
    """What the tags read by the site as it is, or as it will be."""
    if not proofs:
        return []
    head = say("按现有配置再读：", "read once more as configured:")
    if correction is not None:
        head = say("改正后的配置编译通过，按它再读：", "the corrected site compiles; read once more by it:")
    rows = [["✓" if one.holds else "✗", one.name, show(one.value), _trouble(one)] for one in proofs]
    return [head, *columns(rows, indent=2)]


def _trouble(proof: Proof) -> str:
    if proof.holds:
        return ""
    if proof.value is None:
        return say("无效：超出 min…max、等于无效值，或被拒绝", "BAD: outside min...max, a sentinel, or refused")
    return say("与候选不符，未写入", "not what the layout gives: nothing was written")


def changes(tag: ModbusTag, layout: Layout) -> str:
    """In what a layout differs from the configured one."""
    other, parts = layout.tag, []
    if other.table is not tag.table:
        parts.append(say(f"表 {TABLE_NAMES[other.table]}", f"table {TABLE_NAMES[other.table]}"))
    if other.address != tag.address:
        parts.append(say(f"地址 {other.address - tag.address:+d}", f"address {other.address - tag.address:+d}"))
    if other.bit != tag.bit:
        parts.append(say("位号", "bit"))
    if other.type is not tag.type:
        parts.append(say("类型", "type"))
    if other.string_low_byte_first != tag.string_low_byte_first or (
        order_that_shows(other) != order_that_shows(tag)
        and order_that_shows(other) != order_that_shows(_widened(tag, other))
    ):
        parts.append(say("字序", "word order") if other.registers > 1 else say("字节序", "byte order"))
    if layout.decade != 1.0:
        parts.append(say(f"倍率 x{other.scale:g}", f"scale x{other.scale:g}"))
    return say("、", ", ").join(parts) or say("同配置", "as configured")


def _widened(tag: ModbusTag, other: ModbusTag) -> ModbusTag:
    """The configured order, on as many registers as the other has."""
    return replace(other, word_order=tag.word_order)


def format_name(tag: ModbusTag) -> str:
    """Type and order, as far as they say something."""
    if tag.type is DataType.BOOL:
        return "bool"
    if tag.type is DataType.STRING:
        low = say(" 低字节在前", " low byte first") if tag.string_low_byte_first else ""
        return f"string {2 * tag.registers}{low}"
    order = order_that_shows(tag)
    said = order.value if tag.registers > 1 else say("字节交换", "bytes swapped") if order.swaps_bytes else ""
    return f"{tag.type} {said}".strip()


def _where(tag: ModbusTag, device: ModbusDevice) -> str:
    return f"{place_name(tag, device.addresses)} {format_name(tag)}"


def _values(one: Round, place: int) -> str:
    after = show(one.after.values[place])
    before = after if one.before is None else show(one.before.values[place])
    return after if before == after else f"{before} → {after}"


def show(value: Value) -> str:
    """A value in a table."""
    if value is None:
        return "–"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def hexadecimal(raw: bytes) -> str:
    """Registers as manuals print them; a bit as 0 or 1."""
    if len(raw) == 1:
        return str(raw[0])
    return " ".join(raw[at : at + 2].hex().upper() for at in range(0, len(raw), 2))


def _span(device: ModbusDevice, span: Span) -> str:
    table, low, high = span
    name = device.addresses.render(table, low)
    return name if high - low == 1 else f"{name}…{device.addresses.render(table, high - 1)}"


# ---- for programs ----


def document(outcome: Outcome, plan: SitePlan) -> dict[str, object]:
    """Everything, for JSON."""
    session, correction = outcome.session, outcome.correction
    asked = session.surroundings.asked
    edits = None
    if correction is not None:
        edits = [
            {"path": [_named(correction.plan, edit.path, i) for i in range(len(edit.path))], "value": edit.value}
            for edit in correction.edits
        ]
    return {
        "device": session.device.id,
        "brand": session.device.brand,
        "peer": session.device.endpoint.peer,
        "unit": session.device.unit,
        "requests": asked.requests,
        "addresses": asked.addresses,
        "refused": [f"{TABLE_NAMES[table]}:{low}-{high - 1}" for table, low, high in session.refused],
        "tags": [_subject_document(one, session.device) for one in session.subjects if one.judgement is not None],
        "correction": edits,
        "trouble": outcome.trouble or None,
        "proof": [{"tag": one.name, "value": one.value, "holds": one.holds} for one in outcome.proofs],
        "written": outcome.written or None,
    }


def _named(plan: SitePlan, path: tuple[str | int, ...], at: int) -> str | int:
    """A key of a path, items of lists by their id."""
    key = path[at]
    if at == 1 and isinstance(key, int):
        return plan.devices[key].id if path[0] == "devices" else plan.machines[key].id
    return key


def _subject_document(subject: Subject, device: ModbusDevice) -> dict[str, object]:
    judgement = subject.judgement
    assert judgement is not None
    advice = subject.advice()
    return {
        "tag": subject.tag.name,
        "shown": [one.shown.typed for one in subject.rounds],
        "verdict": judgement.verdict.value,
        "together": judgement.together,
        "advice": None if advice is None else {"code": advice.value, "zh": ADVICE[advice].zh, "en": ADVICE[advice].en},
        "fits": [_fit_document(fit, subject, device) for fit in judgement.fits],
        "not_excluded": [_fit_document(fit, subject, device) for fit in judgement.open],
    }


def _fit_document(fit: Fit, subject: Subject, device: ModbusDevice) -> dict[str, object]:
    tag = fit.layout.tag
    return {
        "address": place_name(tag, device.addresses),
        "protocol_address": protocol_name(tag),
        "type": tag.type.value,
        "also": [kind.value for kind in fit.also],
        "word_order": order_that_shows(tag).value,
        "low_byte_first": tag.string_low_byte_first,
        "scale": tag.scale,
        "as_configured": fit.layout.cost == 0,
        "values": [one.after.values[fit.place] for one in subject.rounds],
        "registers": hexadecimal(subject.rounds[-1].after.raws[fit.place]),
    }
