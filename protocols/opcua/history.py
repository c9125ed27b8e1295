"""What a server kept while nobody listened: raw values of a time that is over (HistoryRead, OPC 10000-11 §6.5.3).

Theory. Each node is asked alone, page by page: a page ends with a continuation point, which is used or given back,
because a server keeps few of them. How much there is nobody knows beforehand, so a read is bounded, and whoever asks
is told when the bound was met: a shorter time then holds less. The value that stood when the time began is asked for
as well (a bounding value); not every server gives one.

Rules.
* A node that refuses is left out from then on, whatever it says of itself: many say they have a history and have none.
* A server that has no continuation point left, or no longer knows its own, has given too much: ask for less time.
* Nothing of a page is believed twice: some servers begin the next page with the last value of the one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from asyncua import ua

from protocols.opcua.errors import OpcuaConnectionError
from protocols.opcua.services import Services
from protocols.opcua.wire import DataValues, HistoryPage, history_results

_DEADLINE_S = 30.0  # an archive answers from its disk
_PAGE = 1_000  # values; many servers answer one request after the other, and what is heard now must not wait
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_BOUND = 0x80D70000  # Bad_BoundNotFound, in place of a value: before the time asked for there is none
_BOUNDS_UNKNOWN = 0x80D80000  # Bad_BoundNotSupported
_POINTS = frozenset((0x804A0000, 0x804B0000))  # Bad_ContinuationPointInvalid, Bad_NoContinuationPoints
_SUBCODE = 0xFFFF0000
_NONE_HERE = frozenset(  # of one node, where the server answers for the call as a whole
    (
        *("BadHistoryOperationUnsupported", "BadHistoryOperationInvalid", "BadNotSupported", "BadNotReadable"),
        *("BadUserAccessDenied", "BadNodeIdUnknown", "BadNodeIdInvalid", "BadNoData", "BadInternalError"),
    )
)


@dataclass(slots=True)
class Kept:
    """What a server kept of a time: `handles` are the positions given."""

    data: DataValues = field(default_factory=DataValues)
    whole: bool = True  # False: there was more than the bound


class History:
    """The nodes of one session whose history may be read. `nodes`: positions and node ids."""

    def __init__(self, services: Services, nodes: Sequence[tuple[int, ua.NodeId]]) -> None:
        self._services = services
        self._nodes = list(nodes)
        self._bounds = True

    def __len__(self) -> int:
        return len(self._nodes)

    async def read(self, from_ns: int, to_ns: int, values_max: int) -> Kept:
        """Everything kept between two times of the server's clock, of each node oldest first; where that is more than
        `values_max`, whole nodes are missing or cut short. Errors: OpcuaError, of the connection or the server.
        """
        kept = Kept()
        for position, node in tuple(self._nodes):
            room = values_max - len(kept.data.values)
            if room <= 0:
                kept.whole = False
                break
            one = await self._node(node, from_ns, to_ns, room)
            if one is None:
                self._nodes.remove((position, node))
                continue
            one.data.handles = [position] * len(one.data.values)
            kept.data.extend(one.data)
            kept.whole &= one.whole
        return kept

    async def _node(self, node: ua.NodeId, from_ns: int, to_ns: int, values_max: int) -> Kept | None:
        """Of one node; None where it has no history after all."""
        kept, more = Kept(), b""
        while True:
            room = values_max - len(kept.data.values)
            page = await self._page(node, from_ns, to_ns, min(room, _PAGE), more)
            if page.status & _SUBCODE == _BOUNDS_UNKNOWN and self._bounds:
                self._bounds = False
                continue
            if page.status & _SUBCODE in _POINTS:
                kept.whole = False
                return kept
            if page.status >> 31:
                return None
            taken = _add(kept.data, page.data)
            if not page.more:
                kept.whole &= len(page.data.values) < min(room, _PAGE)  # asyncua's server cuts here and does not say so
                return kept
            if len(kept.data.values) >= values_max or not taken:
                await self._page(node, from_ns, to_ns, 1, page.more, release=True)
                kept.whole = False
                return kept
            more = page.more

    async def _page(
        self, node: ua.NodeId, from_ns: int, to_ns: int, values_max: int, more: bytes, *, release: bool = False
    ) -> HistoryPage:
        request = ua.HistoryReadRequest()
        request.Parameters.HistoryReadDetails = ua.ReadRawModifiedDetails(
            IsReadModified=False,
            StartTime=_utc(from_ns),
            EndTime=_utc(to_ns),
            NumValuesPerNode=values_max,
            ReturnBounds=self._bounds,
        )
        request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        request.Parameters.ReleaseContinuationPoints = release
        wanted = ua.HistoryReadValueId(NodeId=node, ContinuationPoint=more or None)
        request.Parameters.NodesToRead = [wanted]
        try:
            reader = await self._services.ask(request, max(self._services.deadline_s, _DEADLINE_S))
        except OpcuaConnectionError as error:
            if error.reason not in _NONE_HERE:
                raise
            return HistoryPage(1 << 31, b"", DataValues())
        pages = self._services.decoded(lambda: history_results(reader.data, reader.at))
        return pages[0] if pages else HistoryPage(1 << 31, b"", DataValues())


def _add(into: DataValues, page: DataValues) -> int:
    """Values of a page that are values and new; returns how many."""
    last_ns = _time(into, -1) if into.values else 0
    taken = 0
    for at, status in enumerate(page.statuses):
        t_ns = _time(page, at)
        if status & _SUBCODE == _NO_BOUND or not t_ns or (into.values and t_ns <= last_ns and not taken):
            continue
        taken += 1
        into.values.append(page.values[at])
        into.statuses.append(status)
        into.source_ns.append(page.source_ns[at])
        into.server_ns.append(page.server_ns[at])
    return taken


def _time(data: DataValues, at: int) -> int:
    return data.source_ns[at] or data.server_ns[at]


def _utc(t_ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=t_ns // 1000)
