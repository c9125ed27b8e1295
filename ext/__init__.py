"""Compiled kernels: decode, counters, ledger, line protocol.

Rules of this room. Numbers in, numbers out: no I/O, no clock, no logging, no meaning. Nothing of ours is imported here.
Every `def` entry checks lengths and ranges before its unchecked inner loop, because the release build would otherwise
read past a short buffer and answer 0. Each kernel has a plain-Python twin under `tests/twins`, and one test runs both.
"""
