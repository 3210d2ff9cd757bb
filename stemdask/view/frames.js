// The frames of a run: a slider over a strip of what became of each, play, and the arrow keys.
// A frame is asked for only when the one before is drawn, so that dragging never runs ahead of the drawing.
const PAUSE = 90; // ms that a frame is shown at least while playing
const COLOURS = { g: "#1b6e3c", d: "#d98a00", f: "#a51d1d", p: "#d9d9d9" };

export function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "frames";
  root.innerHTML = `
    <button class="back" title="One frame back (←)" aria-label="One frame back">‹</button>
    <button class="play" title="Play or pause (space)" aria-label="Play">▶</button>
    <button class="on" title="One frame on (→)" aria-label="One frame on">›</button>
    <div class="track"><canvas class="strip" height="6"></canvas>
      <input type="range" min="0" step="1" aria-label="Frame"></div>
    <label>frame <input class="number" type="number" min="0" step="1"> of <span class="of"></span></label>`;
  const [slider, number, strip, play] = ["[type=range]", ".number", ".strip", ".play"].map((s) => root.querySelector(s));
  let wanted = model.value, asked = model.value, playing = false, since = 0;

  const clip = (frame) => Math.max(0, Math.min(model.levels.length - 1, Math.round(frame) || 0));
  const show = () => { slider.value = wanted; if (document.activeElement !== number) number.value = wanted; };
  const ask = () => {
    if (wanted !== asked && model.drawn === asked) { asked = wanted; since = performance.now(); model.value = asked; }
  };
  const go = (frame) => { wanted = clip(frame); show(); ask(); };
  const stop = () => { playing = false; play.textContent = "▶"; play.setAttribute("aria-label", "Play"); };
  const next = () => {
    if (!playing) return;
    if (model.drawn === asked && wanted === asked) go((asked + 1) % model.levels.length);
    setTimeout(next, Math.max(15, PAUSE - (performance.now() - since)));
  };
  const start = () => { playing = true; play.textContent = "❚❚"; play.setAttribute("aria-label", "Pause"); next(); };
  const toggle = () => (playing ? stop() : start());

  const paint = () => {
    const n = model.levels.length;
    slider.max = number.max = n - 1;
    root.querySelector(".of").textContent = `0 … ${n - 1}`;
    for (const one of root.querySelectorAll("button, input")) one.disabled = n < 2;
    const wide = (strip.width = Math.max(1, strip.clientWidth));
    const pen = strip.getContext("2d");
    for (let x = 0; x < wide; x++) {  // the worst of the frames under a pixel
      const from = Math.floor((x * n) / wide), to = Math.max(from + 1, Math.floor(((x + 1) * n) / wide));
      const levels = model.levels.slice(from, to);
      pen.fillStyle = COLOURS[["f", "d", "p", "g"].find((level) => levels.includes(level))];
      pen.fillRect(x, 0, 1, 6);
    }
    show();
  };

  slider.addEventListener("input", () => { stop(); go(slider.valueAsNumber); });
  number.addEventListener("change", () => { stop(); go(number.valueAsNumber); });
  root.querySelector(".back").addEventListener("click", () => { stop(); go(wanted - 1); });
  root.querySelector(".on").addEventListener("click", () => { stop(); go(wanted + 1); });
  play.addEventListener("click", toggle);
  const keys = { ArrowLeft: () => go(wanted - 1), ArrowRight: () => go(wanted + 1), PageUp: () => go(wanted - 10),
                 PageDown: () => go(wanted + 10), Home: () => go(0), End: () => go(model.levels.length - 1) };
  const pressed = (event) => {
    const at = event.composedPath()[0];
    if (["SELECT", "TEXTAREA"].includes(at.tagName) || (at.tagName === "INPUT" && at !== slider)) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === " " && at.tagName !== "BUTTON") toggle();
    else if (keys[event.key] && model.levels.length > 1) { stop(); keys[event.key](); }
    else return;
    event.preventDefault();
  };
  const heard = model.whole_page ? document : root;
  heard.addEventListener("keydown", pressed);
  model.on("remove", () => { stop(); heard.removeEventListener("keydown", pressed); });
  model.on("levels", paint);
  model.on("drawn", ask);
  model.on("value", () => { if (model.value !== asked) { asked = wanted = model.value; show(); } });
  new ResizeObserver(paint).observe(strip);
  return root;
}
