document.querySelectorAll(".map").forEach(map => {
  const cells = [...map.querySelectorAll("path[id]")], out = document.getElementById(map.dataset.out);
  const svg = map.querySelector("svg"), box = svg.viewBox.baseVal, tools = map.parentElement.querySelector(".tools");
  const whole = {w: box.width, h: box.height}, bar = svg.querySelector(".bar"), mpp = +svg.dataset.mpp;
  const unit = Math.max(whole.w, whole.h) / 1000;
  const frame = ["case", "frame"].map(kind => {
    const rect = document.createElementNS(svg.namespaceURI, "rect");
    rect.setAttribute("class", kind);
    return rect;
  });
  let at = -1;

  const set = (node, values) => Object.entries(values).forEach(([name, value]) => node.setAttribute(name, value));
  // Where a view of a size begins that wants to begin at a place, so that no more than the field is seen.
  const begin = (at, size, seen, most) =>
    (seen >= most ? most / 2 : Math.min(Math.max(at + size / 2, seen / 2), most - seen / 2)) - size / 2;
  // The scale bar keeps its corner and its size on the screen while the field behind it grows.
  const drawBar = () => {
    const s = box.width / whole.w, u = unit * s, right = box.x + box.width - 20 * u, bottom = box.y + box.height;
    const um = [0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].filter(n => n <= box.width * mpp / 4).pop() || 0.5;
    set(bar.querySelector("rect"), {x: right - um / mpp, y: bottom - 62 * u, width: um / mpp, height: 10 * u});
    set(bar.querySelector("text"), {x: right - um / mpp / 2, y: bottom - 18 * u, "font-size": 30 * u});
    bar.querySelector("text").textContent = um + " µm";
  };
  const look = (x, y, width) => {
    box.width = Math.min(Math.max(width, whole.w / 12), whole.w);
    box.height = box.width * whole.h / whole.w;
    const on = svg.getBoundingClientRect(), scale = Math.min(on.width / box.width, on.height / box.height);
    box.x = begin(x, box.width, on.width / scale, whole.w);
    box.y = begin(y, box.height, on.height / scale, whole.h);
    map.classList.toggle("close", box.width < whole.w);
    if (bar) drawBar();
  };
  // Closer by a factor, with the point (x, y) of the field where it is on the screen.
  const zoom = (by, x = box.x + box.width / 2, y = box.y + box.height / 2) => {
    const width = Math.min(Math.max(box.width / by, whole.w / 12), whole.w), s = width / box.width;
    look(x - (x - box.x) * s, y - (y - box.y) * s, width);
  };
  const place = e => {
    const at = new DOMPoint(e.clientX, e.clientY).matrixTransform(svg.getScreenCTM().inverse());
    return [at.x, at.y];
  };

  const show = path => {
    svg.querySelectorAll(".on").forEach(p => p.classList.remove("on"));
    path.classList.add("on");
    at = cells.indexOf(path);
    const b = path.getBBox(), gap = 4 * unit;
    frame.forEach(rect => {
      set(rect, {x: b.x - gap, y: b.y - gap, width: b.width + 2 * gap, height: b.height + 2 * gap, rx: gap});
      svg.append(rect);
    });
    out.textContent = path.querySelector("title").textContent;
    return b;
  };
  // Brings a cell that is out of sight to the middle.
  const follow = b => {
    const [x, y] = [b.x + b.width / 2, b.y + b.height / 2];
    if (x < box.x || y < box.y || x > box.x + box.width || y > box.y + box.height) {
      look(x - box.width / 2, y - box.height / 2, box.width);
    }
  };
  const open = path => {
    const b = show(path), width = Math.max(b.width, b.height) * 5 * Math.min(1, whole.w / whole.h);
    look(b.x + b.width / 2 - width / 2, b.y + b.height / 2 - width * whole.h / whole.w / 2, width);
    map.focus({preventScroll: true});
    map.scrollIntoView({block: "center"});
  };
  const seen = i => cells[i].getClientRects().length > 0;

  let drag = null;
  svg.addEventListener("pointerdown", e => {
    drag = {id: e.pointerId, x: e.clientX, y: e.clientY, moved: false};
  });
  svg.addEventListener("pointermove", e => {
    // Scrolling moves the page under a resting pointer: only a pointer that moves itself chooses.
    if (!drag) { if ((e.movementX || e.movementY) && e.target.id) show(e.target); return; }
    const dx = e.clientX - drag.x, dy = e.clientY - drag.y;
    if (!map.classList.contains("close") || !drag.moved && Math.hypot(dx, dy) < 4) return;
    if (!drag.moved) svg.setPointerCapture(drag.id);
    const s = svg.getScreenCTM().a;
    look(box.x - dx / s, box.y - dy / s, box.width);
    Object.assign(drag, {x: e.clientX, y: e.clientY, moved: true});
  });
  ["pointerup", "pointercancel"].forEach(kind => svg.addEventListener(kind, e => {
    if (drag && !drag.moved && kind === "pointerup" && e.target.id) show(e.target);
    drag = null;
  }));
  svg.addEventListener("pointerleave", () => { if (drag && !drag.moved) drag = null; });
  // A wheel alone scrolls the page, as everywhere.
  svg.addEventListener("wheel", e => {
    if (!e.ctrlKey && !e.metaKey) return;
    e.preventDefault();
    zoom(Math.exp(-e.deltaY / 300), ...place(e));
  }, {passive: false});
  tools.hidden = false;
  tools.addEventListener("click", e => {
    const by = e.target.dataset.zoom;
    if (by) +by ? zoom(+by) : look(0, 0, whole.w);
  });
  map.addEventListener("keydown", e => {
    const [dx, dy] = {ArrowRight: [1, 0], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowUp: [0, -1]}[e.key] || [0, 0];
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (dx || dy) {
      e.preventDefault();
      if (e.shiftKey) { look(box.x + dx * box.width / 8, box.y + dy * box.height / 8, box.width); return; }
      const step = dx + dy;
      let i = at < 0 && step < 0 ? 0 : at;
      for (let n = 0; n < cells.length; n++) {
        i = (i + step + cells.length) % cells.length;
        if (seen(i)) { follow(show(cells[i])); break; }
      }
    } else if ("+=-_0".includes(e.key)) {
      e.preventDefault();
      e.key === "0" ? look(0, 0, whole.w) : zoom("+=".includes(e.key) ? 1.5 : 1 / 1.5);
    }
  });
  document.addEventListener("click", e => {
    const link = e.target.closest && e.target.closest("a[href^='#f']");
    const path = link && document.getElementById(link.hash.slice(1));
    if (path && map.contains(path)) { e.preventDefault(); open(path); }
  });
});
