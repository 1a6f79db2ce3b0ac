// Spatial maps: one section and one gene (or its meta-modules) at a time, every map in the same frame and scale.
const STEPS = 254, NO_VALUE = 255, MOST_OFFERED = 80, TALLEST = 340;
const FACTS = [
  ["r", "Pearson r over the section's tiles"], ["Spearman", "Spearman's rank correlation over the tiles"],
  ["p", "of the correlation beyond the quadratic trends of both maps, one-sided"], ["SSIM", "structural similarity of the two maps"],
  ["EMD", "Earth Mover's Distance, lower is nearer"],
];
const state = { section: 0, gene: 0, view: "genes", only: null, pinned: false };
const control = Object.fromEntries(["section", "gene", "order", "scale", "over", "opacity"].map((id) => [id, document.getElementById(id)]));
const panels = document.getElementById("panels"), refs = one(".refs"), models = one(".models");
const ready = new Map();
let shown = null;

const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const numbers = (text) => new Uint16Array(bytes(text).buffer);
const whole = (value) => value.toLocaleString("en");
const percentile = (level) => (level === NO_VALUE ? "no value" : String(Math.round((level / STEPS) * 100)));
const inModules = () => state.view === "modules" && shown.module_names.length > 0;

// A section's places, decoded once: the frame is the tissue's bounding box and one tile around it.
function openSection(index) {
  if (ready.has(index)) return ready.get(index);
  const section = DATA.sections[index];
  const [row, column] = [numbers(section.row), numbers(section.column)];
  const range = (values) => values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]);
  const [[top, bottom], [left, right]] = [range(row), range(column)];
  const frame = { top: top - 1, left: left - 1, wide: right - left + 3, high: bottom - top + 3 };
  const tiles = new Map([...row].map((r, i) => [`${r} ${column[i]}`, i]));
  const opened = { ...section, row, column, frame, tiles, decoded: new Map(), image: new Image() };
  opened.image.src = section.picture;
  opened.loaded = opened.image.decode().catch(() => {});
  ready.set(index, opened);
  return opened;
}

function decoded(key, text) {
  if (!shown.decoded.has(key)) shown.decoded.set(key, bytes(text));
  return shown.decoded.get(key);
}

// What a panel shows now: one level (or module) a tile.
function levelsOf(panel) {
  if (inModules()) return decoded(`${panel.key} modules`, panel.entry ? panel.entry.modules : shown.module_truth);
  const every = decoded(panel.key, panel.entry ? panel.entry.levels : shown.truth);
  return every.subarray(state.gene * shown.row.length, (state.gene + 1) * shown.row.length);
}

const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

function geneColours() {
  const stops = DATA.scales[control.scale.value], table = [];
  for (let level = 0; level <= STEPS; level++) {
    const place = (level / STEPS) * (stops.length - 1), i = Math.min(Math.floor(place), stops.length - 2);
    table.push([...stops[i].map((c, k) => Math.round(c + (place - i) * (stops[i + 1][k] - c))), 255]);
  }
  table[NO_VALUE] = [...rgb(DATA.no_module), 110];
  return table;
}

function moduleColours() {
  const faded = [...rgb(DATA.no_module), 60];
  const table = shown.module_names.map((_, i) => (state.only === null || state.only === i ? [...rgb(DATA.module_colours[i]), 255] : faded));
  table[NO_VALUE] = [...rgb(DATA.no_module), 110];
  return table;
}

function paint(panel, colours) {
  const { frame, row, column } = shown, levels = levelsOf(panel);
  Object.assign(panel.map, { width: frame.wide, height: frame.high });
  const pen = panel.map.getContext("2d"), pixels = pen.createImageData(frame.wide, frame.high);
  for (let i = 0; i < levels.length; i++) {
    pixels.data.set(colours[levels[i]], 4 * ((row[i] - frame.top) * frame.wide + column[i] - frame.left));
  }
  pen.putImageData(pixels, 0, 0);
}

// The part of the picture that lies in the frame; what the picture lacks stays empty.
async function paintPicture(canvas, section) {
  await section.loaded;
  const { frame, image } = section, scale = section.tile_um / section.um_per_pixel;
  if (!image.naturalWidth) return;
  const shrink = Math.min(1, 1000 / (frame.wide * scale));
  canvas.width = Math.max(1, Math.round(frame.wide * scale * shrink));
  canvas.height = Math.max(1, Math.round(frame.high * scale * shrink));
  const pen = canvas.getContext("2d");
  pen.scale(shrink, shrink);
  const [left, top] = [0, 1].map((i) => section.origin_um[i] / section.um_per_pixel);
  pen.drawImage(image, -left - frame.left * scale, -top - frame.top * scale);
}

