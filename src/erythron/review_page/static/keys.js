// The keyboard: everything on this page is done without a mouse.

const MOVES = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/** Keys besides those of the classes, for the list that `?` shows. */
export const HELP = [
  ["Arrows", "Move; with Shift select several"],
  ["Enter", "Confirm the call that stands"],
  ["Shift+Enter", "Accept the rest of this group"],
  ["N", "Next cell that is not confirmed"],
  ["Space", "Add the cell to the selection, or take it out"],
  ["Ctrl+A", "Select the whole group"],
  ["Esc", "Select none"],
  ["Backspace", "Take your call back"],
  ["Z or Ctrl+Z", "Undo"],
  ["Y or Ctrl+Y", "Redo"],
  ["O", "Outline on and off"],
  ["F", "The cell in its field, and back"],
  ["G", "Sort the groups anew"],
  ["Home, End", "First and last cell"],
  ["?", "These keys"],
  ["V A D S M R", "In the field: select, add, draw, split, merge, region"],
  ["+ and −", "In the field: zoom; arrows move the view"],
  ["C", "In the field: the current cell into the middle"],
  [", and .", "In the field: the cell before and the next one"],
];

export function listenToKeys(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input:not([type=checkbox]), select, textarea, dialog") || event.altKey) {
      return;
    }
    if (handle(event, actions)) {
      event.preventDefault();
    }
  });
}

function handle(event, actions) {
  const { key, shiftKey } = event;
  const low = key.toLowerCase();
  if (event.ctrlKey || event.metaKey) {
    const named = { z: shiftKey ? "redo" : "undo", y: "redo", a: "selectGroup" }[low];
    return named !== undefined && (actions[named](), true);
  }
  if (event.target.closest("button, summary, a, input") && (key === "Enter" || key === " ")) {
    return false;
  }
  const own = actions.inView()[key.length === 1 ? low : key];
  if (own !== undefined && own() !== false) {
    return true;
  }
  if (MOVES[key] !== undefined) {
    return actions.move(...MOVES[key], shiftKey) !== false;
  }
  const simple = {
    Home: "first",
    End: "lastCell",
    " ": "toggle",
    Escape: "selectNone",
    Backspace: "takeBack",
    Delete: "takeBack",
    "?": "help",
    z: "undo",
    y: "redo",
    o: "outline",
    g: "regroup",
    n: "next",
    f: "showField",
  }[key.length === 1 ? low : key];
  if (simple !== undefined) {
    actions[simple]();
    return true;
  }
  if (key === "Enter") {
    actions[shiftKey ? "acceptRest" : "confirm"]();
    return true;
  }
  return actions.call(low);
}
