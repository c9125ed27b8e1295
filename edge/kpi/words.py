"""The symbols in formulas, in words: what a plant engineer reads aloud. Pure.

A formula is written once, in symbols; both pages say it in words by these names. Small letters are columns of the
ledger (`edge.kpi.row`, all of them exact integers), capitals are elements of ISO 22400-2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from edge.plan import Name

LEDGER: Mapping[str, Name] = {
    "all": Name("全部日历时间", "calendar time"),
    "ppt": Name("计划生产时间", "planned production time"),
    "rt": Name("运行时间", "run time"),
    "nrt": Name("全部件的理想时间", "ideal time of all pieces"),
    "fpt": Name("合格件的理想时间", "ideal time of good pieces"),
    "unknown": Name("未观测时间", "unobserved time"),
    "tc": Name("总件数", "all pieces"),
    "gc": Name("合格件数", "good pieces"),
    "sc": Name("不良件数", "rejects"),
    "unscheduled_gc": Name("班外合格件数", "good pieces outside shifts"),
    "unscheduled_run": Name("班外运行时间", "run time outside shifts"),
    "unscheduled_fpt": Name("班外合格件的理想时间", "ideal time of good pieces outside shifts"),
    "not_scheduled": Name("班外时间", "time outside shifts"),
    "breakdown": Name("故障时间", "breakdown"),
    "internal_minor": Name("机器自报的短停", "short stops the machine reported"),
    "setup": Name("调整时间", "setup"),
    "startup": Name("启动时间", "start-up"),
    "external_starved": Name("缺料时间", "starved time"),
    "external_blocked": Name("堵料时间", "blocked time"),
    "no_order": Name("无订单时间", "time without an order"),
    "maintenance": Name("维修时间", "maintenance"),
    "manual": Name("手动时间", "manual mode"),
    "reported_stop": Name("机器自报的计划停机", "planned stops the machine reported"),
    "unassigned": Name("原因不明的停机", "unassigned stops"),
    "slow": Name("慢速损失", "time lost to slow cycles"),
    "small": Name("小停机损失", "time lost to small stops"),
    "startup_rejects": Name("启动期不良件的理想时间", "ideal time of rejects while starting up"),
    "hidden": Name("清零可能掩盖件数的理想时间", "ideal time of pieces a reset may have hidden"),
    "ideal": Name("理想节拍", "ideal cycle"),
    "oee_target": Name("OEE 目标", "OEE target"),
    "demand_per_h": Name("每小时需求", "demand per hour"),
    "target_count": Name("目标产量", "target count"),
    "best_good": Name("内最多的合格件数", "most good pieces in any"),
    "best_total": Name("内最多的件数", "most pieces in any"),
}

ELEMENTS: Mapping[str, Name] = {
    "POT": Name("计划运行时间", "planned operation time"),
    "PBT": Name("计划占用时间", "planned busy time"),
    "AUBT": Name("实际占用时间", "actual unit busy time"),
    "AUPT": Name("实际加工时间", "actual unit processing time"),
    "APT": Name("实际生产时间", "actual production time"),
    "AUST": Name("实际调整时间", "actual unit setup time"),
    "ADET": Name("实际延误时间", "actual unit delay time"),
    "AOET": Name("订单执行时间", "actual order execution time"),
    "APWT": Name("人员工作时间", "actual personnel work time"),
    "APAT": Name("人员出勤时间", "actual personnel attendance time"),
    "PRI": Name("单件计划时间", "planned run time per item"),
    "PQ": Name("产出数量", "produced quantity"),
    "GQ": Name("合格数量", "good quantity"),
    "SQ": Name("废品数量", "scrap quantity"),
    "PSQ": Name("计划废品数量", "planned scrap quantity"),
    "RQ": Name("返工数量", "rework quantity"),
    "GP": Name("首检合格件", "good parts at the first pass"),
    "IP": Name("被检件", "inspected parts"),
    "EPC": Name("设备产能", "equipment production capacity"),
    "TBF": Name("故障间隔时间", "operating time between failures"),
    "TTF": Name("失效前时间", "time to failure"),
    "TTR": Name("恢复时间", "time to restoration"),
    "FE": Name("故障次数", "failure events"),
    "CMT": Name("纠正性维修时间", "corrective maintenance time"),
    "PMT": Name("预防性维修时间", "preventive maintenance time"),
    "CM": Name("消耗物料", "consumed material"),
    "IGQ": Name("综合合格量", "integrated good quantity"),
    "PL": Name("生产损失", "production loss"),
    "STL": Name("储运损失", "storage and transportation loss"),
    "OL": Name("其他损失", "other loss"),
    "USL": Name("上公差限", "upper specification limit"),
    "LSL": Name("下公差限", "lower specification limit"),
    "x̄": Name("均值", "mean"),
    "x̿": Name("各组均值的均值", "mean of the group means"),
    "σ̂": Name("估计离散", "estimated dispersion"),
    "s": Name("标准差", "standard deviation"),
    "M": Name("能源用量", "amount of a carrier"),
    "R": Name("单位能量", "its energy per unit"),
    "Q": Name("其他能量", "other energy"),
}

_PHRASES: Mapping[str, Name] = {
    "of the first operation": Name("（首道工序）", "of the first operation"),
    "throughput": Name("出库量", "throughput"),
    "average inventory": Name("平均库存", "average inventory"),
}
_ALL: Mapping[str, Name] = {**LEDGER, **ELEMENTS, **_PHRASES}
_NAMES = "|".join(map(re.escape, sorted(_ALL, key=len, reverse=True)))
_SYMBOL = re.compile(rf"(?<![A-Za-z_])(?:{_NAMES})(?![A-Za-z_(])")
_CALLED = re.compile(r"best_(good|total)\(([^)]*)\)")


def in_words(formula: str, language: str) -> str:
    """The formula with names for its symbols. language: "zh" or "en"."""

    def word(symbol: str) -> str:
        name = _ALL[symbol]
        return name.zh if language == "zh" else name.en

    def called(match: re.Match[str]) -> str:
        pieces = word(f"best_{match[1]}")
        return f"{match[2]} {pieces}" if language == "zh" else f"{pieces} {match[2]}"

    said = _SYMBOL.sub(lambda match: word(match[0]), formula)
    said = _CALLED.sub(called, said).replace(" / ", " ÷ ")
    return re.sub(r"Σ(?=[a-z])", "Σ ", said)


def symbols(formula: str) -> list[str]:
    """The symbols a formula is made of."""
    return [*_SYMBOL.findall(formula), *(f"best_{kind}" for kind, _ in _CALLED.findall(formula))]
