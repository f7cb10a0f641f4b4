// The differential as the cells are called now: counts at once, shares with intervals as the server answers.

import { read } from "./api.js";

const WAIT_MS = 150;
const percent = (value) => (value === null || value === undefined ? "–" : (100 * value).toFixed(1));

export class DifferentialPanel {
  constructor(root, cells, saver) {
    this.root = root;
    this.cells = cells;
    this.saver = saver;
    this.found = null;
    this.target = cells.run.targets[0] ?? 0;
    this.isReached = null;
    this.build();
    cells.addEventListener("changed", () => this.draw());
    cells.addEventListener("loaded", () => this.draw());
    saver.addEventListener("stored", () => this.ask());
    this.ask();
  }

  build() {
    const label = document.createElement("label");
    label.textContent = "Target ";
    const choice = document.createElement("select");
    for (const target of this.cells.run.targets) {
      choice.append(new Option(`${target} cells`, String(target)));
    }
    choice.addEventListener("change", () => {
      this.target = Number(choice.value);
      this.isReached = null;
      this.draw();
    });
    label.append(choice);
    this.progress = document.createElement("progress");
    this.progress.setAttribute("aria-label", "Confirmed cells of the target");
    this.status = document.createElement("p");
    this.status.className = "reached";
    this.table = document.createElement("table");
    this.indices = document.createElement("dl");
    this.indices.className = "indices";
    this.goal = [label, this.progress];
    const goal = document.createElement("div");
    goal.className = "goal";
    goal.append(this.status, ...this.goal);
    this.remarks = document.createElement("details");
    this.remarks.className = "remarks";
    this.remarks.hidden = true;
    this.root.append(goal, this.remarks, this.table, this.indices);
  }

  ask() {
    clearTimeout(this.timer);
    this.timer = setTimeout(async () => {
      if (this.isAsking || this.saver.waiting) {
        this.ask();
        return;
      }
      this.isAsking = true;
      try {
        const answer = await read(`/api/specimens/${this.cells.specimen.number}/differential`);
        this.found = answer.differential;
        this.nothing = answer.nothing_counted;
        this.drawRemarks(answer);
        this.compare(answer);
      } catch {
        // the figures without intervals stay
      }
      this.isAsking = false;
      this.draw();
    }, WAIT_MS);
  }

  /** Where a change sent the call of another cell elsewhere, the cells are asked for anew. */
  compare({ cells, confirmed, last }) {
    const { list } = this.cells;
    const called = list.filter((cell) => cell.called).length;
    if ((cells !== list.length || confirmed !== called) && !this.saver.waiting && this.compared !== last) {
      this.compared = last;
      this.root.dispatchEvent(new Event("moved"));
    }
  }

  draw() {
    const counts = this.cells.count();
    const nucleated = this.cells.classes.filter((c) => c.lineage !== "not_nucleated" && c.name !== "not_a_cell");
    const total = sum(nucleated.map((c) => counts.get(c.name)?.count ?? 0));
    const confirmed = sum(nucleated.map((c) => counts.get(c.name)?.confirmed ?? 0));
    this.sayTarget(confirmed, total);
    const lines = new Map((this.found?.classes ?? []).map((line) => [line.name, line]));
    const rows = this.cells.classes.map((kind) => {
      const { count = 0, confirmed: sure = 0 } = counts.get(kind.name) ?? {};
      const counted = kind.lineage !== "not_nucleated" && kind.name !== "not_a_cell";
      const line = kind.name === "unclassified" ? this.found?.unclassified : lines.get(kind.name)?.of_nucleated;
      const isFresh = line && (line.count ?? -1) === count && line.total === total;
      const interval = !total ? "" : isFresh && line.interval ? `${percent(line.interval[0])}–${percent(line.interval[1])}` : "…";
      return [kind, count, sure, counted && total ? percent(count / total) : "", counted && line ? interval : ""];
    });
    const head = row("th", ["Class", "Cells", "Confirmed", "%", "95 % interval"]);
    const body = rows
      .filter(([kind, count]) => count || kind.lineage === "erythroid")
      .map(([kind, ...rest]) => row("td", [kind.title.replace(/ (erythroblast|and precursors)$/, ""), ...rest], kind.colour));
    const foot = row("td", ["Nucleated cells", total, confirmed, "", ""]);
    foot.className = "total";
    this.table.replaceChildren(head, ...body, foot);
    this.drawIndices();
  }

