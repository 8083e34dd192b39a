// The left pane: the note (or the notes of a case), what is known about it, its evidence marked in place.

import { addNote, app, choose, draw, dropNote, hasText, isChosen, nameOf, pane, setAbout, setText, unchoose } from "./app.js";
import { announce, byId, link, make, paint, swap } from "./dom.js";
import { capital, cut, oneLine, points, readable, shortLabels, words } from "./text.js";

const HUES = 10;

/** A label and a colour for each requirement of a report, by id. */
export function looksOf(report) {
  const ids = report.requirements.map((requirement) => requirement.id);
  const labels = shortLabels(ids);
  return Object.fromEntries(ids.map((id, place) => [id, { label: labels[id], hue: `hue-${(place % HUES) + 1}` }]));
}

/** Every mark of one note: `about` says in words what it stands for, `link` the part of the review that cites it. */
function marksOf(report, noteId, withMentions) {
  const looks = looksOf(report);
  const marks = [];
  const add = (spans, label, look, about, link, weak = false) => {
    for (const span of spans.filter((one) => one.note_id === noteId)) {
      const said = span.assertion && span.assertion !== "affirmed" ? `${label}, ${span.assertion}` : label;
      marks.push({ ...span, label: said, look, about, link, weak });
    }
  };
  for (const { id, label, evidence } of report.requirements) add(evidence, looks[id].label, looks[id].hue, label, `req-${id}`);
  for (const { id, evidence } of report.alerts) add(evidence, "alert", "hue-alert", `Alert: ${words(id)}`, `alert-${id}`);
  for (const { id, evidence } of report.review_flags) add(evidence, "review", "hue-flag", `For review: ${words(id)}`, `flag-${id}`);
  if (withMentions) {
    for (const finding of report.findings) add([finding], `${words(finding.element)}: ${words(finding.value)}`, "", words(finding.element), null, true);
  }
  return marks;
}

/** The spans that decide something, for the colours behind the text while it is edited. */
const backdropOf = (report, noteId) => (report ? marksOf(report, noteId, false) : []);

function markedText(note, report, place) {
  const marks = report ? marksOf(report, note.note_id, byId("mentions").checked) : [];
  return cut(note.text, marks).map((segment) => {
    if (!segment.marks.length) return segment.text;
    const strong = segment.marks.filter((mark) => !mark.weak);
    const looks = [...new Set(strong.map((mark) => mark.look))];
    const opening = segment.opens.find((mark) => !mark.weak) ?? (strong.length ? null : segment.opens[0]);
    const target = opening ?? strong[0] ?? segment.marks[0];
    const element = make("mark", {
      class: [strong.length ? "evidence-mark" : "mention", looks[0], looks.length > 1 && "shared", `as-${target.assertion}`].filter(Boolean).join(" "),
      "data-start": segment.start,
      // Where a mark begins the keyboard stops, however many segments it has.
      ...(opening && { id: `mark-${place}-${segment.start}`, role: "button", tabindex: "-1" }),
      onclick: () => choose(target, { focus: Boolean(opening) }),
      onfocus: () => isChosen(target) || choose(target, { focus: false }),
    }, segment.text);
    if (looks.length > 1) element.style.setProperty("--h2", `var(--${looks[1]})`);
    const labels = new Map(segment.closes.filter((mark) => !mark.weak).map((mark) => [mark.label, mark.look]));
    for (const [label, look] of labels) element.append(make(`span.badge.${look}`, {}, label));
    return element;
  });
}

/** Show which evidence is chosen. The whole note is one stop of the Tab key; the arrow keys go from mark to mark. */
function drawChosen() {
  const { chosen } = app;
  const inside = (mark) => chosen?.note_id === app.note.note_id && mark.dataset.start >= chosen.start && mark.dataset.start < chosen.end;
  const marks = [...byId("readings").querySelectorAll(".active mark")];
  for (const mark of marks) mark.classList.toggle("chosen", inside(mark));
  const stops = marks.filter((mark) => mark.role === "button");
  const stop = stops.find((mark) => mark.classList.contains("chosen")) ?? stops[0];
  for (const mark of stops) mark.tabIndex = mark === stop ? 0 : -1;
  drawWhy();
}

/** The mark after (or before) the one in focus. */
function step(from, by) {
  const stops = [...byId("readings").querySelectorAll(".active mark[role]")];
  const place = stops.indexOf(from);
  const next = by === "first" ? stops[0] : by === "last" ? stops.at(-1) : stops[place + by];
  next?.focus();
}

