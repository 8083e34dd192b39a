// The service's JSON API, the same that everybody else calls.

import { byId } from "./dom.js";

/** What the service refuses, in words for people. */
export class ServiceError extends Error {}

let key = "";
/** The key that a protected service asks for; kept in memory only. */
export function useKey(value) {
  key = value;
}

async function call(path, body, { signal, type = "application/json", name } = {}) {
  const headers = { Accept: "application/json", ...(key && { Authorization: `Bearer ${key}` }) };
  if (body !== undefined) headers["Content-Type"] = type;
  // A file's name may name a patient, so it stands in no address.
  if (name) headers["Content-Disposition"] = `attachment; filename*=UTF-8''${encodeURIComponent(name)}`;
  let response;
  try {
    response = await fetch(`v1/${path}`, { method: body === undefined ? "GET" : "POST", body, headers, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError("The service does not answer. What is on this page stays as it is.");
  }
  if (response.ok) return response.json();
  if (response.status === 401) byId("key-field").hidden = false;
  const problem = await response.json().catch(() => ({}));
  const details = problem.errors?.map((fault) => `${fault.pointer.slice(1)}: ${fault.detail}`).join("; ");
  throw new ServiceError([problem.title ?? `Status ${response.status}`, problem.detail, details].filter(Boolean).join(". "));
}

const post = (path, body, signal) => call(path, JSON.stringify(body), { signal });

export const judgeNote = (note, signal) => post("gap-reports", note, signal);
export const judgeCase = (request, signal) => post("cases", request, signal);
export const lint = (text, record, signal) => post("queries:lint", { text, record }, signal);
export const combine = (request, signal) => post("queries:combine", request, signal);
export const samples = () => call("samples");
export const packs = () => call("packs");
export const code = (name) => call(`codes/${encodeURIComponent(name)}`);
export const documentText = (file) =>
  call("documents:text", file, { type: file.type || "application/octet-stream", name: file.name });
