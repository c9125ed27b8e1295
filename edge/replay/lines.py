"""Machines summed up to lines, and lines to the site, as JSON objects: sums first, then one division.

Rules. A line has its sums and every figure that follows from sums; what one of its machines cannot tell, nobody can
tell of all. Pieces are added as they are counted: on a line in flow the same mask is counted at every station, so its
output is that of the last step, and its OEE that of the constraint. Both need `step` of every machine of the line in
the site file; without it `oee_by_constraint` is null and says so. Yields between stations are taken as 1: the site file
does not state them, and measured ones would move the constraint with every window. The planned time of the line is that
of its constraint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edge.kpi import catalogue
from edge.kpi.bottleneck import active_periods, bottleneck_ns
from edge.kpi.catalogue import Scope
from edge.kpi.evidence import Evidence, together
from edge.kpi.figure import Figure, Why, absent
from edge.kpi.figures import doubts
from edge.kpi.lines import Station, constraint, line_oee, line_rate_per_hour, parallel
from edge.kpi.row import Sums
from edge.plan import Capability, Machine
from edge.replay.account import Account
from edge.replay.document import figure_document, figures_document, total_document


def lines_document(accounts: Sequence[Account]) -> dict[str, dict[str, Any]]:
    """By line, in the order of the site file."""
    members: dict[str, list[Account]] = {}
    for account in accounts:
        members.setdefault(account.machine.line, []).append(account)
    return {line: _line(several) for line, several in members.items()}


def site_document(accounts: Sequence[Account]) -> dict[str, Any]:
    """All machines together."""
    return {"totals": _totals(accounts) if accounts else None}


def _totals(accounts: Sequence[Account]) -> dict[str, Any]:
    known = together([account.known for account in accounts if account.span is not None])
    sums = Sums().add(known.sums)
    sums.flags = int(doubts(sums))
    spans = [account.span for account in accounts if account.span is not None]
    span = (min(first for first, _ in spans), max(last for _, last in spans)) if spans else None
    first = accounts[0]
    revision = sum(account.revision for account in accounts)
    tier = min(account.machine.tier for account in accounts)
    about = total_document(sums, span, revision, tier, first.config_version)
    fe = known.failures.fe if known.failures is not None else None
    return about | {"fe": fe, "figures": figures_document(_figures(known))}


def _figures(known: Evidence) -> Mapping[str, Figure]:
    """Those that add up; targets and plans are a machine's own."""
    return catalogue.figures(known, Scope.SHIFT)


def _line(accounts: Sequence[Account]) -> dict[str, Any]:
    return {
        "machines": [account.machine.id for account in accounts],
        "totals": _totals(accounts),
        **_flow(accounts),
        "bottleneck_ns": _bottlenecks(accounts),
    }


def _flow(accounts: Sequence[Account]) -> dict[str, Any]:
    """What follows from the place of each machine in the flow."""
    steps = _steps(accounts)
    if steps is None:
        return {
            "constraint": None,
            "rate_per_h": None,
            "good": None,
            "oee_by_constraint": figure_document(absent(Why.NEEDS_FLOW)),
        }
    stations = [_station(several) for several in steps.values()]
    bottleneck = constraint(stations)
    at_it = next(several for several in steps.values() if _name(several) == bottleneck.id)
    good = sum(account.total.gc for account in list(steps.values())[-1])
    ppt_ns = max(account.total.ppt_ns for account in at_it)
    return {
        "constraint": bottleneck.id,
        "rate_per_h": float(line_rate_per_hour(stations)),
        "good": good,
        "oee_by_constraint": figure_document(line_oee(bottleneck, good, ppt_ns)),
    }


def _steps(accounts: Sequence[Account]) -> dict[int, list[Account]] | None:
    """Machines by step, in the order of flow; None where a machine has none."""
    steps: dict[int, list[Account]] = {}
    for account in accounts:
        if account.machine.step is None:
            return None
        steps.setdefault(account.machine.step, []).append(account)
    return dict(sorted(steps.items()))


def _station(several: Sequence[Account]) -> Station:
    return parallel(_name(several), [_ideal_ns(account.machine) for account in several])


def _name(several: Sequence[Account]) -> str:
    return "+".join(account.machine.id for account in several)


def _ideal_ns(machine: Machine) -> int:
    """Of the product it makes unless told otherwise: fixed with the configuration."""
    return machine.products[machine.product_default].ideal_cycle_ns


def _bottlenecks(accounts: Sequence[Account]) -> dict[str, int] | None:
    """How long each machine was what the others waited for; None where not all of several can tell that they wait."""
    spans = [account.span for account in accounts]
    if len(accounts) < 2 or None in spans:
        return None
    if not all(Capability.EXTERNAL in account.record.means for account in accounts):
        return None
    ordered = sorted(accounts, key=lambda account: account.machine.step or 0)
    periods = {}
    for account in ordered:
        from_ns, until_ns = account.span or (0, 0)
        periods[account.machine.id] = active_periods(account.record.stops(from_ns, until_ns), from_ns, until_ns)
    return bottleneck_ns(periods)
