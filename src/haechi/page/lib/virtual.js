// A list of any length of which only the rows in sight are elements. Rows are all of one height.

import { el } from "./dom.js";

const SPARE = 6; // rows above and below what is in sight

/** render(item) makes a row's element; key(item) says which row it is: one whose key and item are the same is kept. */
export function virtualList(node, { rowHeight, render, key }) {
  const tall = el("div", { class: "virtual-space" });
  let items = [];
  let rows = new Map();
  node.classList.add("virtual");
  node.replaceChildren(tall);

  function draw() {
    const first = Math.max(0, Math.floor(node.scrollTop / rowHeight) - SPARE);
    const last = Math.min(items.length, Math.ceil((node.scrollTop + node.clientHeight) / rowHeight) + SPARE);
    const next = new Map();
    for (let i = first; i < last; i++) {
      const item = items[i];
      const name = key(item);
      let row = rows.get(name);
      if (row?.item !== item) {
        const made = render(item);
        made.style.position = "absolute";
        made.style.insetInline = "0";
        made.style.height = `${rowHeight}px`;
        if (row) {
          const focused = row.node.contains(document.activeElement);
          row.node.replaceWith(made);
          if (focused) made.focus({ preventScroll: true });
        }
        row = { item, node: made };
      }
      row.node.style.top = `${i * rowHeight}px`;
      next.set(name, row);
    }
    for (const [name, row] of rows) if (!next.has(name)) row.node.remove();
    rows = next;
    let before = null;
    for (const row of rows.values()) {
      // In the order of the list, for who reads it with the keyboard or aloud; moved only where it is not.
      const wanted = before ? before.nextSibling : tall.firstChild;
      if (row.node !== wanted) tall.insertBefore(row.node, wanted);
      before = row.node;
    }
  }

  let due = 0;
  const soon = () => {
    due ||= requestAnimationFrame(() => {
      due = 0;
      draw();
    });
  };
  node.addEventListener("scroll", soon, { passive: true });
  const sizes = new ResizeObserver(soon);
  sizes.observe(node);
  return {
    set(next) {
      items = next;
      tall.style.height = `${items.length * rowHeight}px`;
      draw();
    },
    scrollTo(index) {
      node.scrollTop = index * rowHeight;
    },
    destroy() {
      sizes.disconnect();
      cancelAnimationFrame(due);
    },
  };
}
