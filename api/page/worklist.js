// Several notes, or a finished audit, worked through one after the other; files taken in.

import { app, blankNote, entryOf, go, hasText, nameOf, pane, show } from "./app.js";
import { announce, byId, make, swap } from "./dom.js";
import { takeUp } from "./decisions.js";
import { GLYPHS, VERDICTS } from "./review.js";
import * as service from "./service.js";

const SHOWN = 200;
let [filter, order] = ["all", "given"];
let visibleOrder = [];

const gapsOf = ({ report }) => report?.requirements.filter((one) => one.status !== "documented") ?? [];
const isReviewed = (entry) => Boolean(entry.report) && entry.report.requirements.every((one) => entry.decisions[one.id]);

const FILTERS = {
  all: ["Every note", () => true],
  open: ["Not reviewed", (entry) => !isReviewed(entry)],
  query: ["Needs a query", (entry) => entry.report?.verdict === "query"],
  not_supported: ["Points elsewhere", (entry) => entry.report?.verdict === "not_supported"],
  supported: ["Elements present", (entry) => entry.report?.verdict === "supported"],
};
/** What a coder has to settle comes first, then what only an audit would ask; notes on something else come last. */
function weight(entry) {
  if (!entry.report) return 1000;
  if (!entry.report.relevant) return -1;
  const gaps = gapsOf(entry);
  return gaps.filter((one) => one.basis === "coding").length * 20 + gaps.length + entry.report.alerts.filter((alert) => alert.severity === "error").length * 100;
}

/** Which entries are worked through, in which order. It stays as it is until the reviewer asks for another. */
export function arrange() {
  const chosen = app.entries.map((_, place) => place).filter((place) => FILTERS[filter][1](app.entries[place]));
  visibleOrder = order === "weight" ? chosen.sort((a, b) => weight(app.entries[b]) - weight(app.entries[a]) || a - b) : chosen;
}

/** The next entry of the worklist, or the one before. */
export function step(by) {
  const here = visibleOrder.indexOf(app.at);
  const next = here < 0 ? (by > 0 ? 0 : visibleOrder.length - 1) : here + by;
  if (next < 0 || next >= visibleOrder.length) return announce(by > 0 ? "This is the last note" : "This is the first note");
  go(visibleOrder[next]);
  byId("review").focus({ preventScroll: true });
}

function drawItem(place) {
  const entry = app.entries[place];
  const verdict = entry.report && VERDICTS[entry.report.verdict ?? "unfinished"];
  const gaps = gapsOf(entry).length;
  return make("li", {}, make(`button.item#item-${place}`, { type: "button", "aria-current": place === app.at ? "true" : null, onclick: () => go(place) },
    make("span.item-name", {}, nameOf(entry)),
    verdict ? make(`span.status.tone-${entry.report.verdict ?? "unfinished"}`, {}, make("span", { "aria-hidden": "true" }, verdict.glyph), ` ${verdict.words}`) : make("span.about", {}, "not read yet"),
    make("span.about", {}, entry.report ? `${gaps} ${gaps === 1 ? "gap" : "gaps"}${isReviewed(entry) ? " · ✓ reviewed" : ""}` : "")));
}

pane(() => {
  const several = app.entries.length > 1;
  byId("position").hidden = byId("worklist").hidden = !several;
  document.body.classList.toggle("has-worklist", several);
  if (!several) return;
  const here = visibleOrder.indexOf(app.at);
  byId("place").textContent = `${here + 1 || "–"} of ${visibleOrder.length}`;
  const from = Math.max(0, Math.min(here - SHOWN / 2, visibleOrder.length - SHOWN));
  const choice = (id, label, options, value, set) => make("label.inline", {}, make("span.visually-hidden", {}, label),
    make(`select#${id}`, { onchange: (event) => { set(event.target.value); arrange(); if (!visibleOrder.includes(app.at) && visibleOrder.length) go(visibleOrder[0]); else go(app.at); } },
      Object.entries(options).map(([key, name]) => make("option", { value: key, selected: key === value }, name))));
  const reviewed = app.entries.filter(isReviewed).length;
  swap(byId("worklist"), make("h2#worklist-title", {}, "Worklist"), make("p.about", {}, `${reviewed} of ${app.entries.length} reviewed`),
    make("div.choices-row", {},
      choice("filter", "Which notes", Object.fromEntries(Object.entries(FILTERS).map(([key, [name]]) => [key, name])), filter, (value) => (filter = value)),
      choice("order", "In which order", { given: "As given", weight: "Most open first" }, order, (value) => (order = value))),
    make("ol", { start: from + 1 }, visibleOrder.slice(from, from + SHOWN).map(drawItem)),
    visibleOrder.length > SHOWN && make("p.about", {}, `${from + 1} to ${Math.min(from + SHOWN, visibleOrder.length)} of ${visibleOrder.length} shown`));
});

