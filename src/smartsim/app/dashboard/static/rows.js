// Filtering, sorting and paging of rows in the browser: what the server does for the live dashboard, for reports.

const MODELS = "(models)"; // the group of those that belong to none

/** The rows that a query asks for, as a page. The fields of `query` are those of the API's `entities`. */
export function pageOf(rows, parameters, query) {
  const found = sorted(rows.filter((row) => matches(row, query)), query.sort || "entity", query.desc);
  const offset = query.offset ?? 0;
  return { total: found.length, offset, rows: found.slice(offset, offset + (query.limit ?? 100)), parameters };
}

export function matches(row, { group = "", run = "", text = "", status = [] }) {
  if (group && row.group !== (group === MODELS ? "" : group)) return false;
  if (run && row.run_id !== run) return false;
  if (status.length && !status.includes(row.status)) return false;
  if (!text) return true;
  const words = [row.entity, row.reason, ...(row.hosts ?? [])];
  for (const [name, value] of Object.entries(row.params ?? {})) words.push(name, String(value));
  const wanted = text.toLowerCase();
  return words.some((word) => (word ?? "").toLowerCase().includes(wanted));
}

export function sorted(rows, sort, descending = false) {
  const value = sort.startsWith("params.") ? (row) => row.params?.[sort.slice(7)] : (row) => row[sort];
  const keyed = rows.map((row) => [sortKey(value(row)), sortKey(row.entity), row]);
  const direction = descending ? -1 : 1;
  keyed.sort((a, b) => {
    if (a[0][0] === 2 || b[0][0] === 2) return a[0][0] - b[0][0] || compare(a[1], b[1]); // unknown ones are last
    return direction * compare(a[0], b[0]) || compare(a[1], b[1]);
  });
  return keyed.map((entry) => entry[2]);
}

function sortKey(value) {
  if (value == null || value === "" || (Array.isArray(value) && !value.length)) return [2, ""];
  if (Array.isArray(value)) return [1, value.join(" ")];
  const asNumber = typeof value === "number" ? value : Number(value);
  return Number.isNaN(asNumber) ? [1, String(value)] : [0, asNumber];
}

const natural = new Intl.Collator("en", { numeric: true }); // member_2 before member_10

function compare(a, b) {
  if (a[0] !== b[0]) return a[0] - b[0];
  return a[0] === 0 ? a[1] - b[1] : natural.compare(a[1], b[1]);
}
