"""Products of a machine: from the site's list, the template's, or named on the spot; each with its versions in time.

Theory. What a product is (its ideal cycle, thresholds, pieces per count) changes on a date, and figures of the time
before must stay what they were. So a product is a list of entries with the date (`since`) from which what they say
holds. An entry says what changes; what it does not name stays. A machine's own entries go before the site's, which
replace the template's. Every date on which anything changes makes a version, and a version is a product of the plan
with the same id: the kernel accounts for them apart, rows are added up by id.

Rules.
* The earliest entry also holds before its date. Dates are local to the site.
* Thresholds by rule where unset (published policy; they move loss between availability and performance and cannot
  change OEE): t1 = 1.05 x ideal cycle; t2 = max(1.7 x ideal cycle, 2 x poll); t3 = 6 x ideal cycle within 60 s … 300 s.
  A gap lies between two counts: where one count is several pieces, t2 and t3 take that many ideal cycles.
* t1 <= t2 <= t3 always. The rule alone would break that for cycles above 176 s (1.7 x cycle > 300 s), or for slow
  polls: then t2 is never below t1 and t3 never below t2. A suit takes minutes: its small stop is longer than 300 s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from edge.config.counters import ChosenCounter
from edge.config.document import Document
from edge.config.fields import Label
from edge.config.models import MachineModel, MachineTemplate, ProductModel
from edge.config.problems import KeyPath, Problems, suggest
from edge.config.validate import Placed, many
from edge.errors import Text
from edge.plan import Name, Product
from ext.buckets import Counter

NS_PER_S = 1_000_000_000
SLOW, SMALL_STOP, STOP = 1.05, 1.7, 6.0
STOP_MIN_S, STOP_MAX_S = 60.0, 300.0
MOST = 32  # products of one machine, versions counted (ext.ledger.MAX_PRODUCTS)
_EVER = datetime.min  # noqa: DTZ901 - a local time, as all dates of a site file
_CYCLE = frozenset({"ideal_cycle_s", "per_min"})  # two ways to say one thing

SiteProducts = Mapping[str, Sequence[ProductModel]]  # entries by id


@dataclass(frozen=True, slots=True)
class ChosenProduct:
    """One version of a product a machine makes, its cycle settled, and where it was chosen."""

    model: ProductModel
    ideal_cycle_s: float
    path: KeyPath  # in the machine


def name_of(label: Label | None, otherwise: str) -> Name:
    """The name in both languages, or an id in both."""
    return Name(otherwise, otherwise) if label is None else Name(label.zh, label.en)


def read_products(document: Document, problems: Problems) -> dict[str, list[ProductModel]]:
    """The site's own products: entries by id, each date once."""
    lines: dict[tuple[str, datetime], int] = {}
    products: dict[str, list[ProductModel]] = {}
    for placed in many(ProductModel, document, ("products",), problems):
        model, line = placed.value, document.place((*placed.path, "id")).line
        if model.since is None and document.at((*placed.path, "since")) is not None:
            continue  # a date that is none, and told so
        at = (model.id, _since(model))
        if at in lines:
            first = lines[at]
            zh = f"id {model.id} 重复，第 {first} 行已用（同一产品的新参数请写 since：生效日期）"
            en = f"id {model.id} is taken, first on line {first} (new data of a product want since: the date)"
            placed.add(problems, ("id",), Text(zh, en))
            continue
        lines[at] = line
        products.setdefault(model.id, []).append(model)
        _one_cycle(placed, (), model, problems)
    return products


def choose_products(
    machine: Placed[MachineModel],
    template: Placed[MachineTemplate],
    site: SiteProducts,
    problems: Problems,
) -> list[ChosenProduct]:
    """What the machine makes, version by version; the first is the default."""
    model = machine.value
    if model.product is not None and model.products is not None:
        what = Text("product 与 products 只能写一个", "give product or products, not both")
        machine.add(problems, ("product",), what)
    known = _by_id(template.value.products) | dict(site)
    chosen: list[ChosenProduct] = []
    for identity, entries in _references(machine, template, problems).items():
        path = entries[0][1]
        own = [entry for entry, where in entries if where[0] != "template"]
        for entry, where in entries:
            _one_cycle(machine, where, entry, problems)
        versions = _versions(identity, own, known.get(identity, ()), model.ideal_cycle_s)
        if any(cycle_s is None for _, cycle_s in versions):
            what = Text(
                f"没有产品 {identity}（要就地定义请给 ideal_cycle_s）",
                f"there is no product {identity} (to define it here, give ideal_cycle_s)",
            )
            machine.add(problems, path, what, suggest(identity, known))
            continue
        chosen += [ChosenProduct(merged, cycle_s, path) for merged, cycle_s in versions if cycle_s is not None]
    if len(chosen) > MOST:
        zh = f"产品及其版本共 {len(chosen)} 个，每台机器最多 {MOST} 个"
        en = f"{len(chosen)} products and versions of them; a machine has {MOST} at most"
        machine.add(problems, ("products",), Text(zh, en))
    return chosen


def _references(
    machine: Placed[MachineModel], template: Placed[MachineTemplate], problems: Problems
) -> dict[str, list[tuple[ProductModel, KeyPath]]]:
    """The machine's entries by product, in order, each date once; the template's products where it names none."""
    model = machine.value
    listed: list[tuple[ProductModel, KeyPath]]
    if model.products is not None:
        listed = [(entry, ("products", index)) for index, entry in enumerate(model.products)]
    elif model.product is not None:
        listed = [(model.product, ("product",))]
    else:
        listed = [(entry, ("template",)) for entry in template.value.products]
    found: dict[str, list[tuple[ProductModel, KeyPath]]] = {}
    for entry, path in listed:
        same = found.setdefault(entry.id, [])
        if same and entry.since is None and machine.document.at((*machine.path, *path, "since")) is not None:
            continue  # a date that is none, and told so
        if _since(entry) in {_since(other) for other, _ in same}:
            machine.add(problems, path, Text(f"产品 {entry.id} 重复", f"product {entry.id} is listed twice"))
            continue
        same.append((entry, path))
    return found


