// Changes on their way to the server, in order; undo and redo are changes too.

import { Refusal, read, send } from "./api.js";

const RETRY_MS = 2000;
const POLL_MS = 2500;

/** A name for an action that no other has; `crypto.randomUUID` is not there on plain HTTP from afar. */
export function makeName() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Saver extends EventTarget {
  constructor(cells) {
    super();
    this.cells = cells;
    this.queue = [];
    this.isSending = false;
    this.undone = [];
    this.done = [];
    this.offline = false;
    this.isLocked = false;
    this.timer = setInterval(() => this.poll(), POLL_MS);
    addEventListener("beforeunload", (event) => {
      if (this.queue.length) {
        event.preventDefault();
      }
    });
  }

  get waiting() {
    return this.queue.length;
  }

  /** Call cells: `changes` is a list of {cell, to}. */
  call(changes) {
    if (this.isLocked) {
      this.dispatchEvent(new Event("locked"));
      return 0;
    }
    const real = changes.filter(({ cell, to }) => cell.called !== to);
    if (real.length) {
      this.done.push(this.apply(real));
      this.undone = [];
      this.tell();
    }
    return real.length;
  }

  undo() {
    return this.turn(this.done, this.undone);
  }

  redo() {
    return this.turn(this.undone, this.done);
  }

  turn(from, to) {
    if (this.isLocked) {
      this.dispatchEvent(new Event("locked"));
      return [];
    }
    const step = from.pop();
    if (step === undefined) {
      return [];
    }
    if (step.some(({ cell, to: own }) => cell.called !== own)) {
      // Somebody else has called one of these since: theirs is not taken back unseen.
      return this.turn(from, to);
    }
    const back = step.map(({ cell, was }) => ({ cell, to: was }));
    to.push(this.apply(back));
    this.tell();
    return back.map(({ cell }) => cell);
  }

  apply(changes) {
    const step = changes.map(({ cell, to }) => ({ cell, was: cell.called, to }));
    for (const { cell } of step) {
      cell.waiting += 1;
    }
    this.cells.set(changes);
    this.queue.push({ action: makeName(), step });
    this.pump();
    return step;
  }

  async pump() {
    if (this.isSending) {
      return;
    }
    this.isSending = true;
    while (this.queue.length) {
      const { action, step } = this.queue[0];
      const calls = step.map(({ cell, to }) => ({
        field: cell.field,
        cell_id: cell.id,
        seen: cell.version,
        called: to,
      }));
      try {
        const stored = await send(`/api/specimens/${this.cells.specimen.number}/calls`, { action, calls });
        this.offline = false;
        this.settle(stored.events);
      } catch (error) {
        if (!(error instanceof Refusal) || error.status >= 500) {
          this.offline = true;
          this.tell();
          await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
          await this.recover(action);
          continue;
        }
        this.refuse(step, error);
      }
      for (const { cell } of step) {
        cell.waiting -= 1;
      }
      this.queue.shift();
      this.tell();
    }
    this.isSending = false;
    this.dispatchEvent(new Event("stored"));
  }

  /** Wait until every change so far is stored. */
  async settled() {
    while (this.queue.length) {
      await new Promise((resolve) => this.addEventListener("told", resolve, { once: true }));
    }
  }

  settle(events) {
    for (const event of events) {
      const cell = this.cells.find(event.field, event.subject);
      if (cell !== undefined) {
        cell.version = Math.max(cell.version, event.version);
      }
    }
  }

  /** After a lost answer: was the change stored before the connection broke? */
  async recover(action) {
    try {
      const found = await read(`/api/specimens/${this.cells.specimen.number}/events?after=${this.cells.last}`);
      const own = found.events.filter((event) => event.action === action);
      this.settle(own);
      if (own.length) {
        for (const { cell } of this.queue[0].step) {
          cell.waiting -= 1;
        }
        this.queue.shift();
        this.offline = false;
      }
    } catch {
      // still not there: the change stays in the queue
    }
  }

  /** The server has not stored a change: show what stands there, and say so. */
  refuse(step, error) {
    const cells = new Set(step.map(({ cell }) => cell));
    for (const { cell, was } of step) {
      cell.called = was;
    }
    for (const standing of error.body?.current ?? []) {
      const cell = this.cells.stand(standing);
      if (cells.has(cell)) {
        cell.conflict = standing.reader;
      }
    }
    this.done = this.done.filter((other) => !other.some(({ cell }) => cells.has(cell)));
    this.undone = this.undone.filter((other) => !other.some(({ cell }) => cells.has(cell)));
    this.cells.changed([...cells]);
    this.dispatchEvent(new CustomEvent("refused", { detail: { error, cells: [...cells] } }));
  }

  /** Take in what other readers have done. */
  async poll() {
    if (this.queue.length || document.hidden) {
      return;
    }
    try {
      const found = await read(`/api/specimens/${this.cells.specimen.number}/events?after=${this.cells.last}`);
      this.cells.last = Math.max(this.cells.last, found.last);
      const changed = [];
      let isForeign = false;
      for (const event of found.events) {
        const cell = this.cells.find(event.field, event.subject);
        if (cell === undefined || event.kind === "region" || event.kind === "sign") {
          isForeign = true;
        } else if (cell.waiting === 0 && event.version > cell.version) {
          this.cells.stand(event);
          changed.push(cell);
        }
      }
      if (changed.length) {
        this.cells.changed(changed);
        this.dispatchEvent(new Event("stored"));
      }
      if (found.fields !== this.cells.fields.size) {
        this.dispatchEvent(new Event("grown"));
      }
      if (isForeign) {
        this.dispatchEvent(new Event("foreign"));
      }
    } catch {
      // the next poll, or the next change, finds out
    }
  }

  tell() {
    this.dispatchEvent(new Event("told"));
  }
}
