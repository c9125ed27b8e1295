"""From a site file to a `SitePlan`: read, resolve secrets, validate by sections, compile, or report every mistake.

Every step notes its problems and goes on with what is left, so that one report holds the structural and the semantic
mistakes of the whole file. Only a plan without any problem is returned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

from edge.config.calendar_checks import CalendarDraft
from edge.config.calendars import (
    around_the_clock,
    draft_calendar,
    known_zone,
    machine_calendar,
    read_calendars,
    zone_problem,
)
from edge.config.devices import Draft, draft, join_wires
from edge.config.document import Document, read
from edge.config.fields import Identified
from edge.config.machines import MachineDraft, Slot, draft_machine
from edge.config.models import (
    AgentModel,
    DeviceModel,
    MachineModel,
    SinkModel,
    SiteFile,
    SiteModel,
)
from edge.config.problems import Place, Problems, suggest
from edge.config.products import name_of, read_products
from edge.config.secrets import resolve
from edge.config.sinks import plan_agent, plan_sink
from edge.config.templates import MACHINES, PLCS, Templates, config_folder
from edge.config.together import bound
from edge.config.validate import Placed, known_keys, many, one
from edge.config.version import config_version, machine_version
from edge.errors import Text
from edge.plan import Calendar, Device, OpcuaDevice, RecordingPlan, Site, SitePlan

DEFAULT_CALENDAR = "around-the-clock"


Item = TypeVar("Item", bound=Identified)


def load(path: Path, environ: Mapping[str, str]) -> SitePlan:
    """Compile the site file at `path`. Raises ConfigError with every mistake in it."""
    problems = Problems()
    problems.files.append(str(path))
    text = _text_of(path, problems)
    problems.raise_if_any()
    return compile_site(text, path, environ)


def compile_site(text: str, path: Path, environ: Mapping[str, str]) -> SitePlan:
    """Compile the text of a site file that lies, or would lie, at `path`. Raises ConfigError with every mistake."""
    problems = Problems()
    problems.files.append(str(path))
    document = read(text, str(path), problems)
    plan = None
    if document is not None:
        document = resolve(document, path.parent, environ, problems)
        plan = _SiteCompiler(document, path.parent, problems).compile()
    problems.raise_if_any()
    assert plan is not None  # no plan, no problem: impossible
    return plan


def _text_of(path: Path, problems: Problems) -> str:
    place = Place(str(path), 0, ())
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        problems.add(place, Text("不是 UTF-8 文本，请另存为 UTF-8", "not UTF-8 text; save the file as UTF-8"))
    except OSError as error:
        hint = Text("seamline init 可写出样例", "seamline init writes a sample")
        problems.add(place, Text(f"读不了文件：{error.strerror}", f"cannot read the file: {error.strerror}"), hint)
    return ""


def _requests(device: Device) -> list[int]:
    """By tag: which request reads it. A server pushes all tags of a group in one sample."""
    if isinstance(device, OpcuaDevice):
        return [tag.group for tag in device.tags]
    return [number for number, request in enumerate(device.requests) for _ in range(request.count)]


def _filtered(device: Device) -> list[bool]:
    """By tag: whether the server keeps some of its changes from us."""
    if isinstance(device, OpcuaDevice):
        groups = device.endpoint.tag_groups
        return [groups[tag.group].filters for tag in device.tags]
    return [False] * len(device.tags)


class _SiteCompiler:
    """One compilation; every method notes problems and returns what is usable."""

    def __init__(self, document: Document, folder: Path, problems: Problems) -> None:
        self._document = document
        self._folder = folder
        self._problems = problems
        self._templates = Templates(self._template_folders(), problems)
        self._own_calendars: list[Calendar] = []  # of machines with exceptions of their own

    def compile(self) -> SitePlan | None:
        """The plan, or None once there is any problem."""
        document, problems = self._document, self._problems
        known_keys(SiteFile, document, (), problems)
        if not isinstance(document.data, dict):
            return None
        site = self._site()
        timezone = site.timezone if site is not None and known_zone(site.timezone) else "UTC"
        if not known_zone(timezone):  # not even UTC: no time zone database, which has been told
            return None
        calendars = self._calendars(timezone)
        devices = self._devices()
        machines = self._machines(devices, calendars, ZoneInfo(timezone))
        placed_sinks = self._unique(many(SinkModel, document, ("sinks",), problems))
        sinks = [plan_sink(sink, problems, self._folder) for sink in placed_sinks]
        agent = one(AgentModel, document, ("agent",), problems) if document.at(("agent",)) is not None else None
        finished, slots = self._finish_devices(devices)
        for machine in machines:
            machine.check(slots, problems)
        if problems or site is None:
            return None
        done = tuple(machine.finish(index, slots) for index, machine in enumerate(machines))
        planned = (*(calendar.calendar for calendar in calendars), *self._own_calendars)
        done = tuple(replace(machine, version=machine_version(machine, planned, finished)) for machine in done)
        return SitePlan(
            source=document.file,
            config_version=config_version(site, planned, finished, done),
            site=site,
            calendars=planned,
            devices=bound(finished, done),
            machines=done,
            sinks=tuple(sinks),
            agent=plan_agent(agent.value if agent is not None else AgentModel(), self._folder),
            recordings=tuple(
                RecordingPlan(machine.placed.value.id, recording.max_bytes)
                for machine in machines
                if (recording := machine.placed.value.recording) is not None
            ),
            files=tuple(problems.files),
        )

    def _template_folders(self) -> tuple[Path, ...]:
        own = self._document.at(("templates",))
        shipped = config_folder() / "templates"
        if not isinstance(own, str):
            if own is not None:
                self._add(("templates",), Text("应为文件夹路径", "the path of a folder is expected"))
            return (shipped,)
        folder = self._folder / own
        self._problems.files.append(str(folder))
        if not folder.is_dir():
            self._add(("templates",), Text(f"没有文件夹 {folder}", f"there is no folder {folder}"))
        return folder, shipped

    def _site(self) -> Site | None:
        if self._document.at(("site",)) is None:
            self._add(("site",), Text("缺少 site：这台网关所在的工厂", "site is required: where this gateway stands"))
            return None
        placed = one(SiteModel, self._document, ("site",), self._problems)
        if placed is None:
            return None
        model = placed.value
        if not known_zone(model.timezone):
            placed.add(self._problems, ("timezone",), *zone_problem(model.timezone))
        name = name_of(model.name, model.id)
        return Site(model.id, model.enterprise, model.province, model.city, model.timezone, name)

    def _calendars(self, timezone: str) -> list[CalendarDraft]:
        placed = self._unique(read_calendars(self._document, self._problems))
        return [draft_calendar(calendar, timezone, self._problems) for calendar in placed] or [
            around_the_clock(DEFAULT_CALENDAR, timezone, self._document)
        ]

    def _devices(self) -> dict[str, Draft | None]:
        """Every device by id; None for one that is there but broken, so that nobody reports it as unknown."""
        self._required("devices", Text("缺少 devices：要读取的 PLC", "devices is required: the PLCs to read"))
        drafts: dict[str, Draft | None] = {}
        listed = self._document.at(("devices",))
        for item in listed if isinstance(listed, list) else []:
            if isinstance(item, dict) and isinstance(item.get("id"), str):
                drafts[str(item["id"])] = None
        for placed in self._unique(many(DeviceModel, self._document, ("devices",), self._problems)):
            brand = self._templates.plc(placed.value.template)
            if brand is not None:
                drafts[placed.value.id] = draft(placed, brand, self._problems)
            else:
                self._unknown_template(placed, PLCS)
        return drafts

    def _machines(
        self, devices: Mapping[str, Draft | None], calendars: Sequence[CalendarDraft], zone: ZoneInfo
    ) -> list[MachineDraft]:
        self._required("machines", Text("缺少 machines：要计数的设备", "machines is required: what is to be counted"))
        products = read_products(self._document, self._problems)
        drafts: list[MachineDraft] = []
        for placed in self._unique(many(MachineModel, self._document, ("machines",), self._problems)):
            if placed.value.device not in devices:
                what = Text(f"没有设备 {placed.value.device}", f"there is no device {placed.value.device}")
                placed.add(self._problems, ("device",), what, suggest(placed.value.device, devices))
            calendar = self._calendar_of(placed, calendars)
            template = self._templates.machine(placed.value.template)
            if template is not None:
                drafts.append(draft_machine(placed, template, devices, products, calendar, zone, self._problems))
            else:
                self._unknown_template(placed, MACHINES)
        return drafts

    def _calendar_of(self, machine: Placed[MachineModel], calendars: Sequence[CalendarDraft]) -> str:
        """Id of the calendar of a machine: its own one where it has exceptions or stops."""
        known = {draft.calendar.id: draft for draft in calendars}
        chosen = machine.value.calendar
        if chosen is None and len(known) > 1:
            what = Text("有多个日历，请写明 calendar", "there are several calendars: say which (calendar)")
            machine.add(self._problems, ("calendar",), what, suggest("", known))
        elif chosen is not None and chosen not in known:
            what = Text(f"没有日历 {chosen}", f"there is no calendar {chosen}")
            machine.add(self._problems, ("calendar",), what, suggest(chosen, known))
        base = known.get(chosen or "", calendars[0])
        own = machine_calendar(base, machine.value.id, machine.path, self._problems)
        if own is not None:
            self._own_calendars.append(own)
        return base.calendar.id if own is None else own.id

    def _finish_devices(self, drafts: Mapping[str, Draft | None]) -> tuple[list[Device], dict[str, Slot]]:
        join_wires(drafts.values(), self._problems)
        devices: list[Device] = []
        slots: dict[str, Slot] = {}
        for index, device_draft in enumerate(drafts.values()):
            device = device_draft.finish(index, self._problems) if device_draft is not None else None
            if device is not None:
                devices.append(device)
                names = [tag.name for tag in device.tags]
                deadline_ns = device.endpoint.deadline_ns
                requests = _requests(device)
                filtered = _filtered(device)
                slots.update(
                    (name, Slot(index, at, deadline_ns, requests[at], filtered=filtered[at]))
                    for at, name in enumerate(names)
                )
        return devices, slots

    def _unknown_template(self, placed: Placed[DeviceModel] | Placed[MachineModel], kind: str) -> None:
        name = placed.value.template
        known = self._templates.names(kind)
        if name not in known:  # one that is there but broken has told so itself
            what = Text(f"没有模板 {name}", f"there is no template {name}")
            placed.add(self._problems, ("template",), what, suggest(name, known))

    def _unique(self, items: list[Placed[Item]]) -> list[Placed[Item]]:
        """The items less those whose id was taken before (told as problems)."""
        lines: dict[str, int] = {}
        kept: list[Placed[Item]] = []
        for item in items:
            identity = item.value.id
            line = item.document.place((*item.path, "id")).line
            if identity in lines:
                first = lines[identity]
                what = Text(f"id {identity} 重复，第 {first} 行已用", f"id {identity} is taken, first on line {first}")
                item.add(self._problems, ("id",), what)
                continue
            lines[identity] = line
            kept.append(item)
        return kept

    def _required(self, key: str, what: Text) -> None:
        if not self._document.at((key,)):
            self._add((key,), what)

    def _add(self, path: tuple[str | int, ...], what: Text) -> None:
        self._problems.add(self._document.place(path), what)