  sayTarget(confirmed, total) {
    const isBlood = Boolean(this.found?.flags.some(({ name }) => name === "looks_like_blood"));
    for (const part of this.goal) {
      part.hidden = isBlood;
    }
    if (isBlood) {
      // The numbers to aim at are of marrow.
      this.status.textContent = `${confirmed} of ${total} nucleated cells confirmed`;
      this.status.classList.remove("done");
      return;
    }
    this.progress.max = Math.max(1, this.target);
    this.progress.value = Math.min(confirmed, this.target);
    const isReached = confirmed >= this.target;
    let text = `${confirmed} of ${total} nucleated cells confirmed`;
    if (isReached) {
      text = `Target reached: ${confirmed} cells confirmed of ${this.target}`;
    } else if (total === 0 && this.nothing) {
      text = `Nothing was counted: ${this.nothing}`;
    } else if (total < this.target) {
      text += `; ${this.target - total} more must be counted for ${this.target}`;
    }
    this.status.textContent = text;
    this.status.classList.toggle("done", isReached);
    if (isReached && this.isReached === false) {
      this.root.dispatchEvent(new CustomEvent("reached", { detail: text }));
    }
    this.isReached = isReached;
  }

  /** What the count says of itself, folded: whether it is provisional, and each remark. */
  drawRemarks({ differential: { flags }, is_provisional: isProvisional }) {
    this.remarks.hidden = flags.length === 0;
    const title = document.createElement("summary");
    const count = `${flags.length} ${flags.length === 1 ? "remark" : "remarks"}`;
    title.textContent = isProvisional ? `Provisional: ${count}` : count;
    title.classList.toggle("warn", isProvisional);
    const list = document.createElement("ul");
    for (const { text } of flags) {
      const item = document.createElement("li");
      item.textContent = `${text[0].toUpperCase()}${text.slice(1)}.`;
      list.append(item);
    }
    this.remarks.replaceChildren(title, list);
  }

  drawIndices() {
    if (!this.found) {
      return;
    }
    this.indices.replaceChildren();
    for (const name of ["erythroid_share", "me_ratio", "maturation_index", "proliferation_ratio", "left_shift", "nucleated_red_cells"]) {
      const index = this.found[name];
      if (index) {
        const term = document.createElement("dt");
        term.textContent = index.title;
        const value = document.createElement("dd");
        value.textContent = sayIndex(index);
        this.indices.append(term, value);
      }
    }
  }
}

function sayIndex(index) {
  const scale = index.kind === "share" ? 100 : 1;
  const unit = index.kind === "share" ? " %" : "";
  if (index.value === null) {
    return "not defined";
  }
  const show = (value) => (value === null ? "∞" : (scale * value).toFixed(scale === 100 ? 1 : 2));
  const interval = index.interval ? ` (${show(index.interval[0])}–${show(index.interval[1])})` : "";
  return `${show(index.value)}${interval}${unit}`;
}

function row(kind, texts, colour) {
  const line = document.createElement("tr");
  texts.forEach((text, i) => {
    const cell = document.createElement(kind === "td" && i === 0 ? "th" : kind);
    if (kind === "th") {
      cell.scope = "col";
    } else if (i === 0) {
      cell.scope = "row";
    }
    if (i === 0 && colour) {
      const chip = document.createElement("span");
      chip.className = "chip";
      chip.style.background = colour;
      cell.append(chip);
    }
    cell.append(String(text));
    line.append(cell);
  });
  return line;
}

const sum = (values) => values.reduce((a, b) => a + b, 0);
