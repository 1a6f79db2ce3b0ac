// The staircase of one cohort: each model's headline from protocol to protocol.
function makeStaircase(figure, keys) {
  const box = one(".stair-plot", figure);
  const boards = keys.map((name) => DATA.boards.find((board) => board.protocol === name));
  const { axis: headline, nothing: zero } = boards[0];
  const lines = new Map();
  boards.forEach((board, step) => {
    for (const row of board.rows) {
      if (row.mean === null || row.group === "skipped") continue;
      if (!lines.has(row.model)) lines.set(row.model, { row, points: [] });
      lines.get(row.model).points.push({ step, row });
    }
  });
  const select = one(".stair-model", figure);
  options(select, [["", "all"], ...[...lines].map(([name, line]) => [name, line.row.title])]);

  function render() {
    const chosen = select.value;
    const values = [...lines.values()].flatMap((l) => l.points.flatMap((p) => [p.row.mean, p.row.low, p.row.high])).filter((v) => v !== null);
    if (!values.length) return nothing(box, "Nothing has been scored.");
    const narrow = (box.clientWidth || 640) < 620;
    const labelled = [...lines.values()].length;
    const height = Math.max(320, narrow ? 340 : 56 + labelled * 19);
    const { svg, width } = canvasFor(box, height, `${headline} of every model by protocol`);
    const [left, right, top, bottom] = [44, narrow ? 118 : 210, 12, 40];
    const low = Math.min(zero, ...values), high = Math.max(zero + 0.1, ...values);
    const x = (step) => left + (narrow ? 20 : 40) + (step / (boards.length - 1)) * (width - left - right - (narrow ? 30 : 60));
    const y = (v) => height - bottom - ((v - low) / (high - low)) * (height - top - bottom);
    const axis = ticks(low, high, 6);
    for (const v of axis.values) {
      draw(svg, "line", { class: Math.abs(v - zero) < 1e-9 ? "zero" : "gridline", x1: left, x2: width - right, y1: y(v), y2: y(v) });
      draw(svg, "text", { class: "end", x: left - 6, y: y(v) + 4 }, number(v, axis.digits));
    }
    boards.forEach((board, step) => {
      const fits = narrow ? 15 : 34;
      const title = board.short;
      draw(svg, "text", { class: "mid name", x: x(step), y: height - (narrow && step % 2 ? 2 : 16) }, title.length > fits ? `${title.slice(0, fits - 1)}…` : title);
    });
    const ends = [];
    for (const [name, line] of lines) {
      const kind = kindOf(line.row), on = chosen === name, off = chosen && !on;
      const group = draw(svg, "g", { class: off ? "off" : "", "data-line": name });
      if (on) {
        for (const p of line.points.filter((q) => q.row.low !== null)) {
          draw(group, "line", { class: `whisker stroke-${kind}`, x1: x(p.step), x2: x(p.step), y1: y(p.row.low), y2: y(p.row.high) });
        }
      }
      draw(group, "polyline", { class: `stair stroke-${kind} ${on ? "on" : ""}`, points: line.points.map((p) => `${x(p.step)},${y(p.row.mean)}`).join(" ") });
      for (const p of line.points) {
        const dot = draw(group, "circle", { class: `dot fill-${kind}`, cx: x(p.step), cy: y(p.row.mean), r: on ? 6 : 4.5 });
        explain(dot, `${line.row.title}\n${boards[p.step].short}\n${headline} ${number(p.row.mean)} (${number(p.row.low)} to ${number(p.row.high)})`);
      }
      const last = line.points.at(-1);
      ends.push({ name, kind, on, off, title: line.row.title, step: last.step, at: y(last.row.mean) });
    }
    label(svg, ends, { x, width, right, top, height, bottom, narrow });
  }

  // Names at the lines' ends, moved apart just enough not to overlap.
  function label(svg, ends, { x, width, right, top, height, bottom, narrow }) {
    const shown = ends.filter((e) => !e.off || ends.length < 8).sort((a, b) => a.at - b.at);
    const gap = Math.min(16, (height - top - bottom + 12) / Math.max(1, shown.length));
    let last = -Infinity;
    for (const end of shown) last = end.y = Math.max(end.at, last + gap);
    let limit = height - bottom + 6;
    for (const end of [...shown].reverse()) limit = (end.y = Math.min(end.y, limit)) - gap;
    const start = width - right + 2;
    for (const end of shown) {
      const fits = Math.floor((right - 26) / (narrow ? 6.2 : 6.9));
      const title = end.title.length > fits ? `${end.title.slice(0, fits - 1)}…` : end.title;
      if (gap < 9) continue;
      draw(svg, "polyline", { class: `stair stroke-${end.kind} off`, points: `${x(end.step) + 6},${end.at} ${start},${end.at} ${start + 14},${end.y}` });
      draw(svg, "text", { class: `name ${end.kind} ${end.on ? "on" : ""} ${end.off ? "off" : ""}`, x: start + 18, y: end.y + 4 }, title);
    }
  }
  onInput(select, render);
  return render;
}
