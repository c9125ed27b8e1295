// The machine cards, grouped by line.
//
// Rules. A machine nobody sees is "unknown": its own shape, hatching and word, never "stopped". A figure that is undefined is a
// dash with the reason beside it, never 0. Nothing is capped: performance above 100 % is shown and its doubt is named.

import { attr, instance, keyed, text, translate } from "./dom.js";
import * as format from "./format.js";
import { describeStrip, drawStrip, stripMinutes } from "./strip.js";
import { has, named, t } from "./texts.js";

/** "run", "stopped", "unknown" or "off": the four groups people count in. */
export function group(machine) {
  if (machine.bucket === "unknown" || machine.age_ms === null) return "unknown";
  if (machine.bucket === "run") return "run";
  return machine.bucket === "not_scheduled" ? "off" : "stopped";
}

export function renderLines(parent, machines, nowMs, force) {
  const lines = new Map();
  for (const machine of machines) {
    if (!lines.has(machine.line)) lines.set(machine.line, []);
    lines.get(machine.line).push(machine);
  }
  const look = { nowMs, minutes: stripMinutes(machines, nowMs), force };
  const most = String(Math.max(...[...lines.values()].map((members) => members.length)));
  if (parent.style.getPropertyValue("--most") !== most) parent.style.setProperty("--most", most); // cards as wide as fits
  keyed(parent, lines, ([id]) => id, () => instance("line"), (view, [id, members]) => {
    const running = members.filter((machine) => group(machine) === "run").length;
    text(view.parts.name, /^(line|产线)/i.test(id) ? id : t("line", { id }));
    text(view.parts.note, t("line-note", { running, all: members.length }));
    keyed(view.parts.cards, members, (machine) => machine.id, () => instance("machine"), (card, machine) =>
      renderCard(card, machine, look));
  });
}

function renderCard({ root, parts }, machine, { nowMs, minutes, force }) {
  if (force) translate(root);
  const bucket = group(machine) === "unknown" ? "unknown" : machine.bucket;
  attr(root, "data-bucket", bucket);
  attr(root, "data-machine", machine.id);
  text(parts.name, named(machine.name));
  attr(parts.name, "title", t("tier", { id: machine.id, n: machine.tier }));
  attr(parts.icon, "href", `#i-${bucket}`);
  text(parts.state, t(bucket));
  attr(parts.state, "title", machine.state);
  text(parts.since, t("since", { age: format.duration(nowMs - machine.state_since_ms) }));
  text(parts.product, `${machine.id} · ${named(machine.product_name)}`); // two machines of a kind share a name
  text(parts.fault, fault(machine));
  renderOee(parts, machine);
  renderOutput(parts, machine, bucket);
  const more = machine.more_values ? [`… +${machine.more_values}`] : [];
  text(parts.process, [...machine.process_values.map(processValue), ...more].join("  "));
  renderNotes(parts.notes, machine.shift);
  drawStrip(parts.strip, machine.timeline, nowMs, minutes, force);
  attr(parts.strip, "aria-label", describeStrip(machine.timeline));
  attr(parts.strip, "title", describeStrip(machine.timeline));
  text(parts.age, machine.age_ms === null ? t("age-never") : t("age", { age: format.duration(machine.age_ms) }));
}

function fault({ fault_code: code, fault_text: words }) {
  if (!code) return "";
  return words ? t("fault", { code, text: named(words) }) : t("fault-bare", { code });
}

const processValue = ({ label, value, unit }) => `${named(label)} ${value === null ? t("dash") : `${trim(value)} ${unit}`}`;
const trim = (value) => format.number(value, Number.isInteger(value) ? 0 : Math.abs(value) < 1 ? 3 : 1);

/** Nobody saw the machine in this shift and no count bridged the gap: the zeros in its figures were never measured. */
const unseen = (shift) => shift.coverage === 0 && shift.total === 0;

/** Why there is no OEE, or "" where there is one. */
function whyNoOee(machine) {
  const { shift } = machine;
  if (!shift) return t("why-off");
  if (unseen(shift)) return t(machine.baseline ? "why-unseen" : "why-baseline");
  return shift.oee === null ? whyNot(shift, "oee") : "";
}

