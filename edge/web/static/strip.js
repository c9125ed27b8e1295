// The last hour (or less) of one machine as a strip of its time buckets. Drawn on a canvas: twelve strips of hundreds of short stops cost
// less than one table row, and unknown time can be hatched so that it is told apart without colour.

import { BUCKETS, t } from "./texts.js";
import { duration } from "./format.js";

const MINUTE_MS = 60_000;
const SCALES_MIN = [5, 15, 60];
const STEPS = 1800; // per strip; half a pixel on a wide card: drawing more often shows nothing new

let palette = null;

/** The colours of the style sheet; forgotten when light changes to dark. */
export function forgetColours() {
  palette = null;
}

function colours() {
  if (!palette) {
    const style = getComputedStyle(document.documentElement);
    palette = Object.fromEntries(BUCKETS.map((bucket) => [bucket, style.getPropertyValue(`--${bucket}`).trim()]));
    palette.track = style.getPropertyValue("--track").trim();
    palette.hatch = style.getPropertyValue("--hatch").trim();
  }
  return palette;
}

/** Minutes that all strips show: an hour, or less while the agent is too young to fill it. One scale, so that they compare. */
export function stripMinutes(machines, nowMs) {
  const oldest = Math.min(nowMs, ...machines.flatMap(({ timeline }) => timeline.slice(0, 1).map(([from]) => from)));
  return SCALES_MIN.find((minutes) => nowMs - oldest <= minutes * MINUTE_MS) ?? SCALES_MIN.at(-1);
}

/** Draw `spans` ([start_ms, end_ms, bucket, fault_code]) of the last `minutes`; `force` after a change of size or colour. */
export function drawStrip(canvas, spans, nowMs, minutes, force) {
  const wholeMs = minutes * MINUTE_MS;
  const slot = `${minutes} ${Math.floor((nowMs / wholeMs) * STEPS)}`;
  const newest = spans.at(-1)?.[2] ?? "";
  if (!force && canvas.slot === slot && canvas.newest === newest) return;
  canvas.slot = slot;
  canvas.newest = newest;

  const ratio = window.devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * ratio);
  const height = Math.round(canvas.clientHeight * ratio);
  if (!width || !height) return;
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;

  const context = canvas.getContext("2d");
  const colour = colours();
  context.fillStyle = colour.track;
  context.fillRect(0, 0, width, height);
  const begin = nowMs - wholeMs;
  const x = (ms) => Math.max(0, Math.min(width, ((ms - begin) / wholeMs) * width));
  for (const [from, to, bucket] of spans) {
    const left = x(from);
    const wide = Math.max(x(to) - left, 1); // a stop of seconds must still be seen
    context.fillStyle = colour[bucket];
    context.fillRect(left, 0, wide, height);
    if (bucket === "unknown") hatch(context, colour.hatch, left, wide, height, ratio);
  }
}

function hatch(context, colour, left, wide, height, ratio) {
  context.save();
  context.beginPath();
  context.rect(left, 0, wide, height);
  context.clip();
  context.strokeStyle = colour;
  context.lineWidth = 2 * ratio;
  context.beginPath();
  for (let i = left - height; i < left + wide; i += 6 * ratio) {
    context.moveTo(i, height);
    context.lineTo(i + height, 0);
  }
  context.stroke();
  context.restore();
}

/** The same in words, longest first. */
export function describeStrip(spans) {
  const sums = new Map();
  for (const [from, to, bucket] of spans) sums.set(bucket, (sums.get(bucket) ?? 0) + to - from);
  if (!sums.size) return t("strip-none");
  const parts = [...sums].sort((a, b) => b[1] - a[1]).map(([bucket, ms]) => `${t(bucket)} ${duration(ms)}`);
  return t("strip", { parts: parts.join(", ") });
}
