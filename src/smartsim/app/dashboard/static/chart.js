// A chart of lines over time. Colours are those of the style sheet, in light and dark.

import { html, useEffect, useRef } from "./vendor/preact-htm.js";
import uPlot from "./vendor/uplot.js";
import { bytes, clock, number } from "./format.js";

const BINARY = Array.from({ length: 50 }, (_, power) => 2 ** power); // so that ticks are whole KiB, MiB, ...
const DAY = 86400;
const SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, ...[1, 2, 7, 14, 28, 91, 365].map((days) => days * DAY)];
const PALETTE = 8; // --line-0 and so on
const dark = matchMedia("(prefers-color-scheme: dark)");

/**
 * `lines` are objects: `name`, `times` (seconds, ascending), `values`; and if wanted `color` (a variable of the style
 * sheet), `dash`, `isFilled`. `format` writes a value. Beyond eight lines colours come again, dashed.
 */
export function Chart({ label, lines, height = 170, format = number, isStepped = false, empty = "No samples yet." }) {
  const place = useRef(null);
  const chart = useRef(null);
  const shown = lines.filter((line) => line.times.length && line.values.some(isKnown));
  const shape = JSON.stringify([shown.map((line) => [line.name, line.color]), height, isStepped]);
  const data = aligned(shown);

  useEffect(() => {
    if (!shown.length) return undefined;
    const options = optionsOf(shown, { height, format, isStepped, width: place.current.clientWidth });
    chart.current = new uPlot(options, data, place.current);
    const fit = new ResizeObserver(() => chart.current.setSize({ width: place.current.clientWidth, height }));
    fit.observe(place.current);
    const recolor = () => chart.current.redraw(false, true);
    dark.addEventListener("change", recolor);
    return () => {
      dark.removeEventListener("change", recolor);
      fit.disconnect();
      chart.current.destroy();
      chart.current = null;
    };
  }, [shape]);
  useEffect(() => chart.current?.setData(data), [JSON.stringify(data.map((each) => [each.length, each.at(-1)])), data[0]?.[0]]);

  if (!shown.length) return html`<p class="empty">${empty}</p>`;
  return html`<div class="chart" ref=${place} role="img" aria-label="${label}. ${inWords(shown, format)}"></div>`;
}

function inWords(lines, format) {
  return lines.map(({ name, values }) => `${name}: now ${format(latest(values))}, at most ${format(Math.max(...values.filter(isKnown)))}`).join("; ");
}

function isKnown(value) {
  return value != null && !Number.isNaN(value);
}

function latest(values) {
  return values.findLast(isKnown);
}

function aligned(lines) {
  if (!lines.length) return [[]];
  return uPlot.join(lines.map(({ times, values }) => [times, values.map((value) => (isKnown(value) ? value : null))]));
}

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function optionsOf(lines, { width, height, format, isStepped }) {
  const axis = {
    stroke: () => color("--muted"),
    grid: { stroke: () => color("--grid"), width: 1 },
    ticks: { stroke: () => color("--grid"), width: 1, size: 4 },
    font: "11px system-ui, sans-serif",
  };
  return {
    width,
    height,
    cursor: { drag: { x: false, y: false }, points: { size: 6 } },
    scales: {
      x: { range: (chart) => spanOf(chart.data[0]) },
      y: { range: (_, low, high) => [Math.min(0, low ?? 0), high > 0 ? high * 1.08 : 1] },
    },
    axes: [
      { ...axis, values: timesOf, incrs: SECONDS, space: 90, size: 26 },
      { ...axis, values: (_, splits) => splits.map((split) => (split == null ? "" : format(split))), size: sizeOf, space: 34, ...(format === bytes ? { incrs: BINARY } : {}) },
    ],
    series: [
      { label: "time", value: (_, at) => (at == null ? "latest" : clock(at)) },
      ...lines.map((line, index) => {
        const name = line.color ?? `--line-${index % PALETTE}`;
        return {
          label: line.name,
          stroke: () => color(name),
          fill: line.isFilled ? () => `${color(name)}22` : undefined,
          width: 1.6,
          dash: line.dash ?? (index >= PALETTE ? [4, 3] : undefined),
          paths: isStepped ? uPlot.paths.stepped({ align: 1 }) : undefined,
          points: { show: line.times.length < 3 },
          spanGaps: true,
          value: (chart, value, series, at) => format(at == null ? latest(chart.data[series]) : value), // until one is pointed at
        };
      }),
    ],
  };
}

function spanOf(times) {
  const [first, last] = [times[0], times.at(-1)];
  return last - first < 1 ? [last - 30, last + 1] : [first, last];
}

function timesOf(_, splits, axis, space, step) {
  const isWithinDay = new Date(splits[0] * 1000).toDateString() === new Date(splits.at(-1) * 1000).toDateString();
  return splits.map((at) => {
    const text = clock(at, isWithinDay ? at : undefined);
    return step < 60 ? text : text.replace(/:\d\d$/, "");
  });
}

function sizeOf(chart, values) {
  const longest = Math.max(0, ...(values ?? []).map((value) => value.length));
  return Math.max(34, 14 + longest * 6.5);
}
