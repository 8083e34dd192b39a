// The right pane: the verdict in plain words, then what it rests on, in the order a reviewer works.

import { app, choose, isChosen, nameOf, pane } from "./app.js";
import { byId, link, make, swap } from "./dom.js";
import { agreeWithRest, amend, decide, decisionOf, readerValue } from "./decisions.js";
import { looksOf } from "./note.js";
import { pick, picks } from "./message.js";
import * as service from "./service.js";
import { capital, oneLine, readable, words } from "./text.js";

export const GLYPHS = { documented: "✓", insufficient: "~", conflicting: "!", missing: "○" };
export const VERDICTS = {
  supported: { glyph: "✓", words: "Documentation elements present" },
  query: { glyph: "?", words: "Needs a query" },
  not_supported: { glyph: "→", words: "Documentation points elsewhere" },
  unfinished: { glyph: "…", words: "Unfinished note" },
};
const RELATIONS = { instead: "instead of the code", with: "with the code", query: "after a query" };
const SENDING = { yes: "to send", optional: "optional", no: "not sent" };

export const statusOf = (status) => make(`span.status.tone-${status}`, {}, make("span", { "aria-hidden": "true" }, GLYPHS[status]), ` ${status}`);

/** A quote as a link to its place in the note. */
function quote(span, from) {
  const tab = app.entry.notes.findIndex((note) => note.note_id === span.note_id);
  const shown = link("a.quote", `mark-${tab}-${span.start}`, () => choose(span, { from }), `“${oneLine(span.text)}”`);
  shown.span = span;
  return shown;
}

/** Quotes of evidence that lead to their place in the note. */
function quotes(spans, from) {
  if (!spans.length) return null;
  const several = app.entry.notes.length > 1;
  return make("ul.quotes", {}, spans.map((span) => {
    const where = [words(span.section ?? ""), span.assertion, span.side && `side ${span.side}`, several && span.note_id,
      span.author_role && several && words(span.author_role)].filter((part) => part && part !== "affirmed").join(", ");
    return make("li", {}, quote(span, from), where && make("span.about", {}, ` ${where}`));
  }));
}

function drawVerdict(report) {
  const verdict = VERDICTS[report.verdict ?? "unfinished"];
  const looks = looksOf(report);
  const open = (basis) => report.requirements.filter((one) => one.basis === basis && one.status !== "documented");
  const question = (basis, done, label) => make("div", {}, make("dt", {}, label), make("dd", {}, done ? "complete"
    : ["open: ", open(basis).map((one, place) => [place ? ", " : "", jump(one)])]));
  const jump = (one) => link("a", `req-${one.id}`, null, one.label);
  const documented = report.requirements.filter((one) => one.status === "documented").length;
  const because = report.verdict_because.alerts.map(words);
  return make(`div.verdict.tone-${report.verdict ?? "unfinished"}`, {},
    make("p.verdict-words#verdict-words", {}, make("span", { "aria-hidden": "true" }, verdict.glyph), ` ${verdict.words}`),
    make("p.about", {}, make("b", {}, report.code), ` ${report.code_title}`, report.date_of_service && ` · seen ${report.date_of_service}`),
    !report.relevant && make("p", {}, "The note does not concern this code, so nothing is asked and it counts in no rate."),
    because.length > 0 && make("p", {}, `Because: ${because.join(", ")}.`),
    report.relevant && make("dl.questions", {}, question("coding", report.coding_complete, "For coding"), question("audit", report.audit_complete, "For an audit")),
    make("ol.strip", { "aria-label": `${documented} of ${report.requirements.length} requirements documented` },
      report.requirements.map((one) => make("li", {}, link(`a.chip.tone-${one.status}`, `req-${one.id}`, null, make("span", { "aria-hidden": "true" }, GLYPHS[one.status]), make("span.visually-hidden", {}, `${one.status}: `), ` ${looks[one.id].label}`)))));
}

