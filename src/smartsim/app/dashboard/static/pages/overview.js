// The experiment at a glance.

import { html } from "../vendor/preact-htm.js";
import { Chart } from "../chart.js";
import { href, useData, useNow, useShared } from "../context.js";
import { clock, duration, number, plural } from "../format.js";
import { Card, EntityLink, Facts, Legend, Loaded, Name, StateBar } from "../parts.js";

const SHOWN_RUNS = 50;

export function OverviewPage() {
  const { overview } = useShared();
  if (!overview) return html`<h1>Overview</h1><p class="empty">Loading …</p>`;
  return html`
    <div class="page-head"><h1>Overview</h1></div>
    ${overview.lost > 0 && html`<${DriverGone} overview=${overview} />`}
    <div class="stack">
      <div class="columns">
        <${Standing} overview=${overview} />
        <${About} overview=${overview} />
      </div>
      <${Groups} groups=${overview.groups} />
      <div class="columns">
        <${Failures} rows=${overview.failures} counts=${overview.counts} />
        <${LoadChart} />
      </div>
      <${Runs} runs=${overview.runs} />
    </div>
  `;
}

function DriverGone({ overview: { driver_gone: isOver, lost } }) {
  return html`<p class="notice">
    ${isOver ? "The driver" : "A driver"} has gone without recording the end of ${plural(lost, "entity", "entities")}: they may run or not.
    A driver that opens the experiment again takes over what still runs; ${" "}<code>smart ps</code>${" "}lists it.
  </p>`;
}

function Standing({ overview }) {
  const { counts, jobs, entities } = overview;
  const active = (counts.Running ?? 0) + (counts.Paused ?? 0);
  const waiting = (counts.Queued ?? 0) + (counts.New ?? 0);
  return html`<${Card} title="Where it stands">
    <div class="stack">
      <div class="figures">
        <div><strong>${number(entities)}</strong><span>${entities === 1 ? "entity" : "entities"}</span></div>
        <div><strong>${number(active)}</strong><span>running</span></div>
        <div><strong>${number(waiting)}</strong><span>waiting</span></div>
        <div><strong>${number(counts.Failed ?? 0)}</strong><span>failed</span></div>
        <div><strong>${number(jobs)}</strong><span>${jobs === 1 ? "start" : "starts"}</span></div>
      </div>
      <div>
        <${StateBar} counts=${counts} />
        <${Legend} counts=${counts} />
        ${!entities && html`<p class="empty">Nothing has been started yet. What starts appears here by itself.</p>`}
      </div>
    </div>
  <//>`;
}

function About({ overview }) {
  const isOver = overview.driver_gone || overview.drivers.every((driver) => driver.is_alive === false);
  const now = useNow(!isOver);
  const end = isOver ? overview.latest_at : now;
  const drivers = overview.drivers.slice(-5).reverse();
  const alive = { true: "alive", false: "ended" };
  return html`<${Card} title="Experiment">
    <${Facts} facts=${[
      ["Directory", html`<code>${overview.directory}</code>`],
      ["Launcher", overview.launcher],
      ["Began", overview.began_at && `${clock(overview.began_at, now)} (${duration(end - overview.began_at)} ${isOver ? "long" : "ago"})`],
      ["Latest event", clock(overview.latest_at, now)],
      [
        overview.drivers.length === 1 ? "Driver" : `Drivers (${overview.drivers.length})`,
        drivers.map(
          (driver) => html`<div key=${`${driver.host}/${driver.pid}/${driver.began_at}`}>
            ${driver.experiment !== overview.experiment && `${driver.experiment}: `}${driver.host || "?"}, process ${driver.pid}${driver.smartsim && `, smartsim ${driver.smartsim}`}${" "}
            <span class="muted">since ${clock(driver.began_at, now)}${driver.is_alive == null ? "" : `, ${alive[driver.is_alive]}`}</span>
          </div>`,
        ),
      ],
      ["Unreadable events", overview.unknown_events > 0 && `${number(overview.unknown_events)}, of a newer version or damaged; left out`],
    ]} />
  <//>`;
}

function Groups({ groups }) {
  return html`<${Card} title="Groups" class="flush">
    ${groups.length === 0
      ? html`<p class="empty">No ensembles, databases or models yet.</p>`
      : html`<div class="scroll"><table>
          <thead><tr><th>Name</th><th>Kind</th><th class="number">Members</th><th style=${{ width: "38%" }}>States</th><th>Parameters</th></tr></thead>
          <tbody>${groups.map((group) => html`<${Group} key=${`${group.kind}/${group.name}`} group=${group} />`)}</tbody>
        </table></div>`}
  <//>`;
}

