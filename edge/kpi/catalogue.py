"""Every figure Seamline gives, as one table: key, names, formula, source, needs, unit, what makes it empty. Pure.

From this table come the `figures` of `seamline replay --json`, the sheet of `seamline replay --figures`, and the pages
`docs/kpi.md` and `docs/kpi.zh-CN.md` with a worked example of each. The 34 figures of ISO 22400-2 are in it as they
stand in `edge.kpi.iso22400`; what is ours stands beside them.

Rules. A figure is one division of sums, never a mean of figures. What a machine's signals cannot tell is empty and says
why; 0 is measured. A count (a target, a capacity) has the denominator 1. Losses are shares of the time they were lost
from, with the nanoseconds as numerator: they add up to it exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from fractions import Fraction
from types import MappingProxyType

from edge.kpi import figures as ratios
from edge.kpi.capacity import DAY_NS, STRETCHES_NS, Demonstrated
from edge.kpi.evidence import Evidence
from edge.kpi.figure import NS_PER_HOUR, NS_PER_S, Figure, Number, Why, absent, divide
from edge.kpi.iso22400 import KPIS, Kpi, Need, Trend
from edge.kpi.means import NOTHING, Means, missing, tier_of
from edge.kpi.six_losses import SixLosses
from edge.kpi.target import demand_count, ideal_count, target_count
from edge.plan import Capability, Name
from ext.buckets import Flag


class Group(Enum):
    """Sections of the page."""

    FACTORS = ("OEE 及其因子", "OEE and its factors")
    WATERFALL = ("损失瀑布（占全部时间）", "Waterfall (of all time)")
    LOSSES = ("六大损失及其他（占计划生产时间）", "Six big losses, and the others (of planned time)")
    TARGETS = ("目标与节拍", "Targets and takt")
    CAPACITY = ("产能", "Capacity")
    TIME = ("ISO 22400-2：时间与负荷", "ISO 22400-2: time and load")
    QUALITY = ("ISO 22400-2：质量", "ISO 22400-2: quality")
    UPKEEP = ("ISO 22400-2：故障与维修", "ISO 22400-2: failures and maintenance")
    ORDERS = ("ISO 22400-2：订单、人员、物料、能源", "ISO 22400-2: orders, people, material, energy")

    def __init__(self, zh: str, en: str) -> None:
        self.zh = zh
        self.en = en


class Scope(IntEnum):
    """The smallest kind of row that carries a figure; all larger ones do too."""

    WINDOW = 0  # minutes, kept short for their number
    SHIFT = 1
    TOTAL = 2


@dataclass(frozen=True, slots=True)
class Definition:
    """One figure."""

    key: str
    zh: str
    en: str
    group: Group
    formula: str  # in the words of `edge.kpi.words`, which says them in both languages
    source: str
    needs: tuple[Need, ...]
    means: Means  # what the machine's signals must tell
    unit: str  # of the value; "1": a ratio
    trend: Trend | None
    empty: tuple[Why, ...]  # beside what the signals do not tell
    function: Callable[[Evidence], Figure]
    scope: Scope = Scope.SHIFT
    bounds: str = ""  # the same words: lowest … highest
    note: Name | None = None

    @property
    def tier(self) -> int:
        """Lowest signal tier that usually has what it needs."""
        return tier_of(self.means)

    def of(self, known: Evidence) -> Figure:
        """The figure."""
        why = missing(self.means, known.means)
        return absent(why) if why is not None else self.function(known)


def figures(known: Evidence, scope: Scope = Scope.TOTAL) -> Mapping[str, Figure]:
    """All figures a row of `scope` carries, in the order of the table."""
    return {each.key: each.of(known) for each in _BY_SCOPE[scope]}


# ---- with bounds -----------------------------------------------------------------------------------------------------


def _between(figure: Figure, low: Number, high: Number, denominators: tuple[int, int], *, doubt: bool) -> Figure:
    """`figure` with bounds low / first and high / second denominator. None where there is no value, or with `doubt`."""
    if figure.value is None or doubt or not all(denominators):
        return figure
    low_value, high_value = float(low / denominators[0]), float(high / denominators[1])
    return Figure(figure.numerator, figure.denominator, figure.value, None, low_value, high_value)


def _oee(known: Evidence) -> Figure:
    sums, hidden_ns = known.sums, known.hidden_ns
    low, high = max(0, sums.fpt_ns - hidden_ns), sums.fpt_ns + hidden_ns
    found = divide(sums.fpt_ns, sums.ppt_ns, Why.NOTHING_PLANNED)
    return _between(found, low, high, (sums.ppt_ns, sums.ppt_ns), doubt=known.in_doubt)


def _availability(known: Evidence) -> Figure:
    sums = known.sums
    found = divide(sums.rt_ns, sums.ppt_ns, Why.NOTHING_PLANNED)
    return _between(found, sums.rt_ns, sums.rt_ns + sums.unknown_ns, (sums.ppt_ns, sums.ppt_ns), doubt=False)


def _performance(known: Evidence) -> Figure:
    sums = known.sums
    found = divide(sums.nrt_ns, sums.rt_ns, Why.NOTHING_RAN if sums.ppt_ns else Why.NOTHING_PLANNED)
    ran = sums.rt_ns + sums.unknown_ns, sums.rt_ns
    return _between(found, sums.nrt_ns, sums.nrt_ns + known.hidden_ns, ran, doubt=known.in_doubt)


def _quality(known: Evidence) -> Figure:
    sums, hidden_ns = known.sums, known.hidden_ns
    low, high = max(0, sums.fpt_ns - hidden_ns), min(sums.nrt_ns, sums.fpt_ns + hidden_ns)
    found = divide(sums.fpt_ns, sums.nrt_ns, Why.NO_OUTPUT)
    high = max(high, sums.fpt_ns)  # rejects seen before their pieces: more good than made, for now
    return _between(found, low, high, (sums.nrt_ns, sums.nrt_ns), doubt=known.in_doubt)


def _net_run(known: Evidence) -> Figure:
    sums = known.sums
    found = divide(sums.nrt_ns, sums.ppt_ns, Why.NOTHING_PLANNED)
    high = sums.nrt_ns + known.hidden_ns
    return _between(found, sums.nrt_ns, high, (sums.ppt_ns, sums.ppt_ns), doubt=known.in_doubt)


# ---- shares of time --------------------------------------------------------------------------------------------------


def _of_all(part_ns: Callable[[ratios.Losses], int]) -> Callable[[Evidence], Figure]:
    return lambda known: divide(part_ns(ratios.losses(known.sums)), known.sums.all_ns, Why.NO_TIME)


def _of_planned(part_ns: Callable[[SixLosses], int]) -> Callable[[Evidence], Figure]:
    def function(known: Evidence) -> Figure:
        if known.losses is None:
            return absent(Why.DOES_NOT_CLOSE)
        return divide(part_ns(known.losses), known.sums.ppt_ns, Why.NOTHING_PLANNED)

    return function


def _startup_rejects(known: Evidence) -> Figure:
    if known.startup_rejects_ns is None:
        return absent(Why.NEEDS_MINUTES)
    return divide(known.startup_rejects_ns, known.sums.ppt_ns, Why.NOTHING_PLANNED)


# ---- targets and capacity --------------------------------------------------------------------------------------------


def _count(pieces: int) -> Figure:
    return Figure(pieces, 1, float(pieces), None)


def _expected(known: Evidence) -> int | None:
    target = known.plan.oee_target
    return None if target is None else target_count(_planned(known), target)


def _planned(known: Evidence) -> list[tuple[int, int]]:
    return [(part.sums.ppt_ns, part.ideal_cycle_ns) for part in known.parts]


def _target(known: Evidence) -> Figure:
    expected = _expected(known)
    return absent(Why.NEEDS_TARGET) if expected is None else _count(expected)


def _efficiency(known: Evidence) -> Figure:
    expected = _expected(known)
    return absent(Why.NEEDS_TARGET) if expected is None else divide(known.sums.gc, expected, Why.NOTHING_EXPECTED)


def _demanded(known: Evidence) -> Figure:
    per_h = known.plan.demand_per_h
    return absent(Why.NEEDS_DEMAND) if per_h is None else _count(demand_count(known.sums.ppt_ns, per_h))


def _takt(known: Evidence) -> Figure:
    per_h = known.plan.demand_per_h
    if per_h is None:
        return absent(Why.NEEDS_DEMAND)
    demand = Fraction(str(per_h)) * known.sums.ppt_ns / NS_PER_HOUR
    return divide(known.sums.ppt_ns, demand, Why.NOTHING_PLANNED, Fraction(1, NS_PER_S))


def _made_good(known: Evidence) -> int:
    return known.sums.gc + known.sums.unscheduled_gc


def _design(known: Evidence) -> Fraction:
    return ideal_count((part.sums.all_ns, part.ideal_cycle_ns) for part in known.parts)


def _capacity(capacity: Callable[[Evidence], Fraction]) -> Callable[[Evidence], Figure]:
    def function(known: Evidence) -> Figure:
        pieces = capacity(known)
        return Figure(pieces.numerator, pieces.denominator, float(pieces), None)

    return function


def _demonstrated(length_ns: int) -> Callable[[Evidence], Figure]:
    def function(known: Evidence) -> Figure:
        if known.demonstrated is None:
            return absent(Why.NEEDS_MINUTES)
        return _proved(known.demonstrated.get(length_ns), lambda best: (best.pieces, best.length_ns), NS_PER_HOUR)

    return function


def _sustained(known: Evidence) -> Figure:
    if known.demonstrated is None:
        return absent(Why.NEEDS_MINUTES)
    return _proved(known.demonstrated.get(STRETCHES_NS[-1]), lambda best: (best.pieces, best.length_ns), DAY_NS)


def _fastest(known: Evidence) -> Figure:
    if known.demonstrated is None:
        return absent(Why.NEEDS_MINUTES)
    return _proved(known.fastest, lambda best: (best.length_ns, best.pieces), Fraction(1, NS_PER_S))


def _proved(
    best: Demonstrated | None, parts: Callable[[Demonstrated], tuple[int, int]], scale: int | Fraction
) -> Figure:
    return absent(Why.NOT_DEMONSTRATED) if best is None else divide(*parts(best), Why.NO_OUTPUT, Fraction(scale))


# ---- the table -------------------------------------------------------------------------------------------------------

_UP, _DOWN = Trend
_M = (Need.MACHINE,)
_COUNTS, _STATE = frozenset({Capability.COUNT}), frozenset({Capability.STATE})
_BOTH = _COUNTS | _STATE
_QUALITY = _COUNTS | {Capability.QUALITY}
_FAULTS = _STATE | {Capability.FAULT}
_CAUSES, _IDLE, _SETUP = (_STATE | {told} for told in (Capability.EXTERNAL, Capability.IDLE, Capability.SETUP))

_OEE = "Nakajima 1988; ISO 22400-2"
_OWN = "Seamline"
_NOT_PLANNED = (Why.NOTHING_PLANNED,)
_ASSUMED = Name(
    "没有合格或不良计数时每件都当作合格，标志 QUALITY_ASSUMED",
    "without a good or reject counter every piece is taken as good: flag QUALITY_ASSUMED",
)
_PROOF = (Why.NOT_DEMONSTRATED, Why.NEEDS_MINUTES)
_RECORD = Name("只计无疑点的分钟，见下文", "from minutes without doubt, see below")

# fmt: off
_OURS_FIRST: tuple[Definition, ...] = (
    Definition("performance", "性能率 P", "performance P", Group.FACTORS, "nrt / rt", "= effectiveness, no. 9",
        _M, _BOTH, "1", _UP, (Why.NOTHING_PLANNED, Why.NOTHING_RAN), _performance, Scope.WINDOW,
        "nrt / (rt + unknown) … (nrt + hidden) / rt",
        Name("不封顶；超过 100 % 说明理想节拍偏慢或运行时间未观测到",
             "never capped: above 100 % the ideal cycle is too slow, or run time was not observed")),
    Definition("quality", "质量率 Q", "quality Q", Group.FACTORS, "fpt / nrt", _OEE,
        _M, _COUNTS, "1", _UP, (Why.NO_OUTPUT,), _quality, Scope.WINDOW,
        "max(0, fpt − hidden) / nrt … min(nrt, fpt + hidden) / nrt", _ASSUMED),
    Definition("net_run_ratio", "净运行率 A·P", "net run ratio A·P", Group.FACTORS, "nrt / ppt", _OWN,
        _M, _COUNTS, "1", _UP, _NOT_PLANNED, _net_run, Scope.WINDOW, "nrt / ppt … (nrt + hidden) / ppt",
        Name("只有计数的机器（T0）分不出 A 和 P，只能给出两者之积",
             "a machine with nothing but a counter (T0) cannot tell A from P, only their product")),
    Definition("ooe", "运行综合效率 OOE", "overall operations effectiveness OOE", Group.FACTORS,
        "fpt / (all − not_scheduled − unscheduled_run)", _OWN,
        _M, _COUNTS, "1", _UP, _NOT_PLANNED,
        lambda e: divide(e.sums.fpt_ns, ratios.operating_ns(e.sums), Why.NOTHING_PLANNED), Scope.WINDOW, "",
        Name("休息也算损失", "breaks count as loss")),
    Definition("teep", "完全有效生产率 TEEP", "total effective equipment performance TEEP", Group.FACTORS,
        "(fpt + unscheduled_fpt) / all", _OWN, _M, _COUNTS, "1", _UP, (Why.NO_TIME,),
        lambda e: divide(e.sums.fpt_ns + e.sums.unscheduled_fpt_ns, e.sums.all_ns, Why.NO_TIME), Scope.WINDOW, "",
        Name("含班外产量；班外无产量时等于 OEE · 利用率",
             "output outside shifts counts; = OEE · utilisation where there is none")),
    Definition("utilisation", "利用率", "utilisation", Group.FACTORS, "ppt / all", _OWN, _M, NOTHING, "1", _UP,
        (Why.NO_TIME,), lambda e: divide(e.sums.ppt_ns, e.sums.all_ns, Why.NO_TIME), Scope.WINDOW),
    Definition("coverage", "覆盖率", "coverage", Group.FACTORS, "(ppt − unknown) / ppt", _OWN,
        _M, NOTHING, "1", _UP, _NOT_PLANNED,
        lambda e: divide(e.sums.ppt_ns - e.sums.unknown_ns, e.sums.ppt_ns, Why.NOTHING_PLANNED), Scope.WINDOW, "",
        Name("低于 95 % 时标志 COVERAGE_LOW", "below 95 %: flag COVERAGE_LOW")),
    Definition("piece_yield", "合格件率", "piece yield", Group.FACTORS, "gc / tc", "= quality ratio, no. 10",
        _M, _QUALITY, "1", _UP, (Why.NO_OUTPUT, Why.NO_REJECT_COUNTER),
        lambda e: _pieces(e, e.sums.gc), Scope.WINDOW, "",
        Name("按件；混合产品时与质量率不同", "in pieces; not the quality Q where products of unlike cycle are mixed")),

    Definition("loss_schedule", "日历损失", "schedule loss", Group.WATERFALL, "(all − ppt) / all", _OWN,
        _M, NOTHING, "1", _DOWN, (Why.NO_TIME,), _of_all(lambda loss: loss.schedule_ns)),
    Definition("loss_availability", "可用性损失", "availability loss", Group.WATERFALL, "(ppt − rt) / all", _OWN,
        _M, _STATE, "1", _DOWN, (Why.NO_TIME,), _of_all(lambda loss: loss.availability_ns)),
    Definition("loss_performance", "性能损失", "performance loss", Group.WATERFALL, "(rt − nrt) / all", _OWN,
        _M, _BOTH, "1", _DOWN, (Why.NO_TIME,), _of_all(lambda loss: loss.performance_ns), note=Name(
            "可为负：快于理想节拍", "may be negative: faster than the ideal cycle")),
    Definition("loss_quality", "质量损失", "quality loss", Group.WATERFALL, "(nrt − fpt) / all", _OWN,
        _M, _QUALITY, "1", _DOWN, (Why.NO_TIME,), _of_all(lambda loss: loss.quality_ns)),
    Definition("fully_productive", "完全有效", "fully productive", Group.WATERFALL, "fpt / all", _OWN,
        _M, _COUNTS, "1", _UP, (Why.NO_TIME,), _of_all(lambda loss: loss.fpt_ns), note=Name(
            "五项之和为 100 %", "the five are 100 %")),

    Definition("loss_breakdown", "1 故障", "1 breakdowns", Group.LOSSES, "breakdown / ppt", _OEE,
        _M, _FAULTS, "1", _DOWN, _NOT_PLANNED, _of_planned(lambda loss: loss.breakdown_ns)),
    Definition("loss_setup", "2 换型与调整", "2 setup and adjustment", Group.LOSSES, "(setup + startup) / ppt", _OEE,
        _M, _SETUP, "1", _DOWN, _NOT_PLANNED, _of_planned(lambda loss: loss.setup_ns)),
    Definition("loss_minor_stops", "3 短暂停机", "3 minor stops", Group.LOSSES, "(internal_minor + small) / ppt", _OEE,
        _M, _COUNTS, "1", _DOWN, _NOT_PLANNED, _of_planned(lambda loss: loss.minor_stops_ns)),
    Definition("loss_reduced_speed", "4 速度降低", "4 reduced speed", Group.LOSSES, "slow / ppt", _OEE,
        _M, _COUNTS, "1", _DOWN, _NOT_PLANNED, _of_planned(lambda loss: loss.reduced_speed_ns)),
    Definition("loss_defects", "5 过程不良", "5 process defects", Group.LOSSES,
        "(nrt − fpt − startup_rejects) / ppt", _OEE,
        _M, _QUALITY, "1", _DOWN, _NOT_PLANNED, _of_planned(lambda loss: loss.defects_ns)),
    Definition("loss_startup_rejects", "6 启动不良", "6 start-up rejects", Group.LOSSES, "startup_rejects / ppt", _OEE,
        _M, _QUALITY | _SETUP, "1", _DOWN, (Why.NOTHING_PLANNED, Why.NEEDS_MINUTES), _startup_rejects, note=Name(
            "有调整或启动时间的那些分钟里的不良品；精确到分钟",
            "rejects of the minutes with setup or start-up in them; as sharp as a minute")),
    Definition("loss_external", "缺料与堵料", "starved and blocked", Group.LOSSES,
        "(external_starved + external_blocked) / ppt", _OWN,
        _M, _CAUSES, "1", _DOWN, _NOT_PLANNED, _of_planned(lambda loss: loss.external_ns)),
    Definition("loss_no_order", "无订单", "no order", Group.LOSSES, "no_order / ppt", _OWN,
        _M, _IDLE, "1", _DOWN, _NOT_PLANNED, _of_planned(lambda loss: loss.no_order_ns)),
    Definition("loss_people", "人员作业", "people at the machine", Group.LOSSES,
        "(maintenance + manual + reported_stop) / ppt", _OWN,
        _M, _STATE, "1", _DOWN, _NOT_PLANNED, _of_planned(lambda loss: loss.people_ns)),
    Definition("loss_unassigned", "原因不明的停机", "unassigned stops", Group.LOSSES, "unassigned / ppt", _OWN,
        _M, NOTHING, "1", _DOWN, _NOT_PLANNED, _of_planned(lambda loss: loss.unassigned_ns)),
    Definition("loss_unobserved", "无人看到的时间", "unobserved time", Group.LOSSES, "unknown / ppt", _OWN,
        _M, NOTHING, "1", _DOWN, _NOT_PLANNED, _of_planned(lambda loss: loss.unknown_ns)),
    Definition("loss_speed_rest", "其余速度差", "rest of speed", Group.LOSSES, "(rt − nrt − slow − small) / ppt", _OWN,
        _M, _COUNTS, "1", _DOWN, _NOT_PLANNED, _of_planned(lambda loss: loss.speed_rest_ns), note=Name(
            "可为负；以上全部与 OEE 之和为 100 %", "may be negative; all of the above and OEE are 100 %")),

    Definition("target_count", "目标产量", "target count", Group.TARGETS,
        "⌊oee_target · Σ(ppt / ideal)⌋", _OWN, _M, NOTHING, "pieces", None, (Why.NEEDS_TARGET,), _target,
        note=Name("按已过去的计划时间：休息时不增长，故障时继续增长",
                  "of planned time elapsed: it rests in a break and runs on through a breakdown")),
    Definition("efficiency", "目标达成率", "efficiency", Group.TARGETS, "gc / target_count", _OWN,
        _M, _COUNTS, "1", _UP, (Why.NEEDS_TARGET, Why.NOTHING_EXPECTED), _efficiency, note=_ASSUMED),
    Definition("demand_count", "需求进度", "demand pace", Group.TARGETS, "⌊demand_per_h · ppt⌋", _OWN,
        _M, NOTHING, "pieces", None, (Why.NEEDS_DEMAND,), _demanded, note=Name(
            "不含停机余量，与目标产量是两条线", "no allowance for stops: another line than the target")),
    Definition("takt", "客户节拍", "takt time", Group.TARGETS, "ppt / (demand_per_h · ppt)", _OWN,
        _M, NOTHING, "s", None, (Why.NEEDS_DEMAND, Why.NOTHING_PLANNED), _takt, note=Name(
            "可用时间 ÷ 需求", "available time / demand")),

    Definition("design_capacity", "设计产能 Cn", "design capacity Cn", Group.CAPACITY, "Σ(all / ideal)", _OWN,
        _M, NOTHING, "pieces", None, (), _capacity(_design), note=Name(
            "该窗口全部日历时间按理想节拍可做的件数", "pieces at the ideal cycle in all calendar time of the row")),
    Definition("effective_capacity", "有效产能 Ceff", "effective capacity Ceff", Group.CAPACITY, "Σ(ppt / ideal)", _OWN,
        _M, NOTHING, "pieces", None, (), _capacity(lambda e: ideal_count(_planned(e))), note=Name(
            "设计产能减去计划外时间与休息", "design capacity less time not planned")),
    Definition("design_attainment", "设计产能利用率", "utilisation of design capacity", Group.CAPACITY,
        "(gc + unscheduled_gc) / Σ(all / ideal)", _OWN, _M, _COUNTS, "1", _UP, (Why.NO_TIME,),
        lambda e: divide(_made_good(e), _design(e), Why.NO_TIME)),
    Definition("effective_attainment", "有效产能达成率", "efficiency on effective capacity", Group.CAPACITY,
        "gc / Σ(ppt / ideal)", _OWN, _M, _COUNTS, "1", _UP, _NOT_PLANNED,
        lambda e: divide(e.sums.gc, ideal_count(_planned(e)), Why.NOTHING_PLANNED)),
    *(Definition(f"demonstrated_{name}", f"实证产量 {zh}", f"demonstrated output, {en}", Group.CAPACITY,
        f"best_good({name}) / {name}", _OWN, _M, _COUNTS, "pieces/h", _UP, _PROOF, _demonstrated(length_ns),
        Scope.TOTAL, note=_RECORD)
      for length_ns, name, zh, en in zip(
          STRETCHES_NS, ("1h", "8h", "24h", "3d", "7d"), ("1 小时", "8 小时", "24 小时", "3 天", "7 天"),
          ("1 h", "8 h", "24 h", "3 days", "7 days"), strict=True)),
    Definition("sustained_per_day", "持续日产量", "best sustained output", Group.CAPACITY, "best_good(7d) / 7", _OWN,
        _M, _COUNTS, "pieces/day", _UP, _PROOF, _sustained, Scope.TOTAL, note=Name(
            "最好 7 天的日均", "the best seven days, per day")),
    Definition("fastest_sustained_cycle", "最快持续节拍", "fastest sustained cycle", Group.CAPACITY,
        "30 min / best_total(30 min)", _OWN, _M, _COUNTS, "s", _DOWN, _PROOF, _fastest, Scope.TOTAL, note=Name(
            "做得最多的产品在最好的连续 30 分钟里每件所用的日历时间；性能率超过 100 % 时，新的理想节拍应不慢于它",
            "calendar time per piece, good or bad, in the best 30 minutes in a row of the product made most; where "
            "performance exceeds 100 %, the ideal cycle should be no slower than this")),
)
# fmt: on


def _pieces(known: Evidence, pieces: int) -> Figure:
    """A share of all pieces, where good and bad were told apart in all of the window."""
    if known.sums.flags & Flag.QUALITY_ASSUMED:
        return absent(Why.NO_REJECT_COUNTER)
    return divide(pieces, known.sums.tc, Why.NO_OUTPUT)


# ---- the 34 of ISO 22400-2, in the same form -------------------------------------------------------------------------

_FACTOR_NUMBERS = frozenset({6, 7, 8, 9})
_TIME_NUMBERS = frozenset({3, 4, 5, 11, 12, 30})
_QUALITY_NUMBERS = frozenset({10, 14, 15, 16, 17, 18, 19, 20, 21, 22})
_UPKEEP_NUMBERS = frozenset({31, 32, 33, 34})
_IN_WINDOWS = frozenset({6, 7, 8, 11, 16})  # numbers that minutes carry too
_BOUNDED: Mapping[int, tuple[Callable[[Evidence], Figure], str]] = {
    6: (_oee, "max(0, fpt − hidden) / ppt … (fpt + hidden) / ppt"),
    8: (_availability, "rt / ppt … (rt + unknown) / ppt"),
    9: (_performance, "nrt / (rt + unknown) … (nrt + hidden) / rt"),
}


def _iso(kpi: Kpi) -> Definition:
    function, bounds = _BOUNDED.get(kpi.number, (_from_elements(kpi), ""))
    return Definition(
        key=kpi.key,
        zh=kpi.zh,
        en=kpi.en,
        group=_group(kpi.number),
        formula=kpi.formula,
        source=f"ISO 22400-2, no. {kpi.number} (DIS {kpi.clause})",
        needs=kpi.needs,
        means=kpi.means,
        unit=kpi.unit,
        trend=kpi.trend,
        empty=kpi.empty,
        function=function,
        scope=Scope.WINDOW if kpi.number in _IN_WINDOWS else Scope.SHIFT,
        bounds=bounds,
        note=kpi.note,
    )


def _from_elements(kpi: Kpi) -> Callable[[Evidence], Figure]:
    def function(known: Evidence) -> Figure:
        found = known.elements
        return absent(Why.DOES_NOT_CLOSE) if found is None else kpi.function(found)

    return function


def _group(number: int) -> Group:
    for numbers, group in (
        (_FACTOR_NUMBERS, Group.FACTORS),
        (_TIME_NUMBERS, Group.TIME),
        (_QUALITY_NUMBERS, Group.QUALITY),
        (_UPKEEP_NUMBERS, Group.UPKEEP),
    ):
        if number in numbers:
            return group
    return Group.ORDERS


def _ordered() -> tuple[Definition, ...]:
    """By section; OEE and A before what is made of them."""
    everything = [*map(_iso, KPIS), *_OURS_FIRST]
    lead = {"oee": 0, "availability": 1, "performance": 2, "quality": 3}
    sections = list(Group)
    return tuple(sorted(everything, key=lambda each: (sections.index(each.group), lead.get(each.key, len(lead)))))


CATALOGUE: tuple[Definition, ...] = _ordered()
BY_KEY: Mapping[str, Definition] = MappingProxyType({each.key: each for each in CATALOGUE})
_BY_SCOPE = {scope: tuple(each for each in CATALOGUE if each.scope <= scope) for scope in Scope}
