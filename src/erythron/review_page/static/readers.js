// Several readers: blind to one another until each has done; then what they agree on and where they differ.

import { read, send } from "./api.js";
import { words } from "./cells.js";

const $ = (id) => document.getElementById(id);

export class Readers {
  constructor({ cells, gallery, saver, detail }) {
    Object.assign(this, { cells, gallery, saver, detail });
    this.path = `/api/specimens/${cells.specimen.number}/readings`;
    $("readers-button").addEventListener("click", () => this.open());
    $("readers-close").addEventListener("click", () => $("readers").close());
    $("done").addEventListener("click", () => this.finish());
    this.load();
  }

  async load() {
    this.found = await read(this.path);
    const { is_blind: isBlind, is_reading: isReading, calls } = this.found;
    $("readers-button").hidden = !isBlind;
    $("readers-button").textContent = isReading ? "Reading blind …" : "Readers …";
    $("result-button").hidden = isReading;
    const choice = document.querySelector("#order option[value=agreement]");
    choice.hidden = choice.disabled = !isBlind || isReading;
    for (const { field, cell_id: id, calls: byReader } of calls) {
      const cell = this.cells.find(field, id);
      if (cell !== undefined) {
        cell.readers = byReader;
      }
    }
    this.detail.show();
  }

  async open() {
    await this.load();
    const { readers, agreement, is_reading: isReading } = this.found;
    const list = document.createElement("ul");
    for (const { reader, is_done: isDone, called } of readers) {
      const line = document.createElement("li");
      line.textContent = `${reader}: ${called} cells called${isDone ? ", done" : ""}`;
      list.append(line);
    }
    $("readers-body").replaceChildren(list, ...agreement.map(describePair));
    $("done").hidden = !isReading;
    $("readers").showModal();
  }

  async finish() {
    await this.saver.settled();
    await send(`${this.path}/done`);
    location.reload();
  }
}

function describePair({ a, b, matched, same_call: same, class_kappa: kappa, stage_kappa: stages, within_one_stage: near }) {
  const line = document.createElement("p");
  const figure = (value) => (value === null ? "not defined" : value.toFixed(2));
  line.textContent = `${a} and ${b}: ${matched} cells called by both; same call ${figure(same)}, kappa ${figure(kappa)}; of stages quadratic kappa ${figure(stages)}, within one stage ${figure(near)}.`;
  return line;
}

/** What readers called a cell, in words. */
export function sayReaders(cell) {
  return Object.entries(cell.readers ?? {})
    .map(([reader, call]) => `${reader}: ${words(call)}`)
    .join("; ");
}
