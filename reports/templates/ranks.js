// Ranks: one line a row with dot, interval and single patients; controls and oracle also as dashed lines.
function drawRanks(panel, board) {
  const box = one(".ranks-plot", panel);
  const rows = board.rows.filter((row) => row.group !== "skipped" && row.mean !== null);
  if (!rows.length) return nothing(box, "Nothing has been scored.");
  const narrow = (box.clientWidth || 640) < 560;
  // On a narrow screen the name stands above its line, so that the plot keeps the whole width.
  const step = narrow ? 46 : 30, top = 8, bottom = 40, left = narrow ? 10 : 260, right = narrow ? 14 : 70;
  const height = top + step * rows.length + bottom;
  const { svg, width } = canvasFor(box, height, `${board.axis} and 95 % interval of every row`);
  const values = rows.flatMap((r) => [r.low, r.mean, r.high, ...r.patients.map((p) => p[1])]).filter((v) => v !== null);
  if (board.nothing !== null) values.push(board.nothing, board.nothing + 0.1);
  const low = Math.min(...values), high = Math.max(...values), pad = (high - low || 1) * 0.03;
  const x = (value) => left + ((value - low + pad) / (high - low + 2 * pad)) * (width - left - right);
  const end = height - bottom;
  const axis = ticks(low, high, narrow ? 4 : 8);
  for (const value of axis.values) {
    draw(svg, "line", { class: board.nothing !== null && Math.abs(value - board.nothing) < 1e-9 ? "zero" : "gridline", x1: x(value), x2: x(value), y1: top, y2: end });
    draw(svg, "text", { class: "mid", x: x(value), y: end + 16 }, number(value, axis.digits));
  }
  draw(svg, "text", { class: "mid", x: (left + width - right) / 2, y: end + 34 }, `${board.axis}, ${board.better}`);
  for (const row of rows.filter((r) => r.kind !== "model")) {
    draw(svg, "line", { class: `reference stroke-${kindOf(row)}`, x1: x(row.mean), x2: x(row.mean), y1: top, y2: end });
  }
  rows.forEach((row, i) => {
    const middle = top + step * (i + 0.5), y = middle + (narrow ? 10 : 0), kind = kindOf(row);
    const fits = Math.floor((narrow ? width - 90 : left - 46) / 7);
    const name = row.title.length > fits ? `${row.title.slice(0, fits - 1)}…` : row.title;
    const at = narrow ? y - 12 : y + 4.5;
    draw(svg, "text", { class: "rank mid", x: 14, y: at }, row.rank === null ? "" : String(row.rank));
    draw(svg, "text", { class: `name ${kind}`, x: row.rank === null && narrow ? 8 : 32, y: at }, name);
    draw(svg, "text", { class: "end", x: width - 4, y: at }, number(row.mean));
    if (row.low !== null && row.high !== null) {
      draw(svg, "line", { class: `interval stroke-${kind}`, x1: x(row.low), x2: x(row.high), y1: y, y2: y });
    }
    for (const [, value] of row.patients) {
      if (value === null) continue;
      draw(svg, "line", { class: `patient stroke-${kind}`, x1: x(value), x2: x(value), y1: y - 6, y2: y + 6 });
    }
    if (kind === "model") draw(svg, "circle", { class: "dot fill-model", cx: x(row.mean), cy: y, r: 6 });
    else draw(svg, "rect", { class: `dot fill-${kind}`, x: x(row.mean) - 5, y: y - 5, width: 10, height: 10, transform: `rotate(45 ${x(row.mean)} ${y})` });
    const hit = draw(svg, "rect", { class: "hit", x: 0, y: middle - step / 2, width, height: step, rx: 6, tabindex: 0, "aria-label": row.title });
    const place = row.rank === null ? row.kind : `rank ${row.rank}`;
    const spread = row.low === null ? "" : `\n95 % CI ${number(row.low)} to ${number(row.high)}`;
    const patients = row.patients.slice(0, 12).map(([p, v]) => `${p} ${number(v, 2)}`).join(", ");
    explain(hit, `${row.title} (${place})\n${board.axis} ${number(row.mean)}${spread}\n${patients}${row.patients.length > 12 ? ", …" : ""}`);
  });
}
