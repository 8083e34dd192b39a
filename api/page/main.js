// The page's frame: its menu, files dropped on it, and the keys.

import { app, blankNote, choose, draw, entryOf, judge, pane, show } from "./app.js";
import { announce, byId, make, swap } from "./dom.js";
import { decide, decisionOf, exportDecisions } from "./decisions.js";
import { copyFirst, pick, picks } from "./message.js";
import { offerCodes, setMode } from "./note.js";
import "./review.js";
import * as service from "./service.js";
import { addEntries, openFiles, step } from "./worklist.js";

function newNote() {
  addEntries([entryOf([blankNote()])]);
  byId("text").focus();
}

// The requirement that the keys speak of: the one in focus, else the last that was.
let current = null;
const currentRequirement = () => app.entry.report?.requirements.find((one) => one.id === current);

document.addEventListener("focusin", (event) => {
  const item = event.target.closest(".req");
  if (item) current = item.id.slice("req-".length);
});

function moveTo(list, by) {
  const place = list.findIndex((one) => one.id === current);
  const next = list[place < 0 ? (by > 0 ? 0 : list.length - 1) : Math.min(Math.max(place + by, 0), list.length - 1)];
  if (next) byId(`req-${next.id}`).focus();
}

function nextGap() {
  const all = app.entry.report?.requirements ?? [];
  const from = all.findIndex((one) => one.id === current) + 1;
  const gap = [...all.slice(from), ...all.slice(0, from)].find((one) => one.status !== "documented");
  if (gap) byId(`req-${gap.id}`).focus();
  else announce("No gap is open");
}

function nextEvidence() {
  const one = currentRequirement();
  if (!one?.evidence.length) return announce("No evidence here");
  const seen = one.evidence.findIndex((span) => app.chosen?.start === span.start && app.chosen?.end === span.end && app.chosen?.note_id === span.note_id);
  choose(one.evidence[(seen + 1) % one.evidence.length], { from: `req-${one.id}` });
}

function remark() {
  const one = currentRequirement();
  if (!one) return;
  if (!decisionOf(app.entry, one.id)) decide(one.id, "agree");
  decisionOf(app.entry, one.id).remark = true;
  draw();
  byId(`reason-${one.id}`).focus();
}

const onCurrent = (act) => () => {
  const one = currentRequirement();
  if (one) act(one);
};
const requirements = () => app.entry.report?.requirements ?? [];
const KEYS = [
  ["j", "Next requirement", () => moveTo(requirements(), 1)],
  ["k", "Requirement before", () => moveTo(requirements(), -1)],
  ["g", "Next gap", nextGap],
  ["e", "Show the requirement's evidence in the note, one piece after the other", nextEvidence],
  ["a", "Agree", onCurrent((one) => decide(one.id, "agree"))],
  ["d", "Disagree, and say how you read it", onCurrent((one) => decide(one.id, "disagree"))],
  ["r", "Add a remark or reason", remark],
  ["q", "Ask the provider about it, or do not", onCurrent((one) => one.query && pick(one.id, !picks(app.entry).has(one.id)))],
  ["m", "Go to the query", () => byId("message").querySelector("textarea")?.focus()],
  ["c", "Copy the query", copyFirst],
  ["i", "Edit the note", () => setMode("edit")],
  ["v", "Go to the verdict", () => byId("review").focus()],
  ["]", "Next note of the worklist", () => step(1)],
  ["[", "Note before", () => step(-1)],
  ["x", "Export the decisions", () => exportDecisions(byId("format").value)],
  ["?", "This list", help],
];
const FIXED_KEYS = [
  ["← → in the note", "From mark to mark, each with why it was read so"],
  ["Esc in the note", "Back to where you came from; from the text you edit to its marked form"],
  ["Tab", "Everything else"],
];
let singleKeys = true;

function help() {
  const key = ([name, does]) => [make("dt", {}, make("kbd", {}, name)), make("dd", {}, does)];
  swap(byId("shortcuts"), make("h2#shortcuts-title", {}, "Shortcuts"), make("dl", {}, [...KEYS, ...FIXED_KEYS].map(key)),
    make("label.inline", {}, make("input#single-keys", { type: "checkbox", checked: singleKeys, onchange: (event) => (singleKeys = event.target.checked) }), " Single keys act (never while you type)"),
    make("form", { method: "dialog" }, make("button.primary", {}, "Close")));
  byId("shortcuts").showModal();
}

addEventListener("keydown", (event) => {
  const typing = event.target.closest("input:not([type=checkbox]), textarea, select, dialog");
  if (!singleKeys || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const [, , act] = KEYS.find(([key]) => key === event.key) ?? [];
  if (!act) return;
  event.preventDefault();
  act();
});

byId("new").addEventListener("click", newNote);
byId("open").addEventListener("click", () => byId("files").click());
byId("open-folder").addEventListener("click", () => byId("folder").click());
for (const id of ["files", "folder"]) {
  byId(id).addEventListener("change", async (event) => {
    await openFiles(event.target.files);
    event.target.value = "";
  });
}
byId("previous").addEventListener("click", () => step(-1));
byId("next").addEventListener("click", () => step(1));
byId("export").addEventListener("click", () => exportDecisions(byId("format").value));
byId("print").addEventListener("click", () => print());
byId("help").addEventListener("click", help);
byId("reader").addEventListener("input", (event) => (app.reader = event.target.value.trim()));
byId("key-field").addEventListener("submit", (event) => event.preventDefault());
byId("key").addEventListener("change", (event) => {
  service.useKey(event.target.value);
  judge(app.entry);
  draw();
});

addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
addEventListener("dragleave", (event) => event.relatedTarget || document.body.classList.remove("dropping"));
addEventListener("drop", (event) => {
  document.body.classList.remove("dropping");
  if (!event.dataTransfer.files.length) return;
  event.preventDefault();
  openFiles(event.dataTransfer.files);
});

pane(() => {
  byId("export").disabled = !app.entries.some((entry) => Object.keys(entry.decisions).length);
});

show([entryOf([blankNote()])]);
byId("text").focus();
const ignore = (error) => {
  if (!(error instanceof service.ServiceError)) throw error;
};
service.packs().then(async ({ packs }) => {
  offerCodes(packs.flatMap((pack) => pack.codes));
  app.pack = await service.pack(packs[0].id);
  draw();
}).catch(ignore);
service.samples().then(({ notes }) => {
  byId("samples").append(...notes.map((note, place) => make("option", { value: String(place) }, note.note_id)));
  byId("samples").addEventListener("change", (event) => {
    if (event.target.value !== "") addEntries([entryOf([{ ...notes[Number(event.target.value)] }])]);
    event.target.value = "";
  });
}, ignore);
