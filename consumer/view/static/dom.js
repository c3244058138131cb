// The little that is needed to make elements, and to change only what has changed.

const SVG = "http://www.w3.org/2000/svg";

export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function drawing(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

// One child of `parent` for each item, in their order; a child is kept as long as its key is there.
export function sync(parent, known, items, keyOf, make) {
  const keys = new Set(items.map((item) => String(keyOf(item))));
  for (const [key, child] of known) {
    if (!keys.has(key)) {
      child.node.remove();
      known.delete(key);
    }
  }
  items.forEach((item, at) => {
    const key = String(keyOf(item));
    if (!known.has(key)) known.set(key, make(item));
    const child = known.get(key);
    if (parent.children[at] !== child.node) parent.insertBefore(child.node, parent.children[at]);
    child.update(item);
  });
}
