// Puts the page together.

import { read, setToken } from "./api.js";
import { Cells, isThere, words } from "./cells.js";
import { Crops } from "./crops.js";
import { Detail } from "./detail.js";
import { DifferentialPanel } from "./differential.js";
import { Edits } from "./edits.js";
import { FieldView } from "./field.js";
import { Gallery } from "./gallery.js";
import { HELP, listenToKeys } from "./keys.js";
import { Queue } from "./queue.js";
import { Readers } from "./readers.js";
import { Saver } from "./saver.js";
import { Signing } from "./sign.js";
import { Uploads } from "./uploads.js";
import { Views } from "./views.js";

const NOTICE_MS = 15000;
const OFFLINE =
  "The server does not answer. Your last calls are kept on this page and sent when it is back; do not close the page.";

const LOCKED = "The result is signed: open it again before anything is changed.";

const $ = (id) => document.getElementById(id);

async function start() {
  const number = Number(new URLSearchParams(location.hash.slice(1)).get("specimen") ?? 0);
  const [run, columns] = await Promise.all([read("/api/run"), read(`/api/specimens/${number}/cells`)]);
  setToken(run.csrf);
  const cells = new Cells(run, run.specimens[number]);
  const crops = new Crops();
  const gallery = new Gallery($("gallery"), cells, crops);
  const saver = new Saver(cells);
  const detail = new Detail($("detail-body"), cells, gallery, crops);
  cells.load(columns);
  gallery.arrange();
  const panel = new DifferentialPanel($("differential-body"), cells, saver);
  panel.draw();
  $("run-name").textContent = run.name;
  $("reader").textContent = run.reader;
  offerSpecimens(run, number);
  showLegend(cells);
  showSaving(saver);
  const field = new FieldView($("field"), cells, gallery);
  const edits = new Edits({ cells, gallery, saver, field, say });
  panel.root.addEventListener("moved", () => edits.reload());
  const views = new Views({ cells, gallery, field, edits, detail });
  const signing = new Signing({ cells, saver, say });
  const readers = new Readers({ cells, gallery, saver, detail });
  saver.addEventListener("foreign", async () => {
    await signing.load();
    await readers.load();
    await edits.reload();
  });
  const queue = new Queue({ cells, gallery, saver });
  new Uploads({ cells, say });
  saver.addEventListener("grown", async () => {
    const before = cells.list.length;
    cells.grow((await read("/api/run")).specimens[number]);
    views.listFields();
    await edits.reload();
    say(`${cells.list.length - before} cells came in, of a picture that was added`);
  });
  const actions = makeActions({ cells, gallery, saver, detail, views });
  listenToKeys(actions);
  useTools(gallery, queue, actions);
  panel.root.addEventListener("reached", ({ detail: text }) => say(text));
  say(`${cells.list.length} cells`);
}

function makeActions({ cells, gallery, saver, detail, views }) {
  // In the view of a field the next cell is one of that field: another picture is for the reader to choose.
  const advance = () => gallery.go(gallery.nextOpen(views.isField ? gallery.current?.field : null) ?? gallery.current);
  const callAs = (targets, to, { isAdvancing = true } = {}) => {
    if (saver.isLocked) {
      say(LOCKED);
      return;
    }
    saver.call(targets.map((cell) => ({ cell, to })));
    const done = to === "" ? "call taken back" : `${cells.byName.get(to)?.title ?? words(to)}, confirmed`;
    say(targets.length === 1 ? done : `${targets.length} cells: ${done}`);
    if (isAdvancing && $("advance").checked) {
      advance();
    }
  };
  const standing = (cell) => {
    const now = cells.now(cell);
    return cells.byName.has(now) ? now : cells.suggested(cell);
  };
  const back = (changed, what) => {
    const there = changed.find(isThere);
    if (there !== undefined) {
      gallery.go(there);
    }
    say(changed.length ? `${what}: ${changed.length} cells` : `Nothing to ${what.toLowerCase()}`);
  };
  const acceptRest = (group) => {
    const open = group.cells.filter((cell) => !cell.called);
    if (group.accepts === "agreed" && !saver.isLocked) {
      saver.call(open.map((cell) => ({ cell, to: Object.values(cell.readers)[0] })));
      say(`${open.length} cells called as the readers agree; Z takes it back`);
      return;
    }
    if (group.accepts && open.length) {
      callAs(open, group.accepts);
      say(`${open.length} cells accepted as ${group.title}; Z takes it back`);
    }
  };
  gallery.addEventListener("accept", ({ detail: group }) => acceptRest(group));
  return {
    inView: () => (views.isField ? views.keys() : {}),
    showField: () => views.show("field"),
    move: (columns, rows, extend) => gallery.go(gallery.neighbour(columns, rows), { extend }),
    first: () => gallery.go(gallery.sequence[0] ?? null),
    lastCell: () => gallery.go(gallery.sequence.at(-1) ?? null),
    next: () => gallery.go(gallery.nextOpen() ?? gallery.current),
    call: (key) => {
      const kind = cells.byKey.get(key);
      if (kind === undefined || gallery.current === null) {
        return false;
      }
      callAs(gallery.targets(), kind.name);
      return true;
    },
    confirm: () => {
      const targets = gallery.targets();
      if (saver.isLocked) {
        say(LOCKED);
      } else if (targets.length) {
        saver.call(targets.map((cell) => ({ cell, to: standing(cell) })));
        say("Confirmed");
        if ($("advance").checked) {
          advance();
        }
      }
    },
    acceptRest: () => gallery.position.has(gallery.current) && acceptRest(gallery.find(gallery.current).group),
    takeBack: () => callAs(gallery.targets(), "", { isAdvancing: false }),
    undo: () => back(saver.undo(), "Undo"),
    redo: () => back(saver.redo(), "Redo"),
    outline: () => detail.outline(!detail.isOutlined),
    regroup: () => gallery.arrange(),
    toggle: () => gallery.current !== null && gallery.toggle(gallery.current),
    selectNone: () => gallery.go(gallery.current),
    selectGroup: () => {
      if (gallery.position.has(gallery.current)) {
        gallery.selected = new Set(gallery.find(gallery.current).group.cells);
        gallery.refresh([...gallery.selected]);
        say(`${gallery.selected.size} cells selected`);
      }
    },
    help: () => showKeys(cells),
  };
}

