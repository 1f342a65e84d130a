// All that is known of one entity: how it stands, why it failed, how it is run, what it wrote.

import { html, useState } from "../vendor/preact-htm.js";
import { Chart } from "../chart.js";
import { href, useData, useNow, useShared } from "../context.js";
import { bytes, clock, duration, number, plain } from "../format.js";
import { LogViewer } from "../log_viewer.js";
import { Card, Confirm, Copy, Facts, Loaded, State, Tail } from "../parts.js";
import { ACTIVE, FINAL } from "../states.js";
import { ran, waited } from "./entities.js";

export function EntityPage({ name, query }) {
  const step = query.get("step") ?? "";
  const detail = useData((source, signal) => source.detail(name, step, signal), [name, step]);
  return html`
    <div class="page-head">
      <h1>${name}</h1>
      ${detail.data && html`<${State} status=${detail.data.row.status} isLost=${detail.data.row.driver_gone} />`}
      ${detail.data && html`<${Actions} row=${detail.data.row} />`}
    </div>
    <${Loaded} of=${detail}>${(data) => html`<${Detail} key=${data.row.step} detail=${data} step=${step} />`}<//>
  `;
}

function Actions({ row }) {
  const { overview, source, announce } = useShared();
  const [action, setAction] = useState(null);
  if (!overview?.control) return null;
  const actions = {
    stop: { verb: "Stop", text: "It is asked to end, and killed if it does not. What it has not saved is lost." },
    restart: { verb: "Restart", text: "It is started once more, by its driver, as it was started before." },
  };
  const run = async () => announce(await source.command(action, row.entity));
  return html`<span class="push chips">
    <button class="danger" disabled=${!ACTIVE.has(row.status)} onClick=${() => setAction("stop")}>Stop …</button>
    <button disabled=${!FINAL.has(row.status)} onClick=${() => setAction("restart")}>Restart …</button>
    ${action &&
    html`<${Confirm} title="${actions[action].verb} ${row.entity}?" text=${actions[action].text} name=${row.entity}
      verb=${actions[action].verb} run=${run} close=${() => setAction(null)} />`}
  </span>`;
}

function Detail({ detail, step }) {
  const { source } = useShared();
  const { row } = detail;
  const streams = [detail.stdout && "stdout", detail.stderr && "stderr", detail.batch_script && "script"].filter(Boolean);
  const parameters = Object.entries(row.params);
  return html`<div class="stack">
    ${row.status === "Failed" && html`<${DiagnosisCard} row=${row} step=${step} />`}
    ${detail.isShort && html`<p class="notice">The report has the details of failed entities alone; a live dashboard has all.</p>`}
    <div class="columns">
      <${Standing} row=${row} />
      ${!detail.isShort && html`<${Run} detail=${detail} />`}
      ${parameters.length > 0 && html`<${Card} title="Parameters"><${Facts} facts=${parameters.map(([key, value]) => [key, html`<code>${value}</code>`])} /><//>`}
      ${!detail.isShort && html`<${Belongings} detail=${detail} />`}
      ${detail.placement?.length > 0 && html`<${Placement} shares=${detail.placement} />`}
      ${detail.starts.length > 1 && html`<${Starts} detail=${detail} />`}
    </div>
    ${source.isLive && html`<${Usage} row=${row} step=${step} />`}
    ${source.isLive &&
    html`<${Card} title="Logs"><${LogViewer} entity=${row.entity} step=${step} streams=${streams}
      isOpen=${ACTIVE.has(row.status) && !row.driver_gone} stream=${row.status === "Failed" ? "stderr" : "stdout"} /><//>`}
  </div>`;
}

function DiagnosisCard({ row, step }) {
  const diagnosis = useData((source, signal) => source.diagnosis(row.entity, step, signal), [row.entity, step]);
  return html`<section class="card diagnosis" aria-labelledby="diagnosis">
    <${Loaded} of=${diagnosis}>
      ${(found) => html`
        <h2 id="diagnosis">${found.headline}</h2>
        ${found.explanation && html`<p>${found.explanation}</p>`}
        ${found.reason && html`<p><span class="muted">Recorded reason: </span>${found.reason}</p>`}
        ${found.first_error_line && html`<p><span class="muted">First error: </span><code>${found.first_error_line}</code></p>`}
        ${found.command_line && html`<div><span class="muted">Command</span><pre class="command" tabindex="0">${found.command_line}</pre></div>`}
        ${found.stderr_tail.length > 0
          ? html`<div><span class="muted">Last lines of stderr</span><${Tail} lines=${found.stderr_tail} label="Last lines of stderr" /></div>`
          : html`<p class="muted">Nothing was written to stderr.</p>`}
        ${found.next_step && html`<p class="next">Next: ${found.next_step}</p>`}
      `}
    <//>
  </section>`;
}

function Standing({ row }) {
  const now = useNow(row.ended_at == null && !row.driver_gone);
  const isServer = row.type === "DBNode";
  const group = row.group && html`<a href=${href("entities", "", { group: row.group })}>${row.group}</a>`;
  return html`<${Card} title="State">
    <${Facts} facts=${[
      ["State", html`<${State} status=${row.status} isLost=${row.driver_gone} />`],
      ["Exit code", row.returncode],
      ["Reason", row.reason],
      ["Stopped by", row.stopped_by],
      ["Submitted", clock(row.submitted_at, now)],
      ["Queued", clock(row.queued_at, now)],
      ["Started", clock(row.started_at, now)],
      ["Stop requested", clock(row.stop_requested_at, now)],
      ["Ended", clock(row.ended_at, now)],
      ["Waited", duration(waited(row, now))],
      ["Ran", duration(ran(row, now))],
      [isServer ? "Database" : "Ensemble", group],
      ["Run", row.run_id && html`<a class="mono" href=${href("entities", "", { run: row.run_id })}>${row.run_id}</a>`],
      ["Hosts", row.hosts.join(", ")],
      ["Process, step or job", row.native_id],
      ["Starts", row.starts],
    ]} />
  <//>`;
}

