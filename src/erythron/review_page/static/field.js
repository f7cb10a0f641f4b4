// The field: pan and zoom over its pixels, which come tile by tile, with the outlines over them.

import { read } from "./api.js";
import { isThere } from "./cells.js";

const TILE = 512;
const MOST_TILES = 160;
const CLOSEST = 12;

export class FieldView extends EventTarget {
  constructor(canvas, cells, gallery) {
    super();
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    this.cells = cells;
    this.gallery = gallery;
    this.outlines = new Map();
    this.regions = new Map();
    this.tiles = new Map();
    this.areOutlined = true;
    this.sketch = [];
    this.field = [...cells.fields.values()][0];
    this.view = null;
    new ResizeObserver(() => this.resize()).observe(canvas);
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    cells.addEventListener("changed", () => this.draw());
    cells.addEventListener("loaded", () => this.draw());
    gallery.addEventListener("moved", () => this.isShown && this.follow());
  }

  get isShown() {
    return this.canvas.clientWidth > 0;
  }

  /** Show a field; its outlines are fetched once, and again after edits. */
  async open(number) {
    if (this.field?.number !== number) {
      this.field = this.cells.fields.get(number);
      this.view = null;
      this.tiles.clear();
      this.sketch = [];
    }
    this.resize();
    if (!this.outlines.has(number)) {
      await this.reload();
    }
    this.dispatchEvent(new Event("opened"));
  }

  async reload() {
    const { number } = this.field;
    const [outlines, regions] = await Promise.all([
      read(`/api/fields/${number}/outlines`),
      read(`/api/fields/${number}/regions`),
    ]);
    this.outlines.set(number, new Map(Object.entries(outlines)));
    this.regions.set(number, regions);
    this.draw();
  }

  resize() {
    const { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth) {
      return;
    }
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(clientWidth * ratio);
    this.canvas.height = Math.round(clientHeight * ratio);
    this.ratio = ratio;
    if (this.view === null) {
      this.showAll();
    }
    this.draw();
  }

  showAll() {
    const { clientWidth, clientHeight } = this.canvas;
    const zoom = Math.min(clientWidth / this.field.width_px, clientHeight / this.field.height_px);
    this.view = { x: this.field.width_px / 2, y: this.field.height_px / 2, zoom };
    this.draw();
  }

  /** Bring the current cell of the gallery into view. */
  follow() {
    const cell = this.gallery.current;
    if (cell === null || cell.field !== this.field.number) {
      this.draw();
      return;
    }
    const [px, py] = this.toScreen(cell.x, cell.y);
    const { clientWidth, clientHeight } = this.canvas;
    if (px < 60 || py < 60 || px > clientWidth - 60 || py > clientHeight - 60) {
      this.view.x = cell.x;
      this.view.y = cell.y;
    }
    this.draw();
  }

  toScreen(x, y) {
    const { clientWidth, clientHeight } = this.canvas;
    return [(x - this.view.x) * this.view.zoom + clientWidth / 2, (y - this.view.y) * this.view.zoom + clientHeight / 2];
  }

  toImage(px, py) {
    const { clientWidth, clientHeight } = this.canvas;
    return [(px - clientWidth / 2) / this.view.zoom + this.view.x, (py - clientHeight / 2) / this.view.zoom + this.view.y];
  }

  zoom(factor, at = null) {
    const { clientWidth, clientHeight } = this.canvas;
    const [px, py] = at ?? [clientWidth / 2, clientHeight / 2];
    const [x, y] = this.toImage(px, py);
    const least = Math.min(clientWidth / this.field.width_px, clientHeight / this.field.height_px) / 1.5;
    this.view.zoom = Math.max(least, Math.min(CLOSEST, this.view.zoom * factor));
    const [x2, y2] = this.toImage(px, py);
    this.view.x += x - x2;
    this.view.y += y - y2;
    this.draw();
  }

  pan(columns, rows) {
    const step = 80 / this.view.zoom;
    this.view.x += columns * step;
    this.view.y += rows * step;
    this.draw();
  }