function drawAlerts(report) {
  if (!report.alerts.length) return null;
  return [make("h3", {}, "Alerts"), make("ul.plain", {}, report.alerts.map((alert) => make(`li.card.tone-${alert.severity}#alert-${alert.id}`, { tabindex: "-1" },
    make("div.card-head", {}, make("h4", {}, capital(words(alert.id))), make("span.severity", {}, alert.severity)),
    make("p", {}, alert.message, alert.codes.length > 0 && make("span.about", {}, ` (${alert.codes.join(", ")})`)),
    quotes(alert.evidence, `alert-${alert.id}`))))];
}

function drawQuery(one) {
  if (!one.query) return null;
  return make("div.ask", {},
    make("label", {}, make(`input#ask-${one.id}`, { type: "checkbox", checked: picks(app.entry).has(one.id), onchange: (event) => pick(one.id, event.target.checked) }),
      make("span", {}, make("span.about", {}, `Ask (${SENDING[one.send_query]}): `), one.query.question)),
    one.query.options.length > 0 && make("p.about.choices", {}, one.query.options.map((option) => `☐ ${option}`).join("   ")));
}

function drawDecision(report, one) {
  const mine = decisionOf(app.entry, one.id);
  const button = (decision, label, glyph) => make(`button.${decision}#${decision}-${one.id}`, {
    type: "button", "aria-pressed": String(mine?.decision === decision), "aria-label": `${label}: ${one.label}`,
    onclick: () => decide(one.id, decision),
  }, make("span.glyph", {}, glyph), make("span.word", {}, ` ${label}`));
  return make("div.decide", {}, button("agree", "Agree", "✓"), button("disagree", "Disagree", "✗"));
}

function drawDisagreement(report, one) {
  const mine = decisionOf(app.entry, one.id);
  if (!mine) return null;
  const reason = make("label.field.wide", {}, make("span", {}, mine.decision === "disagree" ? "Reason" : "Remark"),
    make(`input#reason-${one.id}`, { type: "text", value: mine.reason, autocomplete: "off", oninput: (event) => amend(mine, { reason: event.target.value }) }));
  if (mine.decision === "agree") return mine.remark || mine.reason ? make("div.mine", {}, reason) : null;
  return make("div.mine", {},
    make("label.field", {}, make("span", {}, "Status as you read it"), make(`select#status-${one.id}`, { onchange: (event) => amend(mine, { status: event.target.value }) },
      Object.keys(GLYPHS).map((status) => make("option", { value: status, selected: status === mine.status }, status)))),
    readerValue(one, mine), reason);
}

function drawRequirement(report, one, looks) {
  const value = readable(one.value);
  const mine = decisionOf(app.entry, one.id);
  return make(`li.req.tone-${one.status}#req-${one.id}`, { tabindex: "-1", "data-decided": mine?.decision },
    make("div.req-head", {},
      statusOf(one.status), make("h4", {}, make(`span.badge.${looks[one.id].hue}`, { "aria-hidden": "true" }, looks[one.id].label), ` ${one.label}`, make("span.about", {}, one.basis))),
    make("p.reason", {}, value && make("b", {}, `${value}. `), one.reason),
    quotes(one.evidence, `req-${one.id}`),
    one.answered_elsewhere.map((other) => make("p.elsewhere", {}, "Answered elsewhere: ",
      quote(other, `req-${one.id}`),
      make("span.about", {}, ` ${[other.note_id, other.author_role && words(other.author_role), other.date].filter(Boolean).join(", ")}`))),
    drawQuery(one),
    drawDecision(report, one),
    drawDisagreement(report, one));
}

const titles = new Map();
const WHOLE_CODE = /^[A-Z]\d[0-9A-Z](\.[0-9A-Z]{1,4})?$/;
/** A code's title, as the service has it; asked once. A family such as "M80.-" has none. */
function titleOf(name) {
  const shown = make("span", {});
  if (!WHOLE_CODE.test(name)) return shown;
  if (!titles.has(name)) titles.set(name, service.code(name).then((answer) => answer.title ?? "", () => ""));
  titles.get(name).then((title) => (shown.textContent = title));
  return shown;
}

