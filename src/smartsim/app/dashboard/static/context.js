// What every page shares: the source, the overview, the revision of the record; and how pages load and go elsewhere.

import { createContext, useContext, useEffect, useRef, useState } from "./vendor/preact-htm.js";

export const Context = createContext(null);

export function useShared() {
  return useContext(Context);
}

/**
 * What `load(source, signal)` answers: {data, error, isBusy}. It is asked again when `deps` change, and when the record
 * grew; then never while an answer is on its way, and the slower the answers the less often. Until a new answer is
 * there the old one stays.
 */
export function useData(load, deps) {
  const { source, revision } = useShared();
  const [state, setState] = useState({ data: undefined, error: "", isBusy: true });
  const running = useRef(null);
  const latest = useRef(load);
  latest.current = load;

  const start = () => {
    const mine = { controller: new AbortController(), again: false, timer: 0 };
    running.current = mine;
    const began = performance.now();
    const settle = (change) => {
      if (running.current !== mine) return;
      setState((before) => ({ ...before, isBusy: false, ...change }));
      mine.timer = setTimeout(() => {
        running.current = null;
        if (mine.again) start();
      }, 3 * (performance.now() - began));
    };
    latest.current(source, mine.controller.signal).then(
      (data) => settle({ data, error: "" }),
      (error) => settle({ error: error.message }),
    );
  };

  useEffect(() => {
    setState((before) => ({ ...before, isBusy: true }));
    start();
    return () => {
      clearTimeout(running.current?.timer);
      running.current?.controller.abort();
      running.current = null;
    };
  }, deps);
  const isFirst = useRef(true);
  useEffect(() => {
    if (isFirst.current) isFirst.current = false;
    else if (running.current) running.current.again = true;
    else start();
  }, [revision]);
  return state;
}

/** The time, in seconds since the epoch of the record's machine; goes on each second while `isRunning`. */
export function useNow(isRunning) {
  const { clockOffset, source } = useShared();
  const [, tick] = useState(0);
  const goesOn = isRunning && source.isLive;
  useEffect(() => {
    if (!goesOn) return undefined;
    const timer = setInterval(() => tick((count) => count + 1), 1000);
    return () => clearInterval(timer);
  }, [goesOn]);
  return source.isLive ? Date.now() / 1000 + clockOffset : source.generatedAt;
}

/** A link to a page: `href("entity", "m_1", {step: "..."})`. What is empty or false is left out. */
export function href(page, name = "", query = {}) {
  const words = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (Array.isArray(value)) value.forEach((each) => words.append(key, each));
    else if (value) words.set(key, value === true ? "1" : value);
  }
  const question = words.size ? `?${words}` : "";
  return `#/${page}${name === "" ? "" : `/${encodeURIComponent(name)}`}${question}`;
}

/** The page that the address names: {page, name, query}. */
export function routeOf(hash) {
  const [path, question = ""] = hash.replace(/^#\/?/, "").split("?");
  const [page, name = ""] = path.split("/");
  return { page: page || "overview", name: decoded(name), query: new URLSearchParams(question) };
}

function decoded(name) {
  try {
    return decodeURIComponent(name);
  } catch {
    return name; // somebody typed a "%"
  }
}

/** Go to an address; `replace` leaves no step behind for the back button, as when a filter is being typed. */
export function go(address, replace = false) {
  if (!replace) {
    location.hash = address;
    return;
  }
  history.replaceState(null, "", address);
  dispatchEvent(new HashChangeEvent("hashchange"));
}
