// The signature: what is signed, by whom, and the files of the result.

import { read, send } from "./api.js";

const $ = (id) => document.getElementById(id);

export class Signing {
  constructor({ cells, saver, say }) {
    Object.assign(this, { cells, saver, say });
    this.path = `/api/specimens/${cells.specimen.number}`;
    this.found = null;
    $("result-button").addEventListener("click", () => this.open());
    $("result-close").addEventListener("click", () => $("result").close());
    $("sign").addEventListener("click", () => this.act(() => (this.isSigned ? this.openAgain() : this.sign())));
    $("recount").addEventListener("click", () => this.act(() => send(`${this.path}/recount`)));
    for (const name of ["report", "summary", "cells", "differential"]) {
      $(`export-${name}`).href = `${this.path}/exports/${name}`;
    }
    this.load();
  }

  get isSigned() {
    return this.found?.is_signed ?? false;
  }

  async load() {
    this.found = await read(`${this.path}/signature`);
    this.saver.isLocked = this.isSigned;
    $("result-button").textContent = this.isSigned ? "Signed …" : "Sign …";
    const last = this.found.versions.at(-1);
    $("locked").hidden = !this.isSigned;
    if (this.isSigned && last) {
      $("locked").textContent = `Signed by ${last.reader}, ${when(last.at)}, version ${last.version}. Nothing can be changed until it is opened again.`;
    }
  }

  async open() {
    await this.load();
    this.doubts = this.isSigned ? [] : await this.findDoubts();
    this.show();
    $("result").showModal();
  }

  show() {
    $("result-problem").textContent = "";
    $("result-title").textContent = this.isSigned ? "The result is signed" : "Sign the result";
    $("sign").textContent = this.isSigned ? "Open it again for a new version" : `Sign as ${this.cells.run.reader}`;
    $("recount").hidden = this.isSigned;
    const lines = this.isSigned ? [] : this.describe();
    for (const one of this.found.versions) {
      lines.push(`Version ${one.version}: signed by ${one.reader}, ${when(one.at)}; ${one.nucleated_cells} nucleated cells, ${one.confirmed_cells} of them called by a reader.`);
    }
    $("result-body").replaceChildren(...(this.isSigned ? [] : this.doubts), ...lines.map(paragraph));
  }

  /** What is said against the result as it is called now. */
  async findDoubts() {
    await this.saver.settled();
    const found = await read(`${this.path}/differential`);
    const told = document.createElement("ul");
    for (const { text } of found.differential.flags) {
      const item = document.createElement("li");
      item.textContent = `${text[0].toUpperCase()}${text.slice(1)}.`;
      told.append(item);
    }
    const title = paragraph(
      found.nothing_counted
        ? `Nothing was counted: ${found.nothing_counted}.`
        : found.is_provisional
          ? "Provisional: not to be reported as it stands."
          : "What to know of the count:",
    );
    title.classList.toggle("warn", Boolean(found.nothing_counted) || found.is_provisional);
    return told.childElementCount || found.nothing_counted ? [title, told] : [];
  }

  describe() {
    const nucleated = new Set(this.cells.classes.filter((c) => c.lineage !== "not_nucleated" && c.name !== "not_a_cell").map((c) => c.name));
    const cells = this.cells.list.filter((cell) => nucleated.has(this.cells.now(cell)));
    const open = cells.filter((cell) => !cell.called).length;
    const lines = [`${cells.length} nucleated cells, ${cells.length - open} of them confirmed.`];
    if (open) {
      lines.push(`For ${open} cells that nobody confirmed the calls of the model stand, and the report says so.`);
    }
    lines.push("The run is counted again with these calls, and the result is locked. A later change makes a new version; every change stays in the record.");
    return lines;
  }

  async sign() {
    await this.saver.settled();
    await this.saver.poll();
    await send(`${this.path}/signature`, { seen: this.cells.last });
    this.say("Signed");
  }

  async openAgain() {
    await send(`${this.path}/signature`, undefined, "DELETE");
    this.say("Opened again");
  }

  async act(action) {
    const buttons = document.querySelectorAll("#result button");
    $("result-problem").textContent = "";
    $("result-work").hidden = false;
    buttons.forEach((button) => (button.disabled = true));
    let problem = "";
    try {
      await action();
    } catch (error) {
      problem = error.message;
    }
    await this.load();
    await this.saver.poll();
    this.show();
    $("result-problem").textContent = problem;
    $("result-work").hidden = true;
    buttons.forEach((button) => (button.disabled = false));
  }
}

function paragraph(text) {
  const line = document.createElement("p");
  line.textContent = text;
  return line;
}

const when = (at) => new Date(at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
