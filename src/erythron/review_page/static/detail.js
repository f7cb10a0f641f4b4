// The current cell, large: outline, probabilities, measurements, neighbours in the order of maturation.

import { read } from "./api.js";
import { words } from "./cells.js";
import { listNeighbours } from "./groups.js";
import { sayReaders } from "./readers.js";

const AHEAD = 8;
const SVG = "http://www.w3.org/2000/svg";
const SHOWN = [
  ["cell_diameter", "Diameter", 1],
  ["nucleus_diameter", "Nucleus", 1],
  ["nc_ratio", "N:C ratio", 2],
  ["nucleus_sd_grey", "Chromatin texture", 1],
];
const FLAGS = {
  unclassified: "The model is not sure",
  touches_edge: "Cut by the border of the image",
  left_out: "In an area that is left out of the count",
  outside_region: "Outside the region that is counted",
};

export class Detail {
  constructor(root, cells, gallery, crops) {
    this.root = root;
    this.cells = cells;
    this.gallery = gallery;
    this.crops = crops;
    this.known = new Map();
    this.isOutlined = true;
    this.build();
    gallery.addEventListener("moved", () => this.show());
    cells.addEventListener("changed", ({ detail }) => detail.includes(gallery.current) && this.say());
  }

  build() {
    this.figure = document.createElement("div");
    this.figure.className = "large";
    this.image = document.createElement("img");
    this.image.alt = "";
    this.svg = document.createElementNS(SVG, "svg");
    this.svg.setAttribute("aria-hidden", "true");
    this.figure.append(this.image, this.svg);
    this.call = document.createElement("p");
    this.call.className = "call";
    const outline = document.createElement("label");
    this.outlineBox = document.createElement("input");
    this.outlineBox.type = "checkbox";
    this.outlineBox.checked = true;
    this.outlineBox.addEventListener("change", () => this.outline(this.outlineBox.checked));
    const key = document.createElement("kbd");
    key.textContent = "O";
    outline.append(this.outlineBox, " Outline ", key);
    this.facts = document.createElement("div");
    this.facts.className = "facts";
    this.bars = document.createElement("ol");
    this.bars.className = "bars";
    this.bars.setAttribute("aria-label", "Probabilities by the model");
    this.strip = document.createElement("div");
    this.strip.className = "strip";
    this.strip.setAttribute("role", "group");
    this.strip.setAttribute("aria-label", "Neighbours in the order of maturation");
    this.root.append(this.figure, this.call, outline, this.bars, this.facts, this.strip);
  }

  outline(isOn) {
    this.isOutlined = isOn;
    this.outlineBox.checked = isOn;
    this.svg.classList.toggle("off", !isOn);
  }

  show() {
    const cell = this.gallery.current;
    this.root.hidden = cell === null;
    if (cell === null) {
      return;
    }
    this.crops.show(this.image, cell.key);
    this.say();
    this.draw();
    this.want(cell);
    clearTimeout(this.later);
    this.later = setTimeout(() => this.showNeighbours(), 120);
  }

  say() {
    const cell = this.gallery.current;
    const title = this.cells.byName.get(this.cells.now(cell))?.title ?? words(this.cells.now(cell));
    const by = cell.called ? `confirmed by ${cell.reader}` : "by the model, not confirmed";
    const strong = document.createElement("strong");
    strong.textContent = title;
    this.call.replaceChildren(strong, ` ${by}`);
    if (cell.readers) {
      const others = document.createElement("span");
      others.className = "readers";
      others.textContent = sayReaders(cell);
      this.call.append(others);
    }
    if (cell.conflict) {
      const note = document.createElement("span");
      note.className = "conflict";
      note.textContent = ` ${cell.conflict} had called it meanwhile, so yours was not stored. Call it again if you differ.`;
      this.call.append(note);
    }
  }