byId("readings").addEventListener("keydown", (event) => {
  if (!event.target.matches("mark") || event.altKey || event.ctrlKey || event.metaKey) return;
  const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: "first", End: "last" }[event.key];
  if (by) step(event.target, by);
  else if (event.key === "Enter" || event.key === " ") event.target.click();
  else if (event.key === "Escape") closeWhy();
  else return;
  event.preventDefault();
});

// What is known about a note. `owner` is where it is kept: the code belongs to all notes judged together.
const FIELDS = [
  { key: "code", label: "Code", list: "codes", owner: () => app.entry },
  { key: "date_of_service", label: "Date of service", type: "date" },
  { key: "setting", label: "Setting", options: ["outpatient", "inpatient"] },
  { key: "note_type", label: "Note type", list: "note-types" },
  { key: "author_role", label: "Author role", list: "author-roles" },
];
const LISTS = {
  "note-types": ["progress_note", "consult_note", "discharge_summary", "ed_note", "procedure_note", "radiology_report", "telephone_encounter", "therapy_evaluation"],
  "author-roles": ["physician", "physician_assistant", "nurse_practitioner", "chiropractor", "resident", "radiologist", "physical_therapist", "nurse", "medical_student"],
  codes: [],
};

/** The codes the service has packs for, to choose from. */
export function offerCodes(codes) {
  byId("codes").replaceChildren(...codes.map((value) => make("option", { value })));
}

function drawFields() {
  const { note } = app;
  const field = ({ key, label, options, owner = () => app.note, ...rest }) => {
    const value = owner()[key] ?? "";
    const onchange = (event) => setAbout(owner(), key, event.target.value.trim());
    const input = options
      ? make(`select#about-${key}`, { onchange }, make("option", { value: "" }, "not known"),
          options.map((name) => make("option", { value: name, selected: name === value }, name)))
      : make(`input#about-${key}`, { onchange, value: String(value), type: "text", autocomplete: "off", ...(key === "code" && { placeholder: app.entry.report?.code ?? "" }), ...rest });
    return make("label.field", {}, make("span", {}, label), input);
  };
  const box = (key, label, checked, value) => make("label.inline", {},
    make(`input#about-${key}`, { type: "checkbox", checked, onchange: (event) => setAbout(note, key, value(event.target.checked)) }), ` ${label}`);
  swap(byId("fields"), FIELDS.map(field));
  const several = app.entry.notes.length > 1;
  swap(byId("boxes"),
    box("complete", "Unfinished draft", note.complete === false, (on) => (on ? false : null)),
    several && box("context", "Context only", Boolean(note.context), (on) => on || null),
    several && make("button#drop-note", { type: "button", onclick: dropNote }, "Remove this note"));
}

function drawTabs() {
  const { notes } = app.entry;
  const tab = (note, place) => make(`button#tab-${place}`, {
    type: "button", "aria-pressed": String(place === app.tab),
    onclick: () => { [app.tab, app.chosen] = [place, null]; draw(); },
  }, note.note_id, note.context ? " (context)" : "");
  swap(byId("tabs"), notes.length > 1 && notes.map(tab),
    hasText(app.entry) && make("button#add-note", { type: "button", title: "Judge another note of the same encounter with this one", onclick: () => { addNote(); byId("text").focus(); } }, "+ Note"));
}

function drawText() {
  const { entry, note, mode } = app;
  const editing = mode === "edit";
  byId("note").classList.toggle("editing", editing);
  byId("note").classList.toggle("empty", !note.text);
  byId("edit").setAttribute("aria-pressed", String(editing));
  byId("marked").setAttribute("aria-pressed", String(!editing));
  byId("marked").disabled = !note.text;
  const area = byId("text");
  const shown = note.text.replace(/\r\n?/g, "\n");
  if (area.value !== shown) area.value = shown;
  if (editing) paint(byId("editor"), cut(note.text, backdropOf(entry.report, note.note_id)));
  // A printed worksheet shows every note of the case, whatever is on the screen.
  const printed = matchMedia("print").matches;
  swap(byId("readings"), entry.notes.map((each, place) => {
    const active = place === app.tab;
    if (!printed && (editing || !active)) return null;
    return make(`div.reading${active ? ".active" : ""}`, { role: "region", "aria-label": `Marked text of ${each.note_id}`, tabindex: "0" },
      entry.notes.length > 1 && make("h3.print-only", {}, each.note_id), markedText(each, entry.report, place));
  }));
  byId("note-title").textContent = entry.notes.length > 1 ? "Notes" : nameOf(entry) ?? "Note";
  byId("timing").textContent = entry.problem ? "" : entry.judging ? "reading…" : entry.took !== undefined ? `read in ${entry.took} ms` : "";
  document.body.dataset.judged = String(!entry.judging && entry.judged === entry.wanted);
}