function drawExtras(report) {
  return [
    report.review_flags.length > 0 && [make("h3", {}, "For review"), make("ul.plain", {}, report.review_flags.map((flag) =>
      make(`li.card#flag-${flag.id}`, { tabindex: "-1" }, make("h4", {}, capital(words(flag.id))), make("p", {}, flag.message), quotes(flag.evidence, `flag-${flag.id}`))))],
    report.candidate_codes.length > 0 && [make("h3", {}, "Candidate codes, for a coder to weigh"), make("ul.plain", {}, report.candidate_codes.map((one, place) =>
      make(`li.card#candidate-${place}`, { tabindex: "-1" },
        make("div.card-head", {}, make("h4", {}, one.code, " ", make("span.title", {}, titleOf(one.code))), make("span.about", {}, [RELATIONS[one.relation], one.pair_id && `${words(one.pair_id)}, place ${one.sequence}`].filter(Boolean).join(" · "))),
        make("p", {}, one.reason), make("p.about", {}, `Rule: ${one.rule}`), quotes(one.evidence, `candidate-${place}`))))],
    report.prompts.length > 0 && [make("h3", {}, "Questions for the author"), make("dl", {}, report.prompts.map((prompt) =>
      [make("dt", {}, capital(words(prompt.requirement))), make("dd", {}, prompt.question)]))],
    report.warnings.length > 0 && [make("h3", {}, "Warnings"), make("ul.warnings", {}, report.warnings.map((warning) => make("li", {}, warning)))],
    make("details#provenance", { open: byId("provenance")?.open ?? false }, make("summary", {}, "What made this report"), make("dl", {}, Object.entries({
      Chartgap: report.provenance.chartgap, Pack: `${report.provenance.pack} ${report.provenance.pack_version}`, "Pack SHA-256": report.provenance.pack_sha256,
      "Code set": report.provenance.code_set, "Text SHA-256": report.text_sha256, Schema: report.schema_version,
      ...Object.fromEntries(Object.entries(report.provenance.settings).map(([key, value]) => [capital(words(key)), String(value)])),
    }).map(([term, said]) => [make("dt", {}, term), make("dd", {}, said)]))),
  ];
}

/** What will be asked of a note, before there is one. */
function drawPack() {
  const { pack } = app;
  return pack && make("div.asked", {}, make("h3", {}, `Asked of a note for ${pack.default_code}`),
    make("ol", {}, pack.requirements.map((one) => make("li", {}, one.label, make("span.about", {}, ` ${one.basis}`)))),
    make("p.about", {}, "coding: the code cannot be assigned without it. audit: it would not survive an audit without it."));
}

pane(() => {
  const { entry } = app;
  const { report } = entry;
  const title = make("h2#review-title", {}, "Review");
  byId("review").setAttribute("aria-busy", String(Boolean(entry.judging)));
  byId("trouble").hidden = !entry.problem;
  byId("trouble").textContent = entry.problem ?? "";
  document.body.classList.toggle("unjudged", !report);
  if (!report) {
    swap(byId("review"), title, make("p.about", {}, "What the note documents, what is missing and what contradicts it will stand here."), drawPack());
    swap(byId("extras"));
    return;
  }
  const looks = looksOf(report);
  const left = report.requirements.filter((one) => !decisionOf(entry, one.id)).length;
  swap(byId("review"), title,
    make("p.print-only", {}, `Documentation worksheet · ${nameOf(entry)} · ${report.code} · date of service ${report.date_of_service ?? "not given"} · reader: ${app.reader || "________________"} · date: ________________`),
    drawVerdict(report), drawAlerts(report),
    make("div.section-head", {}, make("h3", {}, "Requirements"),
      make("span.about", {}, left ? `${report.requirements.length - left} of ${report.requirements.length} reviewed` : "all reviewed"),
      make("button#agree-rest", { type: "button", disabled: !left, onclick: agreeWithRest }, "Agree with the rest")),
    make("ol.reqs", {}, report.requirements.map((one) => drawRequirement(report, one, looks))));
  swap(byId("extras"), drawExtras(report));
}, { chosen: drawChosen });

function drawChosen() {
  for (const shown of document.querySelectorAll("a.quote")) {
    if (isChosen(shown.span)) shown.setAttribute("aria-current", "true");
    else shown.removeAttribute("aria-current");
  }
}