  /** Fetch what is known of a cell and of those that come next. */
  async want(cell) {
    if (this.known.has(cell.key)) {
      return;
    }
    const { sequence, position } = this.gallery;
    const at = position.get(cell) ?? 0;
    const some = [cell, ...sequence.slice(at + 1, at + AHEAD)].filter(({ key }) => !this.known.has(key));
    for (const { key } of some) {
      this.known.set(key, null);
    }
    try {
      for (const found of await read(`/api/cells?cells=${some.map(({ key }) => key).join(",")}`)) {
        this.known.set(`${found.field}:${found.cell_id}`, found);
      }
    } catch {
      some.forEach(({ key }) => this.known.delete(key));
      return;
    }
    this.draw();
  }

  draw() {
    const cell = this.gallery.current;
    const found = cell && this.known.get(cell.key);
    this.svg.replaceChildren();
    this.bars.replaceChildren();
    this.facts.replaceChildren();
    if (!found) {
      return;
    }
    this.drawOutline(cell, found);
    this.drawBars(found);
    this.drawFacts(cell, found);
  }

  drawOutline(cell, found) {
    const side = this.cells.fields.get(cell.field).crop_px;
    const [left, top] = [Math.round(cell.x) - side / 2, Math.round(cell.y) - side / 2];
    this.svg.setAttribute("viewBox", `0 0 ${side} ${side}`);
    for (const kind of ["case", "line"]) {
      for (const ring of [...found.outline, ...found.nucleus]) {
        const path = document.createElementNS(SVG, "polygon");
        path.setAttribute("points", ring.map(([x, y]) => `${(x - left).toFixed(1)},${(y - top).toFixed(1)}`).join(" "));
        path.setAttribute("class", kind);
        this.svg.append(path);
      }
    }
  }

  drawBars(found) {
    const ranked = found.probabilities
      .map((value, i) => ({ value, kind: this.cells.classes[i] }))
      .sort((a, b) => b.value - a.value)
      .filter(({ value }, i) => i < 2 || (i < 4 && value >= 0.01));
    for (const { value, kind } of ranked) {
      const line = document.createElement("li");
      const bar = document.createElement("span");
      bar.className = "bar";
      bar.style.width = `${(100 * value).toFixed(1)}%`;
      bar.style.background = kind.colour;
      const text = document.createElement("span");
      text.className = "text";
      text.textContent = `${kind.title.replace(/ erythroblast$/, "")} ${(100 * value).toFixed(0)} %`;
      const track = document.createElement("span");
      track.className = "track";
      track.append(bar);
      line.append(text, track);
      this.bars.append(line);
    }
  }

  drawFacts(cell, found) {
    const list = document.createElement("dl");
    const field = this.cells.fields.get(cell.field);
    for (const [name, title, digits] of SHOWN) {
      const [value, unit] = measure(found.measurements, name);
      if (value !== null) {
        addFact(list, title, `${value.toFixed(digits)}${unit}`);
      }
    }
    addFact(list, "Name", `${cell.id} in ${field.title}`).className = "wide";
    this.facts.append(list);
    for (const flag of found.flags) {
      const note = document.createElement("p");
      note.className = "flag";
      note.textContent = FLAGS[flag] ?? words(flag);
      this.facts.append(note);
    }
  }

  showNeighbours() {
    const cell = this.gallery.current;
    this.strip.replaceChildren();
    if (cell === null) {
      return;
    }
    for (const other of listNeighbours(this.cells, cell, 3)) {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-label", `${words(this.cells.now(other))}${other === cell ? ", this cell" : ""}`);
      button.classList.toggle("current", other === cell);
      const image = document.createElement("img");
      image.alt = "";
      this.crops.show(image, other.key);
      button.append(image);
      button.addEventListener("click", () => this.gallery.position.has(other) && this.gallery.go(other));
      this.strip.append(button);
    }
  }
}

function measure(measurements, name) {
  for (const [suffix, unit] of [["_um", " µm"], ["_px", " px"], ["", ""]]) {
    const value = measurements[name + suffix];
    if (value !== undefined && value !== null) {
      return [value, unit];
    }
  }
  return [null, ""];
}

function addFact(list, title, text) {
  const term = document.createElement("dt");
  term.textContent = title;
  const value = document.createElement("dd");
  value.textContent = text;
  list.append(term, value);
  return value;
}