function findingsTable(findings) {
  if (!findings.length) return make("p.about", {}, "No single mention in these words: the requirement rests on the passage as a whole.");
  const columns = {
    Words: (one) => oneLine(one.text), Element: (one) => words(one.element), Value: (one) => words(one.value), Assertion: (one) => one.assertion,
    Cue: (one) => one.cue && `“${oneLine(one.cue)}”`, Site: (one) => readable(one.site), Date: (one) => one.date, Section: (one) => words(one.section),
  };
  const shown = Object.entries(columns).filter(([, say]) => findings.some(say));
  return make("table.findings", {}, make("caption", {}, "Read in these words"),
    make("thead", {}, make("tr", {}, shown.map(([name]) => make("th", { scope: "col" }, name)))),
    make("tbody", {}, findings.map((one) => make("tr", {}, shown.map(([, say]) => make("td", {}, say(one) || ""))))));
}

/** Why the program read it so: what cites the chosen words, and every finding in them. */
function drawWhy() {
  const { chosen, entry: { report } } = app;
  const panel = byId("why");
  panel.hidden = !chosen || !report || app.mode === "edit";
  if (panel.hidden) return panel.replaceChildren();
  const touches = (span) => span.note_id === chosen.note_id && span.start < chosen.end && chosen.start < span.end;
  const text = app.entry.notes.find((note) => note.note_id === chosen.note_id)?.text ?? "";
  const cites = (items, id, label, say) => items.filter((item) => item.evidence.some(isChosen))
    .map((item) => make("li", {}, link("a", id(item), null, label(item)), ` ${say(item, item.evidence.find(isChosen))}`));
  swap(panel,
    make("p.quote-line", {}, make("q", {}, oneLine(points(text).slice(chosen.start, chosen.end).join("")))),
    make("ul.cites", {},
      cites(report.requirements, (one) => `req-${one.id}`, (one) => one.label, (one, span) =>
        `${one.status}${span.side ? `, side ${span.side}` : ""}: ${one.reason} Rule: ${one.sources.join("; ")}.`),
      cites(report.alerts, (one) => `alert-${one.id}`, (one) => `Alert: ${words(one.id)}`, (one) => one.message),
      cites(report.review_flags, (one) => `flag-${one.id}`, (one) => `For review: ${words(one.id)}`, (one) => one.message),
      cites(report.candidate_codes, (one) => `candidate-${report.candidate_codes.indexOf(one)}`, (one) => `Candidate ${one.code}`, (one) => one.reason)),
    findingsTable(report.findings.filter(touches)),
    make("button.close", { type: "button", "aria-label": "Close the explanation", onclick: closeWhy }, "×"));
}

function closeWhy() {
  const { from } = app.chosen;
  unchoose();
  byId(from ?? "marked")?.focus();
}

pane(() => {
  document.title = `${app.entry.report ? `${nameOf(app.entry)} - ` : ""}Chartgap`;
  drawTabs();
  drawFields();
  drawText();
}, { chosen: drawChosen, edited: drawText });

/** Show the note marked, or as text to edit. */
export function setMode(mode) {
  app.mode = mode;
  draw();
  if (mode === "edit") byId("text").focus();
}

for (const [id, list] of Object.entries(LISTS)) {
  document.body.append(make(`datalist#${id}`, {}, list.map((value) => make("option", { value }))));
}
byId("fields").addEventListener("submit", (event) => event.preventDefault());
byId("marked").addEventListener("click", () => setMode("marked"));
byId("edit").addEventListener("click", () => setMode("edit"));
byId("labels").addEventListener("change", (event) => byId("note").classList.toggle("no-labels", !event.target.checked));
byId("fixed").addEventListener("change", (event) => byId("note").classList.toggle("fixed", event.target.checked));
byId("mentions").addEventListener("change", draw);
matchMedia("print").addEventListener("change", draw);
addEventListener("beforeprint", draw);

const area = byId("text");
area.addEventListener("input", async (event) => {
  // A note pasted whole is there to be read; typing goes on where it is.
  const pasted = event.inputType === "insertFromPaste" && !app.note.text;
  await setText(area.value);
  if (!pasted || !app.entry.report) return;
  app.mode = "marked";
  draw();
  byId("review").focus();
  announce(`Judged. ${byId("verdict-words")?.textContent ?? ""}`);
});
area.addEventListener("scroll", () => (byId("editor").querySelector(".backdrop").scrollTop = area.scrollTop));
area.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && app.note.text) {
    setMode("marked");
    byId("review").focus();
  }
});