/** The agent's own words for what its signals or its sums cannot tell. */
const whyNot = (shift, name) => named(shift.why[name]);

function renderOee(parts, machine) {
  const { shift } = machine;
  const why = whyNoOee(machine);
  text(parts.oee, why ? t("dash") : format.percent(shift.oee));
  attr(parts.oee, "title", why ? "" : range(shift, "oee"));
  const partly = !why && shift.coverage !== null && shift.coverage < 0.9995;
  text(parts.why, why || (partly ? t("coverage", { p: format.percent(shift.coverage) }) : ""));
  for (const [part, name] of [["a", "availability"], ["p", "performance"], ["q", "quality"]]) {
    renderRatio(parts[part], !shift || unseen(shift) ? null : shift, name);
  }
}

/** Where the truth may lie elsewhere the figure is one end of what is possible: ≥ or ≤, and both ends in the title. */
function renderRatio(node, shift, name) {
  const [, value, bar] = node.children;
  const ratio = shift && shift[name];
  const [low, high] = shift?.bounds[name] ?? [ratio, ratio];
  const sign = ratio === null || low === high ? "" : ratio === low ? "≥ " : ratio === high ? "≤ " : "≈ ";
  text(value, sign + format.percent(ratio));
  const told = !shift ? "" : ratio === null ? whyNot(shift, name) : range(shift, name);
  attr(node, "title", name === "availability" && shift?.fe ? [failures(shift), told].filter(Boolean).join(" · ") : told);
  fill(bar, ratio);
}

/** How often it failed in this shift, and the times between failures and to the first good piece after them. */
const failures = ({ fe, mtbf_s: mtbf, mttr_s: mttr }) => {
  const span = (s) => format.duration(s === null ? null : s * 1000);
  return t("failures", { n: format.number(fe), mtbf: span(mtbf), mttr: span(mttr) });
};

/** "between … and …", or "" where nothing is in doubt. */
function range(shift, name) {
  const bounds = shift.bounds[name];
  return bounds ? t("range", { low: format.percent(bounds[0]), high: format.percent(bounds[1]) }) : "";
}

function fill(bar, ratio) {
  const width = `${Math.min(100, Math.max(0, (ratio ?? 0) * 100)).toFixed(1)}%`;
  const inner = bar.firstElementChild;
  if (inner.style.width !== width) inner.style.width = width;
  bar.classList.toggle("none", ratio === null);
}

function renderOutput(parts, machine, bucket) {
  const { shift, shift_target: target } = machine;
  const known = shift && !unseen(shift);
  const attained = known && target ? shift.good / target : null;
  text(parts.good, known ? format.number(shift.good) : t("dash"));
  text(parts.target, target === null ? t("no-target") : t("target", { n: format.number(target) }));
  text(parts.attainment, attained === null ? "" : format.percent(attained, 0));
  fill(parts.progress, attained);
  attr(parts.attainment, "title", t("attainment"));
  attr(parts.progress, "aria-label", t("attainment"));
  if (attained === null) parts.progress.removeAttribute("aria-valuenow");
  else attr(parts.progress, "aria-valuenow", String(Math.round(attained * 100)));
  const counts = { reject: format.number(known ? shift.reject : null), total: format.number(known ? shift.total : null) };
  text(parts.reject, t("reject", counts));
  const now = format.rate(bucket === "unknown" ? null : machine.rate_per_min);
  text(parts.rate, t("rate", { now, ideal: format.rate(machine.ideal_rate_per_min), unit: t("per-minute") }));
  attr(parts.rate, "title", t("rate-title"));
}

/** Doubts about the shift's figures, in words. Low coverage is written beside the OEE; a rollover is everyday and exact. */
function renderNotes(node, shift) {
  const notes = (shift?.flags ?? []).map((flag) => `flag-${flag}`).filter(has);
  text(node, notes.map((key) => t(key)).join(" · "));
}
