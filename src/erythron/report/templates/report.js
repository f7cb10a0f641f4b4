document.querySelectorAll(".map").forEach(map => {
  const cells = [...map.querySelectorAll("path[id]")], out = document.getElementById(map.dataset.out);
  const svg = map.querySelector("svg");
  let at = -1;
  const show = path => {
    svg.querySelectorAll(".on").forEach(p => p.classList.remove("on"));
    path.classList.add("on");
    at = cells.indexOf(path);
    out.textContent = path.querySelector("title").textContent;
  };
  const open = path => { show(path); map.focus({preventScroll: true}); map.scrollIntoView({block: "center"}); };
  const seen = i => cells[i].getClientRects().length > 0;
  // Scrolling moves the page under a resting pointer: only a pointer that moves itself chooses.
  svg.addEventListener("mousemove", e => (e.movementX || e.movementY) && e.target.id && show(e.target));
  svg.addEventListener("click", e => e.target.id && show(e.target));
  map.addEventListener("keydown", e => {
    const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[e.key];
    if (!step || !cells.length) return;
    e.preventDefault();
    let i = at < 0 && step < 0 ? 0 : at;
    for (let n = 0; n < cells.length; n++) {
      i = (i + step + cells.length) % cells.length;
      if (seen(i)) { show(cells[i]); break; }
    }
  });
  document.addEventListener("click", e => {
    const link = e.target.closest && e.target.closest("a[href^='#f']");
    const path = link && document.getElementById(link.hash.slice(1));
    if (path && map.contains(path)) { e.preventDefault(); open(path); }
  });
});
