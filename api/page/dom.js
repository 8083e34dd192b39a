// Making and replacing elements. Text only ever enters the page as text: nothing here parses HTML.

export const byId = (id) => document.getElementById(id);

/** An element: `make("p.about.tone-query#id", {attribute: value, onclick: handler}, ...children)`. */
export function make(selector, attributes = {}, ...children) {
  const [, tag, rest] = /^([a-z0-9]+)(.*)$/.exec(selector);
  const element = document.createElement(tag);
  for (const [, kind, name] of rest.matchAll(/([.#])([^.#]+)/g)) {
    if (kind === "#") element.id = name;
    else element.classList.add(name);
  }
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && typeof value !== "string") element[name] = value;
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A link within the page: `act` runs in place of the jump, which by itself would leave the focus where it is. */
export function link(selector, target, act, ...children) {
  const onclick = (event) => {
    event.preventDefault();
    act ? act() : byId(target)?.focus();
  };
  return make(selector, { href: `#${target}`, onclick }, ...children);
}

/** Replace what a container holds, keeping focus and selection on the element of the same id. */
export function swap(container, ...children) {
  const focused = container.contains(document.activeElement) ? document.activeElement : null;
  const { id, selectionStart, selectionEnd } = focused ?? {};
  const scrolled = container.scrollTop;
  container.replaceChildren(...children.flat(Infinity).filter(Boolean));
  container.scrollTop = scrolled;
  const again = id && byId(id);
  if (!again) return;
  again.focus({ preventScroll: true });
  if (typeof selectionStart === "number") again.setSelectionRange(selectionStart, selectionEnd);
}

/** Tell people who do not see the page. */
export function announce(message) {
  byId("announcer").textContent = "";
  requestAnimationFrame(() => (byId("announcer").textContent = message));
}

/** Offer a text as a file. */
export function download(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Copy a text, with a rich form beside it where one is given; works without a secure context too. */
export function copy(plain, html = null) {
  const fill = (event) => {
    event.preventDefault();
    event.clipboardData.setData("text/plain", plain);
    if (html) event.clipboardData.setData("text/html", html);
  };
  document.addEventListener("copy", fill, { once: true });
  const done = document.execCommand("copy");
  document.removeEventListener("copy", fill);
  return done;
}

/** A textarea over a backdrop that marks spans of its text in colour while it is edited. */
export function paint(editor, segments) {
  const backdrop = editor.querySelector(".backdrop");
  // The line break at the end gives an empty last line its height.
  backdrop.replaceChildren(
    ...segments.map(({ text, marks }) => (marks.length ? make(`mark.${marks[0].look}`, {}, text) : text)), "\n",
  );
}
