// The little that is needed of the document: nodes are made once from templates and then only changed where they differ.

import { t } from "./texts.js";

export const byId = (id) => document.getElementById(id);

export function text(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

export function attr(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** A filled template: its root node and its [data-f] parts by name. */
export function instance(templateId) {
  const root = byId(templateId).content.firstElementChild.cloneNode(true);
  const parts = {};
  for (const node of root.querySelectorAll("[data-f]")) parts[node.dataset.f] = node;
  translate(root);
  return { root, parts };
}

/** Put the words of the reader's language into every [data-t] below `root`. */
export function translate(root) {
  for (const node of root.querySelectorAll("[data-t]")) text(node, t(node.dataset.t));
}

export function element(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

/** One shape of the sprite in index.html. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** Keep `parent`'s children in step with `items`: make what is new, drop what is gone, keep the order, refresh the rest. */
export function keyed(parent, items, keyOf, make, refresh) {
  const kept = (parent.keyed ??= new Map());
  const gone = new Set(kept.keys());
  let previous = null;
  for (const item of items) {
    const key = keyOf(item);
    let view = kept.get(key);
    if (!view) kept.set(key, (view = make(item)));
    gone.delete(key);
    const after = previous ? previous.nextSibling : parent.firstChild;
    if (after !== view.root) parent.insertBefore(view.root, after);
    previous = view.root;
    refresh(view, item);
  }
  for (const key of gone) {
    kept.get(key).root.remove();
    kept.delete(key);
  }
}
