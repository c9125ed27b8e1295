"""How each machine kind behaves: one table of rates, durations and fault mixes. Data only.

Sources: engineering values for lines of this class, seeded by published outputs of early 2020 (100 to 150 suits per
tape machine and day, 100 masks per minute and line). Times are machine time. `clock` of a hazard is the machine's
*running* time: a machine that stands does not wear. A stop's length is log-normal around its mean, because repairs
have a long tail.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge.simulate.conditions import Condition

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason of a stop: the first-out fault code of the PLC, its share, how long it lasts on average."""

    code: int  # 0 = the PLC shows no code
    label: str  # as printed on the fault list, e.g. "T05"
    share: float
    mean_ns: int
    cools: bool = False  # the heater is off meanwhile, so the machine must heat up again


@dataclass(frozen=True, slots=True)
class Hazard:
    """Something that stops a running machine again and again."""

    condition: Condition
    low_ns: int  # running time between two occurrences: uniform in [low, high] …
    high_ns: int
    causes: tuple[Cause, ...]
    exponential: bool = True  # … or exponential with mean (low + high) / 2: breakdowns have no memory, reels do


@dataclass(frozen=True, slots=True)
class Parameters:
    """One machine kind."""

    ideal_cycle_ns: int  # per piece, where the site file names no product
    hazards: tuple[Hazard, ...]
    pace: tuple[float, float]  # actual cycle / ideal cycle, uniform, drawn anew for every spell
    spell_ns: int  # how long one pace lasts; a spell is at least one cycle
    reject_new: float  # share of rejects while the line is being run in
    reject_mature: float
    learning_ns: int  # time constant of the learning curve
    age_ns: int  # how long the line has been in use when the simulation starts
    start_reject: (
        float  # share of rejects in the first `start_cycles` cycles after a cold start or a change of material
    )
    start_cycles: int
    warmup_ns: tuple[int, int]  # heat-up from cold, uniform
    temperature_c: float  # set point of the heated part; 0 = nothing is heated
    first_left: tuple[float, float] = (0.2, 1.0)  # of the piece in the machine at power-on: the share still to do
    unload: Cause | None = None  # batch machines: what follows every cycle


def _minor(per_hour: float, *causes: Cause) -> Hazard:
    return Hazard(Condition.MINOR, 0, round(2 * HOUR / per_hour), causes)


def _breakdown(mtbf_h: float, *causes: Cause) -> Hazard:
    return Hazard(Condition.BREAKDOWN, 0, round(2 * mtbf_h * HOUR), causes)


def _change(low_min: float, high_min: float, *causes: Cause) -> Hazard:
    return Hazard(Condition.SETUP, round(low_min * MINUTE), round(high_min * MINUTE), causes, exponential=False)


def _wait(condition: Condition, every_min: float, mean_s: float, code: int = 0, label: str = "") -> Hazard:
    return Hazard(condition, 0, round(2 * every_min * MINUTE), (Cause(code, label, 1.0, round(mean_s * SECOND)),))


def _cause(label: str, share: float, minutes: float, *, cools: bool = False) -> Cause:
    return Cause(fault_code(label), label, share, round(minutes * MINUTE), cools)


_FAMILY = {"T": 100, "M": 200, "K": 300, "S": 400, "X": 800, "E": 900}


def fault_code(label: str) -> int:
    """The number a PLC shows for a fault of the list: T05 is 105, M01 is 201, K03 is 303, E01 is 901, X04 is 804."""
    return _FAMILY[label[0]] + int(label[1:])


TAPE = Parameters(
    ideal_cycle_ns=6 * MINUTE,
    hazards=(
        _breakdown(
            20, _cause("T02", 12, 32, cools=True), _cause("T03", 8, 13), _cause("T04", 10, 16), _cause("T07", 6, 38)
        ),
        _minor(6, _cause("T05", 18, 0.6), _cause("T06", 12, 0.8), _cause("E01", 2, 0.5), _cause("E02", 1, 0.5)),
        _change(25, 90, _cause("T01", 1, 2.25)),
        _wait(Condition.STARVED, 25, 110, fault_code("T08"), "T08"),
    ),
    pace=(1.15, 1.65),  # a person turns the garment: garment handling, not roller speed, sets the pace
    spell_ns=0,
    reject_new=0.075,
    reject_mature=0.02,
    learning_ns=8 * DAY,
    age_ns=60 * DAY,
    start_reject=0.05,
    start_cycles=2,
    warmup_ns=(3 * MINUTE, 8 * MINUTE),
    temperature_c=450.0,
)

_MASK_MINOR = (
    _cause("M01", 16, 0.45),
    _cause("M02", 12, 0.65),
    _cause("M06", 18, 0.33),
    _cause("M08", 10, 0.33),
    _cause("E01", 2, 0.4),
    _cause("E02", 1, 0.4),
)
_MASK_BREAKDOWN = (_cause("M05", 12, 8), _cause("M09", 3, 25), _cause("M10", 3, 16))
_MASK_FORMING = (_cause("M04", 12, 8), _cause("M07", 10, 4))  # adjusting until the product is good again

