// Where each member of a group stands: one cell each, told by colour and by a letter, or by a shape where letters do
// not fit. Ten thousand cells are one canvas.

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/preact-htm.js";
import { go, href } from "./context.js";
import { plural } from "./format.js";
import { Letter } from "./parts.js";
import { STATES, stateOfLetter } from "./states.js";

const LETTERS_FROM = 13; // pixels of a cell
const dark = matchMedia("(prefers-color-scheme: dark)");

export function HeatMap({ group, entities, states }) {
  const place = useRef(null);
  const canvas = useRef(null);
  const [width, setWidth] = useState(0);
  const [isDark, setDark] = useState(dark.matches);
  const [pointed, setPointed] = useState(null);
  const [cursor, setCursor] = useState(0);
  const [isFocused, setFocused] = useState(false);
  const grid = useMemo(() => gridOf(entities.length, width), [entities.length, width]);
  const at = Math.min(cursor, entities.length - 1);
  const told = pointed ?? (isFocused ? at : null);

  useLayoutEffect(() => {
    const fit = new ResizeObserver(() => setWidth(place.current.clientWidth));
    fit.observe(place.current);
    const recolor = () => setDark(dark.matches);
    dark.addEventListener("change", recolor);
    return () => {
      fit.disconnect();
      dark.removeEventListener("change", recolor);
    };
  }, []);
  useEffect(() => {
    if (width) draw(canvas.current, grid, states);
  }, [grid, states, width, isDark]);

  const cellAt = (event) => {
    const column = Math.floor(event.offsetX / grid.cell);
    const index = Math.floor(event.offsetY / grid.cell) * grid.columns + column;
    return column < grid.columns && index >= 0 && index < entities.length ? index : null;
  };
  const open = (index) => index !== null && go(href("entity", entities[index]));
  const keys = (event) => {
    const { columns } = grid;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, PageDown: 10 * columns, PageUp: -10 * columns };
    let next = at + (steps[event.key] ?? 0);
    if (event.key === "Home") next = 0;
    else if (event.key === "End") next = entities.length - 1;
    else if (event.key === "Enter") open(at);
    else if (!(event.key in steps)) return;
    event.preventDefault();
    setPointed(null);
    setCursor(Math.max(0, Math.min(entities.length - 1, next)));
  };
  const word = told === null ? "" : `${entities[told]}: ${stateOfLetter(states[told]).word}`;
  const name = `States of ${plural(entities.length, "member")}${group && ` of ${group}`}. Arrow keys move, Enter opens.`;
  return html`<div class="heat" ref=${place}>
    <canvas ref=${canvas} tabindex="0" role="application" aria-roledescription="heat map" aria-label=${name}
      onKeyDown=${keys} onFocus=${() => setFocused(true)} onBlur=${() => setFocused(false)}
      onPointerMove=${(event) => setPointed(cellAt(event))} onPointerLeave=${() => setPointed(null)}
      onClick=${(event) => open(cellAt(event))} />
    ${told !== null && width > 0 && html`<${Mark} grid=${grid} index=${told} width=${width} word=${word} />`}
    <div class="hidden" aria-live="polite">${isFocused ? word : ""}</div>
    <${Key} states=${states} cell=${grid.cell} isDark=${isDark} />
  </div>`;
}

function Mark({ grid, index, width, word }) {
  const left = (index % grid.columns) * grid.cell;
  const top = Math.floor(index / grid.columns) * grid.cell;
  const side = left < width / 2 ? { left: `${left}px` } : { right: `${width - left - grid.cell}px` };
  return html`
    <div class="here" style=${{ left: `${left - 2}px`, top: `${top - 2}px`, width: `${grid.cell + 3}px`, height: `${grid.cell + 3}px` }} />
    <div class="tip" style=${{ ...side, top: `${top + grid.cell + 5}px` }}>${word}</div>
  `;
}

