from array import array
from collections.abc import Sequence

class Backlog:
    limit: int
    refused: int
    def __init__(self, limit: int) -> None: ...
    def __len__(self) -> int: ...
    def take(self, most: int) -> tuple[array[int], array[int], array[float], array[int]]: ...

class ValueTable:
    count: int
    first: int
    def __init__(
        self, first: int, *, tags: Sequence[int], deadbands: Sequence[float], intervals_ns: Sequence[int]
    ) -> None: ...
    def keep(
        self,
        tag: int,
        end: int,
        f64: array[float],
        quality: array[int],
        t_ns: array[int],
        backlog: Backlog,
    ) -> int: ...
