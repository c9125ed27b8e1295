"""One machine's readings as lines, in the order in which its ledger heard of them.

Theory. A ledger is made from what was read, when, and in which order it came. So a tape notes just that and leaves
nothing out: a value that did not change is one that was read again, and that is what keeps it from growing stale.
Packed, such lines shrink to a tenth.

Rules. What waits to be written is bounded; beyond it readings are dropped and counted.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge.machines.signals import used_signals
from edge.plan import Machine
from protocols.reading import Quality

LINES_LIMIT = 4_000  # waiting lines of a machine, some 400 kB: minutes of a disk that does not answer

_WORD: dict[int, str] = {Quality.GOOD: "good", Quality.UNCERTAIN: "uncertain"}


class Tape:
    """Writes down one machine. `note` whatever was read of it, `take` once a commit."""

    def __init__(self, machine: Machine) -> None:
        used = sorted(used_signals(machine))
        late_max_ns = {rule.signal: rule.slack_ns for rule in machine.counters}
        self._heads = {index: f",{machine.id},{machine.signals[index].name}," for index in used}
        self._tails = {index: f",{late_max_ns.get(index, 0)},0\n" for index in used}
        self._waiting_tails = {index: f",{late_max_ns.get(index, 0)},1\n" for index in used}
        self._nothing = f",{machine.id},,,bad,0,0\n"
        self._lines: list[str] = []
        self.dropped = 0  # readings that were not written, since the process began

    def note(self, t_ns: int, readings: Sequence[int], *, samples: bool) -> None:
        """What was read at `t_ns`: flat, three numbers each: index into Machine.signals, raw integer, Quality.

        samples: the ledger took a sample then; otherwise the readings waited for the next one.
        """
        lines = self._lines
        if len(lines) >= LINES_LIMIT:
            self.dropped += len(readings) // 3
            return
        heads, tails = self._heads, self._tails if samples else self._waiting_tails
        for at in range(0, len(readings), 3):
            index, value, quality = readings[at : at + 3]
            word = _WORD.get(quality)
            said = f"{value},{word}" if word else ",bad"
            lines.append(f"{t_ns}{heads[index]}{said}{tails[index]}")
        if samples and not readings:
            lines.append(f"{t_ns}{self._nothing}")

    def take(self) -> list[str]:
        """The lines since the last call."""
        taken, self._lines = self._lines, []
        return taken
