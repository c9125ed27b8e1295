"""Points as a site makes them, a commit at a time: process values of many machines, written by the agent's encoder."""

from __future__ import annotations

from edge.encode import Encoder
from edge.machines.values import Kept
from edge.outbox.batch import Batch, Record
from edge.plan import Machine, Name, Site, StateRule
from ext.buckets import Bucket
from protocols.reading import Quality

NS = 1_000_000_000
GOOD = Quality.GOOD
T0_NS = 1_767_225_600 * NS
MACHINES = 50
VALUES = 100  # of each machine: a commit of a second holds 5,000 points
_NOTHING = StateRule((), Bucket.UNASSIGNED, "stopped")


def encoder() -> Encoder:
    """Of one site."""
    return Encoder(Site("xiantao-3", "seamline-demo", "湖北", "仙桃", "Asia/Shanghai", Name("三厂", "plant 3")))


def machine(index: int) -> Machine:
    """Just enough of one to write its points."""
    return Machine(
        index=index, id=f"tape-{index:03d}", kind="tape-sealer", line=f"line-{index % 10}", name=Name("", ""), tier=3,
        calendar="c", hold_ns=NS, poll_ns=NS, signals=(), states=(), state_default=_NOTHING, counters=(), products=(),
        product_signal=None, product_default=0, fault_code_signal=None, faults=(), process_values=(),
    )  # fmt: skip


def second(encode: Encoder, number: int) -> Record:
    """The points of one second, as the recorder makes them: temperatures that move a little."""
    t_ns = T0_NS + number * NS
    values = (
        Kept(
            m, f"zone_{v:02d}_temperature", "°C", t_ns + m * 1_000_000, 400 + (number * 7 + v * 13 + m) % 97 / 10, GOOD
        )
        for m in range(MACHINES)
        for v in range(VALUES)
    )
    record = encode.tags(values, [machine(m) for m in range(MACHINES)])
    assert record is not None
    return record


def as_batch(number: int, record: Record) -> Batch:
    """As the recorder hands it over: with the checkpoints of its machines."""
    checkpoints = tuple((f"machine:tape-{m:03d}", number.to_bytes(8, "big") * 100) for m in range(MACHINES))
    return Batch(T0_NS + number * NS, (record,), (), checkpoints, (("alive_ns", str(number)),))