  wheel(event) {
    event.preventDefault();
    const box = this.canvas.getBoundingClientRect();
    this.zoom(Math.exp(-event.deltaY / 400), [event.clientX - box.left, event.clientY - box.top]);
  }

  press(event) {
    if (event.button !== 0) {
      return;
    }
    this.canvas.focus({ preventScroll: true });
    const box = this.canvas.getBoundingClientRect();
    const start = [event.clientX, event.clientY];
    let last = start;
    let isDragged = false;
    const move = ({ clientX, clientY }) => {
      if (!isDragged && Math.hypot(clientX - start[0], clientY - start[1]) < 5) {
        return;
      }
      isDragged = true;
      this.view.x -= (clientX - last[0]) / this.view.zoom;
      this.view.y -= (clientY - last[1]) / this.view.zoom;
      last = [clientX, clientY];
      this.draw();
    };
    const end = () => {
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", end);
      if (!isDragged) {
        const place = this.toImage(start[0] - box.left, start[1] - box.top);
        this.dispatchEvent(new CustomEvent("pick", { detail: { place, extend: event.shiftKey } }));
      }
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", end);
  }

  /** The cell whose outline holds a place; of several the smallest. */
  cellAt([x, y]) {
    let best = null;
    let least = Infinity;
    for (const [id, rings] of this.outlines.get(this.field.number) ?? []) {
      const cell = this.cells.find(this.field.number, id);
      if (cell !== undefined && isThere(cell) && rings.some((ring) => isInside(ring, x, y)) && cell.width * cell.height < least) {
        best = cell;
        least = cell.width * cell.height;
      }
    }
    return best;
  }

  draw() {
    if (this.view === null || !this.isShown || this.isDue) {
      return;
    }
    this.isDue = true;
    requestAnimationFrame(() => {
      this.isDue = false;
      this.paint();
    });
  }

  paint() {
    const { pen, canvas } = this;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.fillStyle = getComputedStyle(canvas).backgroundColor;
    pen.fillRect(0, 0, canvas.width, canvas.height);
    const zoom = this.view.zoom * this.ratio;
    pen.setTransform(zoom, 0, 0, zoom, canvas.width / 2 - this.view.x * zoom, canvas.height / 2 - this.view.y * zoom);
    this.paintPixels();
    this.paintRegions();
    if (this.areOutlined) {
      this.paintOutlines();
    }
    this.paintCurrent();
    this.paintSketch();
    if (this.isAiming) {
      this.paintCross();
    }
  }

  paintCross() {
    const { pen } = this;
    const { x, y, zoom } = this.view;
    const reach = 12 / zoom;
    for (const [colour, width] of [["#fff", 5], ["#111", 2]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = width / zoom;
      pen.beginPath();
      pen.moveTo(x - reach, y);
      pen.lineTo(x + reach, y);
      pen.moveTo(x, y - reach);
      pen.lineTo(x, y + reach);
      pen.stroke();
    }
  }

  /** Bring the current cell to the middle of the view. */
  centre() {
    const cell = this.gallery.current;
    if (cell !== null && cell.field === this.field.number) {
      Object.assign(this.view, { x: cell.x, y: cell.y });
      this.draw();
    }
  }

  paintPixels() {
    const level = Math.max(0, Math.floor(Math.log2(1 / (this.view.zoom * this.ratio)) + 0.4));
    const side = TILE * 2 ** level;
    const [left, top] = this.toImage(0, 0);
    const [right, bottom] = this.toImage(this.canvas.clientWidth, this.canvas.clientHeight);
    const { width_px: width, height_px: height } = this.field;
    for (let y = Math.max(0, Math.floor(top / side)); y * side < Math.min(bottom, height); y += 1) {
      for (let x = Math.max(0, Math.floor(left / side)); x * side < Math.min(right, width); x += 1) {
        const box = [x * side, y * side, Math.min(side, width - x * side), Math.min(side, height - y * side)];
        const image = this.getTile(box, level);
        if (image.complete && image.naturalWidth) {
          this.pen.drawImage(image, ...box);
        }
      }
    }
  }

  getTile([left, top, width, height], level) {
    const out = Math.max(1, Math.round(width / 2 ** level));
    const path = `/api/fields/${this.field.number}/region?left=${left}&top=${top}&width=${width}&height=${height}&out=${out}`;
    let image = this.tiles.get(path);
    if (image === undefined) {
      image = new Image();
      image.addEventListener("load", () => this.draw());
      image.src = path;
    } else {
      this.tiles.delete(path);
    }
    this.tiles.set(path, image);
    while (this.tiles.size > MOST_TILES) {
      this.tiles.delete(this.tiles.keys().next().value);
    }
    return image;
  }

  paintOutlines() {
    const { pen } = this;
    const thick = 1 / this.view.zoom;
    const { selected } = this.gallery;
    for (const [id, rings] of this.outlines.get(this.field.number) ?? []) {
      const cell = this.cells.find(this.field.number, id);
      if (cell === undefined || cell.called === "not_a_cell") {
        continue;
      }
      trace(pen, rings);
      pen.strokeStyle = "rgb(255 255 255 / 80%)";
      pen.lineWidth = (selected.has(cell) ? 7 : 4) * thick;
      pen.stroke();
      pen.strokeStyle = this.cells.byName.get(this.cells.now(cell))?.colour ?? "#777";
      pen.lineWidth = (selected.has(cell) ? 4 : 2) * thick;
      pen.setLineDash(cell.called || cell.outside ? [] : [5 * thick, 3 * thick]);
      pen.stroke();
      pen.setLineDash([]);
    }
  }

  paintCurrent() {
    const cell = this.gallery.current;
    if (cell === null || cell.field !== this.field.number) {
      return;
    }
    const gap = 6 / this.view.zoom;
    const box = [cell.x - cell.width / 2 - gap, cell.y - cell.height / 2 - gap, cell.width + 2 * gap, cell.height + 2 * gap];
    for (const [colour, width] of [["#fff", 5], ["#111", 2]]) {
      this.pen.strokeStyle = colour;
      this.pen.lineWidth = width / this.view.zoom;
      this.pen.strokeRect(...box);
    }
  }

  paintRegions() {
    const { pen } = this;
    for (const region of this.regions.get(this.field.number) ?? []) {
      pen.beginPath();
      if (region.mode === "count") {
        pen.rect(0, 0, this.field.width_px, this.field.height_px);
      }
      follow(pen, region.ring);
      pen.fillStyle = "rgb(20 20 30 / 45%)";
      pen.fill("evenodd");
      trace(pen, [region.ring]);
      pen.strokeStyle = "#fff";
      pen.lineWidth = 3 / this.view.zoom;
      pen.stroke();
    }
  }

  paintSketch() {
    const { pen } = this;
    const thick = 1 / this.view.zoom;
    for (const ring of this.sketch) {
      pen.beginPath();
      ring.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
      for (const [colour, width] of [["#fff", 5], ["#0b5cad", 2.5]]) {
        pen.strokeStyle = colour;
        pen.lineWidth = width * thick;
        pen.stroke();
      }
      for (const [x, y] of ring) {
        pen.fillStyle = "#0b5cad";
        pen.fillRect(x - 4 * thick, y - 4 * thick, 8 * thick, 8 * thick);
      }
    }
  }
}

function follow(pen, ring) {
  ring.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.closePath();
}

function trace(pen, rings) {
  pen.beginPath();
  rings.forEach((ring) => follow(pen, ring));
}

/** Whether a ring encloses a place, by the number of its sides to the right of it. */
export function isInside(ring, x, y) {
  let inside = false;
  for (let i = 0, j = ring.length - 1; i < ring.length; j = i, i += 1) {
    const [xi, yi] = ring[i];
    const [xj, yj] = ring[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) {
      inside = !inside;
    }
  }
  return inside;
}