_NOSE_WIRE = Cause(0, "", 1, 2 * MINUTE)  # changed with the key turned; the PLC shows no code
_EAR_LOOP = Cause(0, "", 1, 2 * MINUTE)

FLAT_1_2 = Parameters(
    ideal_cycle_ns=round(MINUTE / 110),
    hazards=(
        _breakdown(5, *_MASK_BREAKDOWN),
        _minor(0.2, *_MASK_FORMING),
        _minor(10, *_MASK_MINOR),
        _change(60, 120, _cause("M03", 1, 4.5)),  # webs
        _change(180, 360, _NOSE_WIRE),
        _change(120, 240, _EAR_LOOP),
        _wait(Condition.STARVED, 60, 70),
        _wait(Condition.BLOCKED, 50, 60),
    ),
    pace=(1.03, 1.18),
    spell_ns=4 * MINUTE,
    reject_new=0.14,
    reject_mature=0.0225,
    learning_ns=5 * DAY,
    age_ns=30 * DAY,
    start_reject=0.12,
    start_cycles=60,
    warmup_ns=(1 * MINUTE, 3 * MINUTE),
    temperature_c=0.0,
)

FLAT_1_1 = replace(FLAT_1_2, ideal_cycle_ns=round(MINUTE / 60))

KN95 = replace(
    FLAT_1_2,
    ideal_cycle_ns=round(MINUTE / 45),
    hazards=(
        _breakdown(3, *_MASK_BREAKDOWN),
        _minor(0.35, _cause("K01", 20, 9), _cause("K03", 6, 6), _cause("K04", 4, 7)),
        _minor(12, _cause("K02", 12, 0.8), *_MASK_MINOR),
        _change(60, 90, _cause("M03", 1, 6)),
        _wait(Condition.STARVED, 60, 70),
        _wait(Condition.BLOCKED, 50, 60),
    ),
    pace=(1.06, 1.24),
    reject_new=0.175,
    reject_mature=0.04,
    learning_ns=9 * DAY,
    start_cycles=40,
    warmup_ns=(2 * MINUTE, 4 * MINUTE),
    temperature_c=160.0,
)

SUIT_STATION = Parameters(
    ideal_cycle_ns=48 * SECOND,  # 1,500 suits in 20 h
    hazards=(
        _breakdown(30, _cause("T07", 1, 20)),
        _minor(4, _cause("E01", 1, 0.7), _cause("E02", 1, 0.7)),
        _change(150, 240, _cause("X01", 1, 6)),  # fabric lay
        _wait(Condition.STARVED, 12, 95),  # line balance: a fifth of the time a station waits for its neighbour
        _wait(Condition.BLOCKED, 20, 80),
    ),
    pace=(1.05, 1.45),
    spell_ns=0,
    reject_new=0.055,
    reject_mature=0.015,
    learning_ns=10 * DAY,
    age_ns=45 * DAY,
    start_reject=0.04,
    start_cycles=5,
    warmup_ns=(0, 0),
    temperature_c=0.0,
)

EO_STERILISER = Parameters(
    ideal_cycle_ns=8 * HOUR,
    hazards=(_breakdown(300, _cause("S01", 2, 90), _cause("S02", 1, 60)),),
    pace=(1.02, 1.5),  # 8 to 12 h: conditioning and washes depend on the load
    spell_ns=0,
    reject_new=0.01,
    reject_mature=0.003,
    learning_ns=10 * DAY,
    age_ns=200 * DAY,
    start_reject=0.003,
    start_cycles=0,
    warmup_ns=(0, 0),  # the chamber is kept warm; conditioning is part of the cycle
    temperature_c=50.0,
    unload=Cause(0, "", 1.0, 40 * MINUTE),
)

PACKML = replace(  # PackML knows no set-up state: a roll change is a machine on hold
    FLAT_1_2,
    hazards=tuple(
        replace(hazard, condition=Condition.MINOR) if hazard.condition is Condition.SETUP else hazard
        for hazard in FLAT_1_2.hazards
    ),
)

KINDS: dict[str, Parameters] = {
    "tape-sealer": TAPE,
    "flat-mask-1+1": FLAT_1_1,
    "flat-mask-1+2": FLAT_1_2,
    "kn95": KN95,
    "suit-station": SUIT_STATION,
    "eo-steriliser": EO_STERILISER,
    "packml": PACKML,
}


def parameters_of(kind: str) -> Parameters:
    """The row of a machine kind; a kind of the site's own behaves like the nearest family, or like a flat-mask line."""
    if kind in KINDS:
        return KINDS[kind]
    return next((row for name, row in KINDS.items() if kind.startswith(name)), FLAT_1_2)
