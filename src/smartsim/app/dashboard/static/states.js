// The states of an entity: each has a word, a letter and a colour (app.css: --state-<letter>), so that none is told by
// its colour alone. The order is that of bars and legends.

export const STATES = [
  { status: "Failed", letter: "F", key: "F", word: "Failed" },
  { status: "Running", letter: "R", key: "R", word: "Running" },
  { status: "Paused", letter: "P", key: "P", word: "Paused" },
  { status: "Queued", letter: "Q", key: "Q", word: "Queued" },
  { status: "New", letter: "N", key: "N", word: "New" },
  { status: "Completed", letter: "C", key: "C", word: "Completed" },
  { status: "Cancelled", letter: "X", key: "X", word: "Cancelled" },
  { status: "NeverStarted", letter: "-", key: "0", word: "Never started" },
];

const BY_STATUS = new Map(STATES.map((state) => [state.status, state]));
const BY_LETTER = new Map(STATES.map((state) => [state.letter, state]));

export function stateOf(status) {
  return BY_STATUS.get(status) ?? { status, letter: "?", key: "0", word: status };
}

export function stateOfLetter(letter) {
  return BY_LETTER.get(letter) ?? { status: letter, letter: "?", key: "0", word: letter };
}

export const ACTIVE = new Set(["Running", "Paused", "Queued", "New"]);
export const FINAL = new Set(["Completed", "Failed", "Cancelled"]);

/** "3 failed, 12 running": what a count by status says, in the order of STATES. */
export function inWords(counts) {
  const told = STATES.filter((state) => counts[state.status]);
  return told.map((state) => `${counts[state.status]} ${state.word.toLowerCase()}`).join(", ") || "nothing yet";
}
