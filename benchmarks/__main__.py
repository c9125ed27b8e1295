"""`python -m benchmarks [name[.case] …]`: run every benchmark, or some.

One JSON line per figure on stdout, everything else on stderr. Every module of this package is a benchmark, with its
`CASES` and `run(case)`; sub-packages are tools. What is not known is refused before anything runs.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterable, Sequence
from typing import Protocol

import benchmarks
from benchmarks.result import Result

NOT_BENCHMARKS = {"__main__", "result"}


class Benchmark(Protocol):
    """A module of this package."""

    CASES: tuple[str, ...]

    def run(self, case: str | None) -> Iterable[Result]:
        """Measure every case, or one of `CASES`."""


def main(wanted: Sequence[str]) -> int:
    """Run what was asked for. Exit status 0, or 2 where something asked for does not exist."""
    modules = [
        m.name for m in pkgutil.iter_modules(benchmarks.__path__) if not m.ispkg and m.name not in NOT_BENCHMARKS
    ]
    known: dict[str, Benchmark] = {name: importlib.import_module(f"benchmarks.{name}") for name in sorted(modules)}
    names = [*known, *(f"{name}.{case}" for name, benchmark in known.items() for case in benchmark.CASES)]
    wanted = [name for name in wanted if name] or list(known)
    if unknown := [name for name in wanted if name not in names]:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(names)}", file=sys.stderr)
        return 2
    for name in wanted:
        module, _, case = name.partition(".")
        for result in known[module].run(case or None):
            print(result.line(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