function Key({ states, cell, isDark }) {
  const occurring = useMemo(() => new Set(states), [states]);
  const hasLetters = cell >= LETTERS_FROM;
  return html`<div class="legend">
    ${STATES.filter((state) => occurring.has(state.letter)).map(
      (state) => html`<span key=${state.status} class="state">
        ${hasLetters ? html`<${Letter} state=${state} />` : html`<${Sample} letter=${state.letter} isDark=${isDark} />`}${state.word}
      </span>`,
    )}
  </div>`;
}

/** A cell as the map has it, larger. */
function Sample({ letter, isDark }) {
  const canvas = useRef(null);
  useEffect(() => draw(canvas.current, { cell: LETTERS_FROM - 1, columns: 1, rows: 1 }, letter), [letter, isDark]);
  return html`<canvas ref=${canvas} aria-hidden="true" />`;
}

/** Cells as large as fits without the map becoming higher than a screen. */
function gridOf(count, width) {
  for (let cell = 22; cell > 6; cell--) {
    const columns = Math.max(1, Math.floor(width / cell));
    if (Math.ceil(count / columns) * cell <= 420) return { cell, columns, rows: Math.ceil(count / columns) };
  }
  const columns = Math.max(1, Math.floor(width / 6));
  return { cell: 6, columns, rows: Math.ceil(count / columns) };
}

function draw(canvas, { cell, columns, rows }, states) {
  const scale = devicePixelRatio || 1;
  canvas.width = columns * cell * scale;
  canvas.height = rows * cell * scale;
  canvas.style.width = `${columns * cell}px`;
  canvas.style.height = `${rows * cell}px`;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  const style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue("--on-state");
  pen.font = `700 ${Math.round(cell * 0.55)}px ${style.getPropertyValue("--mono")}`;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  for (const letter of new Set(states)) {
    const color = style.getPropertyValue(`--state-${stateOfLetter(letter).key}`);
    for (let index = states.indexOf(letter); index >= 0; index = states.indexOf(letter, index + 1)) {
      const x = (index % columns) * cell;
      const y = Math.floor(index / columns) * cell;
      fill(pen, letter, x, y, cell - 1, color, ink);
    }
  }
}

function fill(pen, letter, x, y, size, color, ink) {
  pen.fillStyle = color;
  if (size + 1 >= LETTERS_FROM) {
    pen.fillRect(x, y, size, size);
    pen.fillStyle = ink;
    pen.fillText(letter, x + size / 2, y + size / 2 + 0.5);
    return;
  }
  shape(pen, letter, x, y, size, ink);
}

/** Small cells: completed ones are full, running ones have a dot, waiting ones are hollow or half, failed ones crossed. */
function shape(pen, letter, x, y, size, ink) {
  const third = size / 3;
  pen.fillRect(x, y, size, size);
  pen.fillStyle = pen.strokeStyle = ink;
  pen.lineWidth = 1.2;
  pen.beginPath();
  if (letter === "F") {
    pen.moveTo(x + 1, y + 1);
    pen.lineTo(x + size - 1, y + size - 1);
    pen.moveTo(x + size - 1, y + 1);
    pen.lineTo(x + 1, y + size - 1);
  } else if (letter === "X") {
    pen.moveTo(x + 1, y + size - 1);
    pen.lineTo(x + size - 1, y + 1);
  } else if (letter === "R") pen.fillRect(x + third, y + third, third, third);
  else if (letter === "P") {
    pen.fillRect(x + third * 0.8, y + 1, third * 0.5, size - 2);
    pen.fillRect(x + third * 1.8, y + 1, third * 0.5, size - 2);
  } else if (letter === "Q") pen.fillRect(x + 1, y + 1, size - 2, size - 2);
  else if (letter === "N") pen.fillRect(x + 1, y + 1, size - 2, size / 2 - 1);
  else if (letter === "-") pen.fillRect(x + 1, y + size / 2 - 0.5, size - 2, 1.4);
  pen.stroke();
}
