// The questions to the provider: which are asked, the message as the reviewer leaves it, and what the linter says of it.

import { app, draw, nameOf, pane, requestOf } from "./app.js";
import { announce, byId, copy, download, make, paint, swap } from "./dom.js";
import { today } from "./decisions.js";
import * as service from "./service.js";
import { cut, words } from "./text.js";

const LINT_PAUSE = 200;

const usual = (report) => report.requirements.filter((one) => one.query && report.queries.some((query) => query.query_ids.includes(one.query.id)));

/** The requirements asked about, by id. Without a choice of the reviewer's: those of the report's own messages. */
export const picks = ({ report, messages }) => messages.picked ?? new Set(usual(report).map((one) => one.id));

export function pick(id, on) {
  const { entry } = app;
  const chosen = new Set(picks(entry));
  if (on) chosen.add(id);
  else chosen.delete(id);
  entry.messages.picked = chosen;
  draw();
}

/** Bring an entry's messages in line with its report and the reviewer's picks. */
async function compose(entry) {
  const { messages, report } = entry;
  const asked = report.requirements.filter((one) => one.query && picks(entry).has(one.id));
  const state = JSON.stringify([report.text_sha256, asked.map((one) => one.query.id), report.queries.map((query) => query.id)]);
  if (messages.state === state) return;
  messages.state = state;
  const isUsual = asked.length === usual(report).length && asked.every((one) => usual(report).includes(one));
  if (isUsual || !asked.length) messages.drafts = asked.length ? report.queries : [];
  else {
    const { notes, code } = requestOf(entry);
    const request = { notes, queries: asked.map((one) => ({ requirement: one.id })), ...(code && { code }) };
    try {
      const answer = await service.combine(request);
      if (messages.state !== state) return;
      messages.drafts = answer.messages;
    } catch (error) {
      if (!(error instanceof service.ServiceError)) throw error;
      Object.assign(entry, { problem: error.message });
    }
    draw();
  }
  for (const draft of messages.drafts) lintSoon(entry, draft.recipient_role, 0);
}

const textOf = ({ messages }, draft) => messages.edits[draft.recipient_role]?.text ?? draft.text;
const timers = new Map();

function lintSoon(entry, role, pause = LINT_PAUSE) {
  clearTimeout(timers.get(role));
  timers.set(role, setTimeout(async () => {
    const draft = entry.messages.drafts.find((one) => one.recipient_role === role);
    if (!draft) return;
    const text = textOf(entry, draft);
    if (entry.messages.findings[role]?.text === text) return;
    try {
      const { findings } = await service.lint(text.toWellFormed(), entry.notes.map((note) => note.text.toWellFormed()));
      entry.messages.findings[role] = { text, findings };
    } catch (error) {
      if (!(error instanceof service.ServiceError)) throw error;
      entry.messages.findings[role] = { text, problem: error.message };
    }
    if (entry === app.entry && textOf(entry, draft) === text) drawLint(entry, draft);
  }, pause));
}

const slug = (draft) => draft.recipient_role.replace(/\W+/g, "-");

function drawLint(entry, draft) {
  const article = byId(`message-${slug(draft)}`);
  if (!article) return;
  const text = textOf(entry, draft);
  const known = entry.messages.findings[draft.recipient_role];
  const current = known?.text === text;
  const findings = (current && known.findings) || [];
  paint(article.querySelector(".editor"), cut(text, findings.map((found) => ({ ...found, look: "lint" }))));
  const area = article.querySelector("textarea");
  // A textarea counts in UTF-16 units, the linter in code points.
  const units = (place) => Array.from(text).slice(0, place).join("").length;
  const go = (found) => { area.focus(); area.setSelectionRange(units(found.start), units(found.end)); };
  const list = article.querySelector(".lint-list");
  list.classList.toggle("tone-conflicting", findings.length > 0);
  swap(list, !current ? make("p.about", {}, "checking…") : known.problem ? make("p.about", {}, known.problem)
    : !findings.length ? make("p.tone-documented.clean", {}, "✓ No rule for queries is broken.")
      : [make("p.problems", {}, `! ${findings.length} ${findings.length === 1 ? "problem" : "problems"}: a reader could take this for leading`),
        make("ul", {}, findings.map((found) => make("li", {}, make("button.find", { type: "button", onclick: () => go(found) }, `“${found.text.trim().split(/\s+/).slice(0, 12).join(" ")}”`), ` ${found.message} `, make("span.about", {}, found.rule))))]);
}

const templatesOf = ({ report }, draft) =>
  report.requirements.filter((one) => one.query && draft.query_ids.includes(one.query.id)).map((one) => one.query.template);

const referenceOf = (entry, draft) => `Query ${draft.id} · ${templatesOf(entry, draft).join(", ")} · to ${words(draft.recipient_role)}`;

