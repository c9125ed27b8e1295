"""Points of the dictionary, written as line protocol: one typed method per measurement, so nothing outside it can be
written.

Theory. `edge.points` declares every measurement; here each becomes a compiled `Schema` at import, and each method
takes the values by name and hands them over in dictionary order. A field that is undefined is passed as None and left
out. Prefixes (measurement and tags, escaped) are made once per series and kept; tags come from the site file, so
their number is bounded.

Rules. Every method returns one line without line feed. Texts that come from devices or exceptions are folded to one
line and cut, because one line is one point. A name from the site file that line protocol cannot spell raises
ValueError.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from types import MappingProxyType

from edge.gaps.gap import Gap
from edge.kpi.row import SUM_COLUMNS, Row
from edge.machines.events import Revision, StopEvent
from edge.machines.values import Kept
from edge.outbox.batch import Record
from edge.plan import Device, Machine, Site
from edge.points import (
    AGENT,
    BUCKET_FIELDS,
    DEVICE,
    GAP,
    LEDGER,
    LIVE,
    MEASUREMENTS,
    REVISION,
    STOP,
    TAG,
    Measurement,
)
from ext.buckets import Bucket
from ext.lineprotocol import Schema, encode_prefix, encode_row, encode_rows, encode_tag
from protocols.reading import Quality

MAX_TEXT = 2_000  # characters of a free text; InfluxDB 1.x refuses strings beyond 64 KiB
_PREFIXES_KEPT = 8_192

SCHEMAS: Mapping[str, Schema] = MappingProxyType(
    {m.name: Schema((field.name, field.kind) for field in m.fields) for m in MEASUREMENTS}
)


def _getters_around_buckets() -> tuple[attrgetter[tuple[object, ...]], attrgetter[tuple[object, ...]]]:
    """Read the ledger's fields from a `Row`: those before the bucket fields, and those behind them."""
    names = [field.name for field in LEDGER.fields]
    first = names.index(BUCKET_FIELDS[0])
    last = first + len(BUCKET_FIELDS)
    if tuple(names[first:last]) != BUCKET_FIELDS:
        raise TypeError("edge.points.LEDGER: the bucket fields are not adjacent and in order")
    paths = [f"sums.{name}" if name in SUM_COLUMNS or name == "flags" else name for name in names]
    return attrgetter(*paths[:first]), attrgetter(*paths[last:])


_before_buckets, _behind_buckets = _getters_around_buckets()


# The tag that tells values of one machine apart is the last of its measurement, so it can be put behind the others.
_TAG_MACHINE = replace(TAG, tags=TAG.tags[:-1])
_NAME_KEY = TAG.tags[-1].encode()


def one_line(text: str) -> str:
    """`text` without line feeds, without lone surrogates, and of bounded length."""
    folded = " ".join(text.split("\n")) if "\n" in text else text
    return folded[:MAX_TEXT].encode("utf-8", "replace").decode()