function useTools(gallery, queue, actions) {
  $("order").addEventListener("change", ({ target }) => {
    gallery.order = target.value;
    gallery.arrange();
    if (queue.isShown) {
      queue.load({ isChosen: true });
    }
  });
  $("filter").addEventListener("change", ({ target }) => {
    gallery.filter = target.value;
    gallery.arrange();
  });
  $("size").addEventListener("input", ({ target }) => {
    gallery.size = Number(target.value);
    gallery.place();
    if (gallery.current !== null) {
      gallery.reveal(gallery.current);
    }
  });
  $("undo").addEventListener("click", actions.undo);
  $("redo").addEventListener("click", actions.redo);
  $("keys-button").addEventListener("click", actions.help);
  $("gallery-tools").addEventListener("submit", (event) => event.preventDefault());
}

function offerSpecimens(run, number) {
  $("specimen-choice").hidden = run.specimens.length < 2;
  run.specimens.forEach((specimen) => {
    $("specimen").append(new Option(specimen.name, String(specimen.number), false, specimen.number === number));
  });
  $("specimen").addEventListener("change", ({ target }) => {
    location.hash = `specimen=${target.value}`;
    location.reload();
  });
}

function showLegend(cells) {
  for (const kind of cells.classes.filter((c) => c.key)) {
    const item = document.createElement("span");
    const key = document.createElement("kbd");
    key.textContent = kind.key.toUpperCase();
    const chip = document.createElement("span");
    chip.className = "chip";
    chip.style.background = kind.colour;
    item.append(key, chip, kind.title);
    $("legend").append(item);
  }
}

function showKeys(cells) {
  const list = document.createElement("dl");
  const lines = [...cells.classes.filter((c) => c.key).map((c) => [c.key.toUpperCase(), c.title]), ...HELP];
  for (const [key, text] of lines) {
    const term = document.createElement("dt");
    const name = document.createElement("kbd");
    name.textContent = key;
    term.append(name);
    const value = document.createElement("dd");
    value.textContent = text;
    list.append(term, value);
  }
  $("keys-body").replaceChildren(list);
  $("keys").showModal();
}

function showSaving(saver) {
  let notice = "";
  let timer = 0;
  const tell = () => {
    $("saved").textContent = saver.waiting ? `Saving ${saver.waiting} …` : "All changes saved";
    $("saved").classList.toggle("waiting", saver.waiting > 0);
    const text = saver.offline ? OFFLINE : notice;
    $("banner").hidden = text === "";
    $("banner").textContent = text;
  };
  saver.addEventListener("told", tell);
  saver.addEventListener("refused", ({ detail: { error, cells } }) => {
    const who = cells.find((cell) => cell.conflict)?.conflict;
    notice = who
      ? `${who} had called ${cells.length === 1 ? "this cell" : "some of these cells"} meanwhile, so yours was not stored: see the marked cells.`
      : `Not stored: ${error.message}`;
    clearTimeout(timer);
    timer = setTimeout(() => {
      notice = "";
      tell();
    }, NOTICE_MS);
    tell();
  });
  tell();
}

function say(text) {
  $("live").textContent = text;
}

start().catch((error) => {
  $("saved").textContent = "";
  $("banner").hidden = false;
  $("banner").textContent = `The review could not be opened: ${error.message}`;
});
