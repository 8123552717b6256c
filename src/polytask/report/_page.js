"use strict";
const root = document.documentElement;
const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
const byId = (id) => document.getElementById(id);
root.classList.add("js");

// The form of filters over items of `data` (by the chips' kinds) and `text`: of one kind any pressed chip fits, of several all must;
// every word of the search must occur. `show` is told of each item, in order, whether it fits.
const filtered = (items, name, show) => {
  const search = byId("search"), chips = all(".chip[data-kind]");
  if (!search) return;
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean), wanted = {};
    for (const chip of chips) if (chip.getAttribute("aria-pressed") === "true") (wanted[chip.dataset.kind] ??= []).push(chip.dataset.value);
    const fits = items.map(({ data, text }) =>
      Object.entries(wanted).every(([kind, values]) => values.includes(data[kind])) && words.every((word) => text.toLowerCase().includes(word)));
    const count = fits.filter(Boolean).length;
    show(fits);
    byId("shown").textContent = `${count} of ${items.length} ${name} shown`;
    byId("nothing").hidden = count > 0;
    byId("clear").hidden = !words.length && !Object.keys(wanted).length;
  };
  for (const chip of chips) chip.addEventListener("click", () => {
    chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
    filter();
  });
  search.addEventListener("input", filter);
  search.form.addEventListener("submit", (event) => event.preventDefault());
  search.form.addEventListener("reset", () => {
    for (const chip of chips) chip.setAttribute("aria-pressed", "false");
    setTimeout(filter);
  });
  filter();
};

(() => {
  // Light or dark: the system's choice until the reader makes one.
  const remember = (value) => { try { value === undefined || localStorage.setItem("theme", value); return localStorage.getItem("theme"); } catch { return null; } };
  const kept = remember();
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  byId("theme").addEventListener("click", () => {
    const now = root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    remember(root.dataset.theme);
  });

  // Details: all at once, and all on paper.
  const open = (elements, value) => { for (const element of elements) element.open = value; };
  for (const button of all("[data-open]")) button.addEventListener("click", () => open(all("details"), button.dataset.open === "1"));
  let before = [];
  addEventListener("beforeprint", () => { before = all("details:not([open])"); open(before, true); });
  addEventListener("afterprint", () => open(before, false));

  // What hovers or is touched says its figures at once; of curves, those of all lines at the epoch under the pointer.
  const tip = document.body.appendChild(Object.assign(document.createElement("div"), { id: "tip", hidden: true }));
  tip.setAttribute("aria-hidden", "true");
  const figure = (value) => (Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : Number(value.toPrecision(3)).toString()).replace("-", "−");
  const curve = (event) => {
    const svg = event.target.closest?.("svg[data-scale]");
    if (!svg) return "";
    const [left, right, low, high, log] = svg.dataset.scale.split(" ").map(Number);
    const box = svg.getBoundingClientRect();
    const px = (event.clientX - box.left) * 360 / box.width;
    if (px < 50 || px > 352) return "";
    const lines = [];
    let epoch = 0;
    for (const group of all("g[data-arm]:not([hidden])", svg)) {
      const path = group.querySelector("path.arm:not(.band)");
      if (!path) continue;
      const points = path.getAttribute("d").slice(1).split("L").map((text) => text.split(" ").map(Number));
      const near = points.reduce((a, b) => (Math.abs(b[0] - px) < Math.abs(a[0] - px) ? b : a));
      if (Math.abs(near[0] - px) > 30) continue;
      const value = low + (high - low) * (180 - near[1]) / 172;
      epoch = Math.round(left + (right - left) * (near[0] - 54) / 294);
      lines.push(`${group.dataset.arm}: ${figure(log ? 10 ** value : value)}`);
    }
    return lines.length ? [`epoch ${epoch}`, ...lines].join("\n") : "";
  };
  const tell = (event) => {
    const place = event.target.closest?.(".dot, .point, .arm, .strip g, [data-tip]");
    const title = place && place.querySelector(":scope > title");
    if (title) { place.dataset.tip = title.textContent; title.remove(); }
    const text = curve(event) || place?.dataset.tip;
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(innerWidth - width - 4, event.clientX + 12))}px`;
    tip.style.top = `${event.clientY - height - 14 < 4 ? event.clientY + 18 : event.clientY - height - 14}px`;
  };
  for (const kind of ["pointerover", "pointermove", "pointerdown"]) document.addEventListener(kind, tell);
  addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
})();
