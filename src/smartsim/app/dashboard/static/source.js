// Where pages get what they show: the one place that fetches.
//
// LiveSource asks the JSON API of `smart dashboard` and listens to its events. ReportSource answers the same questions
// from the page itself: a script element of type "application/json" with the id "report-data". Its presence makes the
// page a report.
//
// What report-data holds; each value has the form of the API's answer of that name:
//   generated_at  seconds since the epoch
//   overview      Overview (with "directory"; "control" is taken as false)
//   entities      Page with every row (the latest start of each entity), and "parameters"
//   heatMaps      {group: HeatMap}; "" for all entities, if wanted
//   timeline      Timeline with every bar
//   load          Load
//   databases     {"databases": [...]}
//   inference     {"models": [...]}
//   details       {entity: Detail}     for those that are worth the space: the failed ones
//   diagnoses     {entity: Diagnosis}  likewise
//   errors        {group: {"errors": [...]}}; "" for all entities
// Each may be left out; its page then says so. In the JSON every "<" must be written "\u003c".
//
// How it becomes one file: `smartsim.app.dashboard.bundle.page(data)` inlines styles, icon, scripts and data, and sets
// a policy that allows exactly those. It turns each module into a function, for which modules keep to: imports at the
// beginning of a line, `import { a, b as c } from "./x.js";` or `import d from "./x.js";`; exports as
// `export function|async function|class|const NAME`, or one `export { ... };` at the end; no top-level await.

import { matches, pageOf, sorted } from "./rows.js";

/** Answers of the API of a dashboard. */
export class LiveSource {
  isLive = true;

  overview(signal) {
    return this.#get("overview", {}, signal);
  }
  entities(query, signal) {
    return this.#get("entities", query, signal);
  }
  heatMap(group, signal) {
    return this.#get("heat-map", { group }, signal);
  }
  detail(entity, step, signal) {
    return this.#get(`entities/${encodeURIComponent(entity)}`, { step }, signal);
  }
  diagnosis(entity, step, signal) {
    return this.#get(`entities/${encodeURIComponent(entity)}/diagnosis`, { step }, signal);
  }
  usage(entity, step, signal) {
    return this.#get(`entities/${encodeURIComponent(entity)}/usage`, { step }, signal);
  }
  timeline(query, signal) {
    return this.#get("timeline", query, signal);
  }
  load(signal) {
    return this.#get("load", {}, signal);
  }
  databases(signal) {
    return this.#get("databases", {}, signal);
  }
  inference(signal) {
    return this.#get("inference", {}, signal);
  }
  errors(group, signal) {
    return this.#get("errors", { group }, signal);
  }
  /** A part of a log: {stream, step, offset, limit}; offset -1 for its end. */
  log(entity, query, signal) {
    return this.#get(`logs/${encodeURIComponent(entity)}`, query, signal);
  }
  searchLog(entity, query, signal) {
    return this.#get(`logs/${encodeURIComponent(entity)}/search`, query, signal);
  }
  firstError(entity, query, signal) {
    return this.#get(`logs/${encodeURIComponent(entity)}/first-error`, query, signal);
  }

  /** Stop or restart an entity; returns what was done, in words. */
  async command(action, entity) {
    const path = `api/entities/${encodeURIComponent(entity)}/${action}`;
    const request = {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Requested-With": "smartsim-dashboard" },
      body: JSON.stringify({ confirm: entity }),
    };
    return (await answer(path, request, 1)).done;
  }

  /**
   * Call `onChange({revision, counts})` when the record grows, and `onConnection(isThere, why)`; returns what ends it.
   * A page that nobody sees does not listen: a browser has six connections to a server, for all its tabs together.
   */
  subscribe(onChange, onConnection) {
    let events;
    let retry;
    const open = () => {
      events = new EventSource("api/events");
      events.onopen = () => onConnection(true, "");
      events.addEventListener("change", (event) => onChange(JSON.parse(event.data)));
      events.onerror = () => {
        onConnection(false, "");
        if (events.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
        retry = setTimeout(open, 2000); // it got an answer that is no stream
        this.overview().catch((error) => onConnection(false, error.message));
      };
    };
    const close = () => {
      clearTimeout(retry);
      events?.close();
    };
    const look = () => {
      close();
      if (!document.hidden) open();
    };
    document.addEventListener("visibilitychange", look);
    look();
    return () => {
      document.removeEventListener("visibilitychange", look);
      close();
    };
  }

  async #get(path, query, signal) {
    const words = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) {
      if (Array.isArray(value)) value.forEach((each) => words.append(name, each));
      else if (value != null && value !== "" && value !== false) words.set(name, value === true ? "1" : value);
    }
    const question = words.size ? `?${words}` : "";
    return answer(`api/${path}${question}`, { signal, headers: { Accept: "application/json" } }, ATTEMPTS);
  }
}

