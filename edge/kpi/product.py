"""The version of a product that held at a moment. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from edge.plan import Product


def product_at(products: Sequence[Product], id: str, t_ns: int) -> Product | None:  # noqa: A002 as the field
    """The version of a product that held at `t_ns`. None for a product the configuration no longer has."""
    versions = [each for each in products if each.id == id and each.from_ns <= t_ns]
    return max(versions, key=lambda each: each.from_ns, default=None)
