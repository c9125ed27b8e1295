// The head of the page: where we are, what time the data are of, how many machines run, what was made, and whether the chain
// behind the figures (page, store, delivery) is whole.

import { attr, byId, element, icon, keyed, text } from "./dom.js";
import * as format from "./format.js";
import { group } from "./machines.js";
import { has, named, t } from "./texts.js";

const GROUPS = [["run", "run"], ["stopped", "unassigned"], ["unknown", "unknown"], ["off", "not_scheduled"]];
const MOST_PRODUCTS = 4;

export function renderHead(snapshot, link) {
  text(byId("site-name"), named(snapshot.site_name));
  text(byId("site-detail"), `${snapshot.enterprise} · ${snapshot.site}`);
  document.title = `${named(snapshot.site_name)} – Seamline`;
  text(byId("clock"), format.clock(snapshot.now_ms, snapshot.timezone));
  text(byId("date"), format.day(snapshot.now_ms, snapshot.timezone));
  renderSummary(snapshot.machines);
  renderOutputs(snapshot.machines);
  renderHealth(snapshot, link);
}

function renderSummary(machines) {
  const counts = { run: 0, stopped: 0, unknown: 0, off: 0 };
  for (const machine of machines) counts[group(machine)] += 1;
  keyed(byId("summary"), GROUPS, ([name]) => name, makeSummary, (view, [name]) => {
    text(view.count, String(counts[name]));
    text(view.word, t(`summary-${name}`));
    view.root.classList.toggle("zero", !counts[name]);
  });
}

function makeSummary([name, shape]) {
  const [count, word] = [element("b"), element("span")];
  const root = element("li", "", icon(shape), count, word);
  attr(root, "data-group", name);
  return { root, count, word };
}

/** Good pieces per product and machine kind: pieces of unlike products, or of two steps of one product, never add up. */
function renderOutputs(machines) {
  const sums = new Map();
  for (const machine of machines) {
    if (!machine.shift || !machine.product) continue;
    const key = `${machine.kind} ${machine.product}`;
    const sum = sums.get(key) ?? { key, kind: machine.kind, product: machine.product, name: machine.product_name, good: 0 };
    sum.good += machine.shift.good;
    sums.set(key, sum);
  }
  const most = [...sums.values()].sort((a, b) => b.good - a.good).slice(0, MOST_PRODUCTS);
  const shown = most.length ? most : [{ key: "", name: null, good: null }];
  const twice = ({ product }) => most.filter((other) => other.product === product).length > 1;
  keyed(byId("outputs"), shown, ({ key }) => key, makeOutput, (view, sum) => {
    const { name, good } = sum;
    text(view.good, good === null ? t("dash") : format.number(good));
    text(view.unit, good === null ? "" : t("pieces"));
    text(view.name, name ? named(name) + (twice(sum) ? ` · ${kind(sum.kind)}` : "") : t("no-output"));
  });
}

const kind = (id) => (has(`kind-${id}`) ? t(`kind-${id}`) : id);

function makeOutput() {
  const [good, unit, name] = [element("b"), element("small"), element("span")];
  return { root: element("li", "", good, unit, name), good, unit, name };
}

export function renderHealth(snapshot, link) {
  const items = [
    { key: "page", good: link === "live", words: t(`page-${link}`), detail: "" },
    { key: "store", good: !snapshot.store.error, ...store(snapshot.store) },
    { key: "sinks", ...delivery(snapshot.sinks) },
  ];
  if (snapshot.reload.refused_ms) {
    items.push({ key: "config", good: false, words: t("config-refused"), detail: named(snapshot.reload.detail) });
  }
  keyed(byId("health"), items, ({ key }) => key, makeHealth, (view, item) => {
    if (view.good !== item.good) {
      view.good = item.good;
      view.mark.replaceChildren(icon(item.good ? "ok" : "bad"));
      attr(view.root, "data-good", String(item.good));
    }
    text(view.words, item.words);
    text(view.detail, item.detail);
  });
}

function makeHealth({ key }) {
  const [mark, words, detail] = [element("span", "mark"), element("span"), element("small")];
  const root = element("li", "", mark, words, detail);
  attr(root, "data-health", key);
  return { root, mark, words, detail };
}

function store({ error, loss_window_ms: window }) {
  return { words: t(error ? "store-bad" : "store-ok"), detail: error || t("store-window", { s: format.number(window / 1000, 1) }) };
}

function delivery(sinks) {
  if (!sinks.length) return { good: true, words: t("sinks-none"), detail: "" };
  const backlog = sinks.reduce((sum, sink) => sum + sink.backlog_records, 0);
  const oldest = Math.max(...sinks.map((sink) => sink.oldest_unsent_age_s ?? 0));
  const good = sinks.every((sink) => sink.state !== "waiting");
  const parts = [t("sinks-backlog", { n: format.number(backlog) })];
  if (!good && oldest) parts.push(t("sinks-oldest", { age: format.duration(oldest * 1000) }));
  return { good, words: t(good ? "sinks-ok" : "sinks-wait"), detail: parts.join(", ") };
}
