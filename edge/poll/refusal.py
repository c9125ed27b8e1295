"""What people are told of tags a device does not give, and of a device that is slow. No state."""

from __future__ import annotations

from collections.abc import Sequence

from edge.errors import Text
from edge.poll.block import MUTE
from protocols.modbus.errors import EXCEPTION_CODES

NAMED = 20  # tags in one text; `seamline check --learned` and the metrics name all
SLOW = Text(
    "多次未在 deadline 内应答，已放慢询问；检查 PLC 扫描周期、网络，或加大 deadline_s、减少变量",
    "misses its deadline again and again and is asked more slowly; look at its scan time and the network, raise "
    "deadline_s or read less",
)
_LEFT = Text(
    "其余变量不受影响。检查地址与设备程序（配置侧）",
    "its other tags are read as before. Check address and PLC program (configuration)",
)
_NOTHING_LEFT = Text(
    "已没有可读的变量。检查站号、型号模板与地址表（配置侧）",
    "nothing is left that can be read. Check unit id, template and table (configuration)",
)


def refusal(code: int, names: Sequence[str], *, nothing_left: bool) -> Text:
    """Which tags, why (an exception's code, or MUTE), and what to do about it."""
    more = len(names) - NAMED
    listed = ", ".join(names[:NAMED])
    zh = f"设备拒绝读取 {listed}" + (f" 等 {len(names)} 个变量" if more > 0 else "")
    en = f"the device refuses {listed}" + (f" and {more} more" if more > 0 else "")
    why, then = _why(code), _NOTHING_LEFT if nothing_left else _LEFT
    return Text(f"{zh}（{why.zh}）；{then.zh}", f"{en} ({why.en}); {then.en}")


def _why(code: int) -> Text:
    if code == MUTE:
        return Text("对其请求不作应答", "no answer to requests for it")
    known = EXCEPTION_CODES.get(code)
    if known is None:
        return Text(f"异常 {code}", f"exception {code}")
    return Text(f"异常 {code}：{known.zh}", f"exception {code}: {known.en}")
