"use strict";
// The page is whole without this: it sorts the table of frames and moves the slider over them.
for (const table of document.querySelectorAll("table.frames")) {
  const body = table.tBodies[0];
  for (const [column, head] of [...table.tHead.rows[0].cells].entries()) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => row.cells[column].dataset.key ?? row.cells[column].textContent;
      const order = (a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === "" || y === "") return (x === "") - (y === "");  // what isn't known comes last
        const way = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
        return up ? way : -way;
      };
      body.append(...[...body.rows].sort(order));
    });
  }
}
// What can be scrolled further fades on its right, since phones hide the bar that would say so.
for (const box of document.querySelectorAll(".scroll")) {
  const tell = () => box.classList.toggle("more", box.scrollLeft + box.clientWidth < box.scrollWidth - 2);
  box.addEventListener("scroll", tell, { passive: true });
  new ResizeObserver(tell).observe(box);
}
for (const slides of document.querySelectorAll(".slides")) {
  const shown = [...slides.children];
  if (shown.length < 2) continue;
  const control = document.createElement("div");
  control.className = "control";
  const play = document.createElement("button");
  play.type = "button";
  play.textContent = "Play";
  const range = document.createElement("input");
  Object.assign(range, { type: "range", min: 0, max: shown.length - 1, value: slides.dataset.start });
  range.setAttribute("aria-label", "Frame shown");
  const name = document.createElement("output");
  control.append(play, range, name);
  slides.before(control);
  slides.style.overflowX = "hidden";
  let timer = 0;
  const show = () => {
    const chosen = shown[range.value];
    for (const slide of shown) slide.hidden = slide !== chosen;
    name.textContent = chosen.dataset.name;
    range.setAttribute("aria-valuetext", chosen.dataset.name);
  };
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = "Play";
  };
  play.addEventListener("click", () => {
    if (timer) return stop();
    play.textContent = "Stop";
    timer = setInterval(() => {
      range.value = (Number(range.value) + 1) % shown.length;
      show();
    }, 700);
  });
  range.addEventListener("input", () => {
    stop();
    show();
  });
  show();
}