function makeFrame(label, withMap) {
  const { wide, high } = shown.frame;
  const frame = element("div", { class: withMap ? "frame" : "frame picture" });
  frame.style.aspectRatio = `${wide} / ${high}`;
  frame.style.width = `min(100%, ${Math.round((TALLEST * wide) / high)}px)`;
  const under = element("canvas", { class: "under", ...(withMap ? { "aria-hidden": "true" } : { role: "img", "aria-label": label }) });
  const map = withMap ? element("canvas", { class: "map", role: "img" }) : null;
  frame.append(...[under, map, element("div", { class: "cursor" })].filter(Boolean));
  frame.addEventListener("pointermove", (event) => { if (!state.pinned) point(tileUnder(frame, event)); });
  frame.addEventListener("pointerleave", () => { if (!state.pinned) point(null); });
  frame.addEventListener("click", (event) => pin(tileUnder(frame, event)));
  return { frame, under, map };
}

function makePanel(title, entry, withMap = true) {
  const kind = entry ? (KINDS.includes(entry.kind) ? entry.kind : "model") : "reference";
  const root = element("figure", { class: `tile-map ${entry ? `kind-${kind}` : kind}` });
  const head = element("figcaption"), here = element("output");
  head.append(element("h3", { title }, title));
  if (entry && kind !== "model") head.append(element("span", { class: "tag" }, kind));
  const made = { title, entry, kind, root, here, key: entry ? `model ${title}` : title, facts: element("div"), painted: false, ...makeFrame(`H&E of ${shown.section}`, withMap) };
  made.frame.append(here);
  root.append(head, made.frame, made.facts);
  return made;
}

function rule() {
  const side = shown.frame.wide * shown.tile_um, power = 10 ** Math.floor(Math.log10(side / 3));
  const length = power * ([5, 2, 1].find((f) => f * power <= side / 3) || 1);
  const box = element("div", { class: "rule" }), bar = element("i");
  bar.style.width = `${(100 * length) / side}%`;
  box.append(bar, element("span", {}, `${whole(length)} µm`));
  return box;
}

function ramp() {
  const box = element("div", { class: "legend" }), bar = element("div", { class: "ramp" }), ends = element("div", { class: "ends" });
  bar.style.background = `linear-gradient(90deg, ${DATA.scales[control.scale.value].map((c) => `rgb(${c.join(" ")})`).join(", ")})`;
  ends.append(...["0", "percentile in the section", "100"].map((text) => element("span", {}, text)));
  box.append(bar, ends);
  return box;
}

function moduleLegend() {
  const box = element("div", { class: "legend of-modules" });
  shown.module_names.forEach((name, i) => {
    const button = element("button", { type: "button", "aria-pressed": state.only === i, title: "show this module alone" });
    const dot = element("i");
    dot.style.background = DATA.module_colours[i];
    button.append(dot, name, element("span", {}, `${whole(shown.module_sizes[i])} genes`));
    button.addEventListener("click", () => { state.only = state.only === i ? null : i; render(); all(".legend button")[i].focus(); });
    box.append(button);
  });
  box.append(element("p", {}, "Grey: no module is highest alone."));
  return box;
}

function fact(name, text, hint) {
  const box = element("div", { title: hint });
  box.append(element("dt", {}, name), element("dd", {}, text));
  return box;
}
const pText = (p) => (p === null ? "n/a" : p < 0.001 ? "< 0.001" : number(p));

// A panel's scores, headline first; in the view of modules how often model and truth agree.
function factsOf(panel) {
  if (inModules()) {
    const [same, kappa] = panel.entry.agreement || [null, null];
    const share = same === null || same === undefined ? "n/a" : `${number(100 * same, 0)} %`;
    return { headline: kappa, rows: [["κ", number(kappa, 2), "Cohen's kappa: agreement beyond chance"], ["agreement", share, "share of tiles with the truth's module"]] };
  }
  const scores = panel.entry.scores[state.gene] || [null, null, null, null, null];
  return { headline: scores[0], rows: FACTS.map(([name, hint], i) => [name, name === "p" ? pText(scores[i]) : number(scores[i]), hint]) };
}

function writeFacts(panel) {
  const { headline, rows } = factsOf(panel);
  panel.headline = headline;
  const strength = element("div", { class: "strength" }), bar = element("i", headline < 0 ? { class: "below" } : {}), list = element("dl");
  bar.style.width = `${Math.round(100 * Math.min(1, Math.abs(headline || 0)))}%`;
  strength.append(bar);
  list.append(...rows.map((row) => fact(...row)));
  panel.facts.replaceChildren(strength, list);
}

function compare(a, b) {
  const byName = KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind) || a.title.localeCompare(b.title, "en", { numeric: true });
  if (control.order.value === "name") return byName;
  const value = (panel) => (panel.headline === null || panel.headline === undefined ? -Infinity : panel.headline);
  return value(a) === value(b) ? byName : value(b) - value(a);
}

