// Which cells the gallery shows, in which groups and order.

import { isThere } from "./cells.js";

const FILTERS = {
  all: () => true,
  open: (cell) => !cell.called,
  confirmed: (cell) => Boolean(cell.called),
  changed: (cell) => Boolean(cell.called) && cell.called !== cell.counted,
};

const byDoubt = (a, b) => b.doubt - a.doubt || a.key.localeCompare(b.key);
const byPlace = (a, b) => a.field - b.field || a.y - b.y || a.x - b.x;
const byMaturity = (a, b) => (a.maturity ?? 99) - (b.maturity ?? 99) || byDoubt(a, b);

const MATURING = "Erythroid cells, youngest first";

/** Groups as {title, colour, accepts, cells, members}; `accepts` is the class that the rest is accepted as. */
export function listGroups(cells, order, filter) {
  const shown = cells.list.filter(FILTERS[filter]);
  if (order === "next") {
    const ranked = cells.queue.filter((cell) => isThere(cell) && FILTERS[filter](cell));
    const first = new Set(ranked);
    const others = shown.filter((cell) => !first.has(cell)).sort(byDoubt);
    return [
      makeGroup("To call next: in doubt, and unlike each other", "transparent", "", ranked),
      makeGroup("The others, most doubtful first", "transparent", "", others),
    ].filter(isFull);
  }
  if (order === "agreement") {
    return groupByAgreement(shown);
  }
  if (order === "place") {
    return [...cells.fields.values()]
      .map((field) => {
        const own = shown.filter((cell) => cell.field === field.number).sort(byPlace);
        return makeGroup(field.title, "transparent", "", own);
      })
      .filter(isFull);
  }
  if (order === "maturation") {
    const staged = shown.filter((cell) => cell.maturity !== null).sort(byMaturity);
    const others = shown.filter((cell) => cell.maturity === null).sort(byDoubt);
    return [
      makeGroup(MATURING, "transparent", "", staged),
      makeGroup("Other cells", "transparent", "", others),
    ].filter(isFull);
  }
  return groupByClass(cells, shown);
}

function groupByClass(cells, shown) {
  const named = new Map(cells.classes.map((c) => [c.name, []]));
  for (const cell of shown) {
    const name = cells.now(cell);
    if (!named.has(name)) {
      named.set(name, []);
    }
    named.get(name).push(cell);
  }
  const groups = [];
  for (const [name, own] of named) {
    const known = cells.byName.get(name);
    const accepts = known?.lineage ? name : "";
    const title = known?.title ?? "In areas left out of the count";
    groups.push(makeGroup(title, known?.colour ?? "transparent", accepts, own.sort(byDoubt)));
  }
  return groups.filter(isFull);
}

function groupByAgreement(shown) {
  const groups = [
    makeGroup("The readers differ", "transparent", "", []),
    makeGroup("The readers agree", "transparent", "agreed", []),
    makeGroup("Called by fewer than two", "transparent", "", []),
  ];
  for (const cell of [...shown].sort(byDoubt)) {
    const calls = Object.values(cell.readers ?? {});
    const group = groups[calls.length < 2 ? 2 : new Set(calls).size > 1 ? 0 : 1];
    group.members.set(cell, group.cells.push(cell) - 1);
  }
  return groups.filter(isFull);
}

function makeGroup(title, colour, accepts, own) {
  return { title, colour, accepts, cells: own, members: new Map(own.map((cell, i) => [cell, i])) };
}

const isFull = (group) => group.cells.length > 0;

/** The cells around one in the order of maturation: so many younger, itself, so many older. */
export function listNeighbours(cells, cell, each) {
  if (cell.maturity === null) {
    return [];
  }
  const staged = cells.list.filter((other) => other.maturity !== null).sort(byMaturity);
  const at = staged.indexOf(cell);
  return staged.slice(Math.max(0, at - each), at + each + 1);
}