const ATTEMPTS = 3; // when its network changes, a browser ends the requests that are under way
const PAUSE = 300; // milliseconds between two

/** What the server answers to a request. */
async function answer(path, request, attempts) {
  for (let left = attempts - 1; ; left--) {
    try {
      return await content(await fetch(path, request));
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // `fetch` tells so of what the network does
      if (!left) throw new Error("The dashboard does not answer.", { cause: error });
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}

async function content(reply) {
  if (reply.ok) return reply.json();
  const body = await reply.json().catch(() => ({}));
  if (reply.status === 401) throw new Error("This page has no valid token: open the URL that `smart dashboard` printed.");
  throw new Error(body?.error || `The dashboard answered ${reply.status}.`);
}

/** The same answers out of the page itself. Nothing changes and nothing can be stopped. */
export class ReportSource {
  isLive = false;
  #data;

  constructor(data) {
    this.#data = data;
    this.generatedAt = data.generated_at;
  }

  async overview() {
    return { ...this.#part("overview"), control: false, now: this.generatedAt };
  }
  async entities(query) {
    const { rows, parameters } = this.#part("entities");
    const starts = query.every_start ? this.#starts(rows) : rows;
    return pageOf(starts, columns(starts, query, parameters), query);
  }
  async heatMap(group) {
    const maps = this.#part("heatMaps");
    if (maps[group]) return maps[group];
    const rows = this.#part("entities").rows.filter((row) => matches(row, { group }));
    const letters = { New: "N", Queued: "Q", Running: "R", Paused: "P", Completed: "C", Failed: "F", Cancelled: "X" };
    return { group, entities: rows.map((row) => row.entity), states: rows.map((row) => letters[row.status] ?? "-").join("") };
  }
  async detail(entity) {
    const detail = this.#data.details?.[entity];
    if (detail) return detail;
    const row = this.#part("entities").rows.find((each) => each.entity === entity);
    if (!row) throw new Error(`The report knows no entity ${JSON.stringify(entity)}.`);
    return { row, starts: [], isShort: true };
  }
  async diagnosis(entity) {
    const found = this.#data.diagnoses?.[entity];
    if (!found) throw new Error("The report has no diagnosis of this entity; a live dashboard has.");
    return found;
  }
  async usage() {
    return { times: [], cpu: [], memory: [] };
  }
  async timeline(query) {
    const all = this.#part("timeline");
    const rows = new Map(this.#part("entities").rows.map((row) => [row.entity, row]));
    const row = (bar) => rows.get(bar.entity) ?? bar;
    const wanted = all.bars.filter((bar) => matches(row(bar), query));
    const bars = sorted(wanted, query.sort || "submitted_at", query.desc);
    const offset = query.offset ?? 0;
    return { ...all, total: bars.length, offset, bars: bars.slice(offset, offset + (query.limit ?? 100)) };
  }
  async load() {
    return this.#part("load");
  }
  async databases() {
    return this.#part("databases");
  }
  async inference() {
    return this.#part("inference");
  }
  async errors(group) {
    return this.#part("errors")[group] ?? { errors: [] };
  }
  subscribe() {
    return () => {};
  }

  #part(name) {
    if (this.#data[name] === undefined) throw new Error(`The report was made without its part "${name}".`);
    return this.#data[name];
  }
  #starts(rows) {
    return rows.flatMap((row) => {
      const starts = this.#data.details?.[row.entity]?.starts;
      return starts?.length ? starts : [row];
    });
  }
}

function columns(rows, { group, run }, parameters) {
  if (!group && !run) return parameters;
  const used = new Set(rows.filter((row) => matches(row, { group, run })).flatMap((row) => Object.keys(row.params ?? {})));
  return parameters.filter((name) => used.has(name));
}

/** The source of this page. */
export function sourceOf(page) {
  const data = page.getElementById("report-data");
  return data ? new ReportSource(withPlainNames(JSON.parse(data.textContent))) : new LiveSource();
}

/** An entity may be called "constructor", or any other thing that objects have by themselves. */
function withPlainNames(report) {
  for (const part of ["heatMaps", "details", "diagnoses", "errors"]) {
    if (report[part]) Object.setPrototypeOf(report[part], null);
  }
  return report;
}