function build(index) {
  state.section = index;
  shown = openSection(index);
  const picture = makePanel("H&E", null, false), truth = makePanel("Truth", null);
  picture.facts.append(rule());
  picture.facts.firstChild.style.width = picture.frame.style.width;
  shown.panels = { picture, truth, models: shown.models.map((entry) => makePanel(entry.title, entry)) };
  paintPicture(picture.under, shown);
  panels.style.setProperty("--wide", 100 / shown.frame.wide);
  panels.style.setProperty("--high", 100 / shown.frame.high);
  release();
}

function moduleChips() {
  return (shown.modules_of[state.gene] || []).map((i) => {
    const chip = element("span", { class: "chip" }), dot = element("i");
    dot.style.background = DATA.module_colours[i];
    chip.append(dot, shown.module_names[i]);
    return chip;
  });
}

function writeTitle() {
  const gene = shown.genes[state.gene];
  document.getElementById("title").textContent = inModules() ? `Meta-modules on ${shown.section}` : `${gene} on ${shown.section}`;
  const about = [`patient ${shown.patient}`, `${whole(shown.row.length)} tiles of ${whole(shown.tile_um)} µm`];
  if (!inModules()) about.unshift(`gene ${whole(state.gene + 1)} of ${whole(shown.genes.length)}`);
  const line = document.getElementById("about");
  line.replaceChildren(`${about.join(" · ")} `, ...(inModules() ? [] : moduleChips()));
  if (shown.phantom) line.append(" ", element("span", { class: "chip phantom" }, "phantom"));
  document.title = `${inModules() ? "Meta-modules" : gene} on ${shown.section} · slide2omics spatial maps`;
}

function render() {
  const { picture, truth } = shown.panels, colours = inModules() ? moduleColours() : geneColours();
  const what = inModules() ? "meta-modules" : shown.genes[state.gene];
  for (const panel of [truth, ...shown.panels.models]) {
    paint(panel, colours);
    panel.map.setAttribute("aria-label", `${panel.title}: ${what} on ${shown.section}`);
    if (panel.entry) writeFacts(panel);
    if (control.over.checked && !panel.painted) { panel.painted = true; paintPicture(panel.under, shown); }
  }
  refs.replaceChildren(picture.root, truth.root, inModules() ? moduleLegend() : ramp());
  models.replaceChildren(...[...shown.panels.models].sort(compare).map((panel) => panel.root));
  writeTitle();
  writeTabs();
  control.gene.value = shown.genes[state.gene];
  control.section.value = state.section;
  if (state.at) point(state.at); else point(null);
}

function writeTabs() {
  for (const tab of all("[role=tab]")) {
    const on = tab.dataset.view === (inModules() ? "modules" : "genes");
    tab.setAttribute("aria-selected", on);
    tab.tabIndex = on ? 0 : -1;
    if (on) panels.setAttribute("aria-labelledby", tab.id);
  }
  for (const part of all(".genes-only")) part.hidden = inModules();
  for (const part of all(".modules-only")) part.hidden = !inModules();
}

// The linked cursor: one tile, outlined and read out in all panels.
function tileUnder(frame, event) {
  const box = frame.getBoundingClientRect();
  const column = Math.floor(((event.clientX - box.left) / box.width) * shown.frame.wide) + shown.frame.left;
  const row = Math.floor(((event.clientY - box.top) / box.height) * shown.frame.high) + shown.frame.top;
  return { row, column, tile: shown.tiles.get(`${row} ${column}`) };
}

function readAt(panel, tile) {
  const level = levelsOf(panel)[tile];
  return inModules() ? shown.module_names[level] || "none" : percentile(level);
}

function point(at) {
  const there = at !== null && at.tile !== undefined;
  state.at = there ? at : null;
  panels.classList.toggle("pointing", there);
  const readout = document.getElementById("readout");
  for (const panel of [shown.panels.truth, ...shown.panels.models]) panel.here.textContent = there ? readAt(panel, at.tile) : "";
  if (!there) {
    readout.textContent = `Point at a tile to read it in every map; click keeps it.${inModules() ? "" : " ← and → step through the genes."}`;
    return;
  }
  panels.style.setProperty("--x", (100 * (at.column - shown.frame.left)) / shown.frame.wide);
  panels.style.setProperty("--y", (100 * (at.row - shown.frame.top)) / shown.frame.high);
  const where = `Tile at row ${at.row}, column ${at.column}: truth `;
  readout.replaceChildren(where, element("b", {}, readAt(shown.panels.truth, at.tile)), state.pinned ? " (kept; click or Esc releases)" : "");
}

function release() {
  state.pinned = false;
  panels.classList.remove("pinned");
  state.at = null;
}
function pin(at) {
  const same = state.pinned && state.at && state.at.tile === at.tile;
  release();
  if (!same && at.tile !== undefined) state.pinned = true;
  panels.classList.toggle("pinned", state.pinned);
  point(same ? null : at);
}
