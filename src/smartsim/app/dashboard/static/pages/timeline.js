// When each entity waited and ran.

import { html } from "../vendor/preact-htm.js";
import { href, useData, useNow } from "../context.js";
import { clock, duration } from "../format.js";
import { Letter, Loaded, Name, Pager, rove } from "../parts.js";
import { stateOf } from "../states.js";
import { Filters, ask, asked } from "./entities.js";

const ORDERS = [
  { sort: "submitted_at", title: "Submission" },
  { sort: "started_at", title: "Start" },
  { sort: "ended_at", title: "End" },
  { sort: "wait_seconds", title: "Longest wait", desc: true },
  { sort: "run_seconds", title: "Longest run", desc: true },
  { sort: "entity", title: "Name" },
];

export function TimelinePage({ query }) {
  const wishes = { ...asked(query), sort: query.get("sort") || "submitted_at" };
  const change = (changes, replace) => ask("timeline", wishes, changes, replace);
  const timeline = useData((source, signal) => source.timeline(wishes, signal), [query.toString()]);
  const order = (event) => {
    const chosen = ORDERS.find((each) => each.sort === event.target.value);
    change({ sort: chosen.sort, desc: chosen.desc ?? false });
  };
  return html`
    <div class="page-head"><h1>Timeline</h1></div>
    <div class="stack">
      <${Filters} wishes=${wishes} change=${change} total=${timeline.data?.total} />
      <section class="card" aria-label="Timeline of entities">
        <header class="middle">
          <label class="key">Order <select value=${wishes.sort} onChange=${order}>
            ${ORDERS.map(({ sort, title }) => html`<option key=${sort} value=${sort}>${title}</option>`)}
          </select></label>
          <span class="key push"><i class="wait" />waits</span>
          <span class="key"><i class="s-R" />runs, in the colour of its state</span>
          <span class="key"><i class="stop" />stop requested</span>
        </header>
        <${Loaded} of=${timeline}>
          ${(data) => (data.total ? html`<${Lanes} data=${data} />` : html`<p class="empty">No entity matches.</p>`)}
        <//>
        ${timeline.data && html`<${Pager} total=${timeline.data.total} offset=${timeline.data.offset} limit=${wishes.limit} what=${["start", "starts"]} go=${(offset) => change({ offset })} />`}
      </section>
    </div>
  `;
}

function Lanes({ data }) {
  const isOpen = data.bars.some((bar) => bar.ended_at == null && !bar.driver_gone && bar.status !== "NeverStarted");
  const now = useNow(isOpen);
  const ends = isOpen ? Math.max(data.ends_at, now) : data.ends_at;
  const span = Math.max(ends - data.begins_at, 0.001);
  const place = (from, to) => ({ left: `${(100 * (from - data.begins_at)) / span}%`, width: `${(100 * Math.max(0, to - from)) / span}%` });
  return html`<div class="lanes" role="list" onKeyDown=${rove}>
    <span class="muted">${clock(data.begins_at, now)}</span>
    <div class="axis" aria-hidden="true">${ticks(span).map((at) => html`<span key=${at} style=${{ left: `${(100 * at) / span}%` }}>${at === 0 ? "0" : `+${short(at)}`}</span>`)}</div>
    ${data.bars.map((bar, index) => html`<${Lane} key=${bar.step} bar=${bar} place=${place} end=${bar.driver_gone ? data.ends_at : ends} isFirst=${index === 0} />`)}
  </div>`;
}

function Lane({ bar, place, end, isFirst }) {
  const state = stateOf(bar.status);
  const waitEnd = bar.started_at ?? bar.ended_at ?? (bar.status === "NeverStarted" ? bar.submitted_at : end);
  const runEnd = bar.ended_at ?? end;
  const ran = bar.started_at == null ? "" : `, ran ${duration(runEnd - bar.started_at)}`;
  const words = `${state.word}; waited ${duration(waitEnd - bar.submitted_at)}${ran}`;
  return html`<div class="lane" role="listitem">
    <a class="rove" tabindex=${isFirst ? 0 : -1} href=${href("entity", bar.entity, { step: bar.step })} title=${bar.entity}>
      <${Letter} state=${state} /><span><${Name} name=${bar.entity} /><span class="hidden">: ${words}</span></span>
    </a>
    <div class="track" title=${words}>
      ${waitEnd > bar.submitted_at && html`<span class="wait" style=${place(bar.submitted_at, waitEnd)} />`}
      ${bar.started_at != null && html`<span class="s-${state.key}" style=${place(bar.started_at, runEnd)} />`}
      ${bar.stop_requested_at != null && html`<span class="stop" style=${{ left: place(bar.stop_requested_at, 0).left }} />`}
    </div>
  </div>`;
}

const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800];

/** "2 min", not "2 min 00 s". */
function short(seconds) {
  return duration(seconds).replace(/ 00? (s|min|h)$/, "").replace(/\.0 s$/, " s");
}

function ticks(span) {
  const step = STEPS.find((each) => span / each <= 7) ?? 604800 * Math.ceil(span / 604800 / 7);
  const all = [];
  for (let at = 0; at <= span * 0.97; at += step) all.push(Number(at.toFixed(3)));
  return all;
}
