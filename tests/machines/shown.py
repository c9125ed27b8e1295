"""A machine of a template, shown by its signals' names: what the observer makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edge.config import compile_site
from edge.machines.observer import Observer, Sample
from edge.plan import Machine
from protocols.reading import Quality, TagImage

S = 1_000_000_000
T0 = 1_780_000_000 * S
HEAD = """\
site: {id: s, enterprise: e, province: p, city: c}
devices: [{id: ua, template: generic-opcua, url: "opc.tcp://h:4840"}]
"""


def machine_of(template: str, more: str = "", products: str = "") -> Machine:
    """One machine of a template; `more`: further keys, as in a flow mapping."""
    line = f"machines: [{{id: m, template: {template}, device: ua, base: F{', ' * bool(more)}{more}}}]\n"
    return compile_site(HEAD + line + products, Path("/x/site.yaml"), {}).machines[0]


class Shown:
    """A machine whose signals are set by name; those that are not are as a server shows them that never had them."""

    def __init__(self, machine: Machine) -> None:
        size = 1 + max(s.tag for s in machine.signals)
        self.image = TagImage(size)
        self.tags = {signal.name: signal.tag for signal in machine.signals}
        self.machine = machine
        self.observer = Observer(machine, [self.image])
        self.now_ns = T0

    def read(self, values: Mapping[str, int | None], after_ns: int = S) -> None:
        """One publish: these values, read now; None: its quality is bad. The others are confirmed unchanged."""
        self.now_ns += after_ns
        for tag in self.tags.values():
            if self.image.quality[tag] <= Quality.UNCERTAIN:
                self.image.t_ns[tag] = self.now_ns
        self.write(values)

    def write(self, values: Mapping[str, int | None]) -> None:
        """Only these, read now; the others stay as old as they are."""
        for name, value in values.items():
            tag = self.tags[name]
            self.image.quality[tag] = Quality.BAD if value is None else Quality.GOOD
            if value is not None:
                self.image.i64[tag], self.image.t_ns[tag] = value, self.now_ns

    def sample(self, **values: int | None) -> Sample:
        """One publish, sampled."""
        self.read(values)
        return self.observer.sample(self.now_ns)
