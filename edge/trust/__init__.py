"""Certificates of this gateway and of the OPC UA servers it trusts: where they lie, who we are, what ends when."""

from __future__ import annotations

from pathlib import Path

from edge.plan import SitePlan

INSTALLED = Path("/etc/seamline/site.yaml")  # where docs/install.md puts the site file


def pki_folder(plan: SitePlan) -> Path:
    """The folder of certificates: beside the store, which outlives configurations and upgrades."""
    return Path(plan.agent.store_path).parent / "pki"
