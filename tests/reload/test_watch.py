"""Every way in which files are edited is noticed once; what is no edit is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.reload import watch
from edge.reload.watch import Watch, folders_of, steps_to


class Seen:
    """A watch at work, and how often it said that something changed."""

    def __init__(self, *files: Path) -> None:
        self.watch = Watch(files)
        self.times = 0
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self.watch.run(self._note))

    def _note(self) -> None:
        self.times += 1
        self._news.set()

    async def become(self, times: int) -> None:
        async with asyncio.timeout(60):
            while self.times < times:
                self._news.clear()
                await self._news.wait()
        await asyncio.sleep(0.3)
        assert self.times == times

    async def stay(self, times: int) -> None:
        await asyncio.sleep(0.5)
        assert self.times == times

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "QUIET_S", 0.15)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[tuple[Path, Seen]]:
    file = tmp_path / "site.yaml"
    file.write_text("a: 1\n")
    seen = Seen(file)
    await asyncio.sleep(0.05)
    yield file, seen
    await seen.close()


async def test_written_in_place_and_by_rename(site: tuple[Path, Seen]) -> None:
    file, seen = site
    file.write_text("a: 2\n")
    await seen.become(1)
    for number in range(3, 6):  # the new file is watched as well
        scratch = file.with_name(".site.yaml.swp")
        scratch.write_text(f"a: {number}\n")
        scratch.rename(file)
        await seen.become(number - 1)


async def test_several_steps_are_one_edit(site: tuple[Path, Seen]) -> None:
    """As some editors do: move away, write anew, write again."""
    file, seen = site
    file.rename(file.with_name("site.yaml~"))
    file.write_text("")
    await asyncio.sleep(0.03)
    file.write_text("a: 3\n")
    await seen.become(1)


async def test_a_touch_and_a_neighbour_are_no_edits(site: tuple[Path, Seen]) -> None:
    """The store, its log and an editor's own files may lie beside it."""
    file, seen = site
    file.touch()
    file.write_text("a: 1\n")
    for name in ("seamline.db", "seamline.db-wal", ".site.yaml.swp"):
        (file.parent / name).write_bytes(b"x")
    await seen.stay(0)


async def test_gone_and_back(site: tuple[Path, Seen]) -> None:
    file, seen = site
    file.unlink()
    await seen.become(1)
    file.write_text("a: 1\n")
    await seen.become(2)


async def test_what_is_about_to_be_read_is_no_news(site: tuple[Path, Seen]) -> None:
    """An edit and a SIGHUP for it are one."""
    file, seen = site
    file.write_text("a: 2\n")
    seen.watch.look()
    await seen.stay(0)


def config_map(folder: Path, version: int) -> Path:
    """As a Kubernetes config map: site.yaml → ..data/site.yaml, ..data → ..v1, which is swapped by a rename."""
    data = folder / f"..v{version}"
    data.mkdir(parents=True)
    (data / "site.yaml").write_text(f"a: {version}\n")
    scratch = folder / "..data_tmp"
    scratch.symlink_to(data.name)
    scratch.rename(folder / "..data")
    file = folder / "site.yaml"
    if not file.is_symlink():
        file.symlink_to("..data/site.yaml")
    return file


async def test_a_config_map_swaps_a_link(tmp_path: Path) -> None:
    file = config_map(tmp_path / "mounted", 1)
    seen = Seen(file)
    await asyncio.sleep(0.05)
    for version in (2, 3):
        config_map(tmp_path / "mounted", version)
        await seen.become(version - 1)
    await seen.close()


async def test_a_folder_of_templates_and_a_secret_that_is_not_there_yet(tmp_path: Path) -> None:
    templates, secret = tmp_path / "templates", tmp_path / "secrets" / "token"
    (templates / "plc").mkdir(parents=True)
    secret.parent.mkdir()
    seen = Seen(templates, secret)
    await asyncio.sleep(0.05)
    (templates / "plc" / "own.yaml").write_text("x: 1\n")
    await seen.become(1)
    secret.write_text("geheim")
    await seen.become(2)
    await seen.close()


async def test_other_files_from_now_on(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "x", tmp_path / "b" / "y"
    for file in (first, second):
        file.parent.mkdir()
        file.write_text("1")
    seen = Seen(first)
    await asyncio.sleep(0.05)
    seen.watch.follow([second])
    first.write_text("2")
    await seen.stay(0)
    second.write_text("2")
    await seen.become(1)
    await seen.close()


def test_a_circle_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert steps_to(tmp_path / "a")
    assert folders_of([tmp_path / "a"]) == {tmp_path}


async def test_a_system_without_watches_is_said_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(self: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(watch.Inotify, "__enter__", refuse)
    seen = Seen(tmp_path / "site.yaml")
    await asyncio.sleep(0.1)
    await seen.close()
    (record,) = caplog.records
    assert "watch" in record.getMessage()