function Run({ detail }) {
  const { batch, settings } = detail;
  return html`<${Card} title="Command" action=${detail.command_line && html`<${Copy} text=${detail.command_line} what="command" />`}>
    <div class="stack">
      ${detail.command_line ? html`<pre class="command" tabindex="0" aria-label="Command line">${detail.command_line}</pre>` : html`<p class="empty">No command was recorded.</p>`}
      <${Facts} facts=${[
        ["Directory", detail.directory && html`<code>${detail.directory}</code>`],
        ["Standard output", detail.stdout && html`<code>${detail.stdout}</code>`],
        ["Standard error", detail.stderr && html`<code>${detail.stderr}</code>`],
        ["Run command", settings?.run_command && `${settings.run_command} ${options(settings.run_args)}`],
        ["Batch job", detail.batch_job],
        ["Batch script", detail.batch_script && html`<code>${detail.batch_script}</code>`],
        ["Batch options", batch && `${batch.command} ${options(batch.args)}`],
      ]} />
    </div>
  <//>`;
}

function options(args) {
  return Object.entries(args ?? {}).map(([name, value]) => (value == null ? name : `${name}=${plain(value)}`)).join(" ");
}

function Belongings({ detail }) {
  const lines = (values) => values?.length > 0 && values.map((value) => html`<div key=${value}><code>${value}</code></div>`);
  const models = (values) => lines(values.map(({ name, backend, device }) => [name, backend, device].filter(Boolean).join(", ")));
  const colocated = Object.entries(detail.colocated);
  const facts = [
    ["Copied", lines(detail.files?.copy)],
    ["Linked", lines(detail.files?.symlink)],
    ["Configured", lines(detail.files?.configure)],
    ["Reads data of", lines(detail.incoming)],
    ["Models", models(detail.ml_models)],
    ["Scripts", models(detail.ml_scripts)],
    ["Database beside it", colocated.length > 0 && colocated.map(([name, value]) => html`<div key=${name}>${name}: <code>${plain(value)}</code></div>`)],
  ];
  if (!facts.some(([, value]) => value)) return null;
  return html`<${Card} title="Files and data"><${Facts} facts=${facts} /><//>`;
}

function Placement({ shares }) {
  return html`<${Card} title="Placement">
    <div class="scroll"><table>
      <thead><tr><th>Node</th><th class="number">Tasks</th><th>CPUs</th><th>GPUs</th></tr></thead>
      <tbody>${shares.map(
        (share) => html`<tr key=${share.node}><th scope="row">${share.node}</th><td class="number">${number(share.tasks)}</td>
          <td>${ranges(share.cpus) || "–"}</td><td>${ranges(share.gpus) || "–"}</td></tr>`,
      )}</tbody>
    </table></div>
  <//>`;
}

/** "0-3, 8": numbers as people write them. */
function ranges(numbers) {
  const parts = [];
  for (const each of [...numbers].sort((a, b) => a - b)) {
    const last = parts.at(-1);
    if (last && each === last[1] + 1) last[1] = each;
    else parts.push([each, each]);
  }
  return parts.map(([from, to]) => (from === to ? from : `${from}-${to}`)).join(", ");
}

function Starts({ detail }) {
  return html`<${Card} title="Starts" class="flush">
    <div class="scroll"><table>
      <thead><tr><th>Start</th><th>State</th><th class="number">Exit code</th><th class="number">Submitted</th><th class="number">Ran</th></tr></thead>
      <tbody>${detail.starts.map(
        (start, index) => html`<tr key=${start.step} aria-current=${start.step === detail.row.step ? "true" : null}>
          <th scope="row"><a href=${href("entity", start.entity, { step: start.step })}>${index + 1}</a>${start.step === detail.row.step && html` <span class="muted">(shown)</span>`}</th>
          <td><${State} status=${start.status} isLost=${start.driver_gone} /></td>
          <td class="number">${start.returncode ?? "–"}</td>
          <td class="number">${clock(start.submitted_at)}</td>
          <td class="number">${duration(start.run_seconds)}</td>
        </tr>`,
      )}</tbody>
    </table></div>
  <//>`;
}

function Usage({ row, step }) {
  const usage = useData((source, signal) => source.usage(row.entity, step, signal), [row.entity, step]);
  return html`<${Card} title="CPU and memory">
    <${Loaded} of=${usage}>
      ${({ times, cpu, memory }) =>
        times.length
          ? html`<div class="columns">
              <${Chart} label="Cores in use" lines=${[{ name: "cores", times, values: cpu }]} />
              <${Chart} label="Resident memory" format=${bytes} lines=${[{ name: "memory", times, values: memory, color: "--line-2" }]} />
            </div>`
          : html`<p class="empty">No samples: short jobs end before the first one, and jobs on other nodes are not sampled by the driver.</p>`}
    <//>
  <//>`;
}
