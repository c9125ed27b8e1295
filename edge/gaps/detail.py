"""What a gap says beyond its cause: a code and values, stored and sent; words are found when somebody reads.

The language of an agent may change, and a database is read in another one than the gateway: so `store-full points=120
databases=backup` lies in the store and goes out, and terminal and page say it in the reader's language. Of a device the
code is the reason of its fault, as in `device` points. What no code is known of is shown as it stands: gaps of earlier
releases were stored in words.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from edge.errors import Text


def coded(code: str, **values: object) -> str:
    """`code name=value …`; values that are empty are left out."""
    return " ".join([code, *(f"{name}={shlex.quote(str(value))}" for name, value in values.items() if value)])


def filled(detail: str, device: str) -> str:
    """The same detail, once with the device whose own history told that time."""
    code, _, names = (detail or "history").partition(_FILLED)
    devices = dict.fromkeys([*filter(None, "".join(shlex.split(names)[:1]).split(",")), device])
    return code + _FILLED + shlex.quote(",".join(devices))


def worded(detail: str) -> Text:
    """In both languages."""
    try:
        code, *pairs = shlex.split(detail)
    except ValueError:  # nothing of ours, or of an earlier release
        return Text(detail, detail)
    words = _WORDS.get(code) or _of_family(code) or (Text(code, code) if pairs and "{" not in code else None)
    if words is None or not all("=" in pair for pair in pairs):
        return Text(detail, detail)
    values = _Values(pair.split("=", 1) for pair in pairs)
    more = "".join(_MORE[name].zh.format_map(values) for name in _MORE if name in values)
    more_en = "".join(_MORE[name].en.format_map(values) for name in _MORE if name in values)
    return Text(words.zh.format_map(values) + more, words.en.format_map(values) + more_en)


def _of_family(code: str) -> Text | None:
    """Of reasons that begin alike the first word is enough."""
    family = _WORDS.get(code.partition("-")[0]) if code.replace("-", "").isalnum() else None
    return Text(f"{family.zh}（{code}）", f"{family.en} ({code})") if family is not None else None


class _Values(dict[str, str]):
    """A value that a later release does not store any more is told as unknown."""

    def __missing__(self, name: str) -> str:
        return "?"


_FILLED = " filled="
_MORE: Mapping[str, Text] = {  # said where there is such a value
    "filled": Text("；已由 {filled} 的历史补录", "; filled from the history of {filled}"),
    "missing": Text("；缺 {missing} 条未送达的记录", "; {missing} records still to be sent are missing"),
    "outdated": Text(
        "；{outdated} 从较早的断点继续，其后的件数由计数器补记",
        "; {outdated} go on from an earlier state, their counters tell what was made since",
    ),
    "anew": Text(
        "；{anew} 从新的基线开始，其间的件数无人计数",
        "; {anew} begin at a new baseline, nobody counted what was made meanwhile",
    ),
}
_WORDS: Mapping[str, Text] = {
    "not-running": Text("代理未运行；期间件数由 PLC 计数器保留", "the agent was not running; PLCs kept counting"),
    "clock-forward": Text(
        "时钟向前拨 {seconds} 秒，这段时间没有数据",
        "the clock was set forward by {seconds} s: there are no data of this time",
    ),
    "clock-back": Text(
        "时钟向后拨 {seconds} 秒，这段时间经历了两次",
        "the clock was set back by {seconds} s: this time was lived twice",
    ),
    "set-aside": Text(
        "存储文件损坏，已改名为 {file}，完好的内容移入新存储",
        "the store was damaged and moved to {file}, what is whole of it goes on in a new one",
    ),
    "set-aside-empty": Text(
        "存储文件损坏，已改名为 {file}，未能移入任何内容",
        "the store was damaged and moved to {file}, nothing of it could be carried over",
    ),
    "checksum": Text(
        "磁盘返回的记录校验不符，已隔离：seamline store quarantine list",
        "records came back from the disk with a wrong checksum and are set aside: seamline store quarantine list",
    ),
    "memory-full": Text("磁盘拒写期间内存不足，未能保存", "memory could not keep them while the disk took no data"),
    "store-full": Text(
        "存储已满，删除了 {points} 个点，以下数据库未收到：{databases}；请恢复上行链路或增大 store.max_bytes",
        "store full: {points} points dropped before these databases had them: {databases}; restore the uplink or raise "
        "store.max_bytes",
    ),
    "history": Text("当时没有听到", "not heard at the time"),
    "points-refused": Text(
        "数据库拒收，已隔离：seamline store quarantine list",
        "refused by the database and set aside: seamline store quarantine list",
    ),
    # of devices: reasons of their faults
    "refused": Text("拒绝连接", "refuses the connection"),
    "hung-up": Text("本端已断开", "this side hung up"),
    "tls": Text("TLS 握手失败", "the TLS handshake fails"),
    "certificate": Text("证书有问题", "something is wrong with a certificate"),
    "security": Text("安全策略不一致", "both sides do not agree on security"),
    "timeout": Text("没有按时应答", "no answer in time"),
    "silent": Text("不再响应", "no longer reacts"),
    "closed": Text("连接被对方关闭", "closed the connection"),
    "reset": Text("连接被复位", "the connection was reset"),
    "unreachable": Text("网络不可达", "the network cannot reach it"),
    "name": Text("主机名无法解析", "its name cannot be resolved"),
    "damaged": Text("应答的校验错误", "answers came damaged"),
    "garbage": Text("应答不符合协议", "what it answers is not the protocol"),
    "protocol": Text("应答不符合协议", "what it answers is not the protocol"),
    "collision": Text("线路上有另一个主站", "another master is on the line"),
    "port-missing": Text("串口不存在", "the serial port is missing"),
    "port-denied": Text("无权打开串口", "no right to open the serial port"),
    "port-busy": Text("串口被占用", "the serial port is in use"),
    "port-settings": Text("串口不支持该设置", "the serial port does not take these settings"),
    "port-lost": Text("串口消失或出错", "the serial port is gone or failed"),
    "stuck": Text("串口发不出数据", "the serial port does not send"),
}
