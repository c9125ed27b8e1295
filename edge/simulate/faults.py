"""The injected faults of one device: which of them hold now. Shared by both servers."""

from __future__ import annotations

from collections.abc import Callable

from edge.simulate.inject import Fault, Injection


class Faults:
    """A short list that forgets what is over. `now_ns` is UTC."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self.now_ns = now_ns
        self._injections: list[Injection] = []

    def add(self, injection: Injection) -> None:
        """From its time on, for its length."""
        self._injections.append(injection)

    def holding(self) -> dict[Fault, Injection]:
        """Every fault that holds now; of two of a kind, the later one."""
        if not self._injections:
            return {}
        now = self.now_ns()
        self._injections = [known for known in self._injections if known.at_ns + known.for_ns > now]
        return {known.kind: known for known in self._injections if known.at_ns <= now}

    def pending(self, kind: Fault) -> Injection | None:
        """The next injection of a kind that is not over."""
        now = self.now_ns()
        waiting = [known for known in self._injections if known.kind is kind and known.at_ns + known.for_ns > now]
        return min(waiting, key=lambda known: known.at_ns, default=None)
