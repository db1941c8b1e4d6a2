// What a page does beyond being read. Without this script everything is still there to see.
"use strict";

// ---- charts: the values under the pointer, or under the arrow keys ----

const SVG = "http://www.w3.org/2000/svg";
const numbers = new Intl.NumberFormat("en", { maximumSignificantDigits: 6 });

/** Return the index of the point whose step is nearest to `step`; points are in order. */
function nearest(points, step) {
  let low = 0, high = points.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][0] < step) low = middle + 1; else high = middle;
  }
  const isEarlier = low > 0 && step - points[low - 1][0] <= points[low][0] - step;
  return isEarlier ? low - 1 : low;
}

function told(value) {
  if (typeof value === "string") return value; // nan, inf
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-4 || size >= 1e9) ? value.toExponential(4) : numbers.format(value);
}

class Chart {
  constructor(figure) {
    this.figure = figure;
    this.svg = figure.querySelector("svg");
    this.lines = JSON.parse(figure.querySelector("script").textContent);
    this.frame = Object.fromEntries(
      Object.entries(this.svg.dataset).map(([name, text]) => [name, Number(text)]));
    this.steps = [...new Set(this.lines.flatMap((line) => line.points.map((p) => p[0])))]
      .sort((a, b) => a - b);
    this.tip = figure.querySelector(".tip");
    this.hair = this.svg.appendChild(document.createElementNS(SVG, "g"));
    this.hair.setAttribute("class", "hair");
    this.svg.addEventListener("pointermove", (event) => this.show(this.stepAt(event)));
    this.svg.addEventListener("pointerleave", () => this.hide());
    this.svg.addEventListener("blur", () => this.hide());
    this.svg.addEventListener("keydown", (event) => this.walk(event));
    figure.querySelector("input")?.addEventListener("change", () => this.hide());
  }

  /** Return the logged step that is nearest to the pointer. */
  stepAt(event) {
    const box = this.svg.getBoundingClientRect();
    const { first, last, left, right } = this.frame;
    const x = (event.clientX - box.left) / box.width * this.svg.viewBox.baseVal.width;
    const step = first + (x - left) / (right - left) * (last - first);
    return this.steps[nearest(this.steps.map((one) => [one]), step)];
  }

  walk(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by === undefined || this.steps.length === 0) return;
    event.preventDefault();
    const at = this.shown === undefined ? this.steps.length - 1 : this.steps.indexOf(this.shown) + by;
    this.show(this.steps[Math.min(this.steps.length - 1, Math.max(0, at))]);
  }

  x(step) {
    const { first, last, left, right } = this.frame;
    return left + (step - first) / Math.max(1, last - first) * (right - left);
  }

  /** Return how far down a value lies on the axis that is shown; null if it is not on it. */
  y(value) {
    const isLog = this.figure.querySelector("input")?.checked;
    const { low, high } = this.svg.querySelector(isLog ? ".log" : ".linear").dataset;
    const on = (number) => (isLog ? Math.log10(number) : Number(number));
    if (typeof value === "string" || (isLog && value <= 0)) return null;
    const share = (on(value) - on(low)) / (on(high) - on(low));
    return this.frame.bottom - share * (this.frame.bottom - this.frame.top);
  }

  show(step) {
    if (step === undefined) return;
    this.shown = step;
    this.hair.replaceChildren();
    const x = this.x(step);
    this.add("line", { x1: x, x2: x, y1: this.frame.top, y2: this.frame.bottom });
    this.tip.replaceChildren(Object.assign(document.createElement("b"), { textContent: `step ${step} ` }));
    const tones = this.figure.querySelectorAll(".legend > span");
    this.lines.forEach((line, index) => {
      const [at, value] = line.points[nearest(line.points, step)];
      const row = document.createElement("span");
      row.className = tones[index]?.className ?? "";
      const name = line.name + (at === step ? "" : ` (${at})`);
      row.append(Object.assign(document.createElement("i"), { textContent: name }), ` ${told(value)} `);
      this.tip.append(row);
      const y = this.y(value);
      if (y !== null) this.add("circle", { cx: this.x(at), cy: y, r: 4, class: row.className });
    });
    this.tip.hidden = false;
    const share = x / this.svg.viewBox.baseVal.width;
    this.tip.style.left = share < 0.5 ? `${100 * share + 2}%` : "auto";
    this.tip.style.right = share < 0.5 ? "auto" : `${100 * (1 - share) + 2}%`;
  }

  hide() {
    this.shown = undefined;
    this.hair.replaceChildren();
    this.tip.hidden = true;
  }

  add(name, attributes) {
    const node = this.hair.appendChild(document.createElementNS(SVG, name));
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  }
}

document.querySelectorAll("figure.chart").forEach((figure) => new Chart(figure));

// ---- a search in the config: lines that match, and the keys they stand under ----

document.querySelectorAll(".search").forEach((search) => {
  const lines = [...search.parentElement.querySelectorAll("[data-key]")];
  search.hidden = false;
  search.addEventListener("input", () => {
    const wanted = search.value.trim().toLowerCase();
    const found = lines.filter((line) =>
      `${line.dataset.key} ${line.textContent}`.toLowerCase().includes(wanted));
    const parents = new Set(found.flatMap((line) => {
      const parts = line.dataset.key.split(".");
      return parts.map((_, count) => parts.slice(0, count).join("."));
    }));
    const kept = new Set(found);
    for (const line of lines) line.hidden = !kept.has(line) && !parents.has(line.dataset.key);
  });
});

// ---- paper, on which nothing can be unfolded, has the config ----

const folded = [...document.querySelectorAll("details:has(> .config):not([open])")];
addEventListener("beforeprint", () => folded.forEach((one) => { one.open = true; }));
addEventListener("afterprint", () => folded.forEach((one) => { one.open = false; }));

// ---- commands to copy ----

/** Copy where a page may; else mark the text, so that Ctrl+C takes it. */
async function copy(button, code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "copied";
  } catch {
    getSelection().selectAllChildren(code);
    button.textContent = document.execCommand("copy") ? "copied" : "press Ctrl+C";
  }
  setTimeout(() => { button.textContent = "copy"; }, 1500);
}

document.querySelectorAll(".command").forEach((command) => {
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: "copy" });
  button.addEventListener("click", () => copy(button, command.querySelector("code")));
  command.append(button);
});
