"""docs/reliability.md and docs/reliability.zh-CN.md, from the result of a run. A test compares them with what this
makes of result.json.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge.plan import Name

PAGES = {"en": "reliability.md", "zh": "reliability.zh-CN.md"}
DOCS = Path(__file__).parents[2] / "docs"
Json = Mapping[str, Any]

THEMES = {
    "kill": Name("杀进程：代理、PLC 服务、数据库", "everything killed: agent, PLCs' servers, database"),
    "plc": Name("PLC 不答、答错、答晚、断开", "PLCs silent, wrong, late, cut off"),
    "database": Name(
        "数据库：204 后断线、400、404、500、503、慢、半开",
        "database: 204 then cut, 400, 404, 500, 503, slow, half-open",
    ),
    "two": Name("两个数据库：InfluxDB 与 VictoriaMetrics", "two databases: InfluxDB and VictoriaMetrics"),
    "disk": Name("磁盘写满", "disk full"),
    "clock": Name("时钟前后跳一小时", "clock set an hour forward and back"),
    "edit": Name("运行中修改站点文件", "the site file edited while it runs"),
    "torn": Name("存储尾部撕裂", "torn tail of the store"),
    "flipped": Name("存储字节翻转", "flipped bytes in the store"),
    "all": Name("以上同时（翻转除外）", "all of it at once, but flipped bytes"),
}
FAULTS = {
    "kill agent": Name("kill -9 代理", "kill -9 of the agent"),
    "starting": Name("其中正在启动", "of these, while it was starting"),
    "kill machines": Name("kill -9 PLC 服务", "kill -9 of the PLCs' servers"),
    "kill database": Name("kill -9 InfluxDB", "kill -9 of InfluxDB"),
    "plc": Name("PLC 故障", "faults of a PLC"),
    "disk": Name("磁盘写满", "disk full"),
    "clock": Name("时钟跳变 ±1 h", "clock steps of 1 h"),
    "edit": Name("修改站点文件", "edits of the site file"),
    "torn": Name("尾部撕裂", "torn tails"),
    "flipped": Name("字节翻转", "flipped bytes"),
    "204-then-cut": Name("写入后断线", "stored, then cut"),
    "400": Name("部分写入 400", "400 partial write"),
    "404": Name("404", "404"),
    "500": Name("500", "500"),
    "503": Name("503", "503"),
    "slow": Name("慢于期限", "slower than the deadline"),
    "half-open": Name("收下不答", "taken, never answered"),
    "second": Name("VictoriaMetrics：以上各种，400 除外", "VictoriaMetrics: all of these but 400"),
}

PROCESSES = ("kill agent", "kill machines", "kill database")
KILLS = (*PROCESSES, "starting")


def publish(document: Json) -> None:
    """Both pages."""
    for language, name in PAGES.items():
        (DOCS / name).write_text(render(document, language), "utf-8")


def render(document: Json, language: str) -> str:
    """The whole page, ending in a line feed."""
    zh = language == "zh"
    words = Path(__file__).with_name(f"page.{language}.md").read_text("utf-8")
    rounds = document["rounds"]
    return words.format(
        command=document["command"],
        facts=_facts(document, rounds, zh=zh),
        table=_table(rounds, zh=zh),
        faults=_injected(rounds, zh=zh),
        verdict=_verdict(rounds, zh=zh),
    )


def _say(name: Name, *, zh: bool) -> str:
    return name.zh if zh else name.en


def total(rounds: Sequence[Json], *kinds: str) -> int:
    """How often kinds of faults were injected."""
    return sum(entry["injected"].get(kind, 0) for entry in rounds for kind in kinds)


def _facts(document: Json, rounds: Sequence[Json], *, zh: bool) -> str:
    kills = total(rounds, *PROCESSES)
    true, _, _ = _pieces(rounds)
    minutes = round(document["seconds"] / 60)
    if zh:
        return (
            f"**{kills} 次 kill -9**，{true:,} 件，{len(rounds)} 轮，{minutes} min；"
            f"代码与测试架 {document['version']}，Python {document['python']}，"
            f"种子 {rounds[0]['seed']}：`{document['command']}`。"
        )
    return (
        f"**{kills} times kill -9**, {true:,} pieces, {len(rounds)} rounds, {minutes} min; agent and harness "
        f"{document['version']}, Python {document['python']}, seed {rounds[0]['seed']}: `{document['command']}`."
    )


def _pieces(rounds: Sequence[Json]) -> tuple[int, int, int]:
    """True, stored, and how much of the difference is explained."""
    machines = [pieces for entry in rounds for pieces in entry["machines"].values()]
    true, stored = (sum(pieces[key][0] for pieces in machines) for key in ("true", "stored"))
    explained = sum(
        p["true"][0] - p["stored"][0]
        for p in machines
        if 0 <= p["true"][0] - p["stored"][0] <= p["excused"] + p["lost_max"]
    )
    return true, stored, explained


def _table(rounds: Sequence[Json], *, zh: bool) -> str:
    head = (
        "轮次|杀进程次数|其他故障次数|真实件数|入库件数|相差|其中有解释|窗口数|受损分钟|已入缺口账|承诺"
        if zh
        else "round|kills|other faults|true|stored|difference|explained|windows|damaged minutes|in gap ledger|promise"
    )
    rows = [head.split("|"), ["---", *["---:"] * 9, "---"]]
    for entry in rounds:
        true, stored, explained = _pieces([entry])
        kills = total([entry], *PROCESSES)
        others = sum(n for kind, n in entry["injected"].items() if kind in FAULTS and kind not in KILLS)
        promise = Name("精确", "exact") if entry["is_exact"] else Name("有解释", "explained")
        rows.append(
            [
                _say(THEMES[entry["theme"]], zh=zh),
                *(f"{n:,}" for n in (kills, others, true, stored, true - stored, explained)),
                f"{entry['windows']:,}", f"{entry['damaged']:,}", f"{entry['told']:,}",
                _say(promise, zh=zh) + (" ✓" if not entry["wrong"] else " ✗"),
            ]
        )  # fmt: skip
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _injected(rounds: Sequence[Json], *, zh: bool) -> str:
    head = "故障|次数|撞上的写入|其间生产件数" if zh else "fault|times|writes that met it|pieces made meanwhile"
    rows = [head.split("|"), ["---", "---:", "---:", "---:"]]
    for kind, name in FAULTS.items():
        writes = total(rounds, f"answer {kind}")
        pieces = sum(entry.get("pieces", {}).get(kind, 0) for entry in rounds)
        figures = (f"{total(rounds, kind):,}", f"{writes:,}" if writes else "", f"{pieces:,}" if pieces else "")
        rows.append([_say(name, zh=zh), *figures])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _verdict(rounds: Sequence[Json], *, zh: bool) -> str:
    wrong = [f"- {_say(THEMES[entry['theme']], zh=zh)}: {text}" for entry in rounds for text in entry["wrong"]]
    if not wrong:
        return "没有一轮违背承诺。" if zh else "No round broke its promise."
    return ("违背承诺之处：" if zh else "What broke a promise:") + "\n\n" + "\n".join(wrong)