function Group({ group }) {
  const parameters = Object.entries(group.params);
  const values = ([name, all]) => `${name}: ${all.slice(0, 8).join(", ")}${all.length > 8 ? `, … (${all.length})` : ""}`;
  return html`<tr>
    <th scope="row"><a class="clip" href=${href("entities", "", { group: group.name })} title=${group.name}><${Name} name=${group.name} /></a></th>
    <td class="nowrap">${group.kind}</td>
    <td class="number">${number(group.members)}</td>
    <td><${StateBar} counts=${group.counts} /></td>
    <td><span class="clip wide" title=${parameters.map(values).join("\n")}>${parameters.map(values).join("; ") || html`<span class="muted">–</span>`}</span></td>
  </tr>`;
}

function Failures({ rows, counts }) {
  const more = (counts.Failed ?? 0) > rows.length && html`<a href=${href("entities", "", { status: "Failed" })}>all ${number(counts.Failed)}</a>`;
  return html`<${Card} title="Latest failures" class="flush" action=${more}>
    ${rows.length === 0
      ? html`<p class="empty">Nothing has failed.</p>`
      : html`<div class="scroll"><table>
          <thead><tr><th>Entity</th><th class="number">Exit code</th><th class="number">Ended</th><th>Reason</th></tr></thead>
          <tbody>${rows.slice(0, 10).map(
            (row) => html`<tr key=${row.step}>
              <th scope="row"><${EntityLink} entity=${row.entity} class="clip short" /></th>
              <td class="number">${row.returncode ?? "–"}</td>
              <td class="number">${clock(row.ended_at)}</td>
              <td><span class="clip" title=${row.reason}>${row.reason || "–"}</span></td>
            </tr>`,
          )}</tbody>
        </table></div>`}
  <//>`;
}

function LoadChart() {
  const { overview } = useShared();
  const load = useData((source, signal) => source.load(signal), []);
  return html`<${Card} title="Running and waiting">
    <${Loaded} of=${load}>
      ${(data) => {
        const { times, running, waiting } = untilNow(data, overview);
        return html`<${Chart} label="Running and waiting starts over time" height=${210} isStepped empty="Nothing has been started yet." lines=${[
          { name: "running", times, values: running, color: "--state-R", isFilled: true },
          { name: "waiting", times, values: waiting, color: "--state-Q", dash: [6, 3] },
        ]} />`;
      }}
    <//>
  <//>`;
}

/** What runs or waits at the last change does so until now. */
function untilNow({ times, running, waiting }, { now, driver_gone: isOver }) {
  const isOpen = !isOver && running.at(-1) + waiting.at(-1) > 0 && now > times.at(-1);
  if (!isOpen) return { times, running, waiting };
  return { times: [...times, now], running: [...running, running.at(-1)], waiting: [...waiting, waiting.at(-1)] };
}

function Runs({ runs }) {
  const latest = runs.slice(-SHOWN_RUNS).reverse();
  return html`<${Card} title="Runs" class="flush" note=${runs.length > SHOWN_RUNS ? `the latest ${SHOWN_RUNS} of ${number(runs.length)} calls of start` : "calls of start"}>
    ${runs.length === 0
      ? html`<p class="empty">No call of start yet.</p>`
      : html`<div class="scroll"><table>
          <thead><tr><th>Run</th><th class="number">Began</th><th class="number">Launched after</th><th class="number">Starts</th><th style=${{ width: "32%" }}>States</th><th>Error</th></tr></thead>
          <tbody>${latest.map(
            (run) => html`<tr key=${run.run_id}>
              <th scope="row"><a class="clip mono" href=${href("entities", "", { run: run.run_id })}>${run.run_id}</a></th>
              <td class="number">${clock(run.began_at)}</td>
              <td class="number">${run.launched_at == null ? "–" : duration(run.launched_at - run.began_at)}</td>
              <td class="number">${number(run.jobs)}</td>
              <td><${StateBar} counts=${run.counts} /></td>
              <td>${run.error ? html`<span class="clip wide" title=${run.error}>${run.error}</span>` : "–"}</td>
            </tr>`,
          )}</tbody>
        </table></div>`}
  <//>`;
}

