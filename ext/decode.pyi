from array import array
from collections.abc import Sequence
from enum import IntEnum

class Code(IntEnum):
    BIT = 0
    U16 = 1
    I16 = 2
    U32 = 3
    I32 = 4
    U64 = 5
    I64 = 6
    F32 = 7
    F64 = 8
    BCD16 = 9
    BCD32 = 10
    SKIP = 11

class DecodeTable:
    first: int
    count: int
    size: int

    def __init__(
        self,
        first: int,
        *,
        codes: Sequence[int],
        orders: Sequence[int],
        offsets: Sequence[int],
        bits: Sequence[int],
        numerators: Sequence[float],
        addends: Sequence[float],
        denominators: Sequence[float],
        minima: Sequence[float],
        maxima: Sequence[float],
        sentinel_counts: Sequence[int],
        sentinels: Sequence[int],
    ) -> None: ...

def decode(
    table: DecodeTable,
    payload: bytes,
    time_ns: int,
    i64: array[int],
    f64: array[float],
    quality: array[int],
    t_ns: array[int],
) -> int: ...
