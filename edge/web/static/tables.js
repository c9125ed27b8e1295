// What the gateway talks to: devices below, databases above, the store between.

import { attr, byId, element, icon, keyed, text } from "./dom.js";
import * as format from "./format.js";
import { named, t } from "./texts.js";

/** A row whose cells are refreshed in place: column classes, and where the state stands. */
function row(classes) {
  const cells = classes.map((name) => element("td", name));
  const [mark, word] = [element("span", "mark"), element("span")];
  cells[1].append(mark, word);
  return { root: element("tr", "", ...cells), cells, mark, word };
}

function renderState(view, good, words) {
  if (view.good !== good) {
    view.good = good;
    view.mark.replaceChildren(icon(good ? "ok" : "bad"));
    attr(view.root, "data-good", String(good));
  }
  text(view.word, words);
}

const DEVICE = ["strong", "state", "mono", "n", "n", "n", "n", "n", "n", "words"];
const SINK = ["strong", "state", "mono", "n", "n", "n", "n", "words"];

export function renderDevices(body, devices, nowMs) {
  keyed(body, devices, (device) => device.id, () => row(DEVICE), (view, device) => {
    const { cells } = view;
    renderState(view, device.up, `${t(device.up ? "up" : "down")} ${t("for", { age: format.duration(nowMs - device.since_ms) })}`);
    text(cells[0], device.id);
    attr(cells[0], "title", `${device.brand} · ${device.protocol}`);
    text(cells[2], device.address);
    text(cells[3], format.milliseconds(device.latency_ms));
    text(cells[4], format.milliseconds(device.lateness_p99_ms));
    renderLoad(view, device, nowMs);
    text(cells[6], format.number(device.exceptions));
    text(cells[7], format.number(device.timeouts));
    text(cells[8], format.number(device.reconnects));
    text(cells[9], device.detail);
  });
}

const LOAD_MS = 5000;

/** Requests per second and share of the time, over the last five seconds at least; beside what the device may be asked. */
function renderLoad(view, device, nowMs) {
  const cell = view.cells[5];
  const { budget } = device;
  const since = (view.since ??= { ms: nowMs, requests: device.requests, busy_s: device.busy_s });
  const s = (nowMs - since.ms) / 1000;
  if (device.requests < since.requests || s < 0) view.since = undefined; // another agent, or another clock
  else if (s * 1000 >= LOAD_MS) {
    const perS = t("per-s", { n: format.number((device.requests - since.requests) / s, 1) });
    const busy = budget ? ` · ${format.percent((device.busy_s - since.busy_s) / s / budget.depth, 0)}` : "";
    text(cell, perS + busy);
    view.since = undefined;
  } else if (!cell.textContent) text(cell, t("dash"));
  const total = t("requests-total", { n: format.number(device.requests) });
  const most = budget ? t("requests-most", { n: format.number(budget.requests_per_s), share: format.percent(budget.occupancy, 0) }) : "";
  attr(cell, "title", total + most);
}

const SINK_WORDS = { delivering: "delivering", waiting: "waiting-sink", idle: "idle" };

export function renderSinks(body, sinks) {
  byId("sinks-table").hidden = !sinks.length;
  byId("no-sinks").hidden = sinks.length > 0;
  keyed(body, sinks, (sink) => sink.id, () => row(SINK), (view, sink) => {
    const { cells } = view;
    renderState(view, sink.state !== "waiting", t(SINK_WORDS[sink.state] ?? sink.state));
    text(cells[0], sink.id);
    text(cells[2], sink.url);
    text(cells[3], format.number(sink.backlog_records));
    text(cells[4], format.duration(sink.oldest_unsent_age_s === null ? null : sink.oldest_unsent_age_s * 1000));
    text(cells[5], format.number(sink.delivered_points));
    text(cells[6], format.number(sink.quarantined_points));
    text(cells[7], sink.error);
  });
}

const GAP = ["strong", "state", "mono", "n", "n", "words"];
const GAPS_SHOWN = 20;

/** What a gap may hide: pieces of a machine, records of a store; of anything else only its length is known. */
function hides(gap) {
  if (gap.records !== null) return t("gap-records", { n: format.number(gap.records) });
  if (gap.scope !== "machine" || gap.pieces_max === null) return t("dash");
  const [least, most] = [format.number(gap.pieces_min), format.number(gap.pieces_max)];
  return t(least === most ? "gap-pieces" : "gap-pieces-range", { n: least, least, most });
}

export function renderGaps(body, gaps, nowMs, timeZone) {
  byId("gaps-table").hidden = !gaps.length;
  byId("no-gaps").hidden = gaps.length > 0;
  const shown = gaps.slice(0, GAPS_SHOWN);
  keyed(body, shown, (gap) => `${gap.cause} ${gap.object} ${gap.start_ms}`, () => row(GAP), (view, gap) => {
    const { cells } = view;
    const lasts = gap.end_ms === null;
    renderState(view, !lasts, t(`gap-${gap.cause}`) + (lasts ? t("gap-lasts") : ""));
    text(cells[0], t(`gap-of-${gap.scope}`, { id: gap.object }));
    text(cells[2], `${format.day(gap.start_ms, timeZone)} ${format.clock(gap.start_ms, timeZone)}`);
    text(cells[3], format.duration((lasts ? nowMs : gap.end_ms) - gap.start_ms));
    text(cells[4], hides(gap));
    text(cells[5], named(gap.detail));
  });
}

export function renderStore(node, store) {
  attr(node, "data-good", String(!store.error));
  text(node, store.error ? t("store-error", { error: store.error }) : t("store", {
    path: store.path,
    size: format.bytes(store.size_bytes),
    records: format.number(store.records),
    age: format.duration(store.last_commit_age_ms),
    p99: format.milliseconds(store.commit_p99_ms),
  }) + (store.autonomy_s === null ? "" : t("store-autonomy", { time: format.duration(store.autonomy_s * 1000) }))
    + (store.written_per_day === null ? "" : t("store-wear", { size: format.bytes(store.written_per_day) })));
}
