// Joins the parts: one snapshot per second comes in, the page shows it, and says so when none comes.

import { attr, byId, element, icon, keyed, text, translate } from "./dom.js";
import * as format from "./format.js";
import { renderHead, renderHealth } from "./head.js";
import { openLink } from "./link.js";
import { renderLines } from "./machines.js";
import { forgetColours, stripMinutes } from "./strip.js";
import { renderDevices, renderGaps, renderSinks, renderStore } from "./tables.js";
import { BUCKETS, currentLanguage, switchLanguage, t } from "./texts.js";

let snapshot = null;
let link = "wait";

function render(force = false) {
  if (!snapshot) return;
  const lines = byId("lines");
  if (lines.hasAttribute("aria-busy")) {
    lines.removeAttribute("aria-busy");
    lines.replaceChildren();
  }
  renderHead(snapshot, link);
  renderLines(lines, snapshot.machines, snapshot.now_ms, force);
  text(byId("scale"), t("legend", { n: stripMinutes(snapshot.machines, snapshot.now_ms) }));
  renderDevices(byId("devices"), snapshot.devices, snapshot.now_ms);
  renderSinks(byId("sinks"), snapshot.sinks);
  renderStore(byId("store"), snapshot.store);
  renderGaps(byId("gaps"), snapshot.gaps, snapshot.now_ms, snapshot.timezone);
}

function renderLink() {
  const banner = byId("banner");
  document.body.classList.toggle("lost", link === "lost");
  banner.hidden = link !== "lost";
  const time = snapshot && format.clock(snapshot.now_ms, snapshot.timezone);
  text(banner, link !== "lost" ? "" : time ? t("banner-lost", { time }) : t("banner-wait"));
  if (snapshot) renderHealth(snapshot, link);
}

function renderWords() {
  document.documentElement.lang = currentLanguage() === "zh" ? "zh-CN" : "en";
  translate(document);
  text(byId("language"), t("switch"));
  attr(byId("language"), "aria-label", t("switch-label"));
  keyed(byId("legend"), BUCKETS, (bucket) => bucket, makeLegend, (view, bucket) => text(view.word, t(bucket)));
  renderLink();
  render(true);
}

function makeLegend(bucket) {
  const word = element("span");
  const root = element("li", "", icon(bucket), word);
  attr(root, "data-bucket", bucket);
  return { root, word };
}

byId("language").addEventListener("click", () => {
  switchLanguage();
  renderWords();
});
window.addEventListener("resize", () => render(true));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  forgetColours();
  render(true);
});

renderWords();
openLink(
  (next) => {
    snapshot = next;
    render();
  },
  (next) => {
    link = next;
    renderLink();
  },
);
