// The dashboard: its frame, its pages by address, and what keeps it up to date.

import { html, render, useCallback, useEffect, useMemo, useRef, useState } from "./vendor/preact-htm.js";
import { Context, href, routeOf } from "./context.js";
import { clock, plural } from "./format.js";
import { DatabasesPage } from "./pages/databases.js";
import { EntitiesPage } from "./pages/entities.js";
import { EntityPage } from "./pages/entity.js";
import { InferencePage } from "./pages/inference.js";
import { LogsPage } from "./pages/logs.js";
import { OverviewPage } from "./pages/overview.js";
import { TimelinePage } from "./pages/timeline.js";
import { sourceOf } from "./source.js";

const PAGES = [
  { page: "overview", title: "Overview", shows: OverviewPage },
  { page: "entities", title: "Entities", shows: EntitiesPage },
  { page: "timeline", title: "Timeline", shows: TimelinePage },
  { page: "databases", title: "Databases", shows: DatabasesPage },
  { page: "inference", title: "Inference", shows: InferencePage },
  { page: "logs", title: "Logs", shows: LogsPage },
  { page: "entity", title: "Entity", shows: EntityPage, isIn: "entities" },
];

const LEAST_PAUSE = 1000; // milliseconds from one reload of what is shown to the next

function App({ source }) {
  const route = useRoute();
  const [announcement, setAnnouncement] = useState("");
  const announce = useCallback((text) => setAnnouncement(text), []);
  const { revision, isConnected, why } = useChanges(source, announce);
  const overview = useOverview(source, revision, isConnected);
  useFailures(overview.data, announce);
  const shared = useMemo(() => {
    const clockOffset = overview.data && source.isLive ? overview.data.now - overview.at : 0;
    return { source, revision, announce, overview: overview.data, clockOffset };
  }, [source, revision, overview.data]);

  const known = PAGES.find((each) => each.page === route.page);
  const title = route.page === "entity" ? route.name : (known?.title ?? "Not found");
  const main = useRef(null);
  useEffect(() => {
    document.title = `${title} · ${overview.data?.experiment || "SmartSim"}`;
  }, [title, overview.data?.experiment]);
  useNewPage(`${route.page}/${route.name}`, main);

  const skip = (event) => {
    event.preventDefault(); // the part of the address after "#" names the page
    main.current.focus();
  };
  return html`<${Context.Provider} value=${shared}>
    <a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
    <header class="top">
      <span class="name" title=${overview.data?.directory}>${overview.data?.experiment || "SmartSim"}</span>
      <nav aria-label="Pages of the dashboard">
        ${PAGES.filter((each) => !each.isIn).map(
          ({ page, title: text }) =>
            html`<a key=${page} href=${href(page)} aria-current=${page === (known?.isIn ?? route.page) ? "page" : null}>${text}</a>`,
        )}
      </nav>
      <${LinkState} source=${source} isConnected=${isConnected} />
    </header>
    <main id="main" ref=${main} tabindex="-1">
      ${why && html`<p class="notice bad" role="alert">${why}</p>`}
      ${overview.error && overview.error !== why && html`<p class="notice bad" role="alert">${overview.error}</p>`}
      ${known
        ? html`<${known.shows} key=${`${route.page}/${route.name}`} name=${route.name} query=${route.query} />`
        : html`<h1>Not found</h1><p>There is no page "${route.page}". <a href="#/overview">To the overview</a></p>`}
    </main>
    <div class="hidden" role="status" aria-live="polite">${announcement}</div>
  <//>`;
}

function LinkState({ source, isConnected }) {
  if (!source.isLive) return html`<span class="link-state report">Report of ${clock(source.generatedAt, 0)}</span>`;
  if (isConnected === null) return html`<span class="link-state">Connecting …</span>`;
  return isConnected
    ? html`<span class="link-state">Live</span>`
    : html`<span class="link-state lost">Connection lost; trying again …</span>`;
}

function useRoute() {
  const [route, setRoute] = useState(() => routeOf(location.hash));
  useEffect(() => {
    const follow = () => setRoute(routeOf(location.hash));
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  return route;
}

/** A new page begins at its top, and keyboards and screen readers at its heading. */
function useNewPage(name, main) {
  const isFirst = useRef(true);
  useEffect(() => {
    if (isFirst.current) {
      isFirst.current = false;
      return;
    }
    scrollTo(0, 0);
    const heading = main.current.querySelector("h1") ?? main.current;
    heading.setAttribute("tabindex", "-1");
    heading.focus({ preventScroll: true });
  }, [name]);
}

/** The revision of the record as it is pushed, at most once a second, and whether there is a connection. */
function useChanges(source, announce) {
  const [revision, setRevision] = useState(0);
  const [isConnected, setConnected] = useState(null);
  const [why, setWhy] = useState("");
  useEffect(() => {
    let timer = 0;
    let last = 0;
    let wasLost = false;
    const reload = () => {
      timer = 0;
      last = performance.now();
      setRevision((count) => count + 1);
    };
    const soon = () => {
      if (!timer) timer = setTimeout(reload, Math.max(0, last + LEAST_PAUSE - performance.now()));
    };
    const connection = (isThere, reason) => {
      setConnected(isThere);
      setWhy(reason);
      if (isThere && wasLost) {
        announce("Connected again.");
        soon(); // what happened meanwhile
      } else if (!isThere && !wasLost) announce("The connection is lost; it is tried again.");
      wasLost = !isThere;
    };
    const end = source.subscribe(soon, connection);
    return () => {
      clearTimeout(timer);
      end();
    };
  }, [source]);
  return { revision, isConnected, why };
}

function useOverview(source, revision, isConnected) {
  const [state, setState] = useState({ data: undefined, error: "", at: 0 });
  useEffect(() => {
    let isShown = true;
    source.overview().then(
      (data) => isShown && setState({ data, error: "", at: Date.now() / 1000 }),
      // That the connection is lost is said once, above.
      (error) => isShown && setState((before) => ({ ...before, error: isConnected === false ? "" : error.message })),
    );
    return () => {
      isShown = false;
    };
  }, [source, revision]);
  return state;
}

/** Say when more have failed. */
function useFailures(overview, announce) {
  const before = useRef(null);
  const failed = overview?.counts.Failed ?? 0;
  useEffect(() => {
    if (!overview) return;
    if (before.current !== null && failed > before.current) announce(`${plural(failed, "entity", "entities")} failed.`);
    before.current = failed;
  }, [overview, failed]);
}

render(html`<${App} source=${sourceOf(document)} />`, document.getElementById("app"));
