// Genes: measured r against the reachable r (where a truth is known) or against another model's r.
function makeGenes(panel, board) {
  const genes = board.genes;
  const figure = one("figure.genes", panel), box = one(".genes-plot", panel);
  const rows = board.rows.filter((row) => genes.r[row.model]);
  if (!rows.length) { figure.hidden = true; return () => {}; }
  const [model, against, find] = [one(".gene-model", panel), one(".gene-against", panel), one(".gene-find", panel)];
  const known = genes.reachable.some((value) => value !== null);
  options(model, rows.map((row) => [row.model, row.title]));
  options(against, [...(known ? [["", "reachable r"]] : []), ...rows.map((row) => [row.model, row.title])], known ? "" : (rows[1] || rows[0]).model);
  // The option for the reachable r has an empty value, which no model can have as its name.
  const title = (name) => (name === "" ? "reachable r" : `r of ${rows.find((row) => row.model === name).title}`);

  function render() {
    const base = against.value === "" ? genes.reachable : genes.r[against.value];
    const own = genes.r[model.value];
    const points = genes.names
      .map((name, i) => ({ name, x: base[i], y: own[i], invisible: genes.visible[i] === 0, share: genes.visible[i] }))
      .filter((p) => p.x !== null && p.y !== null)
      .map((p) => ({ ...p, x: p.x / 1000, y: p.y / 1000 }));
    if (!points.length) return nothing(box, "No gene has both numbers: r is undefined, as for a constant prediction.");
    const height = Math.min(430, Math.max(300, (box.clientWidth || 500) * 0.72));
    const { svg, width } = canvasFor(box, height, `Each gene's r by ${title(model.value)} against ${title(against.value)}`);
    const [left, right, top, bottom] = [50, 12, 10, 44];
    const values = points.flatMap((p) => [p.x, p.y]);
    const low = Math.min(-0.05, ...values) - 0.02, high = Math.max(0.3, ...values) + 0.03;
    const x = (v) => left + ((v - low) / (high - low)) * (width - left - right);
    const y = (v) => height - bottom - ((v - low) / (high - low)) * (height - top - bottom);
    const axis = ticks(low, high, 5);
    for (const v of axis.values) {
      draw(svg, "line", { class: "gridline", x1: x(v), x2: x(v), y1: top, y2: height - bottom });
      draw(svg, "line", { class: Math.abs(v) < 1e-9 ? "zero" : "gridline", x1: left, x2: width - right, y1: y(v), y2: y(v) });
      draw(svg, "text", { class: "mid", x: x(v), y: height - bottom + 16 }, number(v, axis.digits));
      draw(svg, "text", { class: "end", x: left - 6, y: y(v) + 4 }, number(v, axis.digits));
    }
    draw(svg, "line", { class: "identity", x1: x(low), y1: y(low), x2: x(high), y2: y(high) });
    draw(svg, "text", { class: "mid", x: (left + width - right) / 2, y: height - 6 }, title(against.value));
    draw(svg, "text", { class: "mid", transform: `translate(13 ${(top + height - bottom) / 2}) rotate(-90)` }, title(model.value));
    const kind = kindOf(rows.find((row) => row.model === model.value));
    const wanted = find.value.trim().toLowerCase();
    for (const p of points.sort((a, b) => a.invisible - b.invisible)) {
      const dot = draw(svg, "circle", { class: `gene ${p.invisible ? "fill-invisible" : `fill-${kind}`}`, cx: x(p.x), cy: y(p.y), r: points.length > 400 ? 3 : 4.2 });
      const share = p.share === null ? "" : `\nvisible share of variance ${number(p.share / 1000, 2)}`;
      explain(dot, `${p.name}\nr ${number(p.y)} against ${number(p.x)}${share}`);
    }
    const found = wanted ? points.filter((p) => p.name.toLowerCase().includes(wanted)).slice(0, 8) : [];
    for (const p of found) {
      draw(svg, "circle", { class: "fill-found", cx: x(p.x), cy: y(p.y), r: 8 });
      const late = x(p.x) > width - 90;
      draw(svg, "text", { class: `name ${late ? "end" : ""}`, x: x(p.x) + (late ? -12 : 12), y: y(p.y) + 4 }, p.name);
    }
    box.append(legend(points, kind));
  }

  function legend(points, kind) {
    const key = element("div", { class: "key" });
    const entry = (mark, text, style = "") => {
      const span = element("span");
      span.append(element("i", { class: mark }), text);
      if (style) span.firstChild.style.background = style;
      key.append(span);
    };
    const hidden = points.filter((p) => p.invisible).length;
    entry("", `${points.length - hidden} genes`, kind === "oracle" ? "var(--oracle)" : kind === "control" ? "var(--ref)" : "");
    if (hidden) entry("invisible", `${hidden} genes without a visible share`);
    entry("line", "equal");
    if (genes.all > genes.names.length) key.append(`${genes.names.length} of ${genes.all} genes drawn`);
    return key;
  }
  for (const input of [model, against, find]) onInput(input, render);
  return render;
}