def _versions(
    identity: str, own: Sequence[ProductModel], base: Sequence[ProductModel], machine_cycle_s: float | None
) -> list[tuple[ProductModel, float | None]]:
    """Every version with its cycle, by date; the first holds from ever."""
    dates = sorted({_since(entry) for entry in (*own, *base)})
    versions: list[tuple[ProductModel, float | None]] = []
    for at in dates:
        below, above = _said(base, at), _said(own, at)
        if _CYCLE & above.model_fields_set:  # the machine's own word for the cycle, however it is put
            below = below.model_copy(update=dict.fromkeys(_CYCLE))
        fields = {name: getattr(above, name) for name in above.model_fields_set}
        fields |= {"id": identity, "since": None if at == dates[0] else at}
        merged = below.model_copy(update=fields)
        cycle_s = _cycle_s(above) or machine_cycle_s or _cycle_s(below)
        versions.append((merged, cycle_s))
    return versions


def _said(entries: Sequence[ProductModel], at: datetime) -> ProductModel:
    """What these entries say at a date, later ones over earlier ones; the earliest also before its date."""
    ordered = sorted(entries, key=_since)
    fields: dict[str, Any] = {"id": "none"}
    for entry in [entry for entry in ordered if _since(entry) <= at] or ordered[:1]:
        if _CYCLE & entry.model_fields_set:
            fields = {name: value for name, value in fields.items() if name not in _CYCLE}
        fields |= {name: getattr(entry, name) for name in entry.model_fields_set}
    return ProductModel.model_construct(set(fields), **fields)


def plan_product(
    chosen: ChosenProduct,
    counters: Sequence[ChosenCounter],
    poll_ns: int,
    zone: ZoneInfo,
    machine: Placed[MachineModel],
    problems: Problems,
) -> Product:
    """Cycle and thresholds in ns; thresholds out of order are a problem."""
    model, cycle_s = chosen.model, chosen.ideal_cycle_s
    poll_s = poll_ns / NS_PER_S
    pieces = _pieces_per_count(model, counters)
    count_s = cycle_s * _pieces_of_output(pieces, counters)
    slow_s = model.slow_s or SLOW * cycle_s
    small_s = model.small_stop_s or max(SMALL_STOP * count_s, 2 * poll_s, slow_s)
    stop_s = model.stop_s or max(min(max(STOP * count_s, STOP_MIN_S), STOP_MAX_S), small_s)
    if not cycle_s <= slow_s <= small_s <= stop_s:
        order = f"{cycle_s:g} ≤ {slow_s:g} ≤ {small_s:g} ≤ {stop_s:g} s"
        what = Text(
            f"产品 {model.id} 的阈值次序不对：ideal_cycle_s ≤ slow_s ≤ small_stop_s ≤ stop_s，现为 {order}",
            f"thresholds of product {model.id} are out of order: "
            f"ideal_cycle_s <= slow_s <= small_stop_s <= stop_s, but they are {order}",
        )
        machine.add(problems, chosen.path, what)
    return Product(
        id=model.id,
        name=name_of(model.name, model.id),
        ideal_cycle_ns=_ns(cycle_s),
        slow_ns=_ns(slow_s),
        small_stop_ns=_ns(small_s),
        stop_ns=_ns(stop_s),
        code=model.code,
        from_ns=0 if model.since is None else round(model.since.replace(tzinfo=zone).timestamp()) * NS_PER_S,
        pieces_per_count=pieces,
    )


def _pieces_per_count(model: ProductModel, counters: Sequence[ChosenCounter]) -> tuple[int, int, int]:
    """Of each Counter with this product; 0 = the counter's own."""
    said = model.pieces_per_count or {}
    by_counter = {counter.counter: said.get(counter.name, 0) for counter in counters}
    total, good, reject = (by_counter.get(counter, 0) for counter in Counter)
    return total, good, reject


def _pieces_of_output(pieces: tuple[int, int, int], counters: Sequence[ChosenCounter]) -> int:
    """Pieces per count of the counter that proves output: the total, else the good one."""
    own = {counter.counter: counter.multiplier for counter in counters}
    output = Counter.TOTAL if Counter.TOTAL in own else Counter.GOOD
    return pieces[output] or own.get(output, 1)


def _by_id(entries: Iterable[ProductModel]) -> dict[str, Sequence[ProductModel]]:
    found: dict[str, list[ProductModel]] = {}
    for entry in entries:
        found.setdefault(entry.id, []).append(entry)
    return dict(found)


def _since(model: ProductModel) -> datetime:
    return model.since or _EVER


def _cycle_s(model: ProductModel) -> float | None:
    return 60 / model.per_min if model.per_min else model.ideal_cycle_s


def _one_cycle(
    placed: Placed[MachineModel] | Placed[ProductModel], path: KeyPath, model: ProductModel, problems: Problems
) -> None:
    if model.per_min is not None and model.ideal_cycle_s is not None:
        what = Text("ideal_cycle_s 与 per_min 只能写一个", "give ideal_cycle_s or per_min, not both")
        placed.add(problems, (*path, "per_min") if path != ("template",) else path, what)


def _ns(seconds: float) -> int:
    return round(seconds * NS_PER_S)
