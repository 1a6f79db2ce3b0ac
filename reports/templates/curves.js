// Kaplan-Meier: the halves of high and low predicted risk of one model or two, with bands and patients at risk.
function makeCurves(panel, board) {
  const box = one(".curves-plot", panel);
  const [model, against] = [one(".curve-model", panel), one(".curve-against", panel)];
  const offered = board.rows.filter((row) => board.curves[row.model]).map((row) => [row.model, row.title]);
  options(model, offered);
  options(against, [["", "nothing"], ...offered]);

  function half(name) {
    const part = element("div");
    box.append(part);
    const row = board.rows.find((r) => r.model === name), found = board.curves[name];
    part.append(element("h4", { title: row.title }, row.title));
    const plot = element("div", { class: "plot" });
    part.append(plot);
    const table = found.at_risk, end = table.times[table.times.length - 1];
    const top = 8, left = 44, right = 14, foot = 92, high = 240, height = top + high + foot;
    const { svg, width } = canvasFor(plot, height, `Kaplan-Meier curves by predicted risk: ${row.title}`);
    const x = (months) => left + (Math.min(months, end) / end) * (width - left - right);
    const y = (share) => top + (1 - share) * high;
    for (const share of [0, 0.25, 0.5, 0.75, 1]) {
      draw(svg, "line", { class: "gridline", x1: left, x2: width - right, y1: y(share), y2: y(share) });
      draw(svg, "text", { class: "end", x: left - 6, y: y(share) + 4 }, number(share, 2));
    }
    for (const curve of found.groups) {
      const last = curve.time.findIndex((t) => t > end), n = last < 0 ? curve.time.length : last;
      const steps = (values) => values.slice(0, n).map((v, i) => `${i ? `H${x(curve.time[i])}V` : `M${x(curve.time[i])},`}${y(v)}`).join("") + `H${x(end)}`;
      const back = (values) => values.slice(0, n).map((v, i) => [x(curve.time[i]), x(i + 1 < n ? curve.time[i + 1] : end), y(v)]).reverse().map(([a, b, v]) => `L${b},${v}L${a},${v}`).join("");
      if (curve.low) draw(svg, "path", { class: `km-band km-${curve.group}`, d: `${steps(curve.high)}${back(curve.low)}Z` });
      draw(svg, "path", { class: `km km-${curve.group}`, d: steps(curve.survival) });
    }
    draw(svg, "text", { class: "mid", x: (left + width - right) / 2, y: top + high + 34 }, "months");
    const counts = [["high", 56], ["low", 74]];
    table.times.forEach((months, i) => {
      draw(svg, "text", { class: "mid", x: x(months), y: top + high + 16 }, String(months));
      for (const [group, down] of counts) draw(svg, "text", { class: `mid km-text-${group}`, x: x(months), y: top + high + down }, String(table[group][i]));
    });
    for (const [group, down] of counts) draw(svg, "text", { class: `km-text-${group}`, x: 2, y: top + high + down }, group);
    const [low, risky] = ["low", "high"].map((group) => found.groups.find((curve) => curve.group === group));
    part.append(element("p", { class: "caption" },
      `C-index ${number(row.mean)}; log-rank p ${found.p === null ? "undefined" : found.p}; events ${risky.events} of ${risky.n} at high, ${low.events} of ${low.n} at low risk`));
  }

  function render() {
    box.replaceChildren();
    const chosen = [model.value, against.value].filter((name, i, names) => name && names.indexOf(name) === i);
    box.classList.toggle("pair", chosen.length > 1);
    for (const name of chosen) half(name);
  }
  for (const input of [model, against]) onInput(input, render);
  return render;
}
