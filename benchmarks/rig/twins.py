"""The tests' plain-Python twins of the kernels, as references: the same rules, the same results, no compiler."""

from __future__ import annotations

import sys
from pathlib import Path

_TESTS = str(Path(__file__).parents[2] / "tests")
if _TESTS not in sys.path:
    sys.path.append(_TESTS)

from twins.decode import decode_block  # noqa: E402 - they live among the tests
from twins.ledger import LedgerTwin  # noqa: E402

__all__ = ["LedgerTwin", "decode_block"]
