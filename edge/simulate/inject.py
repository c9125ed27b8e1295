"""Faults on order: what can be made to go wrong, with what, and how a person or a program asks for it.

Two ways to say the same: JSON (`POST /inject`) and one short string (`--inject`), for example

    server-down:plc-3:for=5@20        20 s after the start the server of device plc-3 dies; 5 s later it is back
    exception:plc-1:code=6,for=10     device plc-1 answers "server device busy" for 10 s, from now on
    reset:mask-2                      somebody clears the counters of machine mask-2, now

    {"kind": "server-down", "target": "plc-3", "for_s": 5, "after_s": 20}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

from edge.errors import SeamlineError, Text

SECOND_NS = 1_000_000_000


class Fault(StrEnum):
    """What can be injected. The first two strike a machine, the others a device."""

    RESET = "reset"  # the counters are cleared on the panel, mid-run
    BREAKDOWN = "breakdown"  # the machine breaks down with `code`
    SERVER_DOWN = "server-down"  # connections reset, port refused, then back
    DELAY = "delay"  # every reply waits `delay_ms`, and the next request waits behind it
    LATE = "late"  # replies leave `delay_ms` late, out of order, while later requests are answered at once
    NO_REPLY = "no-reply"  # requests are swallowed
    EXCEPTION = "exception"  # every request is answered with exception `code`
    FREEZE = "freeze"  # replies keep the memory of now while the machine runs on
    WRONG_TRANSACTION = "wrong-transaction"  # replies carry another transaction id
    TRUNCATE = "truncate"  # replies lose their last bytes
    BAD_QUALITY = "bad-quality"  # OPC UA values turn Bad (a sensor failed)


OF_MACHINE = frozenset((Fault.RESET, Fault.BREAKDOWN))
MODBUS_ONLY = frozenset(
    (Fault.DELAY, Fault.LATE, Fault.NO_REPLY, Fault.EXCEPTION, Fault.WRONG_TRANSACTION, Fault.TRUNCATE)
)
OPCUA_ONLY = frozenset((Fault.BAD_QUALITY,))


class InjectionError(SeamlineError):
    """The order cannot be carried out: unknown fault or target, or a number that makes no sense."""


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault, resolved: it strikes `target` from `at_ns` (UTC) for `for_ns`."""

    kind: Fault
    target: str
    at_ns: int
    for_ns: int
    delay_ms: int = 0
    code: int = 0

    def active(self, now_ns: int) -> bool:
        """True inside [at, at + for)."""
        return self.at_ns <= now_ns < self.at_ns + self.for_ns

    def to_json(self) -> dict[str, str | int]:
        """As it stands in the journal."""
        return {**asdict(self), "kind": str(self.kind)}


_NUMBERS: dict[str, tuple[float, float, float]] = {  # name: default, least, most
    "for_s": (5.0, 0.0, 86_400.0),
    "after_s": (0.0, 0.0, 86_400.0),
    "delay_ms": (1_500.0, 0.0, 600_000.0),
    "code": (0.0, 0.0, 65_535.0),
}
_DEFAULT_CODE = {Fault.EXCEPTION: 4, Fault.BREAKDOWN: 210}


def injection_of(order: Mapping[str, object], now_ns: int, knows: Callable[[Fault, str], str | None]) -> Injection:
    """The injection an order means.

    `knows(fault, target)` answers None or why the target cannot take this fault. Raises `InjectionError`.
    """
    unknown = set(order) - {"kind", "target", *_NUMBERS}
    if unknown:
        raise _refusal(f"未知字段 {sorted(unknown)}", f"unknown fields {sorted(unknown)}; known: {sorted(_NUMBERS)}")
    try:
        kind = Fault(str(order.get("kind", "")))
    except ValueError:
        names = ", ".join(Fault)
        raise _refusal(
            f"未知故障 {order.get('kind')!r}，可用：{names}", f"unknown fault {order.get('kind')!r}; known: {names}"
        ) from None
    target = str(order.get("target", ""))
    if why := knows(kind, target):
        raise _refusal(why, why)
    number = {name: _number(order, name) for name in _NUMBERS}
    return Injection(
        kind=kind,
        target=target,
        at_ns=now_ns + round(number["after_s"] * SECOND_NS),
        for_ns=round(number["for_s"] * SECOND_NS),
        delay_ms=round(number["delay_ms"]),
        code=round(number["code"]) or _DEFAULT_CODE.get(kind, 0),
    )


def order_of(text: str) -> dict[str, object]:
    """The order in a `--inject` string: `KIND:TARGET[:name=value,…][@SECONDS]`. Raises `InjectionError`."""
    head, at, after = text.partition("@")
    kind, _, rest = head.partition(":")
    target, _, pairs = rest.partition(":")
    order: dict[str, object] = {"kind": kind.strip(), "target": target.strip()}
    if at:
        order["after_s"] = after
    for pair in filter(None, pairs.split(",")):
        name, equals, value = pair.partition("=")
        if not equals:
            raise _refusal(f"“{pair}”应写成 名称=值", f"{pair!r} should read name=value")
        name = name.strip()
        order["for_s" if name == "for" else "after_s" if name == "after" else name] = value
    return order


def injection_from_json(stored: Mapping[str, str | int]) -> Injection:
    """Back from the journal."""
    return Injection(
        kind=Fault(str(stored["kind"])),
        target=str(stored["target"]),
        at_ns=int(stored["at_ns"]),
        for_ns=int(stored["for_ns"]),
        delay_ms=int(stored["delay_ms"]),
        code=int(stored["code"]),
    )


def _number(order: Mapping[str, object], name: str) -> float:
    default, least, most = _NUMBERS[name]
    value = order.get(name, default)
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else None
    except ValueError:
        number = None
    if number is None or not least <= number <= most:
        raise _refusal(
            f"{name} = {value!r} 应为 {least:g} 到 {most:g} 之间的数",
            f"{name} = {value!r}: expected {least:g} to {most:g}",
        )
    return number


def _refusal(zh: str, en: str) -> InjectionError:
    return InjectionError(str(Text(zh, en)))
