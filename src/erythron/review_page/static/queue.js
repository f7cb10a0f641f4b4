// What to call next, as the server ranks it: cells in doubt that are unlike each other and those called.

import { read } from "./api.js";

const QUIET_MS = 700;
const MOST_CALLS = 20;

export class Queue {
  constructor({ cells, gallery, saver }) {
    Object.assign(this, { cells, gallery, saver });
    this.calls = 0;
    saver.addEventListener("stored", () => this.isShown && this.plan());
  }

  get isShown() {
    return this.gallery.order === "next";
  }

  /** Ask anew once the reader pauses, and at the latest after so many calls. */
  plan() {
    this.calls += 1;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.load(), this.calls >= MOST_CALLS ? 0 : QUIET_MS);
  }

  /** What was called, and the current cell, stay in their places; what follows them is in the new order. */
  async load({ isChosen = false } = {}) {
    this.calls = 0;
    let found;
    try {
      found = await read(`/api/specimens/${this.cells.specimen.number}/queue`);
    } catch {
      return; // the order that is shown goes on to hold
    }
    const wanted = found.cell_id.map((id, i) => this.cells.find(found.field[i], id)).filter((cell) => cell !== undefined);
    const { current } = this.gallery;
    const kept = isChosen ? [] : this.cells.queue.filter((cell) => cell.called || cell === current);
    const known = new Set(kept);
    this.cells.queue = [...kept, ...wanted.filter((cell) => !known.has(cell) && !cell.called)];
    if (this.isShown) {
      this.gallery.arrange();
      if (isChosen) {
        this.gallery.go(this.gallery.sequence[0] ?? null);
      }
    }
  }
}
