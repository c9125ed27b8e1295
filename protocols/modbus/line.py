"""A line without transaction ids: what was asked last, and what a frame heard there is. Pure.

Theory. On RTU and ASCII lines everybody hears everything: the answer, but also our own request where the adapter does
not mute its receiver (two wires), the answer to a request whose deadline has passed, and the talk of another master. A
frame with a right checksum is therefore judged before it is believed:

    our request, word for word, first after it was sent     an echo: ignored
    unit, function code and length of the answer            the answer
    the shape of a request                                  another master's
    anything else                                           a reply nobody waits for: late, or to another master

Shapes overlap in one place: a reply of three data bytes to function code 1 or 2 is as long as a request. What answers
our query is then the answer, and word for word our request is an echo unless this port has been seen not to echo.
"""

from __future__ import annotations

from protocols.modbus.framing import NOBODY, Adu, WireCounters
from protocols.modbus.pdu import EXCEPTION_BIT, MAX_BITS, Query, request_size


class Line:
    """Judges what is heard by what was asked."""

    __slots__ = ("_before", "_counters", "_echoes", "_first", "_transaction", "query", "unit")

    def __init__(self, counters: WireCounters) -> None:
        self.unit = NOBODY
        self.query: Query | None = None
        self._transaction = NOBODY
        self._before: tuple[int, Query | None] = (NOBODY, None)
        self._first = False  # nothing was heard yet since the request
        self._echoes: bool | None = None  # does this port hear itself? None: not known yet
        self._counters = counters

    def asked(self, transaction: int, unit: int, query: Query) -> None:
        """A request goes out now."""
        self._before = (self.unit, self.query)
        self._transaction, self.unit, self.query = transaction, unit, query
        self._first = True

    def judge(self, unit: int, pdu: bytes) -> Adu | None:
        """A frame with a right checksum; None where it is our own request."""
        ours, first = self._is_ours(unit, pdu), self._first
        answers = _answers(self.unit, self.query, unit, pdu)
        self._first = False
        if ours and first and not (answers and self._echoes is False):
            self._echoes = True
            self._counters.echoes += 1
            return None
        if answers:
            if self._echoes is None:
                self._echoes = False
            return Adu(self._transaction, unit, pdu)
        is_request = ours or (_like_request(pdu) and not _answers(*self._before, unit, pdu))
        return Adu(NOBODY, unit, pdu, is_request)

    @property
    def heads(self) -> tuple[bytes, ...]:
        """How the answer that is waited for begins: unit, function code, and the count where it is known."""
        query = self.query
        if query is None:
            return ()
        head = bytes((self.unit, query.function))
        if query.reply_bytes is not None:
            head += bytes((query.reply_bytes,))
        return head, bytes((self.unit, query.function | EXCEPTION_BIT))

    def _is_ours(self, unit: int, pdu: bytes) -> bool:
        return self.query is not None and unit == self.unit and pdu == self.query.pdu


def _answers(asked: int, query: Query | None, unit: int, pdu: bytes) -> bool:
    return query is not None and unit == asked and query.answered_by(pdu)


def _like_request(pdu: bytes) -> bool:
    """The shape of a request; where replies may have it too, with a quantity that can be."""
    if request_size(pdu) != len(pdu):
        return False
    return pdu[0] > 4 or 1 <= int.from_bytes(pdu[3:5], "big") <= MAX_BITS
