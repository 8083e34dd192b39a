// Texts, spans and words. Offsets count code points, as everywhere in Chartgap: a string is cut by way of its points.

export const points = (text) => Array.from(text);
export const words = (identifier) => identifier.replaceAll("_", " ");
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
export const oneLine = (text) => visible(text).split(/\s+/).join(" ").trim();

/** The text, as long as before, with every character that acts instead of showing replaced by one that shows. */
export function visible(text) {
  return text
    .replace(/\r\n/g, " \n").replace(/[\r\v\f]/g, "\n")
    .replace(/[\x00-\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]/gu, "\ufffd");
}

/** A requirement's value in words; empty for absent things. */
export function readable(value) {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.map((item) => words(String(item))).join(", ");
  if (typeof value !== "object") return words(String(value));
  if ("earliest" in value && "latest" in value) {
    return value.earliest === value.latest ? value.earliest : `between ${value.earliest} and ${value.latest}`;
  }
  const parts = Object.entries(value).map(([key, part]) => [words(key), readable(part)]);
  return parts.filter(([, part]) => part).map(([key, part]) => `${key}: ${part}`).join("; ");
}

/** A word for each identifier that none of the others has: its last word, else its first, else all of it. */
export function shortLabels(identifiers) {
  const count = (place) => identifiers.reduce((all, id) => {
    const word = id.split("_").at(place);
    return all.set(word, (all.get(word) ?? 0) + 1);
  }, new Map());
  const [first, last] = [count(0), count(-1)];
  return Object.fromEntries(identifiers.map((id) => {
    const parts = id.split("_");
    if (last.get(parts.at(-1)) === 1) return [id, parts.at(-1)];
    return [id, first.get(parts[0]) === 1 ? parts[0] : words(id)];
  }));
}

/** What an edit replaced, in code points: `[start, oldEnd)` became `[start, newEnd)`. */
export function editBetween(before, after) {
  const [old, now] = [points(before), points(after)];
  let start = 0;
  while (start < old.length && start < now.length && old[start] === now[start]) start += 1;
  let [oldEnd, newEnd] = [old.length, now.length];
  while (oldEnd > start && newEnd > start && old[oldEnd - 1] === now[newEnd - 1]) [oldEnd, newEnd] = [oldEnd - 1, newEnd - 1];
  return { start, oldEnd, newEnd };
}

/** A report with its spans of one note moved along an edit; spans that the edit touched are left out. */
export function moved(value, noteId, edit) {
  if (Array.isArray(value)) return value.map((item) => moved(item, noteId, edit)).filter((item) => item !== undefined);
  if (value === null || typeof value !== "object") return value;
  const copy = Object.fromEntries(Object.entries(value).map(([key, part]) => [key, moved(part, noteId, edit)]));
  if (copy.note_id !== noteId || typeof copy.start !== "number" || copy.end <= edit.start) return copy;
  if (copy.start < edit.oldEnd) return undefined;
  const by = edit.newEnd - edit.oldEnd;
  return { ...copy, start: copy.start + by, end: copy.end + by };
}

/**
 * A text as segments, each covered by the same marks throughout, so that overlapping marks never nest.
 * A mark has start and end; a segment has text, start, marks, and which of them open and close with it.
 */
export function cut(text, marks) {
  const all = points(visible(text));
  const inside = marks.filter((mark) => mark.start >= 0 && mark.start < mark.end && mark.end <= all.length);
  inside.sort((a, b) => a.start - b.start || b.end - a.end);
  const bounds = [...new Set([0, all.length, ...inside.flatMap((mark) => [mark.start, mark.end])])].sort((a, b) => a - b);
  let [covering, next] = [[], 0];
  return bounds.slice(0, -1).map((start, place) => {
    const end = bounds[place + 1];
    const opens = [];
    while (next < inside.length && inside[next].start === start) opens.push(inside[next++]);
    covering = [...covering.filter((mark) => mark.end > start), ...opens];
    const closes = covering.filter((mark) => mark.end === end);
    return { text: all.slice(start, end).join(""), start, marks: covering, opens, closes };
  });
}
