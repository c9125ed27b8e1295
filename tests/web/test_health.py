"""The agent is healthy while it can put what it learns on disk, whatever the plant does."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fixtures.plant import snapshot

from edge.snapshot import DeviceView, Snapshot
from edge.web.health import COMMIT_LIMIT_MS, START_GRACE_NS, certificates, judge


def with_store(**changes: object) -> Snapshot:
    whole = snapshot()
    return replace(whole, store=replace(whole.store, **changes))


def test_a_plant_that_stands_still_is_no_illness() -> None:
    """All PLCs down, every sink waiting: the agent reports it and is healthy."""
    whole = snapshot()
    dark = replace(whole, devices=tuple(replace(device, up=False) for device in whole.devices))
    assert judge(dark) == ()


@pytest.mark.parametrize(("age_ms", "codes"), [(0, []), (COMMIT_LIMIT_MS, []), (COMMIT_LIMIT_MS + 1, ["no-commit"])])
def test_no_commit_for_long_is_unhealthy(age_ms: int, codes: list[str]) -> None:
    assert [reason.code for reason in judge(with_store(last_commit_age_ms=age_ms))] == codes


def test_a_start_is_given_time_for_its_first_commit() -> None:
    never = with_store(last_commit_age_ms=None)
    assert [reason.code for reason in judge(never)] == ["no-commit"]
    assert judge(replace(never, started_ns=never.now_ns - START_GRACE_NS)) == ()


def test_a_store_error_is_told_in_its_own_words() -> None:
    (reason,) = judge(with_store(error="disk full: /var/lib/seamline"))
    assert (reason.code, reason.detail) == ("store-error", "disk full: /var/lib/seamline")


def test_certificates_that_end_soon_are_a_notice_and_no_sickness() -> None:
    """Thirty days before, the server's and ours; the agent stays healthy."""
    day_ns = 86_400_000_000_000
    now_ns = 1_790_000_000_000_000_000
    device = DeviceView("press", "b", "opcua", "a", True, 0, None, 0, 0, 0, 0, None, "")
    for ends_ns, expected in ((now_ns + 31 * day_ns, 0), (now_ns + 29 * day_ns, 1), (now_ns - day_ns, 1)):
        seen = replace(snapshot(), now_ns=now_ns, devices=(replace(device, certificate_ends_ns=ends_ns),))
        assert len(certificates(seen)) == expected
        assert not [one for one in judge(seen) if "certificate" in one.code]
