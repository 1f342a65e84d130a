// All entities as a table, a page at a time, and where the members of a group stand.

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { go, href, useData, useNow, useShared } from "../context.js";
import { NONE, clock, duration, number, plural } from "../format.js";
import { HeatMap } from "../heat_map.js";
import { Card, Letter, Loaded, Name, Pager, State, rove } from "../parts.js";
import { STATES } from "../states.js";

const PAGE = 100;

/** What the address asks for, in the words of the API. */
export function asked(query) {
  return {
    group: query.get("group") ?? "",
    run: query.get("run") ?? "",
    text: query.get("text") ?? "",
    status: query.getAll("status"),
    sort: query.get("sort") ?? "",
    desc: query.get("desc") === "1",
    offset: Number(query.get("offset")) || 0,
    every_start: query.get("every_start") === "1",
    limit: PAGE,
  };
}

/** Go to the same page with other wishes; a new choice begins at the first row. */
export function ask(page, wishes, change, replace = false) {
  const { limit, ...rest } = { ...wishes, offset: 0, ...change };
  go(href(page, "", rest), replace);
}

export function EntitiesPage({ query }) {
  const wishes = asked(query);
  const change = (changes, replace) => ask("entities", wishes, changes, replace);
  const page = useData((source, signal) => source.entities(wishes, signal), [query.toString()]);
  const map = useData((source, signal) => source.heatMap(wishes.group, signal), [wishes.group]);
  return html`
    <div class="page-head"><h1>Entities</h1>
      ${wishes.group && html`<span class="muted">of ${wishes.group}</span>`}
      ${wishes.group && html`<a class="push" href=${href("logs", "", { group: wishes.group })}>Errors of all members</a>`}
    </div>
    <div class="stack">
      <${Filters} wishes=${wishes} change=${change} total=${page.data?.total} />
      <${Card} title="States" note=${map.data && plural(map.data.entities.length, "member")}>
        <${Loaded} of=${map}>
          ${(data) => (data.entities.length ? html`<${HeatMap} ...${data} />` : html`<p class="empty">No members.</p>`)}
        <//>
      <//>
      <section class="card flush" aria-label="Table of entities">
        <${Loaded} of=${page}>${(data) => html`<${Table} data=${data} wishes=${wishes} change=${change} isBusy=${page.isBusy} />`}<//>
      </section>
    </div>
  `;
}

/** Choose by text, state, group and run. Shared with the timeline. */
export function Filters({ wishes, change, total }) {
  const { overview, announce } = useShared();
  const isFirst = useRef(true);
  useEffect(() => {
    if (total === undefined) return;
    if (!isFirst.current) announce(`${plural(total, "entity", "entities")} found.`);
    isFirst.current = false;
  }, [total]);
  const groups = overview?.groups ?? [];
  const runs = overview?.runs ?? [];
  const counts = (wishes.group ? groups.find((group) => group.name === wishes.group)?.counts : overview?.counts) ?? {};
  const toggle = (status) => {
    const others = wishes.status.filter((each) => each !== status);
    change({ status: others.length === wishes.status.length ? [...others, status] : others });
  };
  const chips = STATES.filter((state) => counts[state.status] || wishes.status.includes(state.status));
  return html`<div class="filters" role="search">
    <${TextFilter} text=${wishes.text} change=${change} />
    <select aria-label="Group" value=${wishes.group} onChange=${(event) => change({ group: event.target.value })}>
      <option value="">All groups</option>
      ${groups.map((group) => html`<option key=${group.name} value=${group.name}>${group.name} (${number(group.members)})</option>`)}
    </select>
    ${(runs.length > 1 || wishes.run) &&
    html`<select aria-label="Run" value=${wishes.run} onChange=${(event) => change({ run: event.target.value })}>
      <option value="">All runs</option>
      ${runs.map((run) => html`<option key=${run.run_id} value=${run.run_id}>${run.run_id} (${clock(run.began_at)})</option>`)}
    </select>`}
    <div class="chips" role="group" aria-label="States">
      ${chips.map(
        (state) => html`<button key=${state.status} aria-pressed=${String(wishes.status.includes(state.status))} onClick=${() => toggle(state.status)}>
          <${Letter} state=${state} />${state.word} ${number(counts[state.status] ?? 0)}
        </button>`,
      )}
    </div>
    <label><input type="checkbox" checked=${wishes.every_start} onChange=${(event) => change({ every_start: event.target.checked })} />every start</label>
  </div>`;
}

