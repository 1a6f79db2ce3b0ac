// What all parts of the page share: data, small helpers for elements and numbers, the tooltip.
const DATA = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const KINDS = ["model", "control", "oracle"];
const one = (selector, from = document) => from.querySelector(selector);
const all = (selector, from = document) => [...from.querySelectorAll(selector)];
const kindOf = (row) => (KINDS.includes(row.kind) ? row.kind : "model");

function number(value, digits = 3) {
  if (value === null || value === undefined) return "n/a";
  const text = value.toFixed(digits);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

function element(name, attributes = {}, text = "") {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

function draw(parent, name, attributes = {}, text = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  parent.append(made);
  return made;
}

function canvasFor(box, height, label) {
  const width = Math.max(280, box.clientWidth || 640);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  box.replaceChildren(svg);
  return { svg, width };
}

// Round steps of 1, 2 or 5 times a power of ten that cover [low, high] in about `wanted` steps.
function ticks(low, high, wanted = 6) {
  const rough = (high - low || 1) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((f) => f * power >= rough) || 10);
  const made = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) made.push(i * step);
  return { values: made, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

function options(select, entries, chosen) {
  select.replaceChildren(...entries.map(([value, text]) => element("option", { value }, text)));
  if (chosen !== undefined && entries.some(([value]) => String(value) === String(chosen))) select.value = chosen;
}

const tip = document.getElementById("tip");
function showTip(text, x, y) {
  tip.textContent = text;
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(6, Math.min(x + 14, innerWidth - box.width - 6))}px`;
  tip.style.top = `${y + 18 + box.height > innerHeight ? y - box.height - 12 : y + 18}px`;
}
function explain(target, text) {
  target.addEventListener("pointermove", (event) => showTip(text, event.clientX, event.clientY));
  target.addEventListener("pointerleave", () => { tip.hidden = true; });
  target.addEventListener("focus", () => {
    const box = target.getBoundingClientRect();
    showTip(text, box.left + 40, box.top + box.height / 2);
  });
  target.addEventListener("blur", () => { tip.hidden = true; });
}
// A choice is made when a select changes, a search while it is typed.
function onInput(control, action) {
  control.addEventListener(control.tagName === "SELECT" ? "change" : "input", action);
}
function nothing(box, text) {
  box.replaceChildren(element("p", { class: "none" }, text));
}
