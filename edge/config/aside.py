"""Compile the site file in a child process, so that the agent never holds what only compiling needs.

Theory. yaml, pydantic, the models and the node trees are needed for a fraction of a second at start and at each reload,
but once imported they stay: about 15 MiB, a third of the agent's budget. A child process compiles, hands the plan over
its standard output and ends, and the system takes its memory back. The plan is plain frozen data, so the parent needs
`edge.plan` only.

Rules.
* The result is the same as `load`'s: the plan, or ConfigError with the same problems.
* The parent waits; on an event loop call it in a thread.
* The child gets exactly `environ`, secrets included, and passes them back through the pipe only.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from edge.errors import ConfigError, Problem, Text
from edge.plan import SitePlan

DEADLINE_S = 60.0


def load_aside(path: Path, environ: Mapping[str, str]) -> SitePlan:
    """Compile the site file at `path` in a child process. Raises ConfigError with every mistake in it."""
    command = [sys.executable, "-m", "edge.config.aside", str(path)]
    try:
        child = subprocess.run(  # noqa: S603 - our own interpreter and module
            command, env=dict(environ), stdout=subprocess.PIPE, timeout=DEADLINE_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        what = Text(f"编译配置的子进程失败：{error}", f"the process that compiles the configuration failed: {error}")
        hint = Text("看上方它自己的报错；多为内存不足", "see its own words above; most often memory has run out")
        raise ConfigError([Problem(str(path), 0, ".", what, hint)]) from error
    outcome: SitePlan | tuple[Problem, ...] = pickle.loads(child.stdout)  # noqa: S301 - written by our own child
    if isinstance(outcome, SitePlan):
        return outcome
    raise ConfigError(outcome)


def main(path: Path) -> None:
    """The child: the plan or the problems, pickled to standard output."""
    from edge.config.compile import load

    outcome: SitePlan | tuple[Problem, ...]
    try:
        outcome = load(path, os.environ)
    except ConfigError as error:
        outcome = error.problems
    sys.stdout.buffer.write(pickle.dumps(outcome, protocol=pickle.HIGHEST_PROTOCOL))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
