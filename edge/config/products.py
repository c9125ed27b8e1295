"""Products of a machine: from the site's list, the template's, or named on the spot; thresholds by rule where unset.

Defaults (published policy; they move loss between availability and performance and cannot change OEE):
t1 = 1.05 x ideal cycle; t2 = max(1.7 x ideal cycle, 2 x poll); t3 = 6 x ideal cycle within 60 s … 300 s, and never
below t2 (a suit takes minutes: its small stop is longer than 300 s).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge.config.fields import Label
from edge.config.models import MachineModel, MachineTemplate, ProductModel
from edge.config.problems import KeyPath, Problems, suggest
from edge.config.validate import Placed
from edge.errors import Text
from edge.plan import Name, Product

NS_PER_S = 1_000_000_000
SLOW, SMALL_STOP, STOP = 1.05, 1.7, 6.0
STOP_MIN_S, STOP_MAX_S = 60.0, 300.0


@dataclass(frozen=True, slots=True)
class ChosenProduct:
    """One product a machine makes, its cycle settled, and where it was chosen."""

    model: ProductModel
    ideal_cycle_s: float
    path: KeyPath  # in the machine


def name_of(label: Label | None, otherwise: str) -> Name:
    """The name in both languages, or an id in both."""
    return Name(otherwise, otherwise) if label is None else Name(label.zh, label.en)


def choose_products(
    machine: Placed[MachineModel],
    template: Placed[MachineTemplate],
    site: Mapping[str, ProductModel],
    problems: Problems,
) -> list[ChosenProduct]:
    """What the machine makes; the first is the default."""
    model = machine.value
    if model.product is not None and model.products is not None:
        what = Text("product 与 products 只能写一个", "give product or products, not both")
        machine.add(problems, ("product",), what)
    references: Sequence[tuple[ProductModel, KeyPath]]
    if model.products is not None:
        references = [(ref, ("products", i)) for i, ref in enumerate(model.products)]
    elif model.product is not None:
        references = [(model.product, ("product",))]
    else:
        references = [(product, ("template",)) for product in template.value.products]
    known = {product.id: product for product in template.value.products} | dict(site)
    chosen: list[ChosenProduct] = []
    for reference, path in references:
        base = known.get(reference.id)
        fields = {name: getattr(reference, name) for name in reference.model_fields_set}
        product = reference if base is None else base.model_copy(update=fields)
        cycle_s = reference.ideal_cycle_s if path != ("template",) else None
        cycle_s = cycle_s or model.ideal_cycle_s or product.ideal_cycle_s
        if cycle_s is None:
            what = Text(
                f"没有产品 {reference.id}（要就地定义请给 ideal_cycle_s）",
                f"there is no product {reference.id} (to define it here, give ideal_cycle_s)",
            )
            machine.add(problems, path, what, suggest(reference.id, known))
            continue
        if product.id in {other.model.id for other in chosen}:
            machine.add(problems, path, Text(f"产品 {product.id} 重复", f"product {product.id} is listed twice"))
            continue
        chosen.append(ChosenProduct(product, cycle_s, path))
    return chosen


def plan_product(chosen: ChosenProduct, poll_ns: int, machine: Placed[MachineModel], problems: Problems) -> Product:
    """Cycle and thresholds in ns; thresholds out of order are a problem."""
    model, cycle_s = chosen.model, chosen.ideal_cycle_s
    poll_s = poll_ns / NS_PER_S
    slow_s = model.slow_s or SLOW * cycle_s
    small_s = model.small_stop_s or max(SMALL_STOP * cycle_s, 2 * poll_s, slow_s)
    stop_s = model.stop_s or max(min(max(STOP * cycle_s, STOP_MIN_S), STOP_MAX_S), small_s)
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
    )


def _ns(seconds: float) -> int:
    return round(seconds * NS_PER_S)
