"""`python -m benchmarks [name]`:

run every benchmark, or one; one JSON line per case on stdout, everything else on stderr.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

import benchmarks

NOT_BENCHMARKS = {"__main__", "result"}


def main() -> int:
    """Run what was asked for."""
    known = sorted(m.name for m in pkgutil.iter_modules(benchmarks.__path__) if m.name not in NOT_BENCHMARKS)
    wanted = [name for name in sys.argv[1:] if name] or known
    unknown = [name for name in wanted if name.partition(".")[0] not in known]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    for name in wanted:
        module, _, case = name.partition(".")
        for result in importlib.import_module(f"benchmarks.{module}").run(case or None):
            print(result.line(), flush=True)
    return 0


sys.exit(main())
