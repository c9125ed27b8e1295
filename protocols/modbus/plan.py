"""From tags to requests: which blocks to read so that every tag is covered exactly once. Pure and printable.

(The planner itself follows; the type of its result is the contract.)
"""

from __future__ import annotations

from dataclasses import dataclass

from protocols.modbus.tags import Table


@dataclass(frozen=True, slots=True)
class Request:
    """One read request and the tags it refreshes: image indices `first` … `first + count - 1`."""

    table: Table
    unit: int
    address: int
    quantity: int  # registers, or bits
    interval_ns: int
    first: int
    count: int
