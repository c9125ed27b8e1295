"""What every tag of the templates reads on a simulated machine, by tag name.

Theory. A tag is a function of the machine as it is at one instant (`View`). Functions are pure, so two reads of one
instant agree, and nothing has to be stepped. Counters are not here: their registers come from the plan's counter rules.

Rules. Speeds and temperatures are those of the machine's own clock: at twenty times real speed a mask line still shows
100 pieces per minute, like a film played fast. A name nobody knows reads 0, and the printed tag table says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from edge.simulate.conditions import FACES, Condition, StatusBit
from edge.simulate.noise import noise
from edge.simulate.parameters import MINUTE, SECOND, fault_code, parameters_of
from edge.simulate.plant import SimulatedMachine
from ext.buckets import Bucket

Value = int | float | str
Reading = Callable[["View"], Value]

_AMBIENT_C = 22.0
_COOLING_NS = 12 * MINUTE
_SUIT_SEAM_M = 16.0
_REEL_M = 200.0
_NO_ORDER = fault_code("X04")
_STOPPED = (Condition.IDLE, Condition.HANDOVER)


class View:
    """One machine at one instant (its `process.now_ns`)."""

    __slots__ = ("code", "condition", "cycles", "good", "machine", "now_ns", "reject", "since_ns")

    def __init__(self, machine: SimulatedMachine) -> None:
        self.machine = machine
        self.now_ns = machine.process.now_ns
        self.condition, self.code, self.since_ns = machine.process.history.current()
        self.cycles, self.good, self.reject = machine.process.counts()

    @property
    def running(self) -> bool:
        """True while it makes pieces."""
        return self.condition is Condition.RUN

    @property
    def faulty(self) -> bool:
        """True while the fault lamp is on."""
        return self.condition in (Condition.MINOR, Condition.BREAKDOWN)

    @property
    def done(self) -> float:
        """Cycles, the one in the machine included as a fraction."""
        return self.cycles + self.machine.process.progress()

    def wander(self, name: str, middle: float, swing: float) -> float:
        """A measurement around `middle`, at most `swing` away."""
        return middle + swing * noise(f"{self.machine.plan.id}/{name}", self.now_ns)

    def seconds(self, bucket: Bucket) -> int:
        """Hours counter of the PLC: seconds spent in a bucket since power-on, by the machine's clock."""
        scale = self.machine.scale
        spent = self.machine.process.history.bucket_ns(0, scale.real_ns(self.now_ns))[bucket]
        return scale.machine_ns(spent) // SECOND


def _shown_code(view: View) -> int:
    return _NO_ORDER if view.condition in _STOPPED else view.code


def _bit(bit: StatusBit) -> Reading:
    return lambda view: bit in FACES[view.condition].bits


def _alarm(*labels: str) -> Reading:
    codes = frozenset(map(fault_code, labels))
    return lambda view: view.code in codes


def _share_of_rejects(low: float, high: float) -> Reading:
    """One reason's part of all rejects; the parts add up exactly. 16-bit, so it rolls over like the others."""
    return lambda view: (int(view.reject * high) - int(view.reject * low)) & 0xFFFF


def _power(name: str) -> Reading:
    return lambda view: view.wander(name, 950, 140) if view.running else view.wander(name, 12, 8)


def _around(name: str, middle: float, swing: float, standing: float | None = None) -> Reading:
    if standing is None:
        return lambda view: view.wander(name, middle, swing)
    return lambda view: view.wander(name, middle if view.running else standing, swing if view.running else swing / 4)


def _roll(name: str, cycles: int, phase: float) -> Reading:
    """A roll's diameter: the area of the spiral shrinks in proportion to the material used; then a new roll."""

    def read(view: View) -> float:
        used = (view.done / cycles + phase) % 1.0
        return math.sqrt(700**2 - (700**2 - 120**2) * used) + view.wander(name, 0, 1)

    return read


