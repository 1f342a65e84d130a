// Small parts that pages are made of.

import { html, useEffect, useLayoutEffect, useRef, useState } from "./vendor/preact-htm.js";
import { href, useShared } from "./context.js";
import { NONE, number, plural } from "./format.js";
import { STATES, inWords, stateOf } from "./states.js";

export function Letter({ state }) {
  return html`<span class="letter s-${state.key}" aria-hidden="true">${state.letter}</span>`;
}

/** A state in words; `isLost` when its driver has gone, so that nobody knows whether it is still so. */
export function State({ status, isLost = false }) {
  const state = stateOf(status);
  const title = isLost ? "Its driver has gone: nobody recorded what became of it" : null;
  return html`<span class="state" title=${title}><${Letter} state=${state} />${state.word}${isLost && html`<span class="muted">(driver gone)</span>`}</span>`;
}

/** A stacked bar of states; its meaning is told in words. */
export function StateBar({ counts }) {
  const shown = STATES.filter((state) => counts[state.status]);
  return html`<div class="bar" role="img" aria-label=${inWords(counts)} title=${inWords(counts)}>
    ${shown.map((state) => html`<span key=${state.status} class="s-${state.key}" style=${{ flexGrow: counts[state.status] }} />`)}
  </div>`;
}

/** How many are in each state, each a link to those. */
export function Legend({ counts, query = {} }) {
  return html`<div class="legend">
    ${STATES.filter((state) => counts[state.status]).map(
      (state) => html`<a key=${state.status} class="state" href=${href("entities", "", { ...query, status: state.status })}>
        <${Letter} state=${state} /><span>${number(counts[state.status])} ${state.word.toLowerCase()}</span>
      </a>`,
    )}
  </div>`;
}

/** Names and values; `facts` are pairs, those without a value are left out. */
export function Facts({ facts }) {
  const known = facts.filter(([, value]) => value != null && value !== "" && value !== NONE && value !== false);
  return html`<dl class="facts">${known.map(([name, value]) => html`<dt key=${name}>${name}</dt><dd>${value}</dd>`)}</dl>`;
}

export function Card({ title, note, action, class: kind = "", children }) {
  return html`<section class="card ${kind}">
    <header>
      <h2>${title}</h2>
      ${note && html`<span class="muted">${note}</span>`}
      ${action && html`<span class="push">${action}</span>`}
    </header>
    ${children}
  </section>`;
}

/** What `useData` answered: the error if there is one, and `children(data)` as soon as there is data. */
export function Loaded({ of, children }) {
  return html`
    ${of.error && html`<p class="notice bad" role="alert">${of.error}</p>`}
    ${of.data !== undefined ? children(of.data) : !of.error && html`<p class="empty">Loading …</p>`}
  `;
}

const LONG = 30; // characters of a name that fit
const END = 8; // those by which members are told apart

/** A name; of a long one both ends are seen, however little room there is. */
export function Name({ name }) {
  if (name.length <= LONG) return name;
  return html`<span class="ends"><span>${name.slice(0, -END)}</span><span>${name.slice(-END)}</span></span>`;
}

export function EntityLink({ entity, step = "", ...rest }) {
  return html`<a class="clip" href=${href("entity", entity, { step })} title=${entity} ...${rest}><${Name} name=${entity} /></a>`;
}

export function Pager({ total, offset, limit, what, go }) {
  const last = Math.min(offset + limit, total);
  const final = Math.max(0, Math.floor((total - 1) / limit) * limit);
  return html`<div class="pager">
    <span>${total ? `${number(offset + 1)}–${number(last)} of ${plural(total, ...what)}` : `no ${what[1] ?? `${what[0]}s`}`}</span>
    ${total > limit &&
    html`<nav class="chips" aria-label="Pages">
      <button class="small" disabled=${offset === 0} onClick=${() => go(0)}>First</button>
      <button class="small" disabled=${offset === 0} onClick=${() => go(Math.max(0, offset - limit))}>Previous</button>
      <button class="small" disabled=${last >= total} onClick=${() => go(offset + limit)}>Next</button>
      <button class="small" disabled=${last >= total} onClick=${() => go(final)}>Last</button>
    </nav>`}
  </div>`;
}

/** The last lines of a log, at their end: what matters stands there. */
export function Tail({ lines, label }) {
  const place = useRef(null);
  useLayoutEffect(() => void (place.current.scrollTop = place.current.scrollHeight), [lines.length]);
  return html`<pre class="tail" ref=${place} tabindex="0" aria-label=${label}>${lines.join("\n")}</pre>`;
}

export function Copy({ text, what }) {
  const { announce } = useShared();
  const [isDone, setDone] = useState(false);
  const copy = async () => {
    await copied(text);
    setDone(true);
    announce(`The ${what} is in the clipboard.`);
    setTimeout(() => setDone(false), 2000);
  };
  return html`<button class="small" onClick=${copy}>${isDone ? "Copied" : "Copy"}<span class="hidden"> the ${what}</span></button>`;
}

async function copied(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea"); // a report that was opened from a disk has no clipboard
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
  return undefined;
}

/**
 * Asks before something is done that cannot be taken back: the name must be typed. The browser keeps the focus inside
 * and closes it on Escape; afterwards the focus is where it was.
 */
export function Confirm({ title, text, name, verb, run, close }) {
  const dialog = useRef(null);
  const [typed, setTyped] = useState("");
  const [error, setError] = useState("");
  const [isBusy, setBusy] = useState(false);
  useEffect(() => {
    const [element, opener] = [dialog.current, document.activeElement];
    element.showModal();
    return () => {
      element.close(); // while it is open, nothing else takes the focus
      opener?.focus?.();
    };
  }, []);
  const submit = async (event) => {
    event.preventDefault();
    if (typed !== name || isBusy) return;
    setBusy(true);
    try {
      await run();
      close();
    } catch (failure) {
      setError(failure.message);
      setBusy(false);
    }
  };
  // Escape closes it through us: we hear of what the browser has closed when somebody may have opened it anew.
  const dismiss = (event) => {
    event.preventDefault();
    if (event.target.isConnected) close();
  };
  return html`<dialog ref=${dialog} onCancel=${dismiss} onClose=${dismiss} aria-labelledby="confirm-title">
    <form onSubmit=${submit}>
      <h2 id="confirm-title">${title}</h2>
      <p>${text}</p>
      <label><span>Type <strong>${name}</strong> to confirm</span>
        <input value=${typed} onInput=${(event) => setTyped(event.target.value)} autocomplete="off" spellcheck="false" />
      </label>
      ${error && html`<p class="notice bad" role="alert">${error}</p>`}
      <div class="actions">
        <button type="button" onClick=${close}>Leave it as it is</button>
        <button class="danger" disabled=${typed !== name || isBusy}>${verb}</button>
      </div>
    </form>
  </dialog>`;
}

/** Move between the links `.rove` in an element by arrow keys, Home and End; only one of them is a stop of Tab. */
export function rove(event) {
  const links = [...event.currentTarget.querySelectorAll(".rove")];
  const at = links.indexOf(document.activeElement);
  const steps = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1, PageDown: at + 10, PageUp: at - 10 };
  if (at < 0 || !(event.key in steps)) return;
  event.preventDefault();
  const next = links[Math.min(links.length - 1, Math.max(0, steps[event.key]))];
  links.forEach((link) => link.setAttribute("tabindex", link === next ? "0" : "-1"));
  next.focus();
}
