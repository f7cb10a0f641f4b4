// Pictures that are added to the run: sent one after the other, counted by the server, then among the cells.

import { read, sendFile } from "./api.js";

const LOOK_MS = 1500;
const SHOWN = 20;
const STATES = { queued: "waits", counting: "is being counted", done: "counted", failed: "not counted" };

const $ = (id) => document.getElementById(id);

export class Uploads {
  constructor({ cells, say }) {
    Object.assign(this, { cells, say });
    this.sending = [];
    $("add-button").addEventListener("click", () => this.open());
    $("add-close").addEventListener("click", () => $("add").close());
    $("add-files").addEventListener("change", ({ target }) => {
      this.take([...target.files]);
      target.value = "";
    });
    $("add").addEventListener("close", () => clearTimeout(this.timer));
    // Dropped anywhere on the page; without this the browser would leave it for the picture.
    addEventListener("dragover", (event) => event.preventDefault());
    addEventListener("drop", (event) => {
      event.preventDefault();
      if (event.dataTransfer?.files.length) {
        this.open();
        this.take([...event.dataTransfer.files]);
      }
    });
  }

  open() {
    if (!$("add").open) {
      $("add").showModal();
    }
    this.look();
  }

  async take(files) {
    const isIdle = this.sending.length === 0;
    this.sending.push(...files);
    if (!isIdle) {
      return;
    }
    const refused = [];
    while (this.sending.length) {
      const [file] = this.sending;
      this.tell(`Sending ${file.name}, ${this.sending.length} to go …`);
      try {
        const asked = new URLSearchParams({ name: file.name.slice(0, 200), specimen: this.cells.specimen.number });
        await sendFile(`/api/images?${asked}`, file);
      } catch (error) {
        refused.push(`${file.name}: ${error.message}`);
      }
      this.sending.shift();
      this.look();
    }
    this.tell(refused.length ? `Not taken: ${refused.join("; ")}` : "All are sent; you may go on reading.");
  }

  tell(text) {
    $("add-status").textContent = text;
  }

  async look() {
    clearTimeout(this.timer);
    let found;
    try {
      found = await read(`/api/jobs?most=${SHOWN}`);
    } catch (error) {
      this.tell(error.message);
      return;
    }
    $("add-jobs").replaceChildren(...found.jobs.map(describe));
    if ($("add").open) {
      this.timer = setTimeout(() => this.look(), LOOK_MS);
    }
  }
}

function describe({ name, state, reason, repeats }) {
  const line = document.createElement("li");
  const title = document.createElement("strong");
  title.textContent = name;
  const why = repeats ? `the same pixels as ${repeats}, which count once` : reason.replace(`${name}: `, "");
  line.append(title, ` ${STATES[state]}${why ? `: ${why}` : ""}`);
  line.className = state;
  return line;
}
