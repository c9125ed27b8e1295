"""The recordings of a site: tapes on the event loop, files in a thread, one write a commit.

Rules. `take` is called in the step of the loop that gathers a commit, `write` before that commit; what `write` returns
is committed with it. So the files hold at least what the store explains, and what they hold beyond it is cut at the
next start. A machine whose files cannot be written is off: what it would have recorded is dropped and counted, it is
said once, and it is tried again after a while. The agent goes on in any case.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.clock import Clock
from edge.errors import Text
from edge.logs import facts
from edge.machines.life import MachineLife
from edge.plan import RecordingPlan, SitePlan
from edge.recording.lines import folder_of
from edge.recording.segments import Position, Segments
from edge.recording.tape import Tape
from edge.snapshot import RecordingView

log = logging.getLogger(__name__)

RETRY_NS = 60_000_000_000
META_POSITION = "recording:"  # + machine id: where its recording was at the commit


@dataclass(slots=True)
class _Machine:
    id: str
    tape: Tape
    segments: Segments
    position: Position | None = None  # of the last commit that is known
    opened: bool = False
    dropped: int = 0  # taken lines that could not be written
    error: str = ""  # why it is off
    retry_ns: int = 0  # monotonic


class Recording:
    """Writes what the tapes noted. `begin` with what the store remembers, then `take` and `write` with every commit."""

    def __init__(self, plans: Sequence[RecordingPlan], tapes: Mapping[str, Tape], store: Path, clock: Clock) -> None:
        """`tapes`: by machine id, for every machine of `plans`; `store`: the agent's, the recordings lie beside it."""
        self._clock = clock
        self._machines = [
            _Machine(plan.machine, tapes[plan.machine], Segments(folder_of(store) / plan.machine, plan.max_bytes))
            for plan in plans
        ]

    def begin(self, meta: Mapping[str, str]) -> None:
        """`meta`: of the store, as of its last commit."""
        for machine in self._machines:
            machine.position = Position.parse(meta.get(META_POSITION + machine.id, ""))

    def take(self) -> list[list[str]]:
        """The lines since the last call, by machine."""
        return [machine.tape.take() for machine in self._machines]

    async def write(self, taken: list[list[str]]) -> tuple[tuple[str, str], ...]:
        """Lines of one `take`, to the files; returns what is to be committed with what they explain.

        Never raises: what cannot be written is counted, and said once.
        """
        now_ns = self._clock.monotonic_ns()
        work: list[tuple[_Machine, bytes]] = []
        for machine, lines in zip(self._machines, taken, strict=True):
            if machine.error and now_ns < machine.retry_ns:
                machine.dropped += len(lines)
            elif lines or not machine.opened:
                work.append((machine, "".join(lines).encode()))
        if work:
            for (machine, text), error in zip(work, await asyncio.to_thread(_written, work), strict=True):
                if error is not None:
                    machine.dropped += text.count(b"\n")
                    self._stop(machine, error, now_ns)
                elif machine.error:
                    machine.error = ""
                    log.info("recording goes on", extra=facts(machine=machine.id, dropped=machine.dropped))
        return tuple(
            (META_POSITION + machine.id, str(machine.position)) for machine in self._machines if machine.position
        )

    def _stop(self, machine: _Machine, error: OSError, now_ns: int) -> None:
        machine.retry_ns = now_ns + RETRY_NS
        if not machine.error:
            text = Text(
                f"读数录制暂停（{error.strerror}）；采集与计数不受影响，有空间后自动继续",
                f"the recording stops ({error.strerror}); sampling and counting go on, it begins again when there is "
                "room",
            )
            log.error("recording", extra=facts(machine=machine.id, detail=str(text)))
        machine.error = error.strerror or str(error)

    def views(self) -> tuple[RecordingView, ...]:
        """For metrics."""
        return tuple(
            RecordingView(m.id, m.segments.size_bytes, m.tape.dropped + m.dropped, m.error) for m in self._machines
        )


def record(plan: SitePlan, lives: Sequence[MachineLife], clock: Clock) -> Recording | None:
    """Put a tape on every machine that is to be recorded; None where none is."""
    if not plan.recordings:
        return None
    wanted = {recording.machine for recording in plan.recordings}
    tapes = {life.machine.id: Tape(life.machine) for life in lives if life.machine.id in wanted}
    for life in lives:
        life.tape = tapes.get(life.machine.id)
    return Recording(plan.recordings, tapes, Path(plan.agent.store_path), clock)


def _written(work: Sequence[tuple[_Machine, bytes]]) -> list[OSError | None]:
    """In a thread: what each machine's files said."""
    return [_write(machine, lines) for machine, lines in work]


def _write(machine: _Machine, lines: bytes) -> OSError | None:
    try:
        if not machine.opened:
            machine.segments.open(machine.position)
            machine.opened = True
        if lines:
            machine.segments.append(lines)
        machine.position = machine.segments.position
    except OSError as error:
        machine.opened = False  # and cut to its last position when it is tried again
        return error
    return None
