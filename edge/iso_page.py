"""docs/iso22400.md, from the tables: `python -m edge.iso_page > docs/iso22400.md`. A test compares the two."""

from __future__ import annotations

from collections.abc import Iterable

from edge.kpi.capacity import SEVERE
from edge.kpi.elements import TIME_ELEMENTS, Leaf
from edge.kpi.figure import Why
from edge.kpi.iso22400 import KPIS, Kpi, Need

_HEAD = """\
# The 34 figures of ISO 22400-2 · ISO 22400-2 的 34 个指标

This page is generated from `edge/kpi/iso22400.py`, `elements.py` and `figure.py`; edit those, then run
`python -m edge.iso_page > docs/iso22400.md`. The numbers underneath are explained in [kpi.md](kpi.md).

本页由代码中的表生成，请勿手工修改。底层数字的来历见 [kpi.md](kpi.md)。

- 每个指标都是一次除法，分子和分母一并给出：先求和，后相除，从不平均百分比。
- **0 是测得的零，空是没有定义**，并给出原因。不封顶，不出现 NaN 或无穷大。
- 机器等级（T0–T4）不够的指标为空，不猜。

Rules:

- A figure is one division; numerator and denominator come with it. Add those up over windows and machines, then divide.
- 0 is a measured zero, empty is undefined, and a reason stands beside it. Nothing is capped.
- A machine whose signal tier is below the one named gives no value, even where a number could be made up. Quality is
  different: it is counted or not, whatever the tier.

**Edition.** Names, order and formulas are those of ISO 22400-2. Section 8.N is that of the draft ISO/DIS 22400-2, whose
text refers to number 25 as section 8.25; the subclauses of the published 2014 text were not verified. A vendor's digest
of the 2014 edition has other formulas for 25 and 27 to 30; the draft's stand here. The energy figures of Amendment 1
(2017) are not in this table.
"""

_MODEL = """\
## Time model · 时间模型

    calendar time of the window
    └ POT   planned operation: shifts · 计划运行时间（班次）
      ├ PDOT  planned down: breaks taken · 计划停机（休息）
      └ PBT   planned busy = ppt · 计划占用时间
        ├ ADOT  not working on an order · 无订单或人员作业
        └ AUBT  busy with an order · 占用时间
          ├ ADET  delay · 延误
          └ AUPT  processing · 加工时间
            ├ AUST  setup and start-up · 调整
            └ APT   production = rt · 生产时间

POT = PDOT + PBT, PBT = ADOT + AUBT, AUBT = ADET + AUPT, AUPT = AUST + APT: to the nanosecond, or there are no figures.

| bucket · 时间类别 | inside PBT | taken out by the calendar |
| --- | --- | --- |
"""

_CHOICES = """
Four choices, said aloud:

1. **Minor stops.** Pauses inside running time are delay (ADET) in the standard; here they are part of APT and a loss of
   effectiveness. With `small_ns` moved from APT to ADET the standard's view is computed too. Availability falls and
   effectiveness rises by the same factor; OEE, PBT and AUBT stay what they are.
2. **Starved and blocked.** The standard has no element for them. They are ADET here and remain buckets of their own.
3. **Time nobody observed** cannot be claimed as busy: it is in ADOT. AUBT and APT are lower bounds by `unknown`.
4. **Window, not order.** The standard evaluates orders; here it is a window and a product. PRI · PQ and PRI · GQ are
   summed product by product (`nrt`, `fpt`).

四点取舍：小停机在标准里算延误（ADET），这里留在生产时间内、算性能损失，两种算法都给出，OEE 不变；缺料和堵料算 ADET，
但时间类别仍分开；没人看到的时间算 ADOT，AUBT 和 APT 因此是下界；标准按订单计算，这里按窗口和产品计算。
"""

_QUANTITIES = """\
## Quantities · 数量

| element | from |
| --- | --- |
| PQ, GQ, SQ | `tc`, `gc`, `sc`: total, good, scrap pieces inside the schedule · 总数、合格、不良 |
| Σ(PRI · PQ), Σ(PRI · GQ) | `nrt`, `fpt`: ideal time of all and of good pieces · 理想时间 |
| FE, TBF, TTF, TTR | failure events, see below · 故障事件 |
| AOET, ΣAUBT, ΣAPT, PSQ | order: execution time, busy and production time of its units, planned scrap · 订单 |
| APWT, APAT | personnel: work and attendance time · 工作和出勤时间 |
| GP, IP, RQ | inspection: good parts, inspected parts, reworked pieces · 检验 |
| USL, LSL, x̄, x̿, s, σ̂ | limits; mean of all values, of the groups; deviation of all values, within the groups · 测量 |
| M, R, Q | energy carriers, their energy per unit, other energy · 能源 |
| CM, IGQ, PL, STL, OL | material consumed, integrated good quantity; production, storage, other losses · 物料 |
| CMT, PMT | corrective and preventive maintenance time, waiting included · 维修时间 |
| EPC | what the equipment can make in the same window, rated or maximum · 产能 |

**Failure event.** A breakdown in scheduled production that lasts at least t3, or that people had to clear. Breakdowns
with less than 60 s in between in which the machine could have worked are one event. TTR runs from its beginning to the
first good piece. TBF is busy time without delay (production and setup) from the end of one failure to the next, TTF the
same from restoration. An event belongs to the window in which it begins, whole. FE = 0 gives no MTBF, MTTF or MTTR:
neither 0 nor infinity.

故障事件：计划生产中持续至少 t3、或需要人工清除的故障停机；两次停机之间可工作时间不足 60 秒的算同一次。
TTR 从故障开始到第一件合格品；TBF 是两次故障之间扣除延误的占用时间；跨窗口的事件整个计入其开始的窗口。
窗口内没有故障时，MTBF、MTTF、MTTR 为空。
"""


