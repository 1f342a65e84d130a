// What entities wrote: one log, or the errors of a whole group with those that are alike told once.

import { html, useEffect, useState } from "../vendor/preact-htm.js";
import { go, href, useData, useShared } from "../context.js";
import { number, plural } from "../format.js";
import { LogViewer } from "../log_viewer.js";
import { Card, EntityLink, Loaded, State, Tail } from "../parts.js";
import { ACTIVE } from "../states.js";

const NAMED = 12; // entities that are listed with an error

export function LogsPage({ query }) {
  const { overview, source } = useShared();
  const entity = query.get("entity") ?? "";
  const group = query.get("group") ?? "";
  const groups = overview?.groups ?? [];
  return html`
    <div class="page-head"><h1>Logs</h1></div>
    <div class="stack">
      <div class="filters">
        ${source.isLive && html`<${Choose} entity=${entity} />`}
        <label>Merged errors of
          <select value=${entity ? "none" : group} onChange=${(event) => go(href("logs", "", { group: event.target.value }))}>
            ${entity && html`<option value="none">…</option>`}
            <option value="">all entities</option>
            ${groups.map((each) => html`<option key=${each.name} value=${each.name}>${each.name}</option>`)}
          </select>
        </label>
      </div>
      ${entity && source.isLive ? html`<${Log} key=${entity} entity=${entity} stream=${query.get("stream") ?? ""} />` : html`<${MergedErrors} group=${group} />`}
    </div>
  `;
}

/** An entity by a part of its name. */
function Choose({ entity }) {
  const { source } = useShared();
  const [text, setText] = useState(entity);
  const [names, setNames] = useState([]);
  useEffect(() => setText(entity), [entity]);
  useEffect(() => {
    const controller = new AbortController();
    const found = source.entities({ text, limit: 20 }, controller.signal);
    found.then((page) => setNames(page.rows.map((row) => row.entity)), () => {});
    return () => controller.abort();
  }, [text]);
  const open = (event) => {
    event.preventDefault();
    const chosen = names.includes(text) ? text : names[0];
    if (chosen) go(href("logs", "", { entity: chosen }));
  };
  return html`<form class="filters" role="search" onSubmit=${open}>
    <label>Log of <input type="search" list="entities" placeholder="Name of an entity" value=${text} onInput=${(event) => setText(event.target.value)} /></label>
    <datalist id="entities">${names.map((name) => html`<option key=${name} value=${name} />`)}</datalist>
    <button>Show</button>
  </form>`;
}

function Log({ entity, stream }) {
  const detail = useData((source, signal) => source.detail(entity, "", signal), [entity]);
  return html`<section class="card">
    <${Loaded} of=${detail}>
      ${({ row, stdout, stderr, batch_script: script }) => html`
        <header><h2><${EntityLink} entity=${entity} /></h2><${State} status=${row.status} isLost=${row.driver_gone} /></header>
        <${LogViewer} entity=${entity} stream=${stream} isOpen=${ACTIVE.has(row.status) && !row.driver_gone}
          streams=${[stdout && "stdout", stderr && "stderr", script && "script"].filter(Boolean)} />`}
    <//>
  </section>`;
}

function MergedErrors({ group }) {
  const merged = useData((source, signal) => source.errors(group, signal), [group]);
  const title = group ? `Last lines of stderr of ${group}` : "Last lines of stderr";
  return html`<${Loaded} of=${merged}>
    ${({ errors }) => html`
      <h2>${title}</h2>
      ${errors.length === 0 && html`<p class="empty">Nothing was written to stderr.</p>`}
      ${errors.map(
        ({ entities, lines }) => html`<${Card} key=${entities[0]} title=${plural(entities.length, "entity", "entities")}>
          <${Names} names=${entities.slice(0, NAMED)} />
          ${entities.length > NAMED &&
          html`<details><summary>and ${number(entities.length - NAMED)} more</summary><${Names} names=${entities.slice(NAMED)} /></details>`}
          <${Tail} lines=${lines} label="Last lines of stderr of ${entities[0]}" />
        <//>`,
      )}
    `}
  <//>`;
}

function Names({ names }) {
  return html`<div class="names">${names.map((name) => html`<${EntityLink} key=${name} entity=${name} />`)}</div>`;
}
