// The two views, cells and field, and what the keys mean in the field.

export class Views {
  constructor({ cells, gallery, field, edits, detail }) {
    Object.assign(this, { cells, gallery, field, edits, detail });
    this.name = "cells";
    this.sections = { cells: document.getElementById("cells-view"), field: document.getElementById("field-view") };
    this.buttons = { cells: document.getElementById("view-cells"), field: document.getElementById("view-field") };
    for (const [name, button] of Object.entries(this.buttons)) {
      button.addEventListener("click", () => this.show(name));
    }
    this.offerFields();
    this.useTools();
    gallery.addEventListener("moved", () => this.followField());
  }

  get isField() {
    return this.name === "field";
  }

  show(name) {
    if (name === "field" && this.cells.fields.size === 0) {
      return; // no picture of the specimen could be counted
    }
    this.name = name;
    for (const [other, section] of Object.entries(this.sections)) {
      section.hidden = other !== name;
      this.buttons[other].setAttribute("aria-pressed", String(other === name));
    }
    if (name === "field") {
      this.openField(this.gallery.current?.field ?? this.field.field?.number ?? [...this.cells.fields.keys()][0]);
      this.edits.choose(this.edits.mode);
    } else {
      this.gallery.place();
      if (this.gallery.current !== null) {
        this.gallery.go(this.gallery.current);
      }
    }
  }

  async openField(number) {
    this.choice.value = String(number);
    await this.field.open(number);
    this.field.follow();
  }

  /** The current cell may be of another field than the one that is shown. */
  followField() {
    const { current } = this.gallery;
    if (this.isField && current !== null && current.field !== this.field.field.number) {
      this.openField(current.field);
    }
  }

  offerFields() {
    this.choice = document.getElementById("field-choice");
    this.listFields();
    this.choice.addEventListener("change", () => {
      const number = Number(this.choice.value);
      const first = this.gallery.sequence.find((cell) => cell.field === number);
      if (first !== undefined) {
        this.gallery.go(first);
      }
      this.openField(number);
    });
  }

  listFields() {
    const { value } = this.choice;
    this.choice.replaceChildren();
    this.buttons.field.disabled = this.cells.fields.size === 0;
    for (const field of this.cells.fields.values()) {
      this.choice.append(new Option(field.title, String(field.number), false, String(field.number) === value));
    }
  }

  useTools() {
    const on = (id, action) => document.getElementById(id).addEventListener("click", action);
    on("zoom-in", () => this.field.zoom(1.5));
    on("zoom-out", () => this.field.zoom(1 / 1.5));
    on("zoom-all", () => this.field.showAll());
    document.getElementById("outlines").addEventListener("change", ({ target }) => this.outline(target.checked));
    for (const button of document.querySelectorAll("#modes button")) {
      button.addEventListener("click", () => this.edits.choose(button.dataset.mode));
    }
  }

  outline(isOn) {
    this.field.areOutlined = isOn;
    document.getElementById("outlines").checked = isOn;
    this.field.draw();
  }

  /** What the keys do in the field in place of what they do among the cells. */
  keys() {
    const mode = (name) => () => this.edits.choose(name);
    return {
      v: mode("select"),
      a: mode("click"),
      d: mode("draw"),
      s: mode("split"),
      m: mode("merge"),
      r: mode("region"),
      "+": () => this.field.zoom(1.5),
      "=": () => this.field.zoom(1.5),
      "-": () => this.field.zoom(1 / 1.5),
      ",": () => this.gallery.go(this.gallery.neighbour(-1, 0)),
      ".": () => this.gallery.go(this.gallery.neighbour(1, 0)),
      o: () => this.outline(!this.field.areOutlined),
      Escape: () => this.edits.clear(),
      c: () => this.field.centre(),
      f: () => this.show("cells"),
      Enter: () => this.edits.finish(),
      x: () => this.edits.leaveOut(),
      Delete: () => this.edits.remove(),
      Backspace: () => this.edits.remove(),
      ArrowLeft: () => this.field.pan(-1, 0),
      ArrowRight: () => this.field.pan(1, 0),
      ArrowUp: () => this.field.pan(0, -1),
      ArrowDown: () => this.field.pan(0, 1),
    };
  }
}
