// Maps: truth and prediction of one marker on one slide, side by side, in one colour scale or one each.
function unpack(text, Type) {
  return new Type(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
}
function viridis(share) {
  const place = Math.max(0, Math.min(1, share)) * (DATA.viridis.length - 1);
  const i = Math.min(Math.floor(place), DATA.viridis.length - 2);
  const mixed = DATA.viridis[i].map((c, k) => Math.round(c + (place - i) * (DATA.viridis[i + 1][k] - c)));
  return `rgb(${mixed.join(" ")})`;
}

function makeMaps(panel, board) {
  const figure = one("figure.maps", panel), box = one(".maps-plot", panel);
  if (!board.maps.length) { figure.hidden = true; return () => {}; }
  const [slide, model, scale] = [one(".map-slide", panel), one(".map-model", panel), one(".map-scale", panel)];
  options(slide, board.maps.map((map, i) => [i, `${map.slide} · ${map.gene}`]));
  const offerModels = () => {
    const map = board.maps[slide.value];
    options(model, board.rows.filter((row) => map.predicted[row.model]).map((row) => [row.model, row.title]), model.value);
  };

  function half(map, name, values, range) {
    const part = element("div");
    part.append(element("h4", { title: name }, name));
    const canvas = element("canvas", { role: "img", "aria-label": `${name}: ${map.gene} on ${map.slide}` });
    part.append(canvas);
    const ramp = element("div", { class: "ramp" });
    ramp.style.background = `linear-gradient(90deg, ${DATA.viridis.map((c) => `rgb(${c.join(" ")})`).join(", ")})`;
    const ends = element("div", { class: "ends" });
    ends.append(element("span", {}, number(range[0], 2)), element("span", {}, number(range[1], 2)));
    const legend = element("div", { class: "scale" });
    legend.append(ramp, ends);
    part.append(legend);
    return { part, paint: () => paint(canvas, map, values, range) };
  }

  function paint(canvas, map, values, range) {
    const wide = canvas.clientWidth || 240;
    const margin = 8, foot = 26;
    // One frame for all slides: a square at least as high as half its width, so that the page does not jump.
    const share = Math.max(0.5, Math.min(1.35, (map.height_um || 1) / (map.width_um || 1)));
    const high = Math.round((wide - 2 * margin) * share) + 2 * margin + foot;
    const ratio = Math.min(3, devicePixelRatio || 1);
    canvas.width = wide * ratio;
    canvas.height = high * ratio;
    canvas.style.height = `${high}px`;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const zoom = Math.min((wide - 2 * margin) / (map.width_um || 1), (high - 2 * margin - foot) / (map.height_um || 1));
    const [x, y] = [unpack(map.x, Uint16Array), unpack(map.y, Uint16Array)];
    const levels = unpack(values.levels, Uint8Array);
    const area = ((map.width_um || 1) * (map.height_um || 1) * zoom * zoom) / Math.max(1, map.shown);
    const radius = Math.max(1, Math.min(6, Math.sqrt(area) * 0.48));
    const left = (wide - map.width_um * zoom) / 2;
    for (let i = 0; i < levels.length; i++) {
      const value = values.low + (levels[i] / 255) * (values.high - values.low);
      pen.fillStyle = viridis((value - range[0]) / (range[1] - range[0] || 1));
      pen.beginPath();
      pen.arc(left + x[i] * map.step_um * zoom, margin + y[i] * map.step_um * zoom, radius, 0, 2 * Math.PI);
      pen.fill();
    }
    scaleBar(pen, map, zoom, margin, high);
  }

  function scaleBar(pen, map, zoom, margin, high) {
    const side = Math.max(map.width_um, map.height_um);
    if (!(side > 0)) return;
    const power = 10 ** Math.floor(Math.log10(side / 3));
    const length = power * ([5, 2, 1].find((f) => f * power <= side / 3) || 1);
    const ink = getComputedStyle(document.body).color;
    pen.fillStyle = ink;
    pen.fillRect(margin, high - 11, length * zoom, 3);
    pen.font = "11px system-ui, sans-serif";
    pen.fillText(`${length >= 1 ? length.toLocaleString("en") : number(length, 2)} µm`, margin, high - 15);
  }

  function render() {
    offerModels();
    const map = board.maps[slide.value];
    const predicted = map.predicted[model.value];
    const both = [Math.min(map.truth.low, predicted.low), Math.max(map.truth.high, predicted.high)];
    const ranges = scale.value === "shared" ? [both, both] : [[map.truth.low, map.truth.high], [predicted.low, predicted.high]];
    const row = board.rows.find((r) => r.model === model.value);
    const halves = [half(map, "Truth", map.truth, ranges[0]), half(map, row.title, predicted, ranges[1])];
    const pair = element("div", { class: "pair" });
    pair.append(...halves.map((h) => h.part));
    const shown = map.shown < map.cells ? `${map.shown.toLocaleString("en")} of ${map.cells.toLocaleString("en")}` : map.cells.toLocaleString("en");
    const r = predicted.r === null ? "undefined (one side is constant)" : number(predicted.r);
    box.replaceChildren(pair, element("p", { class: "caption" }, `${map.gene}, log-normalised expression; ${shown} cells; r on this slide ${r}`));
    for (const h of halves) h.paint();
  }
  for (const input of [slide, model, scale]) onInput(input, render);
  return render;
}
