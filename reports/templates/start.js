// Tabs and the first drawing; a panel's plots are drawn when it is shown, because only then has it a width.
document.documentElement.classList.add("js");
const tabs = all("[role=tab]");
const drawings = new Map([["overview", all(".staircase").map((figure, i) => makeStaircase(figure, DATA.staircases[i]))]]);
for (const panel of all("[data-board]")) {
  const board = DATA.boards[Number(panel.dataset.board)];
  makeTable(panel, board);
  const plots = [() => drawRanks(panel, board)];
  if (one(".genes-plot", panel)) plots.push(makeGenes(panel, board));
  if (one(".maps-plot", panel)) plots.push(makeMaps(panel, board));
  if (one(".curves-plot", panel)) plots.push(makeCurves(panel, board));
  drawings.set(panel.id, plots);
}
const redraw = (id) => { for (const drawing of drawings.get(id) || []) drawing(); };

function show(id, remember = true) {
  const chosen = tabs.find((tab) => tab.getAttribute("aria-controls") === id) || tabs[0];
  for (const tab of tabs) {
    const on = tab === chosen;
    tab.setAttribute("aria-selected", on);
    tab.tabIndex = on ? 0 : -1;
    document.getElementById(tab.getAttribute("aria-controls")).classList.toggle("active", on);
  }
  const name = chosen.getAttribute("aria-controls");
  if (remember) history.replaceState(null, "", `#${name}`);
  chosen.scrollIntoView({ block: "nearest", inline: "center", behavior: "instant" });
  tip.hidden = true;
  redraw(name);
}
for (const tab of tabs) {
  tab.addEventListener("click", () => show(tab.getAttribute("aria-controls")));
  tab.addEventListener("keydown", (event) => {
    const steps = { ArrowRight: 1, ArrowLeft: -1, Home: -tabs.indexOf(tab), End: tabs.length - 1 - tabs.indexOf(tab) };
    if (!(event.key in steps)) return;
    event.preventDefault();
    const next = tabs[(tabs.indexOf(tab) + steps[event.key] + tabs.length) % tabs.length];
    show(next.getAttribute("aria-controls"));
    next.focus();
  });
}
const active = () => one("[role=tabpanel].active").id;
let width = innerWidth;
addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; redraw(active()); } });
addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
addEventListener("hashchange", () => show(location.hash.slice(1), false));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw(active()));
// On paper every panel is shown, so every plot must have been drawn.
addEventListener("beforeprint", () => { for (const id of drawings.keys()) redraw(id); });
show(location.hash.slice(1) || "overview", false);
