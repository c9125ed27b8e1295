"""What is installed is what is shipped: one distribution, three packages, compiled kernels, a small agent."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import ext.build_info

BUILD = os.environ.get("SEAMLINE_EXPECT_BUILD")  # "checked" or "release" while an installed wheel is tested
KERNELS = (
    "ext.build_info",
    "ext.counters",
    "ext.decode",
    "ext.ledger",
    "ext.lineprotocol",
    "ext.values",
    "ext.victoria",
)
PACKAGES = ("edge", "protocols", "ext")


def file_of(module: str) -> str:
    return importlib.import_module(module).__file__ or ""


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_belongs_to_one_distribution(package: str) -> None:
    """An editable install lists no packages; an installed wheel must."""
    owners = set(importlib.metadata.packages_distributions().get(package, ()))
    assert owners == {"seamline"} or (BUILD is None and not owners)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_compiled_kernel_is_the_one_loaded(kernel: str) -> None:
    assert file_of(kernel).endswith(tuple(EXTENSION_SUFFIXES))


def test_every_kernel_of_the_source_tree_is_looked_at() -> None:
    sources = Path(__file__).parent.parent / "ext"
    assert {f"ext.{source.stem}" for source in sources.glob("*.pyx")} == set(KERNELS)


@pytest.mark.skipif(BUILD is None, reason="not under `make test`: the source tree is what is tested")
def test_the_wheel_is_what_is_tested() -> None:
    assert ext.build_info.is_checked() == (BUILD == "checked")
    assert {Path(file_of(package)).parent.parent.name for package in PACKAGES} == {"site-packages"}


def test_the_version_is_said_once() -> None:
    import edge

    assert edge.__version__ == importlib.metadata.version("seamline")


def test_public_faces() -> None:
    """What docs and other programs rely on."""
    faces = {
        "edge.cli": ("main", "build_parser"),
        "edge.config": ("load", "compile_site"),
        "edge.agent": ("run", "Agent", "Runtime"),
        "edge.points": ("MEASUREMENTS",),
        "edge.simulate.serve": ("serve", "add_arguments", "run"),
        "ext.ledger": ("MachineLedger", "CELL_FIELDS", "SAMPLE_FIELDS"),
        "ext.decode": ("DecodeTable", "decode"),
        "ext.counters": ("CounterDecoder",),
        "ext.values": ("ValueTable", "Backlog"),
        "ext.lineprotocol": ("encode_rows", "encode_row", "encode_prefix", "Schema"),
    }
    for module, names in faces.items():
        for name in names:
            assert callable(getattr(importlib.import_module(module), name)) or name.isupper()
    (script,) = [
        entry for entry in importlib.metadata.entry_points(group="console_scripts") if entry.name == "seamline"
    ]
    assert script.value == "edge.cli:main"


HEAVY = ("asyncua", "influxdb_client", "numpy", "pandas", "edge.simulate", "pydantic", "yaml", "cryptography")


@pytest.mark.parametrize("module", ["edge.agent", "edge.cli", "edge.once"])
def test_the_agent_imports_nothing_it_may_not_need(module: str) -> None:
    """A Modbus gateway without a 2.x database stays inside 45 MiB; simulated machines never come near it."""
    loaded = subprocess.run(
        [sys.executable, "-Ic", f"import sys, {module}; print(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout.split()
    assert "edge.errors" in loaded
    assert [name for name in loaded if name in HEAVY] == []
