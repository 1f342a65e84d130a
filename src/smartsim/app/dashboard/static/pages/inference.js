// How models and scripts do: calls, the time that they wait against the time that they take, sizes of batches.

import { html } from "../vendor/preact-htm.js";
import { Chart } from "../chart.js";
import { useData } from "../context.js";
import { milliseconds, number, plural } from "../format.js";
import { Card, Loaded } from "../parts.js";

const SHOWN = 20; // models whose charts are shown

export function InferencePage() {
  const found = useData((source, signal) => source.inference(signal), []);
  return html`
    <div class="page-head"><h1>Inference</h1></div>
    <${Loaded} of=${found}>
      ${({ models }) =>
        models.length
          ? html`<div class="stack">
              <${Models} models=${models} />
              ${models.slice(0, SHOWN).map((model) => html`<${Model} key=${`${model.server}/${model.model}`} model=${model} />`)}
            </div>`
          : html`<p class="empty">No model or script was called in a database of this experiment.</p>`}
    <//>
  `;
}

function Models({ models }) {
  return html`<${Card} title="Models and scripts" note=${models.length > SHOWN && `charts of the first ${SHOWN} are below`} class="flush">
    <div class="scroll"><table class="sticky">
      <thead><tr><th>Name</th><th>Kind</th><th>Backend</th><th>Device</th><th>Server</th><th class="number">Calls</th><th class="number">Errors</th>
        <th class="number">Waits, mean</th><th class="number">Runs, mean</th><th class="number">In queue</th></tr></thead>
      <tbody>${models.map(
        (model) => html`<tr key=${`${model.server}/${model.model}`}>
          <th scope="row"><span class="clip" title=${model.model}>${model.model}</span></th><td>${model.type.toLowerCase()}</td><td>${model.backend}</td><td>${model.device}</td><td>${model.server}</td>
          <td class="number">${number(model.calls)}</td><td class="number">${number(model.errors)}</td>
          <td class="number">${milliseconds(model.queue_ms)}</td><td class="number">${milliseconds(model.run_ms)}</td><td class="number">${number(model.queue_length)}</td>
        </tr>`,
      )}</tbody>
    </table></div>
  <//>`;
}

function Model({ model }) {
  const { times = [], calls_per_second: calls = [], queue_ms: queue = [], run_ms: run = [] } = model.series;
  return html`<${Card} title=${model.model} note="${model.backend} on ${model.device}, ${model.server}">
    <div class="columns three">
      <div><h3>Calls per second</h3><${Chart} label="Calls per second of ${model.model}" height=${150} lines=${[{ name: "calls/s", times, values: calls }]} /></div>
      <div><h3>Waiting and running, mean of a call</h3><${Chart} label="Time that calls of ${model.model} wait and run" height=${150} format=${milliseconds} lines=${[
        { name: "waits", times, values: queue, color: "--state-Q", dash: [6, 3] },
        { name: "runs", times, values: run, color: "--state-R" },
      ]} /></div>
      <div><h3>Requests in a batch</h3><${Histogram} counts=${model.batch_sizes} /></div>
    </div>
  <//>`;
}

function Histogram({ counts }) {
  const bars = Object.entries(counts).sort((a, b) => (Number(a[0]) || Infinity) - (Number(b[0]) || Infinity));
  const most = Math.max(...bars.map(([, count]) => count), 1);
  if (!bars.length) return html`<p class="empty">No batches yet.</p>`;
  const from = (index) => (index ? Number(bars[index - 1][0]) + 1 : 1);
  const label = (index) => {
    const size = Number(bars[index][0]); // the last one has no bound, and is "inf"
    if (Number.isNaN(size)) return `${from(index)} and more`;
    return size === from(index) ? `${size}` : `${from(index)}–${size}`;
  };
  return html`<div class="histogram" role="img" aria-label=${bars.map(([, count], index) => `${label(index)}: ${plural(count, "run")}`).join(", ")}>
    ${bars.map(([size, count], index) => html`<span key=${size} class="number">${label(index)}</span>
      <span class="fill" style=${{ width: `${(100 * count) / most}%` }} /><span class="number muted">${number(count)}</span>`)}
  </div>`;
}
