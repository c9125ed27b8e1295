"""The 34 figures of ISO 22400-2, as one table: name, formula, needs, and the function that computes it. Pure.

Rules. A figure is one division of `Elements`; its numerator and denominator go with it, so anybody can add them up and
divide again, and nobody needs to average. 0 is a measured zero; None is undefined and says why. Nothing is capped:
effectiveness above 1 is in the standard itself (a planned cycle that is too slow). A figure that asks more than the
machine's signals tell is None, even if a number could be made up from what there is.

Clauses. Order and names are the standard's. In ISO/DIS 22400-2 the figures stand in section 8 (its text refers to the
finished goods ratio, number 25, as section 8.25), so number N is 8.N there; the subclauses of the published 2014 text
were not verified. A vendor's digest of the 2014 edition has other formulas for 25 and 27 to 30; the draft's stand here.

The table goes whole into the one of all figures, `edge.kpi.catalogue`, from which the pages are generated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from types import MappingProxyType

from edge.kpi.elements import Elements, Inspection, Inventory, Order, Samples
from edge.kpi.failures import FailureSums
from edge.kpi.figure import NS_PER_HOUR, NS_PER_S, Figure, Why, absent, divide
from edge.kpi.means import NOTHING, Means, missing, tier_of
from edge.plan import Capability, Name


class Need(Enum):
    """What a figure needs, beyond a calendar."""

    MACHINE = ("M", "机器数据：计数、状态、理想节拍", "machine data: counters, state, ideal cycle")
    MODES = ("M+", "机器的调整或维修模式", "the machine's setup or maintenance mode too")
    CAPACITY = ("C", "设备额定或最大产能", "the equipment's rated or maximum capacity")
    ORDERS = ("O", "订单", "orders")
    PERSONNEL = ("P", "人员", "personnel")
    INVENTORY = ("I", "库存或物料", "inventory or material")
    QUALITY = ("Q", "检验或测量", "inspection or measurement")
    ENERGY = ("E", "能源计量", "energy meters")

    def __init__(self, letter: str, zh: str, en: str) -> None:
        self.letter = letter
        self.zh = zh
        self.en = en


class Trend(Enum):
    """Which way is better."""

    UP = "↑"
    DOWN = "↓"


@dataclass(frozen=True, slots=True)
class Kpi:
    """One row of the table."""

    number: int
    key: str
    zh: str
    en: str
    formula: str
    needs: tuple[Need, ...]
    means: Means  # what the machine's signals must tell
    trend: Trend
    unit: str  # of the value; "1" for a ratio
    function: Callable[[Elements], Figure]
    note: Name | None = None

    @property
    def tier(self) -> int:
        """Lowest signal tier that usually has what it needs, 0 … 3."""
        return tier_of(self.means)

    @property
    def empty(self) -> tuple[Why, ...]:
        """What makes it empty, beside what the signals do not tell."""
        return next((reasons for numbers, reasons in _EMPTY if self.number in numbers), ())

    @property
    def clause(self) -> str:
        """Section of ISO/DIS 22400-2."""
        return f"8.{self.number}"


def figure(kpi: Kpi, found: Elements, means: Means) -> Figure:
    """One figure of a machine whose signals tell `means`."""
    why = missing(kpi.means, means)
    return absent(why) if why is not None else kpi.function(found)


def all_figures(found: Elements, means: Means) -> Mapping[str, Figure]:
    """All 34 by key, in the order of the table, for a machine whose signals tell `means`."""
    return MappingProxyType({kpi.key: figure(kpi, found, means) for kpi in KPIS})


# ---- from inputs that may not exist ----------------------------------------------------------------------------------


def _of_order(part: Callable[[Elements, Order], int], scale: Fraction = Fraction(1)) -> Callable[[Elements], Figure]:
    def function(e: Elements) -> Figure:
        if e.order is None:
            return absent(Why.NEEDS_ORDERS)
        return divide(part(e, e.order), e.order.aoet_ns, Why.ZERO_BASE, scale)

    return function


def _of_material(part: Callable[[Inventory], Fraction]) -> Callable[[Elements], Figure]:
    def function(e: Elements) -> Figure:
        if e.inventory is None:
            return absent(Why.NEEDS_INVENTORY)
        return divide(part(e.inventory), e.inventory.cm, Why.ZERO_BASE)

    return function


def _of_failures(part: Callable[[FailureSums], int]) -> Callable[[Elements], Figure]:
    def function(e: Elements) -> Figure:
        if e.failures is None:
            return absent(Why.NEEDS_FAILURES)
        return divide(part(e.failures), e.failures.fe, Why.NO_FAILURE, Fraction(1, NS_PER_S))

    return function


def _capability(
    room: Callable[[Samples, Fraction], Fraction], spreads: int, sigma: Callable[[Samples], float | None]
) -> Callable[[Elements], Figure]:
    """Tolerance (`room`) / (spreads · σ). The denominator is a float, for a deviation is a root."""

    def function(e: Elements) -> Figure:
        if e.samples is None:
            return absent(Why.NEEDS_MEASUREMENTS)
        mean, spread = e.samples.mean, sigma(e.samples)
        if mean is None or spread is None:
            return absent(Why.NO_SPREAD)
        return divide(room(e.samples, mean), spreads * spread, Why.NO_SPREAD)

    return function


def _tolerance(samples: Samples, mean: Fraction) -> Fraction:
    return samples.usl - samples.lsl


def _nearest(samples: Samples, mean: Fraction) -> Fraction:
    return min(samples.usl - mean, mean - samples.lsl)


def _of_inspection(
    parts: Callable[[Elements, Inspection], tuple[int, int]], why_zero: Why
) -> Callable[[Elements], Figure]:
    def function(e: Elements) -> Figure:
        if e.inspection is None:
            return absent(Why.NEEDS_INSPECTION)
        return divide(*parts(e, e.inspection), why_zero)

    return function


def _of_time(parts: Callable[[Elements], tuple[int, int]], why_zero: Why) -> Callable[[Elements], Figure]:
    return lambda e: divide(*parts(e), why_zero)


def _of_pieces(parts: Callable[[Elements], tuple[int, int]]) -> Callable[[Elements], Figure]:
    """A ratio of pieces that means nothing unless good and bad are counted."""
    return lambda e: divide(*parts(e), Why.NO_OUTPUT) if e.quality_counted else absent(Why.NO_REJECT_COUNTER)


# ---- those with a rule of their own ----------------------------------------------------------------------------------


def _worker_efficiency(e: Elements) -> Figure:
    if e.personnel is None:
        return absent(Why.NEEDS_PERSONNEL)
    return divide(e.personnel.apwt_ns, e.personnel.apat_ns, Why.ZERO_BASE)


def _throughput(e: Elements) -> Figure:
    """Of the order, or, where no order is known, of the planned busy time of this window."""
    per_hour = Fraction(NS_PER_HOUR)
    if e.order is not None:
        return divide(e.pq, e.order.aoet_ns, Why.ZERO_BASE, per_hour)
    return divide(e.pq, e.pbt_ns, Why.NOTHING_PLANNED, per_hour)


def _nee(e: Elements) -> Figure:
    why = Why.NOTHING_RAN if e.pbt_ns else Why.NOTHING_PLANNED
    return divide(e.aupt_ns * e.pri_gq_ns, e.pbt_ns * e.apt_ns, why)


def _scrap_to_plan(e: Elements) -> Figure:
    if e.order is None or e.order.psq is None:
        return absent(Why.NEEDS_ORDERS)
    if not e.quality_counted:
        return absent(Why.NO_REJECT_COUNTER)
    return divide(e.sq, e.order.psq, Why.ZERO_BASE)


def _fall_off(e: Elements) -> Figure:
    if e.first_pq is None:
        return absent(Why.NEEDS_LINE)
    if not e.quality_counted:
        return absent(Why.NO_REJECT_COUNTER)
    return divide(e.sq, e.first_pq, Why.NO_OUTPUT)


def _energy(e: Elements) -> Figure:
    return absent(Why.NEEDS_ENERGY) if e.energy is None else divide(e.energy.total_wh, e.pq, Why.NO_OUTPUT)


def _inventory_turns(e: Elements) -> Figure:
    if e.inventory is None:
        return absent(Why.NEEDS_INVENTORY)
    return divide(e.inventory.throughput, e.inventory.average_inventory, Why.ZERO_BASE)


def _load(e: Elements) -> Figure:
    return absent(Why.NEEDS_NAMEPLATE) if e.epc is None else divide(e.pq, e.epc, Why.ZERO_BASE)


def _mttr(e: Elements) -> Figure:
    """Over the restored failures: a repair that goes on has no length yet."""
    if e.failures is None:
        return absent(Why.NEEDS_FAILURES)
    why = Why.NO_RESTORATION if e.failures.fe else Why.NO_FAILURE
    return divide(e.failures.ttr_ns, e.failures.restored, why, Fraction(1, NS_PER_S))


def _corrective(e: Elements) -> Figure:
    if e.maintenance is None:
        return absent(Why.NEEDS_MAINTENANCE)
    both_ns = e.maintenance.cmt_ns + e.maintenance.pmt_ns
    return divide(e.maintenance.cmt_ns, both_ns, Why.NO_MAINTENANCE)


# ---- the table -------------------------------------------------------------------------------------------------------

_M, _MODES, _C, _O, _P, _I, _Q, _E = Need
_UP, _DOWN = Trend
_NONE = NOTHING
_COUNTS, _STATE = frozenset({Capability.COUNT}), frozenset({Capability.STATE})
_BOTH = _COUNTS | _STATE
_QUALITY = _COUNTS | {Capability.QUALITY}
_FAULTS = _STATE | {Capability.FAULT}
_IDLE = _STATE | {Capability.IDLE}
_MODED = _STATE | {Capability.SETUP}
_SETUP = _COUNTS | _MODED
_UPKEEP = frozenset({Capability.MAINTENANCE})
_NO_ORDERS = Name("低于 T3 时，无订单与停机分不开", "below tier 3 a lack of orders cannot be told from a stop")
_OVERLAP = Name("同一订单的工序重叠时超过 100 %", "above 100 % where operations of an order overlap")
_OUT_OF_LIMITS = Name("均值在公差之外时为负", "negative where the mean lies outside the limits")
_S = Name("s：全部测量值的标准差，n − 1", "s: deviation of all values, n − 1")
_SIGMA = Name("σ̂：等大小各组标准差的均值 / c₄", "σ̂: mean deviation of groups of equal size / c₄")
_NO_FAILURE = Name("没有故障时为空，从不为无穷大", "empty without a failure, never infinite")
_UNROUNDED = Name(
    "单一产品时等于 8 · 9 · 10，但直接相除；没有合格或不良计数时每件都当作合格（标志 QUALITY_ASSUMED）",
    "= 8 · 9 · 10 for one product, but divided directly; without a good or reject counter every piece is taken as good "
    "(flag QUALITY_ASSUMED)",
)

# fmt: off
KPIS: tuple[Kpi, ...] = (
    Kpi(1, "worker_efficiency", "员工效率", "worker efficiency", "APWT / APAT",
        (_P, _O), _NONE, _UP, "1", _worker_efficiency),
    Kpi(2, "allocation_ratio", "分配率", "allocation ratio", "ΣAUBT / AOET",
        (_O,), _NONE, _UP, "1", _of_order(lambda e, order: order.aubt_ns), _OVERLAP),
    Kpi(3, "throughput_rate", "产出率", "throughput rate", "PQ / AOET",
        (_O,), _COUNTS, _UP, "pieces/h", _throughput,
        Name("没有订单时按机器数据：该窗口的 PQ / PBT", "without orders, from machine data: PQ / PBT of the window")),
    Kpi(4, "allocation_efficiency", "分配效率", "allocation efficiency", "AUBT / PBT",
        (_M,), _IDLE, _UP, "1", _of_time(lambda e: (e.aubt_ns, e.pbt_ns), Why.NOTHING_PLANNED), _NO_ORDERS),
    Kpi(5, "utilization_efficiency", "利用效率", "utilization efficiency", "APT / AUBT",
        (_M,), _IDLE, _UP, "1", _of_time(lambda e: (e.apt_ns, e.aubt_ns), Why.NOT_BUSY), _NO_ORDERS),
    Kpi(6, "oee", "设备综合效率", "OEE index", "Σ(PRI · GQ) / PBT",
        (_M,), _COUNTS, _UP, "1", _of_time(lambda e: (e.pri_gq_ns, e.pbt_ns), Why.NOTHING_PLANNED),
        _UNROUNDED),
    Kpi(7, "nee", "净设备效率", "NEE index", "AUPT / PBT · Σ(PRI · GQ) / APT",
        (_M, _MODES), _SETUP, _UP, "1", _nee, Name("调整不算损失", "setup is no loss")),
    Kpi(8, "availability", "可用率", "availability", "APT / PBT",
        (_M,), _STATE, _UP, "1", _of_time(lambda e: (e.apt_ns, e.pbt_ns), Why.NOTHING_PLANNED),
        Name("调整算损失；有未观测时间时是下界", "setup is a loss; unobserved time makes it a lower bound")),
    Kpi(9, "effectiveness", "有效率（性能）", "effectiveness", "Σ(PRI · PQ) / APT",
        (_M,), _BOTH, _UP, "1", _of_time(lambda e: (e.pri_pq_ns, e.apt_ns), Why.NOTHING_RAN),
        Name("PRI 偏慢时超过 100 %，不封顶", "above 100 % where PRI is too slow; never capped")),
    Kpi(10, "quality_ratio", "合格率", "quality ratio", "GQ / PQ",
        (_M,), _QUALITY, _UP, "1", _of_pieces(lambda e: (e.gq, e.pq)),
        Name("按件；OEE 按 PRI 加权", "in pieces; OEE weighs them by PRI")),
    Kpi(11, "setup_ratio", "调整率", "setup ratio", "AUST / AUPT",
        (_M, _MODES), _MODED, _DOWN, "1", _of_time(lambda e: (e.aust_ns, e.aupt_ns), Why.NOTHING_RAN)),
    Kpi(12, "technical_efficiency", "技术效率", "technical efficiency", "APT / (APT + ADET)",
        (_M,), _FAULTS, _UP, "1", _of_time(lambda e: (e.apt_ns, e.apt_ns + e.adet_ns), Why.NOT_BUSY)),
    Kpi(13, "production_process_ratio", "生产过程率", "production process ratio", "ΣAPT / AOET",
        (_O,), _NONE, _UP, "1", _of_order(lambda e, order: order.apt_ns), _OVERLAP),
    Kpi(14, "actual_to_planned_scrap", "实际与计划废品比", "actual to planned scrap ratio", "SQ / PSQ",
        (_O,), _QUALITY, _DOWN, "1", _scrap_to_plan),
    Kpi(15, "first_pass_yield", "一次合格率", "first pass yield", "GP / IP",
        (_Q,), _NONE, _UP, "1", _of_inspection(lambda e, seen: (seen.gp, seen.ip), Why.ZERO_BASE),
        Name("逐件识别，不含返工", "parts known one by one, without rework")),
    Kpi(16, "scrap_ratio", "废品率", "scrap ratio", "SQ / PQ",
        (_M,), _QUALITY, _DOWN, "1", _of_pieces(lambda e: (e.sq, e.pq))),
    Kpi(17, "rework_ratio", "返工率", "rework ratio", "RQ / PQ",
        (_Q,), _COUNTS, _DOWN, "1", _of_inspection(lambda e, seen: (seen.rq, e.pq), Why.NO_OUTPUT)),
    Kpi(18, "fall_off_ratio", "流失率", "fall off ratio", "SQ / PQ of the first operation",
        (_M,), _QUALITY, _DOWN, "1", _fall_off, Name("用于多工序产线", "on a line of several stations")),
    Kpi(19, "cm", "机器能力指数 Cm", "machine capability index", "(USL − LSL) / (6 · s)",
        (_Q,), _NONE, _UP, "1", _capability(_tolerance, 6, lambda samples: samples.deviation), _S),
    Kpi(20, "cmk", "临界机器能力指数 Cmk", "critical machine capability index", "min(USL − x̄, x̄ − LSL) / (3 · s)",
        (_Q,), _NONE, _UP, "1", _capability(_nearest, 3, lambda samples: samples.deviation), _OUT_OF_LIMITS),
    Kpi(21, "cp", "过程能力指数 Cp", "process capability index", "(USL − LSL) / (6 · σ̂)",
        (_Q,), _NONE, _UP, "1", _capability(_tolerance, 6, lambda samples: samples.within), _SIGMA),
    Kpi(22, "cpk", "临界过程能力指数 Cpk", "critical process capability index", "min(USL − x̿, x̿ − LSL) / (3 · σ̂)",
        (_Q,), _NONE, _UP, "1", _capability(_nearest, 3, lambda samples: samples.within), _OUT_OF_LIMITS),
    Kpi(23, "comprehensive_energy", "单位产品综合能耗", "comprehensive energy consumption", "(Σ(M · R) + Q) / PQ",
        (_E,), _COUNTS, _DOWN, "Wh/piece", _energy,
        Name("M：能源用量，R：单位能量，Q：其他能量",
             "M: amount of a carrier, R: its energy per unit, Q: other energy")),
    Kpi(24, "inventory_turns", "库存周转", "inventory turns", "throughput / average inventory",
        (_I,), _NONE, _UP, "1", _inventory_turns, Name("窗口内的周转次数", "turns in the window")),
    Kpi(25, "finished_goods_ratio", "成品率", "finished goods ratio", "GQ / CM",
        (_I,), _NONE, _UP, "1", _of_material(lambda found: found.gq)),
    Kpi(26, "integrated_goods_ratio", "综合成品率", "integrated goods ratio", "IGQ / CM",
        (_I,), _NONE, _UP, "1", _of_material(lambda found: found.igq)),
    Kpi(27, "production_loss_ratio", "生产损失率", "production loss ratio", "PL / CM",
        (_I,), _NONE, _DOWN, "1", _of_material(lambda found: found.pl),
        Name("27 + 28 + 29 = 1 − 26", "27 + 28 + 29 = 1 − 26")),
    Kpi(28, "storage_transport_loss_ratio", "储运损失率", "storage and transportation loss ratio", "STL / CM",
        (_I,), _NONE, _DOWN, "1", _of_material(lambda found: found.stl)),
    Kpi(29, "other_loss_ratio", "其他损失率", "other loss ratio", "OL / CM",
        (_I,), _NONE, _DOWN, "1", _of_material(lambda found: found.ol)),
    Kpi(30, "equipment_load_ratio", "设备负荷率", "equipment load ratio", "PQ / EPC",
        (_M, _C), _COUNTS, _UP, "1", _load,
        Name("同一窗口的 EPC，额定或最大；超过额定是风险，不是成绩",
             "EPC of the same window, rated or maximum; above the rated one a risk, no merit")),
    Kpi(31, "mtbf", "平均故障间隔时间", "mean operating time between failures", "ΣTBF / FE",
        (_M,), _FAULTS, _UP, "s", _of_failures(lambda found: found.tbf_ns), _NO_FAILURE),
    Kpi(32, "mttf", "平均失效前时间", "mean time to failure", "ΣTTF / FE",
        (_M,), _FAULTS, _UP, "s", _of_failures(lambda found: found.ttf_ns), _NO_FAILURE),
    Kpi(33, "mttr", "平均恢复时间", "mean time to restoration", "ΣTTR / FE",
        (_M,), _FAULTS, _DOWN, "s", _mttr,
        Name("含等待；只计已恢复的故障", "waiting included; over the failures restored so far")),
    Kpi(34, "corrective_maintenance_ratio", "纠正性维修率", "corrective maintenance ratio", "CMT / (CMT + PMT)",
        (_M, _MODES), _UPKEEP, _DOWN, "1", _corrective),
)
# fmt: on

_EMPTY: tuple[tuple[range | tuple[int, ...], tuple[Why, ...]], ...] = (
    ((1,), (Why.NEEDS_PERSONNEL, Why.ZERO_BASE)),
    ((2, 13), (Why.NEEDS_ORDERS, Why.ZERO_BASE)),
    ((3,), (Why.NOTHING_PLANNED, Why.ZERO_BASE)),
    ((4, 6, 8), (Why.NOTHING_PLANNED,)),
    ((5, 12), (Why.NOT_BUSY,)),
    ((7, 9), (Why.NOTHING_PLANNED, Why.NOTHING_RAN)),
    ((11,), (Why.NOTHING_RAN,)),
    ((10, 16), (Why.NO_OUTPUT, Why.NO_REJECT_COUNTER)),
    ((14,), (Why.NEEDS_ORDERS, Why.NO_REJECT_COUNTER, Why.ZERO_BASE)),
    ((15,), (Why.NEEDS_INSPECTION, Why.ZERO_BASE)),
    ((17,), (Why.NEEDS_INSPECTION, Why.NO_OUTPUT)),
    ((18,), (Why.NEEDS_LINE, Why.NO_REJECT_COUNTER, Why.NO_OUTPUT)),
    (range(19, 23), (Why.NEEDS_MEASUREMENTS, Why.NO_SPREAD)),
    ((23,), (Why.NEEDS_ENERGY, Why.NO_OUTPUT)),
    (range(24, 30), (Why.NEEDS_INVENTORY, Why.ZERO_BASE)),
    ((30,), (Why.NEEDS_NAMEPLATE, Why.ZERO_BASE)),
    ((31, 32), (Why.NEEDS_FAILURES, Why.NO_FAILURE)),
    ((33,), (Why.NEEDS_FAILURES, Why.NO_FAILURE, Why.NO_RESTORATION)),
    ((34,), (Why.NEEDS_MAINTENANCE, Why.NO_MAINTENANCE)),
)
