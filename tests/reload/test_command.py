"""`seamline check --diff OLD -c NEW` says what a running agent would do, and does nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.cli import main
from edge.simulate.site import demo_site


def test_the_difference_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = demo_site(3, ports=(21_001, 21_002, 21_003))
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(site, "utf-8")
    new.write_text(site.replace("port: 21001", "port: 21009"), "utf-8")
    assert main(["--lang", "en", "check", "-c", str(new), "--diff", str(old)]) == 0
    said = capsys.readouterr().out
    assert "device plc-1: endpoint changed, connected anew" in said
    assert "2 devices keep their connections" in said
    assert "3 machines are not touched" in said
    assert "the store is not touched" in said
    assert main(["--lang", "zh", "check", "-c", str(new), "--diff", str(new)]) == 0
    assert capsys.readouterr().out == "没有变化\n"
    new.write_text("site: 1\n", "utf-8")
    assert main(["--lang", "en", "check", "-c", str(new), "--diff", str(old)]) == 2