_EXAMPLE = """\
## Check one by hand · 手算一例

A shift of 480 min, 60 min of breaks, one product at 60 per minute (PRI = 1 s), 19 271 pieces, 423 of them scrap. Three
failures, after 110, 130 and 120 min of production; 20, 15 and 12 min until the next good piece.

    POT = 480 min   PDOT = 60 min   PBT = AUBT = 420 min   ADET = 20 + 15 + 12 = 47 min   AUPT = APT = 373 min
    availability           APT / PBT          =    373 / 420            =  88.81 %
    effectiveness          PRI · PQ / APT     = 19 271 s / 22 380 s     =  86.11 %
    quality ratio          GQ / PQ            = 18 848 / 19 271         =  97.80 %
    OEE index              PRI · GQ / PBT     = 18 848 s / 25 200 s     =  74.79 %
    technical efficiency   APT / (APT + ADET) =    373 / (373 + 47)     =  88.81 %
    MTBF                   ΣTBF / FE          = (110 + 130 + 120) / 3   = 120 min
    MTTR                   ΣTTR / FE          =  (20 + 15 + 12) / 3     =  15 min 40 s
"""


_SEVERE_FLAGS = ", ".join(flag.name or "" for flag in SEVERE)
_BESIDE = f"""\
## Beside the standard · 标准之外

| figure · 指标 | rule |
| --- | --- |
| six big losses · 六大损失 | breakdown; setup and start-up; minor stops; slow cycles; defects; start-up rejects. External causes, no order, people, unassigned and unobserved time stand apart. All together with `fpt` they are `ppt` |
| line OEE · 产线 OEE | ideal cycle of the constraint · good pieces at the end of the line / `ppt` of the line. Constraint: largest K / (L · M) / yields behind it (cycle, parallel tools, parts per cycle), fixed with the configuration |
| line rate · 产线速率 | 1 / the constraint's net ideal cycle |
| design capacity · 设计产能 | machines · time / ideal cycle |
| effective capacity · 有效产能 | design capacity · planned time / time · planned availability |
| demonstrated output · 实证产能 | most good pieces in any 1 h, 8 h, 24 h, 3 d, 7 d: rows for 95 % of it, 95 % of planned time observed, none of the flags {_SEVERE_FLAGS} |
| fastest sustained cycle · 最快持续节拍 | 30 min / most pieces of one product in any 30 min, under the same conditions |

Example of a line: body 0.5 s, yield 98 %; two ear-loop stations of 1 s, yield 95 %; packing, 10 in 4 s. Net cycles: body
0.5 / 0.95 = 0.526 s, ear loops 1 / 2 = 0.5 s, packing 0.4 s. The body is the constraint, the line rate 7200 · 0.95 = 6840
an hour. 5000 good masks in an hour: OEE of the line = 0.5 s · 5000 / 3600 s = 69.4 %.
"""  # noqa: E501 rows of a table are one line each


def render() -> str:
    """The whole page, ending in a line feed."""
    sections = _HEAD, _figures(), _needs(), _model(), _QUANTITIES, _EXAMPLE, _BESIDE, _reasons()
    return "\n".join(sections)


def _table(head: str, rows: Iterable[str]) -> str:
    line = "| " + " | ".join("---" for _ in head.split("|")) + " |"
    return "\n".join([f"| {head} |", line, *rows]) + "\n"


def _figures() -> str:
    head = "no. | section | 指标 | figure | formula | needs | tier | better | unit | note"
    return "## Figures · 指标\n\n" + _table(head, map(_row, KPIS))


def _row(kpi: Kpi) -> str:
    needs = ", ".join(need.letter for need in kpi.needs)
    tier = f"T{kpi.tier}" if kpi.tier or Need.MACHINE in kpi.needs else "–"
    unit = "" if kpi.unit == "1" else kpi.unit
    cells = (
        str(kpi.number), kpi.clause, kpi.zh, f"{kpi.en} `{kpi.key}`", kpi.formula, needs, tier, kpi.trend.value, unit,
        f"{kpi.note.zh} · {kpi.note.en}" if kpi.note else "",
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def _needs() -> str:
    rows = (f"| {need.letter} | {need.zh} | {need.en} |" for need in Need)
    return (
        "Tier: lowest signal tier of a machine that gives the figure. T0: a counter, T1: a run signal, T2: quality\n"
        "and faults, T3: causes, mode and recipe; –: not from the machine.\n\n" + _table("needs | 需要 | meaning", rows)
    )


def _model() -> str:
    rows = [
        f"| {bucket.name.lower()} | {lies.inside.value} | {_outside(lies.outside)} |"
        for bucket, lies in TIME_ELEMENTS.items()
    ]
    return _MODEL + "\n".join(rows) + "\n" + _CHOICES


def _outside(leaf: Leaf | None) -> str:
    if leaf is None:
        return ""
    return "outside POT" if leaf is Leaf.OUTSIDE else leaf.value


def _reasons() -> str:
    rows = (f"| `{why.code}` | {why.zh} | {why.en} |" for why in Why)
    return "## Why a figure is empty · 指标为空的原因\n\n" + _table("code | 原因 | reason", rows)


if __name__ == "__main__":
    print(render(), end="")