/** Put entries behind those that are there; a page with nothing on it yet makes room. */
export function addEntries(entries) {
  if (byId("menu").matches(":popover-open")) byId("menu").hidePopover();
  const kept = app.entries.filter((entry) => hasText(entry) || entry.report);
  const first = kept.length;
  app.entries = [...kept, ...entries];
  arrange();
  show(app.entries, first);
}

const linesOf = (text) => text.split("\n").filter((line) => line.trim()).map((line) => JSON.parse(line));

/** A finished audit: its reports, with the notes they were made from where the folder holds them. */
async function openAudit(files) {
  const read = (name) => files.find((file) => file.name === name)?.text() ?? Promise.resolve("");
  const [reports, notes] = (await Promise.all([read("reports.jsonl"), read("notes.jsonl")])).map(linesOf);
  const decided = await Promise.all(files.filter((file) => /^decisions.*\.jsonl$/.test(file.name)).map(async (file) => linesOf(await file.text())));
  const waiting = new Map();
  for (const note of notes) waiting.set(note.note_id, [...(waiting.get(note.note_id) ?? []), note]);
  // A note id may stand twice: the reports and the notes of an audit come in the same order.
  const noteOf = (id) => waiting.get(id)?.shift() ?? { ...blankNote(), note_id: id };
  const entries = reports.map((report) => entryOf(report.note_ids.map(noteOf), { report, code: report.code }));
  if (!entries.length) return announce("The folder's reports.jsonl holds no report");
  app.entries = [];
  addEntries(entries);
  const taken = takeUp(decided.flat());
  arrange();
  go(0);
  announce(`${entries.length} reports opened${taken ? `, ${taken} decisions taken up` : ""}${notes.length ? "" : "; the folder holds no notes' text"}`);
}

/** Whether several notes belong to one encounter is the reviewer's to say. */
function askWhich(notes) {
  const close = (entries) => { dialog.close(); addEntries(entries); };
  const dialog = make("dialog", { "aria-labelledby": "which-title", onclose: () => dialog.remove() },
    make("h2#which-title", {}, `${notes.length} notes`),
    make("p", {}, "Are they notes of one encounter, to be judged together?"),
    make("div.buttons", {},
      make("button.primary", { type: "button", onclick: () => close([entryOf(notes)]) }, "Together, as one case"),
      make("button", { type: "button", onclick: () => close(notes.map((note) => entryOf([note]))) }, "One by one")));
  document.body.append(dialog);
  dialog.showModal();
}

/** Take in whatever files the reviewer opened or dropped. */
export async function openFiles(list) {
  const files = [...list];
  if (!files.length) return;
  const trouble = [];
  try {
    if (files.some((file) => file.name === "reports.jsonl")) return await openAudit(files);
    const notes = [];
    for (const file of files) {
      const { documents } = await service.documentText(file);
      for (const { note, reason, warnings } of documents) {
        if (note) notes.push(note);
        trouble.push(...(reason ? [`${file.name}: ${reason}`] : []), ...warnings);
      }
    }
    const ids = new Map();
    for (const note of notes) {
      const seen = (ids.get(note.note_id) ?? 0) + 1;
      ids.set(note.note_id, seen);
      if (seen > 1) note.note_id += ` (${seen})`;
    }
    if (notes.length > 1) askWhich(notes);
    else if (notes.length) addEntries([entryOf(notes)]);
  } catch (error) {
    trouble.push(error instanceof SyntaxError ? "The file is not JSON lines as an audit writes them." : error.message);
  }
  if (!trouble.length) return;
  byId("trouble").hidden = false;
  byId("trouble").textContent = trouble.join(" ");
}
