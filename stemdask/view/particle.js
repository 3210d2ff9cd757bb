// A particle of atoms as shaded spheres, near ones over far ones: dragged it turns, the wheel zooms, a click picks.
const SHADES = 64; // dots across the picture of a sphere

export function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "particle";
  root.innerHTML = `<canvas tabindex="0" role="img" aria-label="The atoms of the frame; drag to turn them"></canvas>
    <div class="tools"><span class="ways">along <button>x</button> <button>y</button> <button>z</button></span>
    <label>cut from the front <input type="range" min="0" max="1" step="0.005" value="0"> <output></output></label></div>`;
  const canvas = root.querySelector("canvas"), cut = root.querySelector("input"), said = root.querySelector("output");
  const pen = canvas.getContext("2d");
  let turned = model.turned.slice(), zoom = 1, seen = [], due = false, balls = new Map();

  // Rows of the rotation are the axes of the screen: to the right, up, towards the eye.
  const turn = (axis, angle) => {
    const [c, s] = [Math.cos(angle), Math.sin(angle)];
    const [a, b] = axis === "up" ? [0, 2] : [1, 2];
    for (let k = 0; k < 3; k++) {
      const [p, q] = [turned[3 * a + k], turned[3 * b + k]];
      turned[3 * a + k] = c * p + s * q;
      turned[3 * b + k] = c * q - s * p;
    }
  };
  const along = { x: [0, 1, 0, 0, 0, 1, 1, 0, 0], y: [0, 0, 1, 1, 0, 0, 0, 1, 0], z: [1, 0, 0, 0, 1, 0, 0, 0, 1] };

  const ball = (red, green, blue) => {
    const key = (red << 16) | (green << 8) | blue;
    if (balls.has(key)) return balls.get(key);
    const sphere = new OffscreenCanvas(SHADES, SHADES), ink = sphere.getContext("2d"), r = SHADES / 2;
    const light = ink.createRadialGradient(0.72 * r, 0.66 * r, 0.05 * r, r, r, r);
    const mix = (part, to) => `rgb(${[red, green, blue].map((c) => Math.round(c + (to - c) * part)).join()})`;
    light.addColorStop(0, mix(0.55, 255));
    light.addColorStop(0.35, mix(0, 0));
    light.addColorStop(0.9, mix(0.42, 0));
    light.addColorStop(1, mix(0.62, 0));
    ink.fillStyle = light;
    ink.beginPath();
    ink.arc(r, r, r - 1, 0, 2 * Math.PI);
    ink.fill();
    if (balls.size > 4096) balls.clear();
    balls.set(key, sphere);
    return sphere;
  };

  const draw = () => {
    due = false;
    const ratio = devicePixelRatio || 1, wide = canvas.clientWidth, high = canvas.clientHeight;
    if (!wide || !high) return;
    canvas.width = wide * ratio; canvas.height = high * ratio;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    const p = model.positions, c = model.colours, shown = model.shown, n = p.length / 3;
    const scale = (0.46 * Math.min(wide, high) * zoom) / (model.reach || 1), radius = model.radius * scale;
    const x = new Float32Array(n), y = new Float32Array(n), z = new Float32Array(n), t = turned;
    for (let k = 0; k < n; k++) {
      const [a, b, d] = [p[3 * k], p[3 * k + 1], p[3 * k + 2]];
      x[k] = wide / 2 + scale * (t[0] * a + t[1] * b + t[2] * d);
      y[k] = high / 2 - scale * (t[3] * a + t[4] * b + t[5] * d);
      z[k] = t[6] * a + t[7] * b + t[8] * d;
    }
    const front = model.reach * (1 - 2 * cut.valueAsNumber) + 1e-6;
    said.textContent = cut.valueAsNumber ? `${(model.reach - front).toFixed(1)} Å` : "";
    seen = [];
    for (let k = 0; k < n; k++) if (z[k] <= front) seen.push(k);
    seen.sort((one, other) => z[one] - z[other]);
    for (const k of seen) {
      pen.globalAlpha = shown[k] ? 1 : 0.07;
      pen.drawImage(ball(c[4 * k], c[4 * k + 1], c[4 * k + 2]), x[k] - radius, y[k] - radius, 2 * radius, 2 * radius);
    }
    pen.globalAlpha = 1;
    seen = seen.filter((k) => shown[k]).map((k) => [k, x[k], y[k]]);
    const picked = model.picked;
    if (picked >= 0 && picked < n) {
      for (const [width, colour] of [[4, "#fff"], [2, "#000"]]) {
        pen.lineWidth = width; pen.strokeStyle = colour;
        pen.beginPath(); pen.arc(x[picked], y[picked], radius + 2, 0, 2 * Math.PI); pen.stroke();
      }
    }
    axes(high);
    bar(scale, wide, high);
    canvas.dataset.turned = turned.map((part) => part.toFixed(4)).join(" ");
    canvas.dataset.atoms = seen.length;
  };
  const later = () => { if (!due) { due = true; requestAnimationFrame(draw); } };

  const axes = (high) => {
    pen.font = "12px system-ui, sans-serif"; pen.fillStyle = pen.strokeStyle = "#222"; pen.lineWidth = 1.5;
    pen.textAlign = "center"; pen.textBaseline = "middle";
    ["x", "y", "z"].forEach((name, k) => {
      const [right, up] = [turned[k], turned[3 + k]];
      pen.beginPath(); pen.moveTo(34, high - 34); pen.lineTo(34 + 20 * right, high - 34 - 20 * up); pen.stroke();
      pen.fillText(name, 34 + 28 * right, high - 34 - 28 * up);
    });
  };
  const bar = (scale, wide, high) => {
    const power = 10 ** Math.floor(Math.log10((0.25 * wide) / scale));
    const length = power * [5, 2, 1].find((step) => step * power * scale <= 0.25 * wide);
    pen.fillStyle = "#222";
    pen.fillRect(wide - 16 - length * scale, high - 18, length * scale, 4);
    pen.fillText(`${length} Å`, wide - 16 - (length * scale) / 2, high - 28);
  };

  let from = null, moved = 0;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId); from = [event.clientX, event.clientY]; moved = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!from) return;
    const [dx, dy] = [event.clientX - from[0], event.clientY - from[1]];
    moved += Math.abs(dx) + Math.abs(dy);
    from = [event.clientX, event.clientY];
    turn("up", 0.01 * dx); turn("right", -0.01 * dy); later();
  });
  canvas.addEventListener("pointerup", (event) => {
    from = null;
    if (moved > 4) return;
    const box = canvas.getBoundingClientRect(), [px, py] = [event.clientX - box.left, event.clientY - box.top];
    const scale = (0.46 * Math.min(canvas.clientWidth, canvas.clientHeight) * zoom) / (model.reach || 1);
    const hit = seen.findLast(([, x, y]) => Math.hypot(x - px, y - py) <= model.radius * scale);
    model.clicked = hit ? [hit[0], Date.now()] : [-1, Date.now()];
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault(); zoom = Math.max(0.3, Math.min(20, zoom * Math.exp(-0.0015 * event.deltaY))); later();
  }, { passive: false });
  canvas.addEventListener("dblclick", () => { zoom = 1; turned = model.turned.slice(); later(); });
  for (const button of root.querySelectorAll("button"))
    button.addEventListener("click", () => { turned = along[button.textContent].slice(); later(); });
  cut.addEventListener("input", later);
  for (const name of ["positions", "colours", "shown", "picked", "radius", "reach"]) model.on(name, later);
  new ResizeObserver(later).observe(canvas);
  later();
  return root;
}
