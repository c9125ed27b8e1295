"""`seamline browse`: what a server has, told as a person needs it, and nothing but reading on the way."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from peers.node_opcua import NodePeer

from edge.browse.forms import Csv, Row, Tags
from edge.browse.globs import Globs
from edge.cli import main
from edge.config import compile_site
from edge.plan import OpcuaDevice
from protocols.opcua.browse import VARIABLE, Found
from protocols.opcua.described import Described
from protocols.opcua.tags import OpcuaTag

READS = {
    *("GetEndpointsRequest", "CreateSessionRequest", "ActivateSessionRequest", "CloseSessionRequest"),
    *("ReadRequest", "BrowseRequest", "BrowseNextRequest", "TranslateBrowsePathsToNodeIdsRequest"),
    *("OpenSecureChannelRequest", "CloseSecureChannelRequest"),
}
SITE = """\
site: {id: s, enterprise: e, province: p, city: c}
devices:
  - {id: ua, template: generic-opcua, url: "opc.tcp://h:4840"}
machines:
  - id: m
    template: generic
    device: ua
    base: M
"""


def pasted(lines: Sequence[str]) -> Sequence[OpcuaTag]:
    """What a site file makes of them, under its machine."""
    text = SITE + "".join(f"    {line}\n" for line in lines)
    (device,) = compile_site(text, Path("/x/site.yaml"), {}).devices
    assert isinstance(device, OpcuaDevice)
    return device.tags


async def test_five_thousand_nodes_of_a_foreign_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """More references than fit an answer, fewer continuation points than folders, a reference back to the top, a name
    with every awkward letter: each node once, in every form, by reading alone.
    """

    async def browse(*arguments: str, status: int = 0) -> str:
        command = ["browse", peer.url, "--policy", "None", "--lang", "en", *arguments]
        assert await asyncio.to_thread(main, command) == status
        printed = capsys.readouterr()
        return printed.out or printed.err

    async with NodePeer(tmp_path, folders=4, each=1250, points=2, period=1000) as peer:
        rows = list(csv.DictReader(io.StringIO(await browse("--format", "csv"))))
        assert len([row for row in rows if row["path"].startswith("Plant/")]) == 5001
        assert len({row["node"] for row in rows}) == len(rows)
        assert {row["class"] for row in rows} == {"variable"}
        odd = next(row for row in rows if "odd" in row["node"])
        assert (odd["node"], odd["type"], odd["array"]) == ("nsu=urn:seamline:peer;s=odd;%", "Int16", "1")
        few = await browse("--format", "json", "--from", "/0:Objects/2:Machine", "--match", "*e*", "--type", "double")
        assert [one["path"] for one in json.loads(few)] == ["Speed", "Weld"]
        some = json.loads(await browse("--format", "json", "--match", "plant/*/T7"))
        assert [(one["path"], one["type"]) for one in some] == [(f"Plant/Line{n}/T7", "Double") for n in range(4)]
        tree = await browse("--depth", "1")
        assert "Machine" in tree
        assert "Line0" not in tree
        below = await browse("--from", "/0:Objects/2:Plant/2:Line2", "--limit", "3")
        assert [line.split()[0] for line in below.splitlines()] == ["T0", "T1", "T2"]
        assert "no node fits" in await browse("--from", "/0:Objects/2:Machine", "--match", "Nobody")
        assert "no start" in await browse("--from", "nsu=urn:none;s=x", status=1)
        globs = ("--match", "*T1?", "--match", "产*")
        tags = await browse("--format", "yaml", "--from", "/0:Objects/2:Plant", "--depth", "2", *globs)
        device = compile_site(
            SITE + "".join(f"    {line}\n" for line in tags.splitlines()), tmp_path / "s.yaml", {}
        ).devices[0]
        assert isinstance(device, OpcuaDevice)
        nodes = {tag.node: tag.element for tag in device.tags}
        assert {
            f"nsu=urn:seamline:peer;s=L{n}.T1{m}": None for n in range(4) for m in range(10)
        }.items() <= nodes.items()
        assert nodes["nsu=urn:seamline:peer;s=odd;%"] == 0
        asked = (await peer.statistics())["requests"]
    assert set(asked) <= READS, asked
    assert asked["BrowseNextRequest"] > 0


def test_a_device_of_the_site_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Unknown ones are told with the known; one that is down says so as the agent would."""
    site = tmp_path / "site.yaml"
    site.write_text(SITE.replace("h:4840", "127.0.0.1:1"))
    assert main(["browse", "press", "-c", str(site), "--lang", "en"]) == 2
    assert "the site file has: ua" in capsys.readouterr().err
    assert main(["browse", "ua", "-c", str(site), "--lang", "zh"]) == 1
    assert "拒绝连接" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("patterns", "path", "wanted", "leads"),
    [
        ([], "a/b", True, True),
        (["*count*"], "Line/GoodCount", True, True),
        (["*count*"], "Line/Good", False, True),
        (["line*/**/total"], "Line1/Total", True, False),
        (["line*/**/total"], "Line1/a/b/Total", True, True),
        (["line*/**/total"], "Press/Total", False, False),
        (["a/?"], "a/b", True, False),
        (["a/?"], "a", False, True),
        (["a/?"], "c", False, False),
        (["**"], "a/b/c", True, True),
        (["a/b.c"], "a/bxc", False, False),
    ],
)
def test_globs(patterns: list[str], path: str, wanted: bool, leads: bool) -> None:
    """A name, a path, any number of levels; where nothing can fit, nobody looks."""
    globs = Globs(patterns)
    assert globs.wants(path, path.rpartition("/")[2]) == wanted
    if patterns and "/" in patterns[0] and not wanted:
        assert globs.leads_to(path) == leads
    assert globs.leads_to(path) or not leads


def test_names_of_tags_are_names() -> None:
    """Unique, in the letters a tag may have, no word YAML reads as something else; the label keeps what was lost."""
    form = Tags()
    names = ["Total", "Total", "产量", "产量", "yes", "1st", "a b/c", "x" * 90, "-"]
    found = [Found((1, at), name, name, VARIABLE, f"P/{name}", 2) for at, name in enumerate(names)]
    lines = [line for at, one in enumerate(found) for line in form.lines(Row(f"ns=1;i={at}", one, Described("Int32")))]
    assert {tag.node for tag in pasted(["tags:", *lines])} >= {f"ns=1;i={at}" for at in range(len(names))}
    assert list(Tags().tail()) == ["  {}"]


def test_a_spreadsheet_runs_nothing() -> None:
    """A name that begins like a formula comes from a stranger."""
    row = Row("ns=1;i=1", Found((1, 1), "=HYPERLINK(1)", "=1+1", VARIABLE, "=HYPERLINK(1)", 1), None)
    (line,) = Csv().lines(row)
    assert next(csv.reader([line]))[0] == "'=HYPERLINK(1)"
