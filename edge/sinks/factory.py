"""From the plan to a sink. Each kind is imported when one is configured, so that nobody pays for the others."""

from __future__ import annotations

from edge.plan import InfluxSink
from edge.sinks import Sink


def make_sink(plan: InfluxSink) -> Sink:
    """The sink of one configured database; opens nothing yet. Raises ValueError for a version that does not exist.

    The first sink of a kind imports its library, which takes some tenths of a second: call it off a busy event loop.
    """
    if plan.victoria is not None:
        from edge.sinks.victoria import Victoria

        return Victoria(plan, plan.victoria)
    if plan.version == 1:
        from edge.sinks.influx1 import Influx1

        return Influx1(plan)
    if plan.version == 2 or (plan.version == 3 and plan.v2_route):
        from edge.sinks.influx2 import Influx2

        return Influx2(plan)
    if plan.version == 3:
        from edge.sinks.influx3 import Influx3

        return Influx3(plan)
    raise ValueError(f"sink {plan.id}: InfluxDB version {plan.version} is not known; there are 1, 2 and 3")
