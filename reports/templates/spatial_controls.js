// What a reader works the maps with: the address, the gene's combobox, keys and buttons; then the first drawing.
// The address: what is shown, by name, so that it means the same in another run.
function remember() {
  const words = new URLSearchParams({ section: shown.section, gene: shown.genes[state.gene] });
  if (inModules()) words.set("view", "modules");
  history.replaceState(null, "", `#${words}`);
}
function restore() {
  const words = new URLSearchParams(location.hash.slice(1));
  const index = DATA.sections.findIndex((section) => section.section === words.get("section"));
  build(Math.max(0, index));
  state.gene = Math.max(0, shown.genes.indexOf(words.get("gene")));
  state.view = words.get("view") === "modules" ? "modules" : "genes";
  render();
}

function chooseGene(index) {
  state.gene = (index + shown.genes.length) % shown.genes.length;
  render();
  remember();
}
function chooseSection(index) {
  const gene = shown.genes[state.gene];
  build(index);
  state.gene = Math.max(0, shown.genes.indexOf(gene));
  render();
  remember();
}
function chooseView(view) {
  state.view = view;
  render();
  remember();
}

// Type-ahead: names that begin with what was typed, then names that hold it.
function matching(text) {
  const wanted = text.trim().toLowerCase(), named = shown.genes.map((name, i) => ({ name, i, at: name.toLowerCase().indexOf(wanted) }));
  return [...named.filter((g) => g.at === 0), ...named.filter((g) => g.at > 0)];
}
function bestR(gene) {
  const known = shown.models.filter((m) => m.kind === "model").map((m) => (m.scores[gene] || [null])[0]).filter((r) => r !== null);
  return known.length ? Math.max(...known) : null;
}

function makeCombobox() {
  const input = control.gene, list = document.getElementById("gene-list");
  let offered = [], active = 0;
  const mark = () => {
    all("[role=option]", list).forEach((item, i) => item.setAttribute("aria-selected", i === active));
    const item = all("[role=option]", list)[active];
    if (item) { input.setAttribute("aria-activedescendant", item.id); item.scrollIntoView({ block: "nearest" }); }
  };
  const close = () => {
    list.hidden = true;
    input.setAttribute("aria-expanded", false);
    input.removeAttribute("aria-activedescendant");
    input.value = shown.genes[state.gene];
  };
  const take = (place) => { if (offered[place]) chooseGene(offered[place].i); close(); };
  const offer = (text) => {
    const found = matching(text);
    offered = found.slice(0, MOST_OFFERED);
    active = Math.max(0, text ? 0 : offered.findIndex((g) => g.i === state.gene));
    list.replaceChildren(...offered.map((gene, place) => {
      const item = element("li", { role: "option", id: `option-${place}` });
      const r = bestR(gene.i);
      item.append(element("span", {}, gene.name), element("span", { class: "r", title: "best r of a model" }, r === null ? "" : number(r, 2)));
      item.addEventListener("pointerdown", (event) => { event.preventDefault(); take(place); });
      return item;
    }));
    if (found.length !== offered.length || !found.length) {
      list.append(element("li", { class: "rest" }, found.length ? `${whole(found.length - offered.length)} more: type on` : "no such gene on this page"));
    }
    list.hidden = false;
    input.setAttribute("aria-expanded", true);
    mark();
  };
  input.addEventListener("focus", () => { input.select(); offer(""); });
  input.addEventListener("input", () => offer(input.value));
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    if (event.key in steps) {
      event.preventDefault();
      if (list.hidden) return offer("");
      active = Math.max(0, Math.min(offered.length - 1, active + steps[event.key]));
      mark();
    } else if (event.key === "Enter") {
      take(active);
    } else if (event.key === "Escape") close();
  });
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, [role=tab]")) return;
  if (event.key === "Escape") { release(); point(null); }
  const steps = { ArrowRight: 1, ArrowLeft: -1 };
  if (inModules() || !(event.key in steps)) return;
  event.preventDefault();
  chooseGene(state.gene + steps[event.key]);
}

function listen() {
  control.section.addEventListener("change", () => chooseSection(Number(control.section.value)));
  for (const name of ["order", "scale"]) control[name].addEventListener("change", render);
  control.over.addEventListener("change", () => {
    control.opacity.disabled = !control.over.checked;
    panels.classList.toggle("over", control.over.checked);
    render();
  });
  control.opacity.addEventListener("input", () => panels.style.setProperty("--over", control.opacity.value / 100));
  document.getElementById("before").addEventListener("click", () => chooseGene(state.gene - 1));
  document.getElementById("after").addEventListener("click", () => chooseGene(state.gene + 1));
  for (const tab of all("[role=tab]")) {
    tab.addEventListener("click", () => chooseView(tab.dataset.view));
    tab.addEventListener("keydown", (event) => {
      if (!["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) return;
      event.preventDefault();
      chooseView(tab.dataset.view === "genes" ? "modules" : "genes");
      one("[role=tab][aria-selected=true]").focus();
    });
  }
  addEventListener("keydown", onKey);
  addEventListener("hashchange", restore);
}
makeCombobox();
listen();
restore();
