// How databases do: memory, commands, latencies, clients, slow commands, large keys.

import { html } from "../vendor/preact-htm.js";
import { Chart } from "../chart.js";
import { useData } from "../context.js";
import { bytes, clock, milliseconds, number, percent, plural } from "../format.js";
import { Card, EntityLink, Facts, Loaded, State } from "../parts.js";

const CHARTS = [
  { title: "Memory", value: "used_memory", format: bytes },
  { title: "Commands per second", value: "ops_per_second", format: number },
  { title: "Latency, 99th percentile", value: "p99", format: microseconds },
  { title: "Clients", value: "clients", format: number },
  { title: "Received per second", value: "bytes_in_per_second", format: bytes },
  { title: "Sent per second", value: "bytes_out_per_second", format: bytes },
];

function microseconds(value) {
  return milliseconds(value == null ? null : value / 1000);
}

export function DatabasesPage() {
  const found = useData((source, signal) => source.databases(signal), []);
  return html`
    <div class="page-head"><h1>Databases</h1></div>
    <${Loaded} of=${found}>
      ${({ databases }) =>
        databases.length
          ? html`<div class="stack">${databases.map((database) => html`<${Database} key=${database.name} database=${database} />`)}</div>`
          : html`<p class="empty">No database was launched in this experiment.</p>`}
    <//>
  `;
}

function Database({ database }) {
  const { servers, slow_calls: slow, largest_keys: keys } = database;
  const isSampled = servers.some((server) => server.series.times?.length);
  return html`
    <${Card} title=${database.name} note=${plural(servers.length, "server")} class="flush">
      <div class="empty"><${Facts} facts=${[
        ["Server program", database.server_version],
        ["Ready", database.ready_at ? clock(database.ready_at) : "not yet"],
        ["Directory", database.directory && html`<code>${database.directory}</code>`],
      ]} /></div>
      <${Servers} servers=${servers} />
    <//>
    ${!isSampled && html`<p class="empty">No samples of ${database.name}. They are taken while its driver runs and telemetry is on.</p>`}
    ${isSampled &&
    html`<div class="columns">
      ${CHARTS.map(({ title, value, format }) => html`<${Card} key=${value} title=${title}>
        <${Chart} label="${title} of ${database.name}" height=${150} format=${format} lines=${servers
          .filter((server) => server.series[value])
          .map((server) => ({ name: server.server, times: server.series.times, values: server.series[value] }))} />
      <//>`)}
      <${Latencies} servers=${servers} />
      <${SlowCalls} calls=${slow} />
      <${LargestKeys} keys=${keys} />
    </div>`}
  `;
}

function Servers({ servers }) {
  return html`<div class="scroll"><table class="sticky">
    <thead><tr><th>Server</th><th>State</th><th>Address</th><th>Shard</th><th>Slots</th><th class="number">Memory</th><th class="number">Peak</th>
      <th class="number">Clients</th><th class="number">Keys</th><th class="number">Commands/s</th><th class="number">Hits</th></tr></thead>
    <tbody>${servers.map(
      ({ server, status, address, shard, slots, is_replica: isReplica, latest }) => html`<tr key=${server}>
        <th scope="row">${status ? html`<${EntityLink} entity=${server} />` : server}</th>
        <td>${status ? html`<${State} status=${status} />` : "–"}</td>
        <td class="mono">${address || "–"}</td>
        <td>${number(shard)}${isReplica && html` <span class="muted">replica</span>`}</td>
        <td class="nowrap">${slots.length ? slots.join("–") : "all"}</td>
        <td class="number">${bytes(latest.used_memory)}</td>
        <td class="number">${bytes(latest.peak_memory)}</td>
        <td class="number">${number(latest.clients)}</td>
        <td class="number">${number(latest.keys)}</td>
        <td class="number">${number(latest.ops_per_second)}</td>
        <td class="number">${percent(latest.hit_rate)}</td>
      </tr>`,
    )}</tbody>
  </table></div>`;
}

function Latencies({ servers }) {
  const rows = servers.flatMap(({ server, latencies }) => Object.entries(latencies).map(([command, values]) => ({ server, command, values })));
  rows.sort((a, b) => b.values[1] - a.values[1]);
  return html`<${Card} title="Latencies by command" note="since the server began" class="flush">
    ${rows.length === 0
      ? html`<p class="empty">None yet.</p>`
      : html`<div class="scroll"><table>
          <thead><tr><th>Command</th><th>Server</th><th class="number">50 %</th><th class="number">99 %</th><th class="number">99.9 %</th></tr></thead>
          <tbody>${rows.slice(0, 12).map(
            ({ server, command, values }) => html`<tr key=${`${server}/${command}`}><th scope="row" class="mono">${command}</th><td>${server}</td>
              ${values.map((value, index) => html`<td key=${index} class="number">${microseconds(value)}</td>`)}</tr>`,
          )}</tbody>
        </table></div>`}
  <//>`;
}

function SlowCalls({ calls }) {
  return html`<${Card} title="Slow commands" class="flush">
    ${calls.length === 0
      ? html`<p class="empty">None were slow.</p>`
      : html`<div class="scroll"><table>
          <thead><tr><th class="number">At</th><th class="number">Took</th><th>Command</th><th>Server</th></tr></thead>
          <tbody>${calls.slice(0, 12).map((call, index) => {
            const words = call.command.join(" ");
            return html`<tr key=${`${call.server}/${call.at}/${index}`}><td class="number">${clock(call.at)}</td><td class="number">${microseconds(call.microseconds)}</td>
              <td><code class="clip" title=${words}>${words}</code></td><td>${call.server}</td></tr>`;
          })}</tbody>
        </table></div>`}
  <//>`;
}

function LargestKeys({ keys }) {
  return html`<${Card} title="Largest keys" class="flush">
    ${keys.length === 0
      ? html`<p class="empty">They have not been looked for yet, or there are none.</p>`
      : html`<div class="scroll"><table>
          <thead><tr><th>Key</th><th>Type</th><th class="number">Size</th><th>Server</th></tr></thead>
          <tbody>${keys.map(
            (key) => html`<tr key=${`${key.server}/${key.name}`}><th scope="row"><code class="clip" title=${key.name}>${key.name}</code></th>
              <td>${key.type}</td><td class="number">${bytes(key.bytes)}</td><td>${key.server}</td></tr>`,
          )}</tbody>
        </table></div>`}
  <//>`;
}
