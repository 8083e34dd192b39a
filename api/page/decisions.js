// The reviewer's own word on each requirement. It stays in this page until it is exported.

import { app, draw } from "./app.js";
import { announce, byId, download, make } from "./dom.js";
import { capital, readable, words } from "./text.js";

let unsaved = false;
export const decisionOf = (entry, requirement) => entry.decisions[requirement];

/** The date on the reviewer's wall, as YYYY-MM-DD. */
export function today() {
  const now = new Date();
  return new Date(now.getTime() - now.getTimezoneOffset() * 60_000).toISOString().slice(0, 10);
}

function set(entry, one, decision) {
  entry.decisions[one.id] = {
    decision, status: one.status, value: structuredClone(one.value), reason: entry.decisions[one.id]?.reason ?? "",
    found_status: one.status, found_value: one.value, text_sha256: entry.report.text_sha256, date: today(),
  };
  unsaved = true;
}

/** The reviewer changes a decision: it is theirs from now on, also where it was taken up from somebody's file. */
export function amend(mine, change) {
  Object.assign(mine, change, { date: today() });
  delete mine.reader;
  unsaved = true;
}

/** Agree or disagree with a requirement; the same again takes it back. */
export function decide(id, decision) {
  const { entry } = app;
  const one = entry.report.requirements.find((requirement) => requirement.id === id);
  const back = entry.decisions[id]?.decision === decision;
  if (back) delete entry.decisions[id];
  else set(entry, one, decision);
  draw();
  announce(back ? `${one.label}: decision taken back` : `${one.label}: ${decision}`);
  if (!back && decision === "disagree") byId(`status-${id}`).focus();
}

export function agreeWithRest() {
  for (const one of app.entry.report.requirements) if (!app.entry.decisions[one.id]) set(app.entry, one, "agree");
  draw();
  announce("Agreed with the rest");
}

const DATE = /^(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?$/;

/** The days a date written to the year, month or day allows. */
function interval(text) {
  const [first, last = first] = text.split(/\s+to\s+/);
  if (!DATE.test(first) || !DATE.test(last)) return null;
  const [, , month, day] = DATE.exec(first);
  const [, endYear, endMonth, endDay] = DATE.exec(last);
  const monthLength = new Date(Date.UTC(Number(endYear), Number(endMonth ?? 12), 0)).getUTCDate();
  return {
    earliest: `${first.slice(0, 4)}-${month ?? "01"}-${day ?? "01"}`,
    latest: `${endYear}-${endMonth ?? "12"}-${endDay ?? String(monthLength).padStart(2, "0")}`,
  };
}

const list = (text) => text.split(",").map((item) => item.trim().replaceAll(" ", "_")).filter(Boolean);

/** A value as the reviewer types it, in the shape that the report gave. */
function parsed(text, like) {
  if (Array.isArray(like)) return list(text);
  if (!text.trim()) return null;
  return interval(text.trim()) ?? text.trim().replaceAll(" ", "_");
}

/** Fields for what the reviewer reads in place of the report's value. */
export function readerValue(one, mine) {
  const parts = one.value !== null && typeof one.value === "object" && !Array.isArray(one.value) && !("earliest" in one.value);
  const field = (id, label, value, take) => make("label.field", {}, make("span", {}, label),
    make(`input#${id}`, { type: "text", value, autocomplete: "off", oninput: (event) => amend(mine, { value: take(event.target.value) }) }));
  if (parts) {
    return Object.keys(one.value).map((key) => field(`value-${one.id}-${key}`, capital(words(key)), readable(mine.value[key]),
      (text) => ({ ...mine.value, [key]: parsed(text, one.value[key]) })));
  }
  const shown = mine.value && "earliest" in Object(mine.value) && mine.value.earliest !== mine.value.latest
    ? `${mine.value.earliest} to ${mine.value.latest}` : readable(mine.value);
  return field(`value-${one.id}`, "Value as you read it", shown, (text) => parsed(text, one.value));
}

const KEYS = ["note_id", "text_sha256", "code", "requirement", "decision", "status", "value", "reason", "reader", "date", "found_status", "found_value"];

function records() {
  return app.entries.flatMap((entry) => Object.entries(entry.decisions).map(([requirement, mine]) => ({
    note_id: entry.report?.note_id ?? entry.notes[0].note_id, text_sha256: mine.text_sha256, code: entry.report?.code ?? entry.code, requirement,
    decision: mine.decision, status: mine.status, value: mine.value, reason: mine.reason, reader: mine.reader ?? app.reader, date: mine.date,
    found_status: mine.found_status, found_value: mine.found_value,
  })));
}

const cell = (value) => `"${(typeof value === "string" ? value : JSON.stringify(value)).replaceAll('"', '""')}"`;

/** Write every decision of the session to a file of the reviewer's. */
export function exportDecisions(format) {
  const rows = records();
  if (!rows.length) return announce("No decisions yet: agree or disagree with a requirement first.");
  if (!app.reader) {
    // On a narrow screen the field is in the menu.
    if (!byId("reader").checkVisibility()) byId("menu").showPopover();
    byId("reader").focus();
    return announce("Say who reads, then export again.");
  }
  if (format === "csv") download("decisions.csv", "text/csv", [KEYS.join(","), ...rows.map((row) => KEYS.map((key) => cell(row[key])).join(","))].join("\r\n") + "\r\n");
  else download("decisions.jsonl", "application/x-ndjson", rows.map((row) => JSON.stringify(row) + "\n").join(""));
  unsaved = false;
  announce(`${rows.length} decisions exported`);
}

/** Take up decisions exported earlier, so that a worklist goes on where it was left. A decision belongs to a text. */
export function takeUp(lines) {
  const keyed = (key) => Map.groupBy(app.entries.filter((entry) => entry.report), (entry) => entry.report[key]);
  const [byText, byNote] = [keyed("text_sha256"), keyed("note_id")];
  let taken = 0;
  for (const { note_id, requirement, code, ...mine } of lines) {
    for (const entry of (mine.text_sha256 ? byText.get(mine.text_sha256) : byNote.get(note_id)) ?? []) {
      const found = entry.report.requirements.find((one) => one.id === requirement);
      if (!found || !mine.decision || (code && code !== entry.report.code)) continue;
      const { status, value, text_sha256 } = { ...found, text_sha256: entry.report.text_sha256 };
      entry.decisions[requirement] = { status, value, text_sha256, ...mine, reason: mine.reason ?? "" };
      taken += 1;
    }
  }
  return taken;
}

addEventListener("beforeunload", (event) => {
  if (unsaved) event.preventDefault();
});