def _ramp(view: View, final: float) -> float:
    """Heating up, at temperature, or cooling down with the heater off."""
    process = view.machine.process
    if view.condition is Condition.HEATING or process.warmth() < 1:
        return _AMBIENT_C + (final - _AMBIENT_C) * (1 - math.exp(-3 * process.warmth())) / (1 - math.exp(-3))
    if view.condition is Condition.BREAKDOWN and view.code == fault_code("T02"):
        return _AMBIENT_C + (final - _AMBIENT_C) * math.exp(-(view.now_ns - view.since_ns) / _COOLING_NS)
    return final


def _set_point(view: View) -> float:
    return parameters_of(view.machine.plan.kind).temperature_c


def _temperature(name: str, swing: float) -> Reading:
    return lambda view: view.wander(name, _ramp(view, _set_point(view)), swing)


def _speed_set(view: View) -> float:
    if view.machine.plan.kind.startswith("tape"):
        return 12.0
    product = view.machine.plan.products[view.machine.plan.product_default]
    return 60 * SECOND / product.ideal_cycle_ns


def _speed(view: View) -> float:
    if not view.running:
        return 0.0
    if view.machine.plan.kind.startswith("tape"):
        return view.wander("speed", 11.4, 0.8)
    return view.machine.process.rate_per_min * view.machine.per_cycle


def _product_code(view: View) -> int:
    return view.machine.plan.products[view.machine.plan.product_default].code or 1


def _since_clear(view: View) -> int:
    clears = view.machine.process.counters.clears
    return (view.now_ns - (clears[-1] if clears else 0)) // SECOND


_STATUS: dict[str, Reading] = {
    "ready": _bit(StatusBit.READY),
    "run": _bit(StatusBit.RUN),
    "starved": _bit(StatusBit.STARVED),
    "blocked": _bit(StatusBit.BLOCKED),
    "fault": _bit(StatusBit.FAULT),
    "estop": _alarm("E01"),
    "guard_open": _alarm("E02"),
    "manual": _bit(StatusBit.MANUAL),
    "auto": _bit(StatusBit.AUTO),
    "heating": _bit(StatusBit.HEATING),
    "changeover": _bit(StatusBit.CHANGEOVER),
    "material_out": _bit(StatusBit.MATERIAL_OUT),
    "air_low": _alarm("T03"),
    "cycle_active": _bit(StatusBit.CYCLE),
    "heartbeat": lambda view: view.now_ns // SECOND % 2 == 1,
    "state": lambda view: FACES[view.condition].state,
    "mode": lambda _: 1,
    "fault_code": _shown_code,
    "fault_word_1": lambda view: 1 << (view.code & 15) if view.faulty else 0,
    "speed": _speed,
    "speed_set": _speed_set,
    "design_speed": _speed_set,
    "product_id": _product_code,
    "shift": lambda view: 1 + view.machine.process.counters.resets % 3,
    "run_s": lambda view: view.seconds(Bucket.RUN),
    "fault_s": lambda view: view.seconds(Bucket.BREAKDOWN) + view.seconds(Bucket.INTERNAL_MINOR),
    "operator": lambda view: 1001 + view.machine.plan.index,
    "acc_time": _since_clear,
}

_PACKML_TIMES: dict[str, tuple[Bucket, ...]] = {  # by the state that each condition shows
    "starting_s": (Bucket.STARTUP,),
    "idle_s": (Bucket.NO_ORDER,),
    "suspended_s": (Bucket.EXTERNAL_STARVED, Bucket.EXTERNAL_BLOCKED),
    "execute_s": (Bucket.RUN,),
    "aborted_s": (Bucket.BREAKDOWN,),
    "held_s": (Bucket.INTERNAL_MINOR, Bucket.SETUP),
}


def _sum_of_seconds(buckets: tuple[Bucket, ...]) -> Reading:
    return lambda view: sum(map(view.seconds, buckets))


