// The gallery: cells as crops in groups. Only what is in view is in the document.

import { isThere, words } from "./cells.js";
import { listGroups } from "./groups.js";

const NARROW = 560;
const GAP = 8;
const CAPTION = 30;
const MARGIN_ROWS = 2;

export class Gallery extends EventTarget {
  constructor(root, cells, crops) {
    super();
    this.root = root;
    this.cells = cells;
    this.crops = crops;
    this.order = "stage";
    this.filter = "all";
    this.size = 144;
    this.selected = new Set();
    this.current = null;
    this.anchor = null;
    this.tiles = new Map();
    this.spare = [];
    this.groups = [];
    this.sequence = [];
    root.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.place()).observe(root);
    root.addEventListener("pointerdown", (event) => this.press(event));
    root.addEventListener("click", (event) => this.click(event));
    cells.addEventListener("changed", ({ detail }) => this.refresh(detail));
    cells.addEventListener("listed", () => this.follow());
  }

  /** Sort all cells into their groups anew; the current cell stays the current one. */
  arrange() {
    this.root.replaceChildren();
    this.tiles.clear();
    this.spare = [];
    this.groups = listGroups(this.cells, this.order, this.filter);
    this.sequence = this.groups.flatMap((group) => group.cells);
    this.position = new Map(this.sequence.map((cell, i) => [cell, i]));
    for (const group of this.groups) {
      this.makeSection(group);
    }
    if (this.groups.length === 0) {
      this.root.append(makeNote(this.cells.list.length > 0));
    }
    for (const cell of [...this.selected]) {
      if (!this.position.has(cell)) {
        this.selected.delete(cell);
      }
    }
    this.place();
    if (!this.position.has(this.current)) {
      this.go(this.sequence.find((cell) => !cell.called) ?? this.sequence[0] ?? null);
    } else {
      this.reveal(this.current);
    }
    this.dispatchEvent(new Event("arranged"));
  }

  makeSection(group) {
    const section = document.createElement("section");
    section.className = "group";
    const head = document.createElement("header");
    const title = document.createElement("h2");
    const chip = document.createElement("span");
    chip.className = "chip";
    chip.style.background = group.colour;
    const name = document.createElement("span");
    name.className = "name";
    name.textContent = group.title;
    const count = document.createElement("span");
    count.className = "count";
    title.append(chip, name);
    head.append(title, count);
    let accept = null;
    if (group.accepts) {
      accept = document.createElement("button");
      accept.type = "button";
      const isAgreed = group.accepts === "agreed";
      accept.textContent = isAgreed ? "Accept what they agree on" : "Accept the rest";
      if (!isAgreed) {
        accept.setAttribute("aria-label", `Accept the rest as ${group.title.toLowerCase()}`);
        accept.title = "Shift+Enter";
      }
      accept.addEventListener("click", () => this.dispatchEvent(new CustomEvent("accept", { detail: group })));
      head.append(accept);
    }
    const list = document.createElement("div");
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-multiselectable", "true");
    list.setAttribute("aria-label", group.title);
    list.className = "tiles";
    section.append(head, list);
    this.root.append(section);
    Object.assign(group, { section, list, accept, countElement: count });
    this.countGroup(group);
  }

  countGroup(group) {
    const confirmed = group.cells.reduce((sum, cell) => sum + (cell.called ? 1 : 0), 0);
    group.countElement.textContent = `${group.cells.length} ${group.cells.length === 1 ? "cell" : "cells"}, ${confirmed} confirmed`;
    if (group.accept !== null) {
      group.accept.disabled = confirmed === group.cells.length;
    }
  }

  /** Sort anew where a cell came or went: one that a person added, and one that was taken away again. */
  follow() {
    const isGone = this.sequence.some((cell) => !isThere(cell));
    const isNew = this.filter === "all" && this.cells.list.some((cell) => cell.added && !this.position.has(cell));
    if (isGone || isNew) {
      this.arrange();
    }
  }

  /** Where each group begins, by the width that there is. */
  place() {
    const width = this.root.clientWidth - 2 * GAP;
    // As high as the style sheet makes the head of a group; in a narrow gallery its button has a line of its own.
    this.header = width < NARROW ? 84 : 52;
    this.root.classList.toggle("narrow", width < NARROW);
    this.columns = Math.max(1, Math.floor((width + GAP) / (this.size + GAP)));
    this.rowHeight = this.size + CAPTION + GAP;
    let top = 0;
    for (const group of this.groups) {
      group.top = top;
      group.rows = Math.ceil(group.cells.length / this.columns);
      group.list.style.height = `${group.rows * this.rowHeight}px`;
      top += this.header + group.rows * this.rowHeight;
    }
    for (const [cell, tile] of this.tiles) {
      this.put(cell, tile);
    }
    this.draw();
  }

  find(cell) {
    const group = this.groups.find((g) => g.members.has(cell));
    return { group, at: group ? group.members.get(cell) : -1 };
  }

  topOf(cell) {
    const { group, at } = this.find(cell);
    return group.top + this.header + Math.floor(at / this.columns) * this.rowHeight;
  }

  draw() {
    const from = this.root.scrollTop - MARGIN_ROWS * this.rowHeight;
    const to = this.root.scrollTop + this.root.clientHeight + MARGIN_ROWS * this.rowHeight;
    const wanted = new Set();
    for (const group of this.groups) {
      const start = group.top + this.header;
      const first = Math.max(0, Math.floor((from - start) / this.rowHeight)) * this.columns;
      const end = Math.min(group.rows, Math.ceil((to - start) / this.rowHeight)) * this.columns;
      for (let i = first; i < Math.min(end, group.cells.length); i += 1) {
        wanted.add(group.cells[i]);
      }
    }
    for (const [cell, tile] of this.tiles) {
      if (!wanted.has(cell) && (cell !== this.current || !this.position.has(cell))) {
        this.tiles.delete(cell);
        tile.remove();
        this.spare.push(tile);
      }
    }
    for (const cell of wanted) {
      if (!this.tiles.has(cell)) {
        const tile = this.spare.pop() ?? makeTile();
        this.tiles.set(cell, tile);
        tile.cell = cell;
        this.crops.show(tile.firstChild, cell.key);
        this.put(cell, tile);
        this.dress(cell, tile);
      }
    }
  }

  put(cell, tile) {
    const { group, at } = this.find(cell);
    const x = (at % this.columns) * (this.size + GAP);
    const y = Math.floor(at / this.columns) * this.rowHeight;
    tile.style.transform = `translate(${x}px, ${y}px)`;
    tile.style.width = `${this.size}px`;
    tile.style.height = `${this.size + CAPTION}px`;
    tile.firstChild.style.height = `${this.size}px`;
    tile.setAttribute("aria-posinset", String(at + 1));
    tile.setAttribute("aria-setsize", String(group.cells.length));
    if (tile.parentNode !== group.list) {
      group.list.append(tile);
    }
  }

  dress(cell, tile) {
    const name = this.cells.now(cell);
    const known = this.cells.byName.get(name);
    const title = known?.title ?? words(name);
    const caption = tile.lastChild;
    caption.firstChild.style.background = known?.colour ?? "transparent";
    caption.childNodes[1].textContent = title.replace(/ erythroblast$/, "");
    caption.childNodes[2].textContent = this.describe(cell, title);
    caption.lastChild.textContent = cell.called ? (cell.called === cell.counted ? "✓" : "✎") : cell.confidence.toFixed(2);
    tile.classList.toggle("confirmed", Boolean(cell.called));
    tile.classList.toggle("changed", Boolean(cell.called) && cell.called !== cell.counted);
    tile.classList.toggle("conflict", Boolean(cell.conflict));
    tile.classList.toggle("current", cell === this.current);
    tile.setAttribute("aria-selected", String(this.selected.has(cell)));
    tile.tabIndex = cell === this.current ? 0 : -1;
  }

  /** What a screen reader says of a cell after what is seen of its class. */
  describe(cell, title) {
    const rest = / erythroblast$/.test(title) ? " erythroblast" : "";
    const sure = `${Math.round(100 * cell.confidence)} % sure`;
    const by = cell.called ? `confirmed by ${cell.reader}` : `by the model, ${sure}`;
    return `${rest}, ${by}${cell.conflict ? `; ${cell.conflict} called it meanwhile` : ""}`;
  }

  refresh(cells) {
    for (const cell of cells) {
      const tile = this.tiles.get(cell);
      if (tile !== undefined) {
        this.dress(cell, tile);
      }
    }
    const touched = new Set(cells);
    for (const group of this.groups) {
      if (touched.size > 50 || [...touched].some((cell) => group.members.has(cell))) {
        this.countGroup(group);
      }
    }
  }

  /** Make a cell the current one. */
  go(cell, { extend = false, keep = false } = {}) {
    const before = this.current;
    this.current = cell;
    if (cell === null) {
      this.dispatchEvent(new Event("moved"));
      return;
    }
    const old = new Set(this.selected);
    if (extend && this.anchor !== null && this.position.has(this.anchor)) {
      const [a, b] = [this.position.get(this.anchor), this.position.get(cell)].sort((x, y) => x - y);
      this.selected = new Set(this.sequence.slice(a, b + 1));
    } else if (!keep) {
      this.selected.clear();
      this.anchor = cell;
    }
    this.reveal(cell);
    for (const other of new Set([before, cell, ...old, ...this.selected])) {
      const tile = this.tiles.get(other);
      if (tile !== undefined && other !== null) {
        this.dress(other, tile);
      }
    }
    if (document.activeElement === document.body || this.root.contains(document.activeElement)) {
      this.tiles.get(cell)?.focus({ preventScroll: true });
    }
    this.dispatchEvent(new Event("moved"));
  }

  reveal(cell) {
    if (!this.position.has(cell)) {
      return; // what is shown now leaves it out
    }
    const top = this.topOf(cell);
    const margin = this.header;
    if (top - margin < this.root.scrollTop) {
      this.root.scrollTop = top - margin;
    } else if (top + this.rowHeight > this.root.scrollTop + this.root.clientHeight) {
      this.root.scrollTop = top + this.rowHeight - this.root.clientHeight;
    }
    this.draw();
  }

  /** The cell that lies so many columns and rows away; rows end with their group. */
  neighbour(columns, rows) {
    if (!this.position.has(this.current)) {
      return this.sequence[0] ?? null;
    }
    if (rows === 0) {
      const at = this.position.get(this.current) + columns;
      return this.sequence[Math.max(0, Math.min(this.sequence.length - 1, at))];
    }
    const { group, at } = this.find(this.current);
    const target = at + rows * this.columns;
    if (target >= 0 && Math.floor(target / this.columns) < group.rows) {
      return group.cells[Math.min(target, group.cells.length - 1)];
    }
    const next = this.groups[this.groups.indexOf(group) + Math.sign(rows)];
    if (next === undefined) {
      return this.current;
    }
    const column = at % this.columns;
    const first = rows > 0 ? 0 : (next.rows - 1) * this.columns;
    return next.cells[Math.min(first + column, next.cells.length - 1)];
  }

  /** The next cell of one field or any after the current one that nobody has confirmed; from the start where none follows. */
  nextOpen(field = null) {
    const isOpen = (cell) => !cell.called && (field === null || cell.field === field);
    const from = this.position.get(this.current) ?? -1;
    return this.sequence.slice(from + 1).find(isOpen) ?? this.sequence.find(isOpen) ?? null;
  }

  /** The selected cells, or the current one. */
  targets() {
    return this.selected.size ? [...this.selected] : this.current === null ? [] : [this.current];
  }

  toggle(cell) {
    if (this.selected.size === 0 && this.current !== null && cell !== this.current) {
      this.selected.add(this.current);
    }
    this.selected[this.selected.has(cell) ? "delete" : "add"](cell);
    this.go(cell, { keep: true });
  }

  click(event) {
    const tile = event.target.closest(".tile");
    if (tile === null || this.isDragged) {
      return;
    }
    if (event.ctrlKey || event.metaKey) {
      this.toggle(tile.cell);
    } else {
      this.go(tile.cell, { extend: event.shiftKey });
    }
  }

  /** Select the cells in a rectangle that is drawn with the pointer. */
  press(event) {
    this.isDragged = false;
    if (event.button !== 0 || event.pointerType === "touch" || event.target.closest("button")) {
      return;
    }
    const box = document.createElement("div");
    box.className = "lasso";
    const [x0, y0] = [event.clientX, event.clientY];
    const move = ({ clientX, clientY }) => {
      if (!this.isDragged && Math.hypot(clientX - x0, clientY - y0) < 6) {
        return;
      }
      this.isDragged = true;
      if (box.parentNode === null) {
        document.body.append(box);
      }
      box.style.left = `${Math.min(x0, clientX)}px`;
      box.style.top = `${Math.min(y0, clientY)}px`;
      box.style.width = `${Math.abs(clientX - x0)}px`;
      box.style.height = `${Math.abs(clientY - y0)}px`;
    };
    const end = () => {
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", end);
      if (this.isDragged) {
        this.selectInside(box.getBoundingClientRect());
      }
      box.remove();
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", end);
  }

  selectInside(area) {
    const inside = [...this.tiles].filter(([, tile]) => {
      const at = tile.getBoundingClientRect();
      return at.left < area.right && at.right > area.left && at.top < area.bottom && at.bottom > area.top;
    });
    if (inside.length) {
      const cells = inside.map(([cell]) => cell).sort((a, b) => this.position.get(a) - this.position.get(b));
      const old = this.selected;
      this.selected = new Set(cells);
      this.anchor = cells[0];
      this.go(cells[0], { keep: true });
      this.refresh([...old, ...cells]);
    }
  }
}

/** What stands in an empty gallery. */
function makeNote(isFiltered) {
  const note = document.createElement("p");
  note.className = "empty";
  note.textContent = isFiltered
    ? "No cell is of this choice. “Show: All cells” above brings the others back."
    : "No cell of this specimen was counted; the differential says why. Add pictures, or outline a cell in its field.";
  return note;
}

function makeTile() {
  const tile = document.createElement("div");
  tile.className = "tile";
  tile.setAttribute("role", "option");
  const image = document.createElement("img");
  image.alt = "";
  image.draggable = false;
  const caption = document.createElement("span");
  caption.className = "caption";
  const chip = document.createElement("span");
  chip.className = "chip";
  const title = document.createElement("span");
  title.className = "title";
  const mark = document.createElement("span");
  mark.className = "mark";
  mark.setAttribute("aria-hidden", "true");
  const spoken = document.createElement("span");
  spoken.className = "unseen";
  caption.append(chip, title, spoken, mark);
  tile.append(image, caption);
  return tile;
}
