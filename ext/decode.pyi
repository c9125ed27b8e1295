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
    U8 = 12
    I8 = 13
    F16 = 14
    BCD64 = 15
    SM16 = 16
    SM32 = 17
    UFIELD16 = 18
    UFIELD32 = 19
    UFIELD64 = 20
    IFIELD16 = 21
    IFIELD32 = 22
    IFIELD64 = 23

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
        widths: Sequence[int],
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
