// The cells of a specimen and what they are called: the one state of the page.

export const OPEN = "";

/** Whether a cell is one: what a person added and took away again is as if it had never been added. */
export const isThere = (cell) => !(cell.added && cell.called === "not_a_cell");

/** Text of a class name for a person. */
export function words(name) {
  return name.replaceAll("_", " ");
}

export class Cells extends EventTarget {
  constructor(run, specimen) {
    super();
    this.run = run;
    this.specimen = specimen;
    this.classes = run.classes;
    this.byName = new Map(run.classes.map((c) => [c.name, c]));
    this.byKey = new Map(run.classes.filter((c) => c.key).map((c) => [c.key, c]));
    this.fields = new Map(specimen.fields.map((f) => [f.number, f]));
    this.queue = [];
    this.list = [];
    this.index = new Map();
    this.last = 0;
  }

  /** Take in fields that joined the specimen. */
  grow(specimen) {
    this.specimen = specimen;
    this.fields = new Map(specimen.fields.map((f) => [f.number, f]));
  }

  /** Take in the columns that the server sends; a cell that is known stays the same object. */
  load(columns) {
    const known = this.index;
    const all = columns.cell_id.map((id, i) => {
      const key = `${columns.field[i]}:${id}`;
      const cell = known.get(key) ?? { key, id, called: OPEN, version: 0, reader: "", waiting: 0, conflict: "" };
      const [x, y, width, height] = columns.place[i];
      return Object.assign(cell, {
        field: columns.field[i],
        x,
        y,
        width,
        height,
        label: this.run.classes[columns.label[i]].name,
        confidence: columns.confidence[i],
        counted: columns.counted_as[i],
        added: columns.added[i],
        outside: columns.outside[i],
        doubt: columns.doubt[i],
        maturity: columns.maturity[i],
      });
    });
    this.index = new Map(all.map((cell) => [cell.key, cell]));
    for (const standing of columns.standing) {
      const cell = this.find(standing.field, standing.subject);
      if (!cell?.waiting) {
        this.stand(standing);
      }
    }
    this.list = all.filter(isThere);
    this.last = columns.last;
    this.dispatchEvent(new Event("loaded"));
  }

  /** What a cell is counted as now. */
  now(cell) {
    return cell.outside ? "left_out" : cell.called || cell.counted;
  }

  /** The class that the model suggests: its label, also where it is not sure of it. */
  suggested(cell) {
    return cell.label;
  }

  find(field, id) {
    return this.index.get(`${field}:${id}`);
  }

  /** Take over what stands on the server; returns the cell where it is one that is known. */
  stand(standing) {
    const cell = this.find(standing.field, standing.subject);
    if (cell === undefined || (standing.kind !== "call" && standing.kind !== "add")) {
      return undefined;
    }
    if (standing.version >= cell.version) {
      cell.version = standing.version;
      cell.called = standing.becomes;
      cell.reader = standing.reader;
    }
    return cell;
  }

  /** Call cells here; the saver sends it on. */
  set(changes) {
    for (const { cell, to } of changes) {
      cell.called = to;
      cell.reader = this.run.reader;
      cell.conflict = "";
    }
    this.changed(changes.map(({ cell }) => cell));
  }

  changed(cells) {
    this.dispatchEvent(new CustomEvent("changed", { detail: cells }));
    if (cells.some((cell) => cell.added)) {
      this.list = [...this.index.values()].filter(isThere);
      this.dispatchEvent(new Event("listed"));
    }
  }

  /** Cells by what they are counted as, and how many of those a person has confirmed. */
  count() {
    const counts = new Map();
    for (const cell of this.list) {
      const name = this.now(cell);
      const line = counts.get(name) ?? { count: 0, confirmed: 0 };
      line.count += 1;
      line.confirmed += cell.called ? 1 : 0;
      counts.set(name, line);
    }
    return counts;
  }
}
