// A log of any size: its end, or any other part of it, by offset; what is appended follows by itself.

import { html, useEffect, useLayoutEffect, useRef, useState } from "./vendor/preact-htm.js";
import { useShared } from "./context.js";
import { bytes, number, plural } from "./format.js";

const LIMIT = 65536; // bytes of one part
const KEPT = 12; // parts that stay in the page
const POLL = 1000; // milliseconds from one look for what was appended to the next

/** The streams of one start of an entity; `isOpen` while it may still write. */
export function LogViewer({ entity, step = "", streams, isOpen, stream: wanted = "" }) {
  const [stream, setStream] = useState(streams.includes(wanted) ? wanted : streams[0]);
  const shown = streams.includes(stream) ? stream : streams[0];
  if (!streams.length) return html`<p class="empty">The record names no log of it.</p>`;
  return html`
    <div class="log-tools" role="group" aria-label="Streams">
      ${streams.map((each) => html`<button key=${each} aria-pressed=${String(each === shown)} onClick=${() => setStream(each)}>${each}</button>`)}
    </div>
    <${Stream} key=${`${entity}/${step}/${shown}`} entity=${entity} query=${{ stream: shown, step }} isOpen=${isOpen} />
  `;
}

function Stream({ entity, query, isOpen }) {
  const { source, announce } = useShared();
  const [parts, setParts] = useState(null);
  const [error, setError] = useState("");
  const [isFollowing, setFollowing] = useState(isOpen);
  const [isWrapped, setWrapped] = useState(true);
  const [found, setFound] = useState(null);
  const [target, setTarget] = useState(null);
  const searches = useRef(0); // how many were begun, or ended early
  const box = useRef(null);
  const stay = useRef(null); // the height below which nothing moves when lines are put before
  const ask = (offset, limit = LIMIT) => source.log(entity, { ...query, offset, limit });
  const guarded = (work) => work().then(() => setError(""), (failure) => setError(failure.message));

  const showEnd = () =>
    guarded(async () => {
      const part = await ask(-1);
      setTarget(null);
      setParts([part]);
      stay.current = "end";
    });
  const showAt = (offset) =>
    guarded(async () => {
      setFollowing(false);
      const begin = Math.max(0, offset - LIMIT / 4);
      const before = begin < offset ? [await ask(begin, offset - begin)] : [];
      setTarget(offset);
      setParts([...before, await ask(offset)]);
      stay.current = "target";
    });
  const showEarlier = () =>
    guarded(async () => {
      const begin = Math.max(0, parts[0].offset - LIMIT);
      const part = await ask(begin, parts[0].offset - begin);
      stay.current = box.current.scrollHeight - box.current.scrollTop;
      setParts([part, ...parts].slice(0, KEPT));
    });
  const showLater = async () => {
    const part = await ask(parts.at(-1).end);
    if (part.size < parts.at(-1).end) return showEnd(); // it was cut or written anew
    if (part.end > part.offset) {
      if (isNearEnd(box.current)) stay.current = "end";
      setParts((before) => (before.at(-1).end === part.offset ? extended(before, part) : before)); // unless another is shown
    } else if (part.size !== parts.at(-1).size) setParts((before) => [...before.slice(0, -1), { ...before.at(-1), size: part.size }]);
    return undefined;
  };

  useEffect(() => void showEnd(), []);
  useEffect(() => () => void (searches.current += 1), []);
  useEffect(() => {
    if (!isFollowing || !parts) return undefined;
    const isAtEnd = parts.at(-1).end >= parts.at(-1).size;
    if (isAtEnd && !isOpen) return undefined;
    let isOver = false;
    let timer = 0;
    const look = async () => {
      if (!document.hidden) await guarded(showLater);
      if (!isOver) timer = setTimeout(look, POLL);
    };
    timer = setTimeout(look, isAtEnd ? POLL : 0);
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [isFollowing, isOpen, parts]);
  useLayoutEffect(() => {
    if (!box.current || stay.current === null) return;
    if (stay.current === "target") box.current.querySelector(".target")?.scrollIntoView({ block: "center" });
    else if (stay.current === "end") box.current.scrollTop = box.current.scrollHeight;
    else box.current.scrollTop = box.current.scrollHeight - stay.current;
    stay.current = null;
  }, [parts]);

  /** An answer is about a part of the log: go on until something is found, or somebody wants it to end. */
  const search = (text, start) =>
    guarded(async () => {
      const turn = ++searches.current;
      let answer = null;
      for (let next = text ? start : null; next != null; next = answer.found.length ? null : answer.next) {
        answer = await source.searchLog(entity, { ...query, text, start: next });
        if (turn !== searches.current) return;
        setFound({ ...answer, text, isOver: answer.found.length > 0 || answer.next == null });
      }
      if (!answer) setFound(null);
      else announce(`${plural(answer.found.length, "line")} found${answer.next == null ? "" : ", and there are more"}.`);
    });
  const endSearch = () => {
    searches.current += 1;
    setFound((before) => before && { ...before, isOver: true });
  };
  const firstError = () =>
    guarded(async () => {
      const error = await source.firstError(entity, query);
      announce(error ? `First error${error.line_number ? ` in line ${error.line_number}` : ""}.` : "No line looks like an error.");
      if (error) await showAt(error.offset);
      else setFound({ found: [], next: null, text: "an error", isOver: true });
    });
  const toggleFollow = () => {
    if (!isFollowing) showEnd();
    setFollowing(!isFollowing);
  };

  return html`
    <${Tools} ...${{ search: (text) => search(text, 0), firstError, isFollowing, toggleFollow, isWrapped, setWrapped, showEnd, isOpen, showAt }} />
    ${found && html`<${Hits} found=${found} showAt=${showAt} searchOn=${() => search(found.text, found.next)} endSearch=${endSearch} />`}
    ${error && html`<p class="notice bad" role="alert">${error}</p>`}
    ${parts && html`<${Text} ...${{ parts, target, isWrapped, box, showEarlier, stream: query.stream, word: found?.text ?? "" }} showLater=${() => guarded(showLater)} />`}
  `;
}

/** Whether the end of the text is seen: then it stays so. */
function isNearEnd(box) {
  return !box || box.scrollHeight - box.scrollTop - box.clientHeight < 40;
}

/** The parts with one more at the end; small ones become one. */
function extended(parts, part) {
  const last = parts.at(-1);
  if (part.end - last.offset > LIMIT) return [...parts, part].slice(-KEPT);
  return [...parts.slice(0, -1), { ...part, offset: last.offset, text: last.text + part.text }];
}

function Tools({ search, firstError, isFollowing, toggleFollow, isWrapped, setWrapped, showEnd, isOpen, showAt }) {
  const [text, setText] = useState("");
  const submit = (event) => {
    event.preventDefault();
    search(text);
  };
  return html`<form class="log-tools" role="search" onSubmit=${submit}>
    <input type="search" aria-label="Search in the log" placeholder="Search" value=${text} onInput=${(event) => setText(event.target.value)} />
    <button>Search</button>
    <button type="button" onClick=${firstError}>First error</button>
    <button type="button" onClick=${() => showAt(0)}>Beginning</button>
    <button type="button" onClick=${showEnd}>End</button>
    ${isOpen && html`<button type="button" aria-pressed=${String(isFollowing)} onClick=${toggleFollow}>Follow</button>`}
    <label><input type="checkbox" checked=${isWrapped} onChange=${(event) => setWrapped(event.target.checked)} />wrap lines</label>
  </form>`;
}

function Hits({ found, showAt, searchOn, endSearch }) {
  if (!found.found.length) {
    const on = found.isOver
      ? html`<button class="small" onClick=${searchOn}>Search on</button>`
      : html`<button class="small" onClick=${endSearch}>End the search</button>`;
    const where = found.next == null ? "" : ` in the first ${bytes(found.next)}`;
    return html`<p class="empty">No line has ${found.text}${where}.${found.next != null && html` ${on}`}</p>`;
  }
  return html`<ul class="hits" aria-label="Lines found">
    ${found.found.map(
      (hit) => html`<li key=${hit.offset}><button onClick=${() => showAt(hit.offset)}>
        <span class="muted">${hit.line_number ?? `at ${number(hit.offset)}`}</span>  ${hit.line}
      </button></li>`,
    )}
    ${found.next != null && html`<li><button onClick=${searchOn}>More …</button></li>`}
  </ul>`;
}

function Text({ parts, target, isWrapped, box, showEarlier, showLater, stream, word }) {
  const [first, last] = [parts[0], parts.at(-1)];
  if (first.exists === false) return html`<p class="empty">There is no file for ${stream} yet.</p>`;
  if (last.size === 0) return html`<p class="empty">Nothing was written to ${stream} so far.</p>`;
  return html`
    <div class="log ${isWrapped ? "" : "unwrapped"}" ref=${box} tabindex="0" role="region" aria-label="Text of ${stream}">
      ${first.offset > 0 && html`<pre><button class="small" onClick=${showEarlier}>Earlier lines</button></pre>`}
      ${parts.map((part) => html`<${Part} key=${part.offset} text=${part.text} isTarget=${part.offset === target} word=${word} />`)}
      ${last.end < last.size && html`<pre><button class="small" onClick=${showLater}>Later lines</button></pre>`}
    </div>
    <p class="muted">Bytes ${number(first.offset)} to ${number(last.end)} of ${bytes(last.size)}</p>
  `;
}

function Part({ text, isTarget, word }) {
  if (!isTarget) return html`<pre>${marked(text, word)}</pre>`;
  const end = (text.indexOf("\n") + 1 || text.length + 1) - 1;
  return html`<pre><span class="target">${text.slice(0, end)}</span>${marked(text.slice(end + 1), word)}</pre>`;
}

function marked(text, word) {
  if (!word) return text;
  const pieces = [];
  const inSmall = text.toLowerCase();
  const wanted = word.toLowerCase();
  let from = 0;
  for (let at = inSmall.indexOf(wanted); at >= 0 && pieces.length < 2000; at = inSmall.indexOf(wanted, from)) {
    pieces.push(text.slice(from, at), html`<mark>${text.slice(at, at + wanted.length)}</mark>`);
    from = at + wanted.length;
  }
  return [...pieces, text.slice(from)];
}