function TextFilter({ text, change }) {
  const [typed, setTyped] = useState(text);
  const timer = useRef(0);
  useEffect(() => setTyped(text), [text]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const input = (event) => {
    const value = event.target.value;
    setTyped(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => change({ text: value }, true), 200);
  };
  return html`<input type="search" aria-label="Filter by name, parameter, reason or host" placeholder="Name, parameter, reason, host"
    value=${typed} onInput=${input} />`;
}

const COLUMNS = [
  { sort: "status", title: "Status", cell: (row) => html`<${State} status=${row.status} isLost=${row.driver_gone} />` },
  { sort: "returncode", title: "Exit code", isNumber: true, cell: (row) => row.returncode ?? NONE },
  { sort: "wait_seconds", title: "Waited", isNumber: true, cell: (row, now) => duration(waited(row, now)) },
  { sort: "run_seconds", title: "Ran", isNumber: true, cell: (row, now) => duration(ran(row, now)) },
  { sort: "started_at", title: "Started", isNumber: true, cell: (row, now) => clock(row.started_at, now) },
  { sort: "ended_at", title: "Ended", isNumber: true, cell: (row, now) => clock(row.ended_at, now) },
  { sort: "hosts", title: "Hosts", cell: (row) => html`<span class="clip" title=${row.hosts.join(", ")}>${row.hosts.join(", ") || NONE}</span>` },
  { sort: "group", title: "Group", cell: (row) => html`<span class="clip" title=${row.group}>${row.group || NONE}</span>` },
  { sort: "starts", title: "Starts", isNumber: true, cell: (row) => row.starts },
  { sort: "reason", title: "Reason", cell: (row) => html`<span class="clip" title=${row.reason}>${row.reason || NONE}</span>` },
];

function columnsOf(parameters, wishes) {
  const own = parameters.map((name) => ({
    sort: `params.${name}`,
    title: html`<span class="clip short" title=${name}>${name}</span>`,
    cell: (row) => html`<span class="clip short" title=${row.params[name]}>${row.params[name] ?? NONE}</span>`,
    isNumber: true,
  }));
  const others = COLUMNS.filter((column) => column.sort !== "group" || !wishes.group);
  return [others[0], others[1], ...own, ...others.slice(2)];
}

export function waited(row, now) {
  const isOpen = row.started_at == null && row.ended_at == null && row.wait_seconds != null;
  return isOpen ? Math.max(0, now - row.submitted_at) : row.wait_seconds;
}

export function ran(row, now) {
  const isOpen = row.started_at != null && row.ended_at == null && row.run_seconds != null;
  return isOpen ? Math.max(0, now - row.started_at) : row.run_seconds;
}

function Table({ data, wishes, change, isBusy }) {
  const now = useNow(data.rows.some((row) => row.ended_at == null));
  const columns = columnsOf(data.parameters, wishes);
  const limit = wishes.limit;
  if (!data.total) {
    const isChosen = wishes.group || wishes.run || wishes.text || wishes.status.length;
    if (!isChosen) return html`<p class="empty">Nothing has been started yet.</p>`;
    return html`<p class="empty">No entity matches. <button class="small" onClick=${() => go("#/entities")}>Show all</button></p>`;
  }
  return html`
    <div class="scroll">
      <table class="sticky ${isBusy ? "busy" : ""}" aria-busy=${String(isBusy)}>
        <caption class="hidden">Entities, ${number(data.offset + 1)} to ${number(data.offset + data.rows.length)} of ${number(data.total)}</caption>
        <thead><tr>
          <${Head} column=${{ sort: "entity", title: "Entity" }} wishes=${wishes} change=${change} />
          ${columns.map((column) => html`<${Head} key=${column.sort} column=${column} wishes=${wishes} change=${change} />`)}
        </tr></thead>
        <tbody onKeyDown=${rove}>
          ${data.rows.map(
            (row, index) => html`<tr key=${row.step}>
              <th scope="row"><a class="clip rove" tabindex=${index ? -1 : 0} title=${row.entity}
                href=${href("entity", row.entity, { step: wishes.every_start && row.step })}><${Name} name=${row.entity} /></a></th>
              ${columns.map((column) => html`<td key=${column.sort} class=${column.isNumber ? "number" : ""}>${column.cell(row, now)}</td>`)}
            </tr>`,
          )}
        </tbody>
      </table>
    </div>
    <${Pager} total=${data.total} offset=${data.offset} limit=${limit} what=${["entity", "entities"]} go=${(offset) => change({ offset })} />
  `;
}

function Head({ column, wishes, change }) {
  const isSorted = (wishes.sort || "entity") === column.sort;
  const direction = isSorted ? (wishes.desc ? "descending" : "ascending") : "none";
  const sort = () => change({ sort: column.sort, desc: isSorted && !wishes.desc });
  return html`<th scope="col" class=${column.isNumber ? "number" : ""} aria-sort=${direction}>
    <button onClick=${sort}>${column.title}</button>
  </th>`;
}
