"""The page in a real browser: what a person in front of the screen can read, and when it says it does not know."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from fixtures.browser import Browser, Tab, open_browser
from fixtures.plant import snapshot
from fixtures.ports import free_port

from edge.snapshot import MachineView, SinkView, Snapshot, StateSpan
from edge.web.server import Page
from ext.buckets import Bucket

pytestmark = pytest.mark.asyncio(loop_scope="module")

CARD = "document.querySelector('[data-machine={}]')"


class Plant:
    """A plant whose time runs; tests change machines in it."""

    def __init__(self) -> None:
        self.changes: dict[str, dict[str, object]] = {}
        self.sinks: tuple[SinkView, ...] | None = None
        self._start_s = time.monotonic()

    def __call__(self) -> Snapshot:
        view = snapshot(time.monotonic() - self._start_s)
        sinks = view.sinks if self.sinks is None else self.sinks
        return replace(view, machines=tuple(self._changed(machine) for machine in view.machines), sinks=sinks)

    def _changed(self, machine: MachineView) -> MachineView:
        return replace(machine, **self.changes.get(machine.id, {}))


@pytest.fixture
def plant() -> Plant:
    return Plant()


@pytest_asyncio.fixture(loop_scope="module")
async def page(plant: Plant) -> AsyncIterator[Page]:
    served = Page(plant, lambda: b"", "127.0.0.1", 0, "zh")
    await served.start()
    try:
        yield served
    finally:
        await served.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    """One for all: starting it takes a second of processor time, and each tab has a profile of its own."""
    async with open_browser(tmp_path_factory.mktemp("browser") / "profile") as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def tab(browser: Browser) -> AsyncIterator[Tab]:
    opened = await browser.tab()
    await opened.size(1920, 1080)
    yield opened
    await opened.close()


async def show(tab: Tab, page: Page) -> None:
    await tab.open(page.url)
    await tab.until("document.querySelectorAll('.card').length === 12")


async def words(tab: Tab, selector: str) -> str:
    text: str = await tab.evaluate(f"document.querySelector({selector!r}).innerText")
    return text


async def test_a_chinese_screen_by_default_with_every_machine_and_no_complaint(page: Page, tab: Tab) -> None:
    """Machines by line, states in words, output and OEE in numbers; clean console, clean network."""
    await show(tab, page)
    text = await words(tab, "body")
    for word in ("仙桃防护用品一厂", "产线 mask-a", "1 号平面口罩机", "合格产量"):
        assert word in text
    for figure in ("设备综合效率 OEE", "时间开动率", "性能开动率", "合格品率"):
        assert figure in text
    assert await tab.evaluate("document.documentElement.lang") == "zh-CN"
    lines = "[...document.querySelectorAll('.line')].map(line => line.querySelectorAll('.card').length)"
    assert await tab.evaluate(lines) == [4, 3, 5]
    assert "205 超声波过载/虚焊" in await words(tab, "[data-machine=M02]")
    assert "10,3" in await words(tab, "[data-machine=M01]")
    assert "已隔离" in await words(tab, "#devices")
    assert "等待重试" in await words(tab, "#sinks")
    assert tab.errors == []
    assert {request.split("/")[2] for request in tab.requests} == {f"127.0.0.1:{page.port}"}


async def test_undefined_is_a_dash_with_its_reason_and_zero_is_zero(page: Page, tab: Tab) -> None:
    await show(tab, page)
    oee = "{}.querySelector('[data-f=oee]').innerText"
    why = "{}.querySelector('[data-f=why]').innerText"
    for machine, figure, reason in (
        ("K03", "0.0%", ""),  # planned, observed, nothing made: a measured zero
        ("T04", "–", "非排产时段，不计 OEE"),
        ("E01", "–", "等待第一次计数读数"),
    ):
        card = CARD.format(machine)
        assert await tab.evaluate(oee.format(card)) == figure
        assert await tab.evaluate(why.format(card)) == reason
    quality = CARD.format("K03") + ".querySelector('[data-f=q]')"
    assert await tab.evaluate(quality + ".querySelector('dd').innerText") == "–"
    assert await tab.evaluate(quality + ".title") == "窗口内没有产出"
    assert "104.0%" in await words(tab, "[data-machine=K01]")  # never capped
    assert "理想节拍存疑" in await words(tab, "[data-machine=K01]")


async def test_a_machine_nobody_sees_is_unknown_and_never_stopped(page: Page, tab: Tab, plant: Plant) -> None:
    """Word, shape and hatching; it counts as unknown, and its coverage stands beside the OEE."""
    await show(tab, page)
    text = await words(tab, "[data-machine=M03]")
    assert "状态未知" in text
    assert "停" not in text
    assert "覆盖率 88.0%" in text
    availability = CARD.format("M03") + ".querySelector('[data-f=a]')"
    assert (await tab.evaluate(availability + ".querySelector('dd').innerText")).startswith("≥ ")
    assert (await tab.evaluate(availability + ".title")).startswith("真值在 ")
    assert "数据 4 分前" in text
    assert await tab.evaluate(CARD.format("M03") + ".querySelector('use').getAttribute('href')") == "#i-unknown"
    assert await tab.evaluate(f"getComputedStyle({CARD.format('M03')}).borderTopStyle") == "dashed"
    assert "从未读到数据" in await words(tab, "[data-machine=E01]")
    assert await words(tab, "[data-group=unknown] b") == "2"
    plant.changes["M01"] = {"age_ms": None}  # whatever the bucket says, without a reading nothing is known
    await tab.until("document.querySelector('[data-group=unknown] b').innerText === '3'")
    assert "状态未知" in await words(tab, "[data-machine=M01]")


async def test_the_language_is_switched_in_place_and_remembered(page: Page, tab: Tab) -> None:
    await show(tab, page)
    await tab.evaluate("document.getElementById('language').click()")
    text = await words(tab, "body")
    for word in ("Line mask-a", "Flat mask 1", "Breakdown", "Availability", "Delivery to databases", "Good output"):
        assert word in text
    assert "运行" not in text
    assert await tab.evaluate("document.documentElement.lang") == "en"
    await tab.open(page.url)
    await tab.until("document.body.innerText.includes('Flat mask 1')")
    assert tab.errors == []


async def test_every_word_of_the_page_exists_in_both_languages(page: Page, tab: Tab) -> None:
    """No key without a text, no text in one language only, the same placeholders in both."""
    await show(tab, page)
    problems = await tab.evaluate(
        """(async () => {
          const { TABLE: table } = await import('/static/texts.js');
          const holes = (s) => [...s.matchAll(/\\{\\w+\\}/g)].map(String).sort().join();
          const wrong = Object.entries(table)
            .filter(([, v]) => v.length !== 2 || v.some((s) => !s) || holes(v[0]) !== holes(v[1]));
          const roots = [document, ...[...document.querySelectorAll('template')].map((n) => n.content)];
          const used = roots.flatMap((n) => [...n.querySelectorAll('[data-t]')].map((m) => m.dataset.t));
          const scripts = ['main', 'head', 'machines', 'tables', 'strip', 'format'];
          const called = (await Promise.all(scripts.map(async (s) => (await fetch(`/static/${s}.js`)).text())))
            .flatMap((s) => [...s.matchAll(/\\bt\\("([^"]+)"/g)].map((m) => m[1]));
          return [...wrong.map(([k]) => k), ...[...used, ...called].filter((k) => !(k in table))];
        })()"""
    )
    assert problems == []


async def test_a_young_agent_without_databases_fills_its_strips(page: Page, tab: Tab, plant: Plant) -> None:
    """Forty seconds old: the strips show five minutes, all on one scale; no empty table of databases."""
    now_ns = snapshot().now_ns
    young = (StateSpan(now_ns - 40_000_000_000, now_ns, Bucket.RUN, 0),)
    plant.changes |= {machine.id: {"timeline": young, "line": "line-1"} for machine in snapshot().machines}
    plant.sinks = ()
    await show(tab, page)
    assert "最近 5 分钟" in await words(tab, ".legend")
    assert (await words(tab, ".line h2")).startswith("line-1")
    assert await tab.evaluate("document.getElementById('sinks-table').hidden")
    assert "未配置上传" in await words(tab, "main")
    assert tab.errors == []


async def test_changes_arrive_by_themselves(page: Page, tab: Tab, plant: Plant) -> None:
    await show(tab, page)
    before = await words(tab, "#clock")
    plant.changes["M01"] = {"bucket": snapshot().machines[1].bucket, "fault_code": 777, "fault_text": None}
    await tab.until(CARD.format("M01") + ".innerText.includes('故障代码 777')")
    assert await words(tab, "#clock") != before
    assert await tab.evaluate("document.querySelectorAll('.card').length") == 12


async def test_a_page_that_no_longer_updates_says_so_and_recovers(plant: Plant, tab: Tab) -> None:
    """The server stops: banner with the time of the data, everything stepped back; the server returns: all clear."""
    first = Page(plant, lambda: b"", "127.0.0.1", free_port(), "zh")
    await first.start()
    await show(tab, first)
    assert await tab.evaluate("document.getElementById('banner').hidden")
    await first.stop()
    await tab.until("!document.getElementById('banner').hidden")
    assert f"页面自 {await words(tab, '#clock')} 起未更新" in await words(tab, "#banner")
    assert "页面未更新" in await words(tab, "#health")
    assert await tab.evaluate("getComputedStyle(document.querySelector('main')).filter") != "none"
    second = Page(plant, lambda: b"", "127.0.0.1", first.port, "zh")
    await second.start()
    try:
        await tab.until("document.getElementById('banner').hidden")
        assert "页面实时更新" in await words(tab, "#health")
    finally:
        await second.stop()


@pytest.mark.parametrize(
    ("width", "height", "mobile", "dark"),
    [(1920, 1080, False, False), (1366, 768, False, True), (390, 844, True, False), (320, 640, True, True)],
)
async def test_it_fits_the_screen(page: Page, tab: Tab, width: int, height: int, mobile: bool, dark: bool) -> None:
    """Nothing runs out sideways, in either language; a wall screen shows all twelve machines without scrolling."""
    await tab.size(width, height, mobile, dark)
    await show(tab, page)
    for _ in ("zh", "en"):
        assert await tab.evaluate("document.documentElement.scrollWidth") <= width
        lowest = await tab.evaluate(
            "Math.max(...[...document.querySelectorAll('.card')].map(c => c.getBoundingClientRect().bottom))"
        )
        assert lowest <= height or width < 1920
        await tab.evaluate("document.getElementById('language').click()")


async def test_states_can_be_read_without_colour_and_text_keeps_its_contrast(page: Page, tab: Tab) -> None:
    """WCAG 2.2 §1.4.3: 4.5 : 1 for every text of the cards and the head, in light and in dark."""
    await show(tab, page)
    shape_of = "c.querySelector('use').getAttribute('href')"
    states = f"[...document.querySelectorAll('.card')].map(c => [c.dataset.bucket, {shape_of}])"
    assert all(shape == f"#i-{bucket}" for bucket, shape in await tab.evaluate(states))
    for dark in (False, True):
        await tab.size(1920, 1080, dark=dark)
        await tab.until(f"matchMedia('(prefers-color-scheme: dark)').matches === {str(dark).lower()}")
        await tab.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")
        await tab.until("!document.getAnimations().some(one => one instanceof CSSTransition)")  # colours have faded
        assert await tab.evaluate(CONTRAST) == []


CONTRAST = """(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const linear = (v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const ground = (node) => {
    for (let n = node; n; n = n.parentElement) {
      const colour = rgba(getComputedStyle(n).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const node of document.querySelectorAll('#top *, main *')) {
    const written = [...node.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!written || !node.getClientRects().length) continue;
    const [a, b] = [light(rgba(getComputedStyle(node).color)), light(ground(node))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) poor.push([node.className || node.tagName, node.textContent.slice(0, 20), ratio.toFixed(2)]);
  }
  return poor.slice(0, 10);
})()"""
