"""One figure: a division that shows what was divided, and says why when there is no answer. Pure.

Rules. `value` is 0.0 for a measured zero and None for the undefined; `why_null` is set exactly where `value` is None.
Numerator and denominator are exact (integers, fractions); floats only where a square root made them. Nothing is capped,
nothing is NaN or infinite.

Bounds. Where time went unobserved, or a reset may have hidden pieces, the truth lies between `low` and `high`, both
included; they are equal to `value` where nothing is in doubt. A figure that has no bounds, or whose bounds cannot be
said because a count was a guess, has None.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

Number = int | Fraction | float

NS_PER_S = 1_000_000_000
NS_PER_HOUR = 3600 * NS_PER_S


class Why(Enum):
    """Why a figure has no value: a code for programs, a sentence in both languages for people."""

    NOTHING_PLANNED = ("nothing-planned", "窗口内没有计划时间", "no planned time in this window")
    NOTHING_RAN = ("nothing-ran", "窗口内没有运行", "nothing ran in this window")
    NOT_BUSY = ("not-busy", "窗口内没有执行订单的时间", "the machine was not busy in this window")
    NO_OUTPUT = ("no-output", "窗口内没有产出", "no output in this window")
    NO_FAILURE = ("no-failure", "窗口内没有故障", "no failure in this window")
    NO_RESTORATION = ("no-restoration", "故障尚未恢复", "no failure of this window is restored yet")
    NO_MAINTENANCE = ("no-maintenance", "窗口内没有维修", "no maintenance in this window")
    ZERO_BASE = ("zero-base", "分母为零", "the denominator is a measured zero")
    NO_SPREAD = ("no-spread", "测量值不足或没有离散", "too few measured values, or all of them equal")
    NO_TIME = ("no-time", "窗口内没有时间", "no time in this window")
    NOTHING_EXPECTED = ("nothing-expected", "到目前为止没有应完成的产量", "nothing is expected so far")
    NOT_DEMONSTRATED = (
        "not-demonstrated",
        "没有一段这么长、采到 95 %、没有疑点的记录",
        "no stretch of this length is on record, 95 % observed and without doubt",
    )
    DOES_NOT_CLOSE = ("does-not-close", "账本不平，记录已损坏", "the sums do not close: the row is damaged")
    NO_COUNTER = ("no-counter", "机器没有总数或合格计数", "machine has no total or good counter")
    NO_REJECT_COUNTER = ("no-reject-counter", "机器没有合格或不良计数", "machine has no good or reject counter")
    NEEDS_TIER_1 = ("needs-tier-1", "机器没有运行信号（T1）", "machine has no run signal (tier 1)")
    NEEDS_TIER_2 = ("needs-tier-2", "机器没有故障信号（T2）", "machine has no signal that tells a breakdown (tier 2)")
    NEEDS_CAUSES = (
        "needs-causes",
        "机器没有缺料、堵料信号（T3）",
        "machine has no signals that tell waiting for material or room (tier 3)",
    )
    NEEDS_SETUP = ("needs-setup", "机器没有调整模式信号（T3）", "machine has no signal that tells setup (tier 3)")
    NEEDS_MAINTENANCE_MODE = (
        "needs-maintenance-mode",
        "机器没有维修模式信号（T3）",
        "machine has no signal that tells maintenance (tier 3)",
    )
    NEEDS_IDLE = (
        "needs-idle",
        "机器没有无订单待机信号（T3）",
        "machine has no signal that tells a lack of orders (tier 3)",
    )
    NEEDS_ORDERS = ("needs-orders", "需要订单数据", "needs order data")
    NEEDS_PERSONNEL = ("needs-personnel", "需要人员数据", "needs personnel data")
    NEEDS_INSPECTION = ("needs-inspection", "需要检验数据", "needs inspection data")
    NEEDS_MEASUREMENTS = ("needs-measurements", "需要测量数据", "needs measured values of the product or process")
    NEEDS_ENERGY = ("needs-energy", "需要电表或能源数据", "needs energy meters")
    NEEDS_INVENTORY = ("needs-inventory", "需要库存或物料数据", "needs inventory or material data")
    NEEDS_NAMEPLATE = ("needs-nameplate", "需要设备额定产能", "needs the equipment's production capacity")
    NEEDS_LINE = ("needs-line", "需要首道工序的产量", "needs the output of the line's first operation")
    NEEDS_TARGET = ("needs-target", "没有 OEE 目标", "no OEE target")
    NEEDS_DEMAND = ("needs-demand", "站点文件没有写需求量", "the site file states no demand")
    NEEDS_FLOW = (
        "needs-flow",
        "站点文件没有写各机器在产线上的工序（step）",
        "the site file does not say where the machines stand in the flow of the line (step)",
    )
    NEEDS_MINUTES = ("needs-minutes", "需要分钟记录", "needs the record of minutes")
    NEEDS_FAILURES = ("needs-failures", "需要停机记录", "needs the record of stops")
    NEEDS_MAINTENANCE = ("needs-maintenance", "需要维修记录", "needs maintenance records")

    def __init__(self, code: str, zh: str, en: str) -> None:
        self.code = code
        self.zh = zh
        self.en = en


@dataclass(frozen=True, slots=True)
class Figure:
    """A numerator over a denominator, in the unit of its definition. Both are None where an input does not exist."""

    numerator: Number | None
    denominator: Number | None
    value: float | None
    why_null: Why | None
    low: float | None = None
    high: float | None = None


def divide(numerator: Number, denominator: Number, why_zero: Why, scale: Fraction = Fraction(1)) -> Figure:
    """Value scale · numerator / denominator, rounded once; `why_zero` where the denominator is zero.

    scale: unit of the value over the unit of the quotient, e.g. 1/10⁹ for seconds from ns.
    """
    if not denominator:
        return Figure(numerator, denominator, None, why_zero)
    if isinstance(numerator, float) or isinstance(denominator, float):
        value = float(scale) * float(numerator) / float(denominator)
    elif scale == 1 and isinstance(numerator, int) and isinstance(denominator, int):
        value = numerator / denominator  # the same, correctly rounded, without making a fraction
    else:
        value = float(scale * Fraction(numerator) / Fraction(denominator))
    return Figure(numerator, denominator, value, None)


def absent(why: Why) -> Figure:
    """A figure whose inputs do not exist."""
    return Figure(None, None, None, why)
