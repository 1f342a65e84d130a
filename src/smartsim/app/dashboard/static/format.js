// How numbers, times and sizes are written. Pure functions; what is not known is a dash.

export const NONE = "–";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

export function number(value) {
  if (value == null || Number.isNaN(value)) return NONE;
  return Number.isInteger(value) || Math.abs(value) >= 1000 ? whole.format(value) : short.format(value);
}

export function percent(part) {
  return part == null ? NONE : `${short.format(part * 100)} %`;
}

export function bytes(value) {
  if (value == null) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  for (; Math.abs(value) >= 1000 && unit < units.length - 1; unit++) value /= 1024;
  return `${short.format(value)} ${units[unit]}`;
}

export function milliseconds(value) {
  if (value == null) return NONE;
  return value >= 1000 ? duration(value / 1000) : value < 1 ? `${short.format(value * 1000)} µs` : `${short.format(value)} ms`;
}

export function duration(seconds) {
  if (seconds == null) return NONE;
  const rounded = Math.round(seconds);
  if (seconds < 10) return `${seconds < 0.1 ? Math.max(0, seconds).toFixed(2) : seconds.toFixed(1)} s`;
  if (rounded < 60) return `${rounded} s`;
  const two = (value) => String(value).padStart(2, "0");
  if (rounded < 3600) return `${Math.floor(rounded / 60)} min ${two(rounded % 60)} s`;
  if (rounded < 86400) return `${Math.floor(rounded / 3600)} h ${two(Math.floor((rounded % 3600) / 60))} min`;
  return `${Math.floor(rounded / 86400)} d ${two(Math.floor((rounded % 86400) / 3600))} h`;
}

/** The time of day; with the date unless it is that of `now`. All times are in seconds since the epoch. */
export function clock(at, now = Date.now() / 1000) {
  if (at == null || at === 0) return NONE;
  const time = new Date(at * 1000);
  const two = (value) => String(value).padStart(2, "0");
  const hours = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  if (time.toDateString() === new Date(now * 1000).toDateString()) return hours;
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ${hours}`;
}

export function plural(count, one, many = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : many}`;
}

/** A recorded value of any kind, as text. */
export function plain(value) {
  if (value == null || value === "") return NONE;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
