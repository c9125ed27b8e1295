"""Is the agent doing its job? Pure judgement of a snapshot, for `/healthz` and for whoever supervises the process.

Rules. Health is about the agent, not about the plant: a stopped line, a PLC that is down or a database that does not
answer are facts the agent reports while it works perfectly well, and restarting it would help none of them. What makes
it unhealthy is the one thing only it can do: put what it learns on disk.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.snapshot import Snapshot

COMMIT_LIMIT_MS = 30_000  # live points come every few seconds and a group commit waits 1 s at most
DAY_NS = 86_400_000_000_000
CERTIFICATE_NOTICE_NS = 30 * DAY_NS
START_GRACE_NS = 30_000_000_000  # opening and repairing a large store comes before the first commit


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the agent is unhealthy: a stable word for machines, a sentence for people."""

    code: str  # "store-error" | "no-commit"
    detail: str


def judge(snapshot: Snapshot) -> tuple[Reason, ...]:
    """What is wrong with the agent itself; empty = healthy."""
    store, reasons = snapshot.store, []
    if store.error:
        reasons.append(Reason("store-error", store.error))
    age_ms = store.last_commit_age_ms
    if age_ms is None:
        if snapshot.now_ns - snapshot.started_ns > START_GRACE_NS:
            reasons.append(Reason("no-commit", f"nothing committed since the start; look at the disk of {store.path}"))
    elif age_ms > COMMIT_LIMIT_MS:
        reasons.append(Reason("no-commit", f"last commit {age_ms / 1000:.0f} s ago; look at the disk of {store.path}"))
    return tuple(reasons)


def certificates(snapshot: Snapshot) -> tuple[Reason, ...]:
    """Certificates that end within 30 days, the server's and ours: no sickness, but somebody should know."""
    found: list[Reason] = []
    for device in snapshot.devices:
        for whose, ends_ns in (
            ("server", device.certificate_ends_ns),
            ("own", device.own_certificate_ends_ns),
        ):
            if ends_ns is not None and ends_ns - snapshot.now_ns < CERTIFICATE_NOTICE_NS:
                days = (ends_ns - snapshot.now_ns) // DAY_NS
                found.append(Reason(f"{whose}-certificate-ends", f"{device.id}: {days} days left"))
    return tuple(found)
