"""The whole agent as one read-only snapshot, for the page, /metrics and the demo. Reads views, changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edge.clock import Clock
from edge.delivery import Delivery
from edge.hub import Hub
from edge.machines.life import MachineLife
from edge.outbox.facts import StoreStats
from edge.plan import Device, ModbusDevice, SitePlan
from edge.poll.factory import Running, Sources
from edge.recording.recording import Recording
from edge.snapshot import NO_RELOAD, BudgetView, ConnectionView, DeviceView, Snapshot, StoreView

if TYPE_CHECKING:
    from edge.poll.link import Link

NO_STATS = StoreStats(0, 0, 0, 0, None, None, "")


class Viewer:
    """Makes snapshots.

    `store` is refreshed by the agent every second, because the database must not be asked on the loop.
    """

    def __init__(
        self,
        plan: SitePlan,
        lives: Sequence[MachineLife],
        hub: Hub,
        sources: Sources,
        deliveries: Sequence[Delivery],
        clock: Clock,
        started_ns: int,
        recording: Recording | None = None,
    ) -> None:
        self._hub = hub
        self._clock = clock
        self._started_ns = started_ns
        self.store: StoreStats = NO_STATS
        self.reload = NO_RELOAD
        self.follow(plan, lives, sources, deliveries, recording)

    def follow(
        self,
        plan: SitePlan,
        lives: Sequence[MachineLife],
        sources: Sources,
        deliveries: Sequence[Delivery],
        recording: Recording | None,
    ) -> None:
        """Show this plan from now on."""
        self._plan = plan
        self._lives = lives
        self._sources = sources
        self._deliveries = deliveries
        self._recording = recording

    def snapshot(self) -> Snapshot:
        """Now."""
        now_ns = self._clock.now_ns()
        site = self._plan.site
        return Snapshot(
            now_ns=now_ns,
            started_ns=self._started_ns,
            site=site.id,
            site_name=site.name,
            enterprise=site.enterprise,
            timezone=site.timezone,
            config_version=self._plan.config_version,
            reload=self.reload,
            machines=tuple(life.view(now_ns) for life in self._lives),
            devices=tuple(self._device(index, device) for index, device in enumerate(self._plan.devices)),
            store=self._store(now_ns),
            sinks=tuple(delivery.view(self.store) for delivery in self._deliveries),
            connections=tuple(
                self._connection(running, running.link)
                for running in self._sources.connections
                if running.link is not None
            ),
            gaps=self.store.gaps,
            refused_values=self._hub.refused_values,
            recordings=self._recording.views() if self._recording is not None else (),
        )

    def _device(self, index: int, device: Device) -> DeviceView:
        state, stats = self._hub.states[index], self._sources.pollers[index].stats
        return DeviceView(
            id=device.id,
            brand=device.brand,
            protocol=device.protocol,
            address=address_of(device),
            up=state.up,
            since_ns=state.since_ns,
            latency_ms=stats.latency_mean_ms,
            requests=stats.requests,
            exceptions=stats.exceptions,
            timeouts=stats.timeouts,
            retries=stats.retries,
            reconnects=stats.reconnects,
            lateness_p99_ms=stats.lateness_p99_ms,
            detail=state.detail,
            lateness_p50_ms=stats.lateness_p50_ms,
            busy_s=stats.busy_ns / 1e9,
            refused=tuple(self._plan.devices[index].tags[tag].name for tag in stats.refused),
            max_registers=stats.max_registers,
            certificate_ends_ns=stats.certificate_ends_ns,
            own_certificate_ends_ns=stats.own_certificate_ends_ns,
            depth=stats.depth,
            budget=_budget(device),
        )

    def _connection(self, running: Running, link: Link) -> ConnectionView:
        return ConnectionView(
            peer=link.endpoint.peer,
            devices=tuple(self._plan.devices[place].id for place in running.devices),
            up=link.stats.up,
            made=link.stats.connections,
            busy_s=link.stats.busy_ns / 1e9,
            heard=tuple(link.wire.by_reason().items()),
        )

    def _store(self, now_ns: int) -> StoreView:
        stats, settings = self.store, self._plan.agent
        age_ms = None if stats.last_commit_ns is None else max(0, now_ns - stats.last_commit_ns) // 1_000_000
        return StoreView(
            path=settings.store_path,
            size_bytes=stats.size_bytes,
            records=stats.records,
            loss_window_ms=settings.commit_ns // 1_000_000,
            commit_p99_ms=stats.commit_p99_ms,
            last_commit_age_ms=age_ms,
            error=stats.error,
            max_bytes=settings.store_max_bytes,
            points=stats.points,
            bytes_per_s=stats.flow.bytes_per_s,
            autonomy_s=stats.autonomy_s,
            written_per_kept=stats.flow.written_per_kept,
            written_per_day=stats.flow.written_per_day,
            classes=tuple((c.record_class.name.lower(), c.records, c.points, c.size_bytes) for c in stats.classes),
            gaps_open=sum(gap.is_open for gap in stats.gaps),
            salvaged_rows=sum(stats.saved.rows.values()) if stats.saved is not None else 0,
            missing_records=stats.saved.missing if stats.saved is not None else 0,
        )


def address_of(device: Device) -> str:
    """Where a device is on the network."""
    if isinstance(device, ModbusDevice):
        return device.endpoint.peer
    return device.endpoint.url


def _budget(device: Device) -> BudgetView | None:
    if not isinstance(device, ModbusDevice):
        return None
    return BudgetView(device.limits.requests_per_s, device.limits.occupancy, device.depth)
