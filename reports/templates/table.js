// A leaderboard's table: sort by any column, filter by text and kind, open a row's details.
function makeTable(panel, board) {
  const table = one("table.board", panel);
  const body = one("tbody", table);
  const pairs = all("tr.row", body).map((row) => ({
    row,
    detail: row.nextElementSibling,
    data: board.rows[Number(row.dataset.row)],
    text: (row.textContent + " " + row.nextElementSibling.textContent).toLowerCase(),
  }));
  const headers = all("th[aria-sort]", table);

  function compare(key, direction) {
    return (a, b) => {
      const [x, y] = [a.data.sort[key], b.data.sort[key]];
      const [noX, noY] = [x === null || a.data.group === "skipped", y === null || b.data.group === "skipped"];
      if (noX || noY) return noX - noY || a.row.dataset.row - b.row.dataset.row;
      const order = typeof x === "string" ? x.localeCompare(y, "en") : x - y;
      return direction * order || a.row.dataset.row - b.row.dataset.row;
    };
  }

  function sortBy(header) {
    const key = one("button", header).dataset.key;
    const now = header.getAttribute("aria-sort");
    // Names, ranks and numbers of which less is better begin with the low ones.
    const lowFirst = board.low_first.includes(key);
    const next = now === "none" ? (lowFirst ? "ascending" : "descending") : now === "ascending" ? "descending" : "ascending";
    for (const other of headers) other.setAttribute("aria-sort", other === header ? next : "none");
    pairs.sort(compare(key, next === "ascending" ? 1 : -1));
    body.append(...pairs.flatMap(({ row, detail }) => [row, detail]));
  }

  function filter() {
    const wanted = one(".text-filter", panel).value.trim().toLowerCase();
    const kinds = new Set(all(".kinds input:checked", panel).map((box) => box.value));
    let shown = 0;
    for (const { row, detail, data, text } of pairs) {
      const group = data.group === "ranked" || data.group === "unranked" ? "model" : data.group;
      row.hidden = !(kinds.has(group) && text.includes(wanted));
      detail.hidden = row.hidden || one(".open", row).getAttribute("aria-expanded") !== "true";
      shown += !row.hidden;
    }
    one(".shown", panel).textContent = `${shown} of ${pairs.length} rows`;
  }

  for (const header of headers) one("button", header).addEventListener("click", () => sortBy(header));
  for (const input of all(".toolbar input", panel)) input.addEventListener("input", filter);
  for (const { row, detail } of pairs) {
    const button = one(".open", row);
    button.addEventListener("click", () => {
      const open = button.getAttribute("aria-expanded") !== "true";
      button.setAttribute("aria-expanded", open);
      detail.hidden = !open;
    });
  }
  filter();
}