_BROKEN, _MACHINE, _CLEARED, _RUNNING = (8, 9), (1, 2, 7), 19, 18  # states outside Running; what else the outer two say


def _nested(view: View) -> tuple[int, int, int]:
    """Base, machine and execute state machine of OPC 30050; 0 where one is not active."""
    state = FACES[view.condition].state
    if state in _BROKEN:
        return state, 0, 0
    return (_CLEARED, state, 0) if state in _MACHINE else (_CLEARED, _RUNNING, state)


_PACKML: dict[str, Reading] = {
    **{name: _sum_of_seconds(buckets) for name, buckets in _PACKML_TIMES.items()},
    "base_state": lambda view: _nested(view)[0],
    "machine_state": lambda view: _nested(view)[1],
    "execute_state": lambda view: _nested(view)[2],
    "consumed": lambda view: view.cycles,
}

_TAPE: dict[str, Reading] = {
    "temperature": _temperature("temperature", 4),
    "temperature_set": _set_point,
    "air_pressure": lambda view: view.wander("air_pressure", 0.03 if view.code == fault_code("T03") else 0.12, 0.008),
    "air_flow": _around("air_flow", 120, 6, standing=20),
    "tape_tension": lambda view: view.wander("tape_tension", 0.4 if view.code == fault_code("T05") else 6.0, 0.35),
    "roller_difference": _around("roller_difference", 2, 1),
    "seam_length": lambda view: view.done * _SUIT_SEAM_M,
    "tape_left": lambda view: _REEL_M - view.done * _SUIT_SEAM_M % _REEL_M,
    "nozzle_in": lambda view: view.running,
    "pedal": lambda view: view.running and view.now_ns // (4 * SECOND) % 3 > 0,
    "roller_down": lambda view: view.running and view.now_ns // (4 * SECOND) % 3 > 0,
}

_MASK: dict[str, Reading] = {
    **{f"us_power_{n}": _power(f"us_power_{n}") for n in (1, 2, 3, 4)},
    **{f"us_frequency_{n}": _around(f"us_frequency_{n}", 19_950, 40) for n in (1, 2)},
    **{f"web_tension_{n}": _around(f"web_tension_{n}", 8 + n, 0.8, standing=3) for n in (1, 2, 3)},
    **{f"roll_diameter_{n}": _roll(f"roll_diameter_{n}", 9_000, 0.27 * n) for n in (1, 2, 3)},
    "reject_vision": _share_of_rejects(0, 0.2),
    "reject_nose": _share_of_rejects(0.2, 0.4),
    "reject_ear_left": _share_of_rejects(0.4, 0.5),
    "reject_ear_right": _share_of_rejects(0.5, 0.6),
    "reject_fold": _share_of_rejects(0.6, 1.0),
    "nose_jam": _alarm("M01"),
    "web_break": _alarm("M02"),
    "splice": _alarm("M03"),
    "ear_left_miss": _alarm("M06"),
    "ear_left_weld": _alarm("M07"),
    "flip_jam": _alarm("M08"),
    "us_overload": _alarm("M05"),
    "out_full": _bit(StatusBit.BLOCKED),
    "ear_1_count": lambda view: view.good - view.good // 2,
    "ear_2_count": lambda view: view.good // 2,
    "print_mark_error": _alarm("K03"),
    "valve_weld": _alarm("K04"),
    "fold_error": _alarm("K01", "M04"),
    "scrap_wind": _alarm("K02"),
    "edge_us_power": _power("edge_us_power"),
    "die_temperature": _temperature("die_temperature", 1.5),
    "servo_alarms": lambda view: 1 << view.machine.plan.index % 20 if view.code == fault_code("M10") else 0,
}

_SUIT: dict[str, Reading] = {
    "wip": lambda view: round(view.wander("wip", 3 if view.condition is Condition.STARVED else 24, 3)),
    "staff": lambda view: 0 if view.condition in _STOPPED else 8,
    "rework": lambda view: view.reject * 3 // 4,
    "received": lambda view: view.cycles + 24,
}