class Encoder:
    """Writes the points of one site."""

    __slots__ = ("_prefixes", "_site")

    def __init__(self, site: Site) -> None:
        self._site = (
            ("enterprise", site.enterprise),
            ("province", site.province),
            ("city", site.city),
            ("site", site.id),
        )
        self._prefixes: dict[tuple[str, ...], bytes] = {}

    def ledger(self, row: Row, machine: Machine) -> bytes:
        """One window of the ledger; its time is the start of the window."""
        key = row.key
        prefix = self._machine_prefix(LEDGER, machine, key.product, key.shift, key.window)
        values = (*_before_buckets(row), *row.sums.stop_ns, *_behind_buckets(row))
        return encode_row(SCHEMAS["ledger"], prefix, values, key.start_ns)

    def live(
        self,
        machine: Machine,
        t_ns: int,
        *,
        bucket: Bucket,
        state: str,
        fault_code: int,
        rate_per_min: float | None,
        product: str,
        shift: str,
        shift_tc: int | None,
        shift_gc: int | None,
        shift_sc: int | None,
        shift_ppt_ns: int | None,
        shift_rt_ns: int | None,
        shift_nrt_ns: int | None,
        shift_fpt_ns: int | None,
        shift_unknown_ns: int | None,
        shift_coverage: float | None,
        shift_flags: int | None,
        age_ms: int | None,
        observed: bool,
        tier: int,
        config_version: str,
    ) -> bytes:
        """A machine as it is at `t_ns` (cut to the live interval by the caller).

        Shift figures are None outside shifts.
        """
        values = (
            int(bucket), one_line(state), fault_code, rate_per_min, product, shift, shift_tc, shift_gc, shift_sc,
            shift_ppt_ns, shift_rt_ns, shift_nrt_ns, shift_fpt_ns, shift_unknown_ns, shift_coverage, shift_flags,
            age_ms, observed, tier, config_version,
        )  # fmt: skip
        return encode_row(SCHEMAS["live"], self._machine_prefix(LIVE, machine), values, t_ns)

    def stop(self, machine: Machine, stop: StopEvent, config_version: str) -> bytes:
        """A stop; written again with the same time when it grows, ends, or was another."""
        values = (
            int(stop.bucket), stop.bucket.name.lower(), stop.fault_code, stop.end_ns - stop.start_ns, stop.is_open,
            stop.void, stop.revision, machine.tier, config_version,
        )  # fmt: skip
        return encode_row(SCHEMAS["stop"], self._machine_prefix(STOP, machine), values, stop.start_ns)

    def revision(self, machine: Machine, t_ns: int, revision: Revision, config_version: str) -> bytes:
        """Closed windows were opened again at `t_ns`, or readings came too late for that."""
        values = (
            revision.readings, revision.start_ns, revision.end_ns, revision.windows, revision.pieces,
            one_line(revision.detail), config_version,
        )  # fmt: skip
        return encode_row(SCHEMAS["revision"], self._machine_prefix(REVISION, machine, revision.cause), values, t_ns)

    def tags(self, values: Iterable[Kept], machines: Sequence[Machine]) -> Record | None:
        """Process values, each at the time it was read; None for none.

        Left out of a point is the value unless its quality is good. A prefix is made for each: to keep those of a
        hundred thousand tags would cost more than to make the few that are needed.
        """
        prefixes: list[bytes] = []
        rows: list[tuple[object, ...]] = []
        times_ns: list[int] = []
        before, prefix = -1, b""
        for machine, name, unit, t_ns, number, quality, remembered in values:
            if machine != before:  # those of one reply stand together
                before, prefix = machine, self._machine_prefix(_TAG_MACHINE, machines[machine])
            prefixes.append(encode_tag(prefix, _NAME_KEY, name))
            rows.append((number if quality is Quality.GOOD else None, int(quality), unit, remembered or None))
            times_ns.append(t_ns)
        lines, points = encode_rows(SCHEMAS["tag"], prefixes, rows, times_ns)
        return Record(TAG.record_class, lines, points) if points else None

    def device(
        self,
        device: Device,
        t_ns: int,
        *,
        up: bool,
        reason: str,
        latency_ms: float | None = None,
        requests: int | None = None,
        exceptions: int | None = None,
        timeouts: int | None = None,
        reconnects: int | None = None,
    ) -> bytes:
        """A device came up, went down, or this is its interval summary.

        Counts are of the interval; None for a bare change.
        """
        values = (up, one_line(reason), latency_ms, requests, exceptions, timeouts, reconnects)
        prefix = self._prefix(DEVICE, device.id, device.brand, device.protocol)
        return encode_row(SCHEMAS["device"], prefix, values, t_ns)

    def gap(self, gap: Gap) -> bytes:
        """Data that nobody has; written again with the same time as it grows and ends."""
        values = (
            gap.duration_ns, str(gap.scope), gap.records, gap.pieces_min, gap.pieces_max, one_line(gap.detail),
            gap.is_open, gap.void,
        )  # fmt: skip
        return encode_row(SCHEMAS["gap"], self._prefix(GAP, str(gap.cause), gap.subject), values, gap.start_ns)

    def gap_record(self, gap: Gap) -> Record:
        """A gap that the store itself made: the record it writes beside what it did."""
        return Record(GAP.record_class, self.gap(gap), 1)

    def agent(
        self, t_ns: int, *, event: str, detail: str, version: str, config_version: str, clock_step_ns: int | None = None
    ) -> bytes:
        """Something happened to the agent itself."""
        values = (event, one_line(detail), version, config_version, clock_step_ns)
        return encode_row(SCHEMAS["agent"], self._prefix(AGENT), values, t_ns)

    def _machine_prefix(self, measurement: Measurement, machine: Machine, *more: str) -> bytes:
        return self._prefix(measurement, machine.line, machine.id, machine.kind, *more)

    def _prefix(self, measurement: Measurement, *values: str) -> bytes:
        """The prefix of the series, `values` being the tags behind the site's in dictionary order."""
        key = (measurement.name, *values)
        prefix = self._prefixes.get(key)
        if prefix is None:
            if len(self._prefixes) >= _PREFIXES_KEPT:
                self._prefixes.clear()
            prefix = encode_prefix(measurement.name, self._tags(measurement, values))
            self._prefixes[key] = prefix
        return prefix

    def _tags(self, measurement: Measurement, values: tuple[str, ...]) -> Iterable[tuple[str, str]]:
        own = measurement.tags[len(self._site) :]
        return (*self._site, *zip(own, values, strict=True))
