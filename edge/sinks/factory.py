"""From the plan to a sink. Each kind is imported when one is configured, so that nobody pays for the others."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from edge.plan import InfluxSink
from edge.sinks import Sink


def make_sink(plan: InfluxSink) -> Sink:
    """The sink of one configured database; opens nothing yet. Raises ValueError for a version that does not exist.

    The first sink of a kind imports its library, which takes some tenths of a second: call it off a busy event loop.
    """
    compress = not _is_this_machine(plan.url)  # on loopback bytes are free and CPU is not
    if plan.version == 1:
        from edge.sinks.influx1 import Influx1

        return Influx1(plan, compress=compress)
    if plan.version == 2:
        from edge.sinks.influx2 import Influx2

        return Influx2(plan, compress=compress)
    raise ValueError(f"sink {plan.id}: InfluxDB version {plan.version} is not known; there are 1 and 2")


def _is_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
