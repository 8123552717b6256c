"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector) => [...document.querySelectorAll(selector)];
  const byId = (id) => document.getElementById(id);
  root.classList.add("js");

  // Light or dark: the system's choice until the reader makes one.
  const remember = (value) => { try { value === undefined || localStorage.setItem("theme", value); return localStorage.getItem("theme"); } catch { return null; } };
  const kept = remember();
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  byId("theme").addEventListener("click", () => {
    const now = root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    remember(root.dataset.theme);
  });

  // Filters: within a row any pressed chip fits, between rows all must; every word of the search must occur.
  const claims = all("article.claim").map((element) => ({
    element, line: document.querySelector(`.group[data-claim="${element.id}"]`), text: element.textContent.toLowerCase(),
  }));
  const chips = all(".chip");
  const search = byId("search");
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const pressed = (kind) => chips.filter((c) => c.dataset.kind === kind && c.getAttribute("aria-pressed") === "true").map((c) => c.dataset.value);
    const verdicts = pressed("verdict"), fields = pressed("field");
    let shown = 0;
    for (const { element, line, text } of claims) {
      const fits = (!verdicts.length || verdicts.includes(element.dataset.verdict)) && (!fields.length || fields.includes(element.dataset.field))
        && words.every((word) => text.includes(word));
      element.hidden = !fits;
      if (line) line.hidden = !fits;
      shown += fits;
    }
    byId("shown").textContent = `${shown} of ${claims.length} claims shown`;
    byId("nothing").hidden = shown > 0;
    byId("clear").hidden = shown === claims.length && !words.length && !verdicts.length && !fields.length;
  };
  if (search) {
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
  }

  // Details: all at once, and those of a claim that is linked to.
  const open = (elements, value) => { for (const element of elements) element.open = value; };
  for (const button of all("[data-open]")) button.addEventListener("click", () => open(all("details"), button.dataset.open === "1"));
  let before = [];
  addEventListener("beforeprint", () => { before = all("details:not([open])"); open(before, true); });
  addEventListener("afterprint", () => open(before, false));

  // What hovers or is touched says its figures at once.
  const tip = document.body.appendChild(Object.assign(document.createElement("div"), { id: "tip", hidden: true }));
  tip.setAttribute("aria-hidden", "true");
  const tell = (event) => {
    const place = event.target.closest?.(".dot, .arm, .strip g");
    const title = place && (place.querySelector(":scope > title"));
    if (title) { place.dataset.tip = title.textContent; title.remove(); }
    tip.hidden = !place?.dataset.tip;
    if (tip.hidden) return;
    tip.textContent = place.dataset.tip;
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(innerWidth - width - 4, event.clientX + 12))}px`;
    tip.style.top = `${event.clientY - height - 14 < 4 ? event.clientY + 18 : event.clientY - height - 14}px`;
  };
  for (const kind of ["pointerover", "pointermove", "pointerdown"]) document.addEventListener(kind, tell);
  addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
})();