# One batch: phase number, share of the cycle at which it ends, and what the chamber goes to in it (°C, %RH, kPa, mg/L).
_PHASES = (
    (2, 0.06, 46.0, 30.0, -75.0, 0.0),  # vacuum and leak test
    (3, 0.25, 50.0, 60.0, -60.0, 0.0),  # conditioning: heat and humidity
    (4, 0.30, 51.0, 55.0, -12.0, 600.0),  # ethylene oxide in
    (5, 0.75, 50.0, 52.0, -10.0, 560.0),  # exposure
    (6, 1.00, 46.0, 35.0, -30.0, 15.0),  # evacuation and air washes
)
_UNLOAD, _STAND = 7, 0
_OPEN_DOOR = (38.0, 45.0, 0.0, 0.0)


def _phase(view: View) -> int:
    if view.condition is Condition.SETUP:
        return _UNLOAD
    if view.condition in _STOPPED:
        return _STAND
    progress = view.machine.process.progress()
    return next((number for number, end, *_ in _PHASES if progress < end), _PHASES[-1][0])


def _chamber(name: str, column: int, swing: float) -> Reading:
    """From the level of the phase before to the level of this one, most of the way in the first third of the phase."""

    def read(view: View) -> float:
        number = _phase(view)
        if number in (_UNLOAD, _STAND):
            return view.wander(name, _OPEN_DOOR[column], swing / 4)
        progress = view.machine.process.progress()
        begin, start = 0.0, _OPEN_DOOR[column]
        for phase, end, *levels in _PHASES:
            if phase == number:
                inside = (progress - begin) / (end - begin)
                return view.wander(name, start + (levels[column] - start) * (1 - math.exp(-6 * inside)), swing)
            begin, start = end, levels[column]
        return start

    return read


def _phase_elapsed(view: View) -> int:
    number = _phase(view)
    begin = 0.0
    for phase, end, *_ in _PHASES:
        if phase == number:
            cycle_ns = view.machine.process.cycle_ns
            return max(0, round((view.machine.process.progress() - begin) * cycle_ns / SECOND))
        begin = end
    return (view.now_ns - view.since_ns) // SECOND


_EO: dict[str, Reading] = {
    "chamber_temperature": _chamber("chamber_temperature", 0, 0.6),
    "chamber_humidity": _chamber("chamber_humidity", 1, 1.5),
    "chamber_pressure": _chamber("chamber_pressure", 2, 0.4),
    "eo_concentration": lambda view: max(0.0, float(_chamber("eo_concentration", 3, 6)(view))),
    "phase": _phase,
    "phase_elapsed": _phase_elapsed,
    "batch_id": lambda view: 26_000 + view.cycles + 1,
    "leak_rate": _around("leak_rate", 12, 4),
}

READINGS: dict[str, Reading] = {**_STATUS, **_TAPE, **_MASK, **_SUIT, **_EO, **_PACKML}

_NOT_EXECUTING, _EXECUTING, _OUT_OF_SERVICE = 2, 3, 1
_MACHINERY: dict[str, Reading] = {  # OPC 40001-1 numbers its states and modes in its own way
    "state": lambda view: (
        _EXECUTING if view.running else _OUT_OF_SERVICE if view.condition is Condition.BREAKDOWN else _NOT_EXECUTING
    ),
    "mode": lambda view: 2 if view.condition is Condition.SETUP else 0 if view.condition in _STOPPED else 3,
    "power_on": lambda view: float(view.now_ns // 1_000_000),
}


def reading_of(kind: str, name: str) -> Reading | None:
    """How to read a tag of a machine kind; None where the simulation knows nothing of that name."""
    if kind.startswith("machinery") and name in _MACHINERY:
        return _MACHINERY[name]
    return READINGS.get(name)