/** A message as rich text, built as elements, so that its words stay words. */
function rich(text) {
  const root = document.createElement("div");
  for (const [place, line] of text.split("\n").entries()) {
    const bullet = /^- (.*)$/.exec(line);
    if (bullet) {
      if (root.lastChild?.nodeName !== "UL") root.append(make("ul"));
      root.lastChild.append(make("li", {}, bullet[1]));
    } else if (line.trim()) {
      const strong = place === 0 || line.endsWith(":");
      root.append(make("p", {}, strong ? make("b", {}, line) : line.replace(/^( *)\[ \] /, "\u2003☐ ")));
    }
  }
  return root.outerHTML;
}

function copyMessage(entry, draft, asRich) {
  const text = `${textOf(entry, draft)}\n\n${referenceOf(entry, draft)}`;
  const open = entry.messages.findings[draft.recipient_role]?.findings?.length ?? 0;
  const done = copy(text, asRich ? rich(text) : null);
  announce(done ? `Query copied${open ? `, with ${open} open problems` : ""}` : "The browser did not let the page copy");
  const note = byId(`copied-${slug(draft)}`);
  if (done && note) note.textContent = open ? `Copied with ${open} open` : "Copied";
}

/** What a department keeps of a query: everything needed to find again what was asked, of whom, on what grounds. */
function saveRecord(entry, draft) {
  const text = textOf(entry, draft);
  const record = {
    note_id: entry.report.note_id, note_ids: entry.report.note_ids, text_sha256: entry.report.text_sha256, code: entry.report.code, query_id: draft.id,
    query_ids: draft.query_ids, templates: templatesOf(entry, draft), recipient_role: draft.recipient_role, title: draft.title, text,
    edited: text !== draft.text, open_problems: entry.messages.findings[draft.recipient_role]?.findings?.map((found) => found.rule) ?? [],
    reader: app.reader, date: today(),
  };
  download(`query-${draft.id}.json`, "application/json", JSON.stringify(record, null, 2) + "\n");
  announce("The query's record is saved");
}

/** Copy the first message; what the shortcut does. */
export function copyFirst() {
  const [draft] = app.entry.messages.drafts;
  if (draft) copyMessage(app.entry, draft, false);
}

function drawMessage(entry, draft) {
  const role = draft.recipient_role;
  const name = slug(draft);
  const edit = entry.messages.edits[role];
  const text = textOf(entry, draft);
  const undo = () => { delete entry.messages.edits[role]; lintSoon(entry, role, 0); draw(); };
  const area = make(`textarea#query-${name}`, {
    spellcheck: "true", "aria-label": `Query to ${words(role)}`, "aria-describedby": `lint-${name}`,
    rows: String(Math.min(40, text.split("\n").reduce((sum, line) => sum + 1 + Math.floor(line.length / 68), 1))),
    oninput: (event) => {
      entry.messages.edits[role] = { text: event.target.value, of: draft.id };
      byId(`undo-${name}`).hidden = event.target.value === draft.text;
      drawLint(entry, draft);
      lintSoon(entry, role);
    },
  });
  area.value = text;
  return make(`article.message-card#message-${name}`, {},
    make("div.card-head", {}, make("h4", {}, draft.title), make("span.about", {}, `to ${words(role)}`)),
    edit && edit.of !== draft.id && make("p.notice", {}, "The note or the choice of questions has changed since you edited this text."),
    make("div.editor", {}, make("div.backdrop", { "aria-hidden": "true" }), area),
    make(`div.lint-list#lint-${name}`, { "aria-live": "polite" }),
    make("p.about.reference", {}, referenceOf(entry, draft)),
    make("div.buttons", {},
      make(`button.primary#copy-${name}`, { type: "button", onclick: () => copyMessage(entry, draft, false) }, "Copy as text"),
      make(`button#rich-${name}`, { type: "button", onclick: () => copyMessage(entry, draft, true) }, "Copy as rich text"),
      make(`button#record-${name}`, { type: "button", onclick: () => saveRecord(entry, draft) }, "Save record"),
      make(`button#undo-${name}`, { type: "button", hidden: text === draft.text, onclick: undo }, "Back to the draft"),
      make(`span.about#copied-${name}`, {})));
}

pane(() => {
  const { entry } = app;
  const { report } = entry;
  const asked = report?.requirements.filter((one) => one.query) ?? [];
  byId("message").hidden = !asked.length;
  if (!asked.length) return swap(byId("message"));
  compose(entry);
  const chosen = asked.filter((one) => picks(entry).has(one.id)).length;
  swap(byId("message"),
    make("div.section-head", {}, make("h3#message-title", {}, "Query to the provider"), make("span.about", {}, `${chosen} of ${asked.length} questions`)),
    entry.messages.drafts.length ? entry.messages.drafts.map((draft) => drawMessage(entry, draft))
      : make("p.about", {}, "No question is chosen. Tick “Ask” at a gap to put it here."));
  for (const draft of entry.messages.drafts) drawLint(entry, draft);
});
