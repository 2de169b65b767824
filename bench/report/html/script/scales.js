// From numbers to places on the plot, and round numbers and dates for its axes.

const DAY = 86400;
const STEPS = [60, 300, 900, 3600, 10800, 21600, 43200, DAY, 2 * DAY, 7 * DAY, 14 * DAY];
const MONTHS = [1, 2, 3, 6, 12, 24, 60, 120, 240, 600];
const MONTH_NAMES = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** A straight scale from `[low, high]` to `[from, to]`, with its inverse. */
function linear(low, high, from, to) {
  const slope = (to - from) / (high - low || 1);
  const scale = (value) => from + (value - low) * slope;
  scale.back = (place) => low + (place - from) / slope;
  return scale;
}

/** A logarithmic scale likewise; `low` is above 0. */
function logarithmic(low, high, from, to) {
  const inner = linear(Math.log(low), Math.log(high), from, to);
  return (value) => inner(Math.log(value));
}

/** Round numbers within `[low, high]`, about `wanted` of them. */
function roundTicks(low, high, wanted) {
  const raw = (high - low || 1) / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= raw) ?? 10);
  const ticks = [];
  for (let i = Math.ceil(low / step); i * step <= high * (1 + 1e-12); i += 1) ticks.push(i * step);
  return ticks;
}

/** 1, 2 and 5 times powers of ten within `[low, high]`; powers alone where they would be many. */
function logTicks(low, high) {
  const factors = high / low > 200 ? [1] : [1, 2, 5];
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power += 1) {
    for (const factor of factors) ticks.push(factor * 10 ** power);
  }
  return ticks.filter((tick) => tick >= low && tick <= high);
}

/** Round dates within `[low, high]`, seconds: each with its label. */
function dateTicks(low, high, wanted) {
  const raw = (high - low) / wanted;
  const step = STEPS.find((candidate) => candidate >= raw);
  if (step === undefined) return monthTicks(low, high, raw);
  const ticks = [];
  for (let at = Math.ceil(low / step) * step; at <= high; at += step) ticks.push([at, dateText(at, step < DAY)]);
  return ticks;
}

function monthTicks(low, high, raw) {
  const step = MONTHS.find((months) => months * 30 * DAY >= raw) ?? MONTHS.at(-1);
  const ticks = [];
  const start = new Date(low * 1000);
  let month = Math.floor((start.getUTCFullYear() * 12 + start.getUTCMonth()) / step) * step;
  for (;;) {
    const at = utcMonth(month);
    if (at > high) return ticks;
    const label = step % 12 === 0 ? String(Math.floor(month / 12)) : `${MONTH_NAMES[month % 12]} ${Math.floor(month / 12)}`;
    if (at >= low) ticks.push([at, label]);
    month += step;
  }
}

/** Seconds at the first of a month, counted from the year 0. */
function utcMonth(month) {
  const date = new Date(0);
  date.setUTCFullYear(Math.floor(month / 12), month % 12, 1);
  return date.getTime() / 1000;
}

/** A date in words, with the time of day where it is asked for. */
function dateText(seconds, withTime) {
  const date = new Date(seconds * 1000);
  const day = `${date.getUTCDate()} ${MONTH_NAMES[date.getUTCMonth()]}`;
  return withTime ? `${day} ${date.toISOString().slice(11, 16)}` : `${day} ${date.getUTCFullYear()}`;
}

/** A place on the x axis in words. */
function placeText(place, dates) {
  if (!dates) return Math.round(place).toLocaleString("en");
  const text = new Date(place * 1000).toISOString();
  return `${text.slice(0, 10)} ${text.slice(11, 16)}`;
}

/** A number with three digits that count, or more before the point; `isTick` drops zeros at its end. */
function numberText(value, isTick = false) {
  if (value === null || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e6)) return value.toExponential(2);
  const decimals = size === 0 ? 0 : Math.min(6, Math.max(0, 2 - Math.floor(Math.log10(size))));
  return value.toLocaleString("en", { maximumFractionDigits: decimals, minimumFractionDigits: isTick ? 0 : decimals });
}
