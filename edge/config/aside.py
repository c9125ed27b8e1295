"""Compile the site file in a child process, so that the agent never holds what only compiling needs.

Theory. yaml, pydantic, the models and the node trees are needed for a fraction of a second at start and at each reload,
but once imported they stay: about 15 MiB, a third of the agent's budget. A child process compiles, hands the plan over
its standard output and ends, and the system takes its memory back. The plan is plain frozen data, so the parent needs
`edge.plan` only.

Rules.
* The result is the same as `load`'s: the plan, or ConfigError with the same problems.
* `compile_aside` returns at once, so that the parent can import or build meanwhile; its `plan` waits. On an event loop
  call `load_aside` in a thread.
* The child gets exactly `environ`, secrets included, and passes them back through the pipe only. It runs isolated: a
  folder named `edge` where the agent happens to be started is not imported.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge.errors import ConfigError, Problem, Text

if TYPE_CHECKING:
    from edge.plan import SitePlan  # imported by unpickling, while the child has long been at work

DEADLINE_S = 300.0  # 100,000 tags take 9 s of a fast processor; a gateway's may have a fifth of that, and other work
_Refusal = tuple[tuple[Problem, ...], tuple[str, ...]]  # the mistakes, and the files they were found in


@dataclass(frozen=True, slots=True)
class Compilation:
    """A site file that a child process is compiling. `plan` once."""

    path: Path
    child: subprocess.Popen[bytes]

    def plan(self) -> SitePlan:
        """Wait for the plan. Raises ConfigError with every mistake in the file."""
        with self.child:
            try:
                pickled, _ = self.child.communicate(timeout=DEADLINE_S)
            except subprocess.TimeoutExpired as error:
                self.child.kill()
                raise _failed(self.path, error) from error
        if self.child.returncode:
            raise _failed(self.path, subprocess.CalledProcessError(self.child.returncode, self.child.args))
        outcome: SitePlan | _Refusal = pickle.loads(pickled)  # noqa: S301 - written by our own child
        if isinstance(outcome, tuple):
            raise ConfigError(*outcome)
        return outcome


def compile_aside(path: Path, environ: Mapping[str, str]) -> Compilation:
    """Begin to compile the site file at `path` in a child process. Raises ConfigError where none can be started."""
    command = [sys.executable, "-Im", "edge.config.aside", str(path)]
    try:
        child = subprocess.Popen(command, env=dict(environ), stdout=subprocess.PIPE)  # noqa: S603 - our own interpreter and module
    except OSError as error:
        raise _failed(path, error) from error
    return Compilation(path, child)


def load_aside(path: Path, environ: Mapping[str, str]) -> SitePlan:
    """Compile the site file at `path` in a child process. Raises ConfigError with every mistake in it."""
    return compile_aside(path, environ).plan()


def _failed(path: Path, error: Exception) -> ConfigError:
    what = Text(f"编译配置的子进程失败：{error}", f"the process that compiles the configuration failed: {error}")
    hint = Text("看上方它自己的报错；多为内存不足", "see its own words above; most often memory has run out")
    return ConfigError([Problem(str(path), 0, ".", what, hint)])


def main(path: Path) -> None:
    """The child: the plan or the problems, pickled to standard output."""
    from edge.config.compile import load

    outcome: SitePlan | _Refusal
    try:
        outcome = load(path, os.environ)
    except ConfigError as error:
        outcome = error.problems, error.files
    try:
        sys.stdout.buffer.write(pickle.dumps(outcome, protocol=pickle.HIGHEST_PROTOCOL))
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # the agent was killed meanwhile: nobody wants it any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
