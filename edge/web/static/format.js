// Numbers, times and durations as people read them. Undefined is a dash, never 0.

import { locale, t } from "./texts.js";

const cache = new Map();

function formatter(kind, options) {
  const key = `${locale()} ${JSON.stringify(options)}`;
  let made = cache.get(key);
  if (!made) cache.set(key, (made = new kind(locale(), options)));
  return made;
}

export function number(value, digits = 0) {
  if (value === null || value === undefined) return t("dash");
  return formatter(Intl.NumberFormat, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

/** A ratio as a percentage: one decimal, never capped. */
export const percent = (ratio, digits = 1) => (ratio === null ? t("dash") : `${number(ratio * 100, digits)}%`);

/** Pieces per minute: enough digits that a tape sealer (one suit in six minutes) is not 0. */
export function rate(value) {
  if (value === null) return t("dash");
  return number(value, value >= 20 || value === 0 ? 0 : value >= 2 ? 1 : 2);
}

/** A span of time in at most two units, for reading from five metres. */
export function duration(ms) {
  if (ms === null) return t("dash");
  const s = Math.max(0, ms) / 1000;
  if (s < 10) return t("s", { n: number(s, 1) });
  if (s < 60) return t("s", { n: Math.floor(s) });
  const minutes = Math.floor(s / 60);
  if (minutes < 60) return t("min", { n: minutes });
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? t("h-min", { h: hours, m: minutes % 60 }) : t("h", { n: hours });
  return t("d-h", { d: Math.floor(hours / 24), h: hours % 24 });
}

export const milliseconds = (value) => (value === null ? t("dash") : t("ms", { n: number(value, value < 10 ? 1 : 0) }));

export function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  while (value >= 1000 && i < units.length - 1) [value, i] = [value / 1000, i + 1];
  return `${number(value, i && value < 100 ? 1 : 0)} ${units[i]}`;
}

/** Clock time at the site, not at the reader's desk. */
export const clock = (ms, timeZone) =>
  formatter(Intl.DateTimeFormat, { timeZone, hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false }).format(ms);

export const day = (ms, timeZone) =>
  formatter(Intl.DateTimeFormat, { timeZone, month: "long", day: "numeric", weekday: "short" }).format(ms);
