// What the page knows, and the few things that can be done with it. Panes draw from `app` and never talk to each other.

import { announce, byId } from "./dom.js";
import { editBetween, moved } from "./text.js";
import * as service from "./service.js";

export const app = {
  entries: [],
  at: 0,
  tab: 0,
  mode: "edit",
  chosen: null,
  reader: "",
  pack: null,
  get entry() {
    return this.entries[this.at];
  },
  get note() {
    return this.entry.notes[this.tab];
  },
};

/** How long an edit waits for the next one before it is judged, in milliseconds. */
const PAUSE = 20;

const panes = [];
const pointers = [];
const followers = [];
/** A part of the page: how it is drawn, how it shows which evidence is chosen, how it follows an edit not yet judged. */
export function pane(drawAll, { chosen, edited } = {}) {
  panes.push(drawAll);
  if (chosen) pointers.push(chosen);
  if (edited) followers.push(edited);
}
export function draw() {
  for (const part of [...panes, ...pointers]) part();
}

let made = 0;
export const blankNote = () => ({ note_id: `note-${++made}`, text: "" });

/** One line of the worklist: the notes judged together, what the service said, what the reviewer says. */
export function entryOf(notes, { report = null, code = null } = {}) {
  return { notes, code: code ?? report?.code ?? notes[0]?.code ?? null, report, decisions: {}, messages: newMessages(), problem: null };
}

export const newMessages = () => ({ picked: null, drafts: [], edits: {}, findings: {} });

export function show(entries, at = 0) {
  app.entries = entries;
  go(at);
}

/** Make another entry the open one; judge it where it has not been. */
export function go(at) {
  if (at < 0 || at >= app.entries.length) return;
  [app.at, app.tab, app.chosen] = [at, 0, null];
  app.entry.load?.();
  app.mode = hasText(app.entry) ? "marked" : "edit";
  for (const part of [byId("review"), byId("readings"), byId("more")]) part.scrollTop = 0;
  if (!app.entry.report && hasText(app.entry)) judge(app.entry);
  draw();
  if (app.entries.length > 1) announce(`Note ${at + 1} of ${app.entries.length}: ${nameOf(app.entry)}`);
}

export const nameOf = (entry) => entry.report?.case_id ?? entry.notes[0]?.note_id ?? entry.report?.note_id;
export const hasText = (entry) => entry.notes.some((note) => note.text.trim());

/** The reviewer changed a note's text: what is shown follows at once, and is judged anew. */
export function setText(text) {
  const { entry, note } = app;
  if (entry.report) entry.report = moved(entry.report, note.note_id, editBetween(note.text, text));
  note.text = text;
  app.chosen = null;
  if (!hasText(entry)) entry.report = null;
  const judged = judge(entry);
  for (const follow of followers) follow();
  return judged;
}

/** The reviewer changed what is known about the note, such as its date of service. */
export function setAbout(target, key, value) {
  if (value === null || value === "") delete target[key];
  else target[key] = value;
  judge(app.entry);
  draw();
}

export function addNote() {
  app.entry.notes.push(blankNote());
  [app.tab, app.mode, app.chosen] = [app.entry.notes.length - 1, "edit", null];
  draw();
}

export function dropNote() {
  const { note } = app;
  app.entry.notes.splice(app.tab, 1);
  [app.tab, app.chosen] = [0, null];
  if (!app.entry.notes.includes(note)) judge(app.entry);
  draw();
}

/** Judge an entry as it now is. One request is under way at a time; a later edit is judged when it has come back. */
export async function judge(entry) {
  entry.wanted = (entry.wanted ?? 0) + 1;
  if (entry.judging) return entry.judging;
  entry.judging = (async () => {
    while (entry.judged !== entry.wanted) {
      await new Promise((resume) => setTimeout(resume, PAUSE));
      const round = entry.wanted;
      const started = performance.now();
      try {
        const report = hasText(entry) ? await ask(entry) : null;
        if (round === entry.wanted) Object.assign(entry, { report, problem: null });
      } catch (error) {
        if (!(error instanceof service.ServiceError)) throw error;
        entry.problem = error.message;
        if (error.retry) {
          await new Promise((resume) => setTimeout(resume, error.retry * 1000));
          continue;
        }
      }
      [entry.judged, entry.took] = [round, Math.round(performance.now() - started)];
    }
  })().finally(() => {
    entry.judging = null;
    draw();
  });
  return entry.judging;
}

/** What the service is asked about an entry: its notes, and those that only may answer a gap. */
export function requestOf(entry) {
  const sent = entry.notes.filter((note) => note.text.trim()).map(({ context, ...note }) => [context, clean(note)]);
  const [judged, context] = [false, true].map((which) => sent.filter(([is]) => Boolean(is) === which).map(([, note]) => note));
  return { notes: judged, context, ...(entry.code && { code: entry.code }) };
}

// Half a character has no place in a report, and the entry's code stands for all of its notes.
function clean({ code, ...note }) {
  return { ...note, text: note.text.toWellFormed() };
}

function ask(entry) {
  const request = requestOf(entry);
  if (request.notes.length === 0) throw new service.ServiceError("Every note is context only: nothing is judged.");
  if (request.notes.length + request.context.length > 1) return service.judgeCase(request);
  return service.judgeNote({ ...request.notes[0], ...(entry.code && { code: entry.code }) });
}

/** Look at a piece of evidence in its note. `focus` goes to it unless it is where the choice was made. */
export function choose(span, { from = app.chosen?.from ?? null, focus = true } = {}) {
  const tab = app.entry.notes.findIndex((note) => note.note_id === span.note_id);
  app.chosen = { note_id: span.note_id, start: span.start, end: span.end, from };
  if (tab >= 0 && (tab !== app.tab || app.mode !== "marked")) {
    [app.tab, app.mode] = [tab, "marked"];
    draw();
  } else {
    for (const point of pointers) point();
  }
  if (!focus) return;
  document.querySelector("#readings .chosen[tabindex]")?.focus({ preventScroll: true });
  document.querySelector("#readings .chosen")?.scrollIntoView({ block: "center" });
}

export function unchoose() {
  app.chosen = null;
  for (const point of pointers) point();
}

export const isChosen = (span) =>
  app.chosen?.note_id === span.note_id && app.chosen.start === span.start && app.chosen.end === span.end;
