// Edits in the field: what a click does in each mode, and how it is taken back.

import { Refusal, read, send } from "./api.js";
import { isInside } from "./field.js";
import { makeName } from "./saver.js";

const HINTS = {
  select: "A click selects a cell; drag to move, turn the wheel to zoom.",
  click: "Click on a cell that has no outline, or move it under the cross and press Enter: the network outlines it.",
  draw: "Click around the cell, Enter closes it; then around its nucleus, or Enter again to let the network find it. Esc starts anew.",
  split: "Click on each of the cells in the current outline, then Enter; Enter alone cuts it where it is narrowest.",
  merge: "Select the parts with Shift, then Enter makes one cell of them.",
  region: "Click around a region, then Enter to count only inside, or X to leave it out. Click on a region and press Delete to remove it.",
};

export class Edits {
  constructor({ cells, gallery, saver, field, say }) {
    Object.assign(this, { cells, gallery, saver, field, say });
    this.mode = "select";
    this.region = null;
    field.addEventListener("pick", ({ detail }) => this.pick(detail));
  }

  choose(mode) {
    this.mode = mode;
    this.field.isAiming = mode === "click";
    this.clear();
    for (const button of document.querySelectorAll("#modes button")) {
      button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
    }
    this.hint(HINTS[mode]);
    if (mode === "merge" && this.gallery.selected.size > 1) {
      this.finish();
    }
  }

  hint(text) {
    document.getElementById("field-hint").textContent = text;
  }

  clear() {
    this.field.sketch = [];
    this.region = null;
    this.field.draw();
  }

  pick({ place, extend }) {
    const cell = this.field.cellAt(place);
    if (this.mode === "click") {
      this.post({ kind: "click", at: place });
    } else if (this.mode === "draw" || this.mode === "region" || this.mode === "split") {
      if (this.mode === "region" && !this.field.sketch.length && this.findRegion(place)) {
        return;
      }
      if (this.mode === "split" && !this.field.sketch.length && cell !== null) {
        this.gallery.go(cell);
      }
      if (!this.field.sketch.length) {
        this.field.sketch.push([]);
      }
      this.field.sketch.at(-1).push(place);
      this.field.draw();
    } else if (cell !== null) {
      if (extend || this.mode === "merge") {
        this.gallery.toggle(cell);
      } else {
        this.gallery.go(cell);
      }
    }
  }

  findRegion([x, y]) {
    const regions = this.field.regions.get(this.field.field.number) ?? [];
    this.region = regions.find((region) => isInside(region.ring, x, y)) ?? null;
    if (this.region !== null) {
      this.hint(`Region by ${this.region.reader} chosen: Delete removes it.`);
    }
    return this.region !== null;
  }

  /** Enter: what is sketched is done. Returns whether there was something to do. */
  finish() {
    const { sketch } = this.field;
    if (this.mode === "click") {
      this.post({ kind: "click", at: [this.field.view.x, this.field.view.y] });
    } else if (this.mode === "draw") {
      this.finishDrawing();
    } else if (this.mode === "split") {
      const cell = this.gallery.current;
      if (cell !== null) {
        this.post({ kind: "split", cell: { cell_id: cell.id, seen: cell.version }, points: sketch[0] ?? [] });
      }
    } else if (this.mode === "merge") {
      const parts = [...this.gallery.selected].filter((cell) => cell.field === this.field.field.number);
      if (parts.length > 1) {
        this.post({ kind: "merge", cells: parts.map((cell) => ({ cell_id: cell.id, seen: cell.version })) });
      } else {
        this.say("Select two or more cells first");
      }
    } else if (this.mode === "region") {
      this.finishRegion("count");
    } else {
      return false;
    }
    return true;
  }

  finishDrawing() {
    const [cell, nucleus] = this.field.sketch;
    if ((cell?.length ?? 0) < 3) {
      this.say("Click around the cell first");
    } else if (nucleus === undefined) {
      cell.push(cell[0]);
      this.field.sketch.push([]);
      this.hint("Now click around its nucleus and press Enter; Enter alone lets the network find it.");
      this.field.draw();
    } else {
      this.post({ kind: "draw", cell, nucleus: nucleus.length > 2 ? nucleus : null });
    }
  }

  finishRegion(mode) {
    const ring = this.field.sketch[0] ?? [];
    if (ring.length > 2) {
      this.postRegion({ region_id: `region-${makeName()}`, seen: 0, mode, ring });
    } else {
      this.say("Click around the region first");
    }
  }

  /** X and Delete have a meaning of their own while a region is drawn or chosen. */
  leaveOut() {
    if (this.mode === "region" && this.field.sketch.length) {
      this.finishRegion("leave_out");
      return true;
    }
    return false;
  }

  remove() {
    if (this.region === null) {
      return false;
    }
    const { region_id, version, ring } = this.region;
    this.postRegion({ region_id, seen: version, mode: "removed", ring: ring.slice(0, -1) });
    return true;
  }

  async post(body) {
    await this.store("edits", { action: makeName(), ...body }, (events) => {
      const [added, gone] = [events.filter((e) => e.kind === "add"), events.filter((e) => e.kind === "call")];
      const step = [
        ...added.map((e) => ({ cell: this.cells.find(e.field, e.subject), was: "not_a_cell", to: "" })),
        ...gone.map((e) => ({ cell: this.cells.find(e.field, e.subject), was: this.before.get(e.subject) ?? "", to: "not_a_cell" })),
      ];
      this.saver.done.push(step);
      this.saver.undone = [];
      this.gallery.go(step[0].cell);
      this.say(added.length === 1 ? "One cell outlined; call it by its key" : `${added.length} cells outlined; call them by their keys`);
    });
  }

  async postRegion(body) {
    await this.store("regions", { action: makeName(), ...body }, () => {
      this.say(body.mode === "removed" ? "Region removed" : "Region drawn");
    });
  }

  async store(where, body, done) {
    if (this.isBusy) {
      return;
    }
    this.isBusy = true;
    const { number } = this.field.field;
    this.before = new Map(this.cells.list.filter((c) => c.field === number).map((c) => [c.id, c.called]));
    try {
      await this.saver.settled();
      const stored = await send(`/api/fields/${number}/${where}`, body);
      this.clear();
      this.hint(HINTS[this.mode]);
      await this.reload();
      done(stored.events);
    } catch (error) {
      this.hint(error instanceof Refusal ? error.message : "The server does not answer; nothing was changed.");
      this.say(error.message);
    }
    this.isBusy = false;
  }

  /** Take the cells and outlines as they are on the server, such as after an edit of another reader. */
  async reload() {
    this.cells.load(await read(`/api/specimens/${this.cells.specimen.number}/cells`));
    this.gallery.arrange();
    if (this.field.isShown) {
      await this.field.reload();
    } else {
      this.field.outlines.clear();
    }
    this.saver.dispatchEvent(new Event("stored"));
  }
}
