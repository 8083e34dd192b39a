// The service's JSON API, the same that everybody else calls.

import { byId } from "./dom.js";

/** What the service refuses, in words for people. `retry`: seconds after which it may be asked again. */
export class ServiceError extends Error {
  constructor(message, retry = 0) {
    super(message);
    this.retry = retry;
  }
}

let key = "";
/** The key that a protected service asks for; kept in memory only. */
export function useKey(value) {
  key = value;
}

async function call(path, body, more = { "Content-Type": "application/json" }) {
  const headers = { Accept: "application/json", ...(key && { Authorization: `Bearer ${key}` }), ...(body !== undefined && more) };
  let response;
  try {
    response = await fetch(`v1/${path}`, { method: body === undefined ? "GET" : "POST", body, headers });
  } catch {
    throw new ServiceError("The service does not answer. What is on this page stays as it is.");
  }
  if (response.ok) return response.json();
  if (response.status === 401) byId("key-field").hidden = false;
  const problem = await response.json().catch(() => ({}));
  const details = problem.errors?.map((fault) => `${fault.pointer.slice(1)}: ${fault.detail}`).join("; ");
  throw new ServiceError([problem.title ?? `Status ${response.status}`, problem.detail, details].filter(Boolean).join(". "), Number(response.headers.get("Retry-After")));
}

const post = (path, body) => call(path, JSON.stringify(body));

export const judgeNote = (note) => post("gap-reports", note);
export const judgeCase = (request) => post("cases", request);
export const lint = (text, record) => post("queries:lint", { text, record });
export const combine = (request) => post("queries:combine", request);
export const samples = () => call("samples");
export const packs = () => call("packs");
export const pack = (id) => call(`packs/${encodeURIComponent(id)}`);
export const code = (name) => call(`codes/${encodeURIComponent(name)}`);
// A file's name may be a patient's: it goes in a header, which proxies do not log.
export const documentText = (file) => call("documents:text", file, {
  "Content-Type": file.type || "application/octet-stream",
  "Content-Disposition": `attachment; filename*=UTF-8''${encodeURIComponent(file.name)}`,
});
