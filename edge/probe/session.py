"""One device under the probe: its tags, their layouts, the rounds so far, what they say.

`look` reads the surroundings of all tags; `round` takes what the person reads of one tag; `judge` says what is left;
`proof` reads every tag that has an answer once more, as the agent will.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from edge.clock import Clock
from edge.plan import ModbusDevice, SitePlan
from edge.probe.correction import Correction, Found
from edge.probe.judge import Glance, Judgement, Motion, Round, Value, Verdict, judge, together
from edge.probe.layouts import WINDOW, Layout, layouts
from edge.probe.look import Span, Surroundings
from edge.probe.shown import Shown
from protocols.modbus.tags import DataType, ModbusTag


class Advice(Enum):
    """What to look at where nothing fits, or too much."""

    NOTHING_READ = "nothing-read"  # every address around was refused
    ALL_ZERO = "all-zero"
    NOT_HERE = "not-here"
    LARGER = "larger"  # a larger value tells widths and orders apart
    SWITCH = "switch"  # a bit in its other state
    AGAIN = "again"  # another value of the same tag


@dataclass(slots=True)
class Subject:
    """One tag under the probe."""

    tag: ModbusTag
    title: str  # what people call it
    layouts: tuple[Layout, ...]
    motion: Motion
    rounds: list[Round] = field(default_factory=list)
    last: Glance | None = None  # what the layouts gave last
    judgement: Judgement | None = None  # None: nothing was said of it yet

    def advice(self) -> Advice | None:
        """What helps; None where there is one answer."""
        assert self.judgement is not None
        glance = self.rounds[-1].after
        if self.judgement.verdict is Verdict.ONE:
            return None
        if self.judgement.verdict is Verdict.SEVERAL:
            if self.tag.type is DataType.BOOL:
                return Advice.SWITCH
            small = all(one.shown.whole is not None and abs(one.shown.whole) < 65_536 for one in self.rounds)
            return Advice.LARGER if small and self.tag.type is not DataType.STRING else Advice.AGAIN
        if not any(glance.raws):
            return Advice.NOTHING_READ
        if not any(any(raw) for raw in glance.raws):
            return Advice.ALL_ZERO
        return Advice.NOT_HERE


@dataclass(frozen=True, slots=True)
class Proof:
    """One tag, read as the agent will read it."""

    name: str
    value: Value  # None: BAD, or refused
    holds: bool


class Session:
    """A device, its subjects, and the connection to it. `connect` before the first look, `close` in the end."""

    def __init__(
        self,
        plan: SitePlan,
        device: ModbusDevice,
        tags: Sequence[ModbusTag],
        clock: Clock,
        window: int = WINDOW,
        titles: Mapping[str, str] | None = None,
    ) -> None:
        self.device = device
        self.window = window
        names = titles or {}
        self.subjects = tuple(
            Subject(
                tag,
                names.get(tag.name, tag.name),
                layouts(tag, device.addresses, window),
                _motion(plan, device, tag),
            )
            for tag in tags
        )
        self.surroundings = Surroundings(device, [(one.tag, one.layouts) for one in self.subjects], clock)

    async def connect(self) -> None:
        """Raises ModbusError."""
        await self.surroundings.connect()

    def close(self) -> None:
        """Hang up."""
        self.surroundings.close()

    @property
    def refused(self) -> tuple[Span, ...]:
        """Addresses around the tags that the device refuses."""
        return self.surroundings.refused

    async def look(self) -> None:
        """What every layout of every subject gives now. Raises ModbusError."""
        for subject, glance in zip(self.subjects, await self.surroundings.look(), strict=True):
            subject.last = glance

    def round(self, subject: Subject, shown: Shown, before: Glance | None = None, ago_s: float = 0.0) -> None:
        """The person read `shown`: since `before` was looked at, or at most `ago_s` before the last look."""
        assert subject.last is not None
        subject.rounds.append(Round(shown, subject.last, before, ago_s))

    def judge(self) -> None:
        """Judge every subject of which something was said, alone and then together."""
        spoken = [subject for subject in self.subjects if subject.rounds]
        alone = [judge(subject.layouts, subject.rounds, subject.motion) for subject in spoken]
        for subject, judgement in zip(spoken, together([one.tag for one in spoken], alone), strict=True):
            subject.judgement = judgement

    def found(self) -> list[Found]:
        """The subjects that have one answer."""
        return [
            Found(one.tag, one.judgement.answer.layout)
            for one in self.subjects
            if one.judgement is not None and one.judgement.answer is not None
        ]

    async def proof(self, correction: Correction | None) -> list[Proof]:
        """Read every tag that has an answer by the decoder the (corrected) site gives it. Raises ModbusError.

        It holds where that is what its layout gave just before or gives just after, or lies in between.
        """
        answered = [one for one in self.subjects if one.judgement is not None and one.judgement.answer is not None]
        await self.look()
        before = {one.tag.name: _answer(one) for one in answered}
        read: dict[str, Value] = {}
        for one in answered:
            tag = one.tag if correction is None else correction.tag(self.device.id, one.tag.name)
            read[one.tag.name] = await self.surroundings.read_tag(tag)
        await self.look()
        return [
            Proof(one.tag.name, value := read[one.tag.name], _between(before[one.tag.name], value, _answer(one)))
            for one in answered
        ]


def _answer(subject: Subject) -> Value:
    """What the layout that is the answer gave last."""
    assert subject.judgement is not None
    assert subject.last is not None
    answer = subject.judgement.answer
    return None if answer is None else subject.last.values[answer.place]


def _between(before: Value, value: Value, after: Value) -> bool:
    if value is None or before is None or after is None:
        return False
    if isinstance(value, str) or isinstance(before, str) or isinstance(after, str):
        return value in (before, after)
    return min(before, after) <= value <= max(before, after)


def _motion(plan: SitePlan, device: ModbusDevice, tag: ModbusTag) -> Motion:
    """How a tag moves, where a machine counts by it."""
    for machine in plan.machines:
        for rule in machine.counters:
            signal = machine.signals[rule.signal]
            if signal.device == device.index and device.tags[signal.tag].name == tag.name:
                return Motion(rule.max_rate_per_s / rule.multiplier, rule.modulus)
    return Motion()
